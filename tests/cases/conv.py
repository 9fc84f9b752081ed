from __future__ import annotations

from typing import Any

from triport.exporter.ops import Conv, ConvTranspose

from .case import Const, Data, OpCase

Operands = tuple[Data | Const, ...]


def _conv(
    name: str,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    *,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0)),
    dilation: tuple[int, ...] = (1, 1),
    groups: int = 1,
    bias: bool = True,
    refused: dict[str, str] | None = None,
) -> OpCase:
    operands: Operands = (Data(x), Const(weight), *([Const((weight[0],))] if bias else []))
    return OpCase(f"conv/{name}", Conv(stride, padding, dilation, groups), operands, refused or {})


def _transposed(
    name: str,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    *,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0)),
    dilation: tuple[int, ...] = (1, 1),
    groups: int = 1,
    bias: bool = True,
    refused: dict[str, str] | None = None,
) -> OpCase:
    operands: Operands = (Data(x), Const(weight), *([Const((weight[1] * groups,))] if bias else []))
    op = ConvTranspose(stride, padding, dilation, groups)
    return OpCase(f"conv_transpose/{name}", op, operands, refused or {})


AT_3D = {"stride": (1, 1, 1), "padding": ((0, 0),) * 3, "dilation": (1, 1, 1)}


def _3d(**given: tuple[Any, ...]) -> Any:
    """Attributes over three axes."""
    return AT_3D | given


CASES = [
    _conv("valid", (3, 9, 7), (5, 3, 3, 3)),
    _conv("same", (3, 9, 7), (5, 3, 3, 3), padding=((1, 1), (1, 1))),
    _conv("one_by_one", (6, 5, 5), (8, 6, 1, 1)),
    _conv("one_channel", (1, 8, 8), (4, 1, 3, 3), padding=((1, 1), (1, 1))),
    _conv("no_bias", (3, 8, 8), (4, 3, 3, 3), bias=False),
    _conv("stride", (3, 11, 8), (4, 3, 3, 3), stride=(2, 2), padding=((1, 1), (1, 1))),
    _conv("strides_differ", (3, 11, 8), (4, 3, 3, 2), stride=(2, 3)),
    _conv("asymmetric_padding", (3, 8, 8), (4, 3, 3, 3), stride=(2, 2), padding=((0, 1), (0, 1))),
    _conv("padding_only_before", (2, 6, 7), (3, 2, 3, 3), padding=((2, 0), (1, 3))),
    _conv("dilation", (3, 12, 12), (4, 3, 3, 3), dilation=(2, 3), padding=((2, 2), (3, 3))),
    _conv("dilation_and_stride", (3, 13, 13), (4, 3, 3, 3), dilation=(2, 2), stride=(2, 2)),
    _conv("wide_kernel", (4, 9, 9), (5, 4, 7, 1), padding=((3, 3), (0, 0))),
    _conv("kernel_of_input_size", (4, 5, 6), (3, 4, 5, 6)),
    _conv("groups", (6, 7, 7), (4, 3, 3, 3), groups=2, padding=((1, 1), (1, 1))),
    _conv("depthwise", (5, 9, 9), (5, 1, 3, 3), groups=5, padding=((1, 1), (1, 1))),
    _conv("depthwise_stride", (8, 9, 9), (8, 1, 3, 3), groups=8, stride=(2, 2), padding=((0, 1), (0, 1))),
    _conv("depthwise_multiplier", (3, 8, 8), (6, 1, 5, 5), groups=3, padding=((2, 2), (2, 2))),
    _conv("depthwise_dilation", (4, 11, 11), (4, 1, 3, 3), groups=4, dilation=(2, 2), padding=((2, 2), (2, 2))),
    _conv("many_channels", (64, 4, 4), (33, 64, 3, 3), padding=((1, 1), (1, 1))),
    _conv("many_channels_and_pixels", (32, 13, 11), (36, 32, 3, 3), padding=((1, 1), (0, 1))),
    _conv("1d", (3, 17), (5, 3, 4), stride=(1,), padding=((1, 2),), dilation=(1,)),
    _conv("1d_stride_dilation_groups", (4, 21), (6, 2, 3), stride=(1,), padding=((2, 2),), dilation=(2,), groups=2),
    _conv("3d", (3, 4, 6, 5), (5, 3, 2, 3, 3), **_3d()),
    _conv(
        "3d_padding_and_stride",
        (2, 5, 6, 7),
        (3, 2, 3, 3, 3),
        **_3d(stride=(2, 1, 2), padding=((1, 1), (1, 1), (0, 2))),
    ),
    _conv("3d_dilation", (2, 7, 6, 7), (3, 2, 3, 2, 2), bias=False, **_3d(dilation=(2, 1, 3))),
    _conv("3d_groups", (4, 3, 5, 5), (6, 2, 3, 3, 3), groups=2, **_3d(padding=((1, 1), (1, 1), (1, 1)))),
    _conv("3d_depthwise", (4, 3, 5, 5), (4, 1, 2, 3, 3), groups=4, **_3d()),
    _transposed("3d", (3, 2, 3, 4), (3, 4, 2, 3, 3), **_3d()),
    _transposed(
        "3d_stride_and_crop", (3, 3, 3, 4), (3, 4, 3, 3, 3), **_3d(stride=(2, 2, 1), padding=((1, 0), (1, 1), (0, 0)))
    ),
    _transposed(
        "3d_wide_stride", (2, 3, 2, 2), (2, 3, 2, 2, 2), **_3d(stride=(3, 2, 2), padding=((0, -1), (0, 0), (0, 0)))
    ),
    _transposed("3d_dilation_and_groups", (4, 3, 3, 2), (4, 2, 3, 2, 2), groups=2, **_3d(dilation=(2, 1, 1))),
    _transposed("stride", (3, 5, 4), (3, 4, 3, 3), stride=(2, 2)),
    _transposed("same", (3, 5, 4), (3, 4, 3, 3), stride=(2, 2), padding=((0, 1), (0, 1))),
    _transposed("symmetric_crop", (3, 5, 4), (3, 4, 4, 4), stride=(2, 2), padding=((1, 1), (1, 1))),
    _transposed("output_padding", (3, 5, 4), (3, 4, 3, 3), stride=(2, 2), padding=((1, 0), (1, 0))),
    _transposed("stride_one", (2, 6, 6), (2, 3, 3, 3), padding=((1, 1), (1, 1)), bias=False),
    _transposed("kernel_below_stride", (2, 4, 4), (2, 3, 2, 2), stride=(3, 3), padding=((0, -1), (0, -1))),
    _transposed("dilation", (2, 5, 5), (2, 3, 3, 3), stride=(2, 2), dilation=(2, 2)),
    _transposed("groups", (4, 5, 5), (4, 3, 3, 3), stride=(2, 2), groups=2),
    _transposed("1d", (3, 6), (3, 4, 4), stride=(2,), padding=((1, 1),), dilation=(1,)),
]
