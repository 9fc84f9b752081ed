"""Transposed convolution, written as convolutions by phase."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from triport.exporter.graph import Sym, Value
from triport.exporter.ops import Activation, ConvTranspose, Layout

BATCH = Sym.named("batch")
LAST = Layout.CHANNELS_LAST


def formula_of(op: ConvTranspose, weight: Value, bias: Value | None) -> Any:
    """Full transposed convolution in float64, then cropped (or extended by cells that hold the bias)."""

    def formula(x: Any) -> Any:
        image = torch.from_numpy(x).double().permute(0, 3, 1, 2)
        filters = torch.from_numpy(weight.array()).double().permute(3, 0, 1, 2)
        y = F.conv_transpose2d(image, filters, None, op.stride, 0, 0, op.groups, op.dilation)
        (top, bottom), (left, right) = op.padding
        y = F.pad(y, (-left, -right, -top, -bottom))
        if bias is not None:
            y = y + torch.from_numpy(bias.array()).double()[:, None, None]
        y = {"none": lambda t: t, "relu": torch.relu, "relu6": F.relu6}[op.activation.value](y)
        return y.permute(0, 2, 3, 1).numpy()

    return formula


def transposed(
    stride: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    activation: Activation = Activation.NONE,
) -> ConvTranspose:
    return ConvTranspose(stride, padding, dilation, groups, LAST, activation)


CASES = {
    "kernel_equals_stride": ((5, 4), 3, 2, (2, 2), transposed((2, 2), ((0, 0), (0, 0)))),
    "kernel_4_stride_2": ((5, 4), 3, 2, (4, 4), transposed((2, 2), ((1, 1), (1, 1)), activation=Activation.RELU)),
    "kernel_4_stride_2_uncropped": ((5, 4), 3, 2, (4, 4), transposed((2, 2), ((0, 0), (0, 0)))),
    "kernel_3_stride_2": ((5, 4), 3, 2, (3, 3), transposed((2, 2), ((1, 1), (1, 1)))),
    "kernel_3_stride_2_output_padding": ((5, 4), 3, 2, (3, 3), transposed((2, 2), ((1, 0), (1, 0)))),
    "output_padding_beyond_the_kernel": ((3, 3), 2, 2, (2, 2), transposed((3, 3), ((0, -2), (0, -1)))),
    "keras_same": ((5, 4), 3, 2, (3, 3), transposed((2, 2), ((0, 1), (0, 1)), activation=Activation.RELU6)),
    "stride_1": ((5, 4), 3, 2, (3, 3), transposed((1, 1), ((1, 1), (1, 1)), activation=Activation.RELU)),
    "stride_1_uncropped": ((5, 4), 3, 2, (3, 2), transposed((1, 1), ((0, 0), (0, 0)))),
    "stride_1_cropped_past_the_kernel": ((9, 9), 2, 2, (2, 2), transposed((1, 1), ((3, 2), (4, 0)))),
    "kernel_smaller_than_stride": ((4, 5), 2, 3, (2, 1), transposed((3, 3), ((0, 0), (0, 0)))),
    "kernel_5_stride_3": ((4, 5), 2, 3, (5, 5), transposed((3, 3), ((2, 1), (1, 2)))),
    "width_only": ((1, 9), 3, 4, (1, 4), transposed((1, 2), ((0, 0), (1, 1)))),
    "width_only_odd_kernel": ((1, 9), 3, 4, (1, 5), transposed((1, 2), ((0, 0), (2, 1)))),
    "unequal_strides": ((4, 5), 2, 3, (3, 4), transposed((3, 2), ((0, 0), (1, 1)))),
    "height_only": ((4, 5), 2, 3, (4, 3), transposed((2, 1), ((1, 1), (1, 1)))),
    "dilated": ((5, 6), 2, 3, (3, 3), transposed((1, 1), ((1, 1), (2, 0)), (2, 2))),
    "dilated_strided": ((5, 6), 2, 3, (3, 3), transposed((2, 2), ((1, 1), (2, 0)), (2, 3))),
    "grouped": ((5, 4), 6, 2, (3, 3), transposed((2, 2), ((1, 0), (1, 0)), groups=2)),
    "depthwise": ((5, 4), 4, 1, (4, 4), transposed((2, 2), ((1, 1), (1, 1)), groups=4)),
    "depthwise_multiplier": ((5, 4), 3, 2, (3, 3), transposed((2, 2), ((1, 1), (1, 1)), groups=3)),
    "one_channel": ((3, 3), 1, 1, (2, 2), transposed((2, 2), ((0, 0), (0, 0)))),
    "one_cell": ((1, 1), 2, 3, (4, 4), transposed((1, 1), ((0, 0), (0, 0)))),
}


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("case", CASES)
def test_transposed_convolution_equals_torch(bench: Any, sketch: Any, case: str, bias: bool) -> None:
    size, channels, filters, kernel, op = CASES[case]
    x = sketch.input(BATCH, *size, channels)
    weight = sketch.constant(filters, *kernel, channels)
    offset = sketch.constant(filters * op.groups) if bias else None
    y = sketch.op(op, *[v for v in (x, weight, offset) if v is not None])
    bench.agree(sketch.output(y), formula_of(op, weight, offset))


@pytest.mark.parametrize(
    ("kernel", "padding", "codes"),
    [
        ((2, 2), ((0, 0), (0, 0)), ["CONV_2D", "DEPTH_TO_SPACE"]),
        ((4, 4), ((0, 0), (0, 0)), ["PAD", "CONV_2D", "DEPTH_TO_SPACE"]),
        ((4, 4), ((1, 1), (1, 1)), ["PAD", "CONV_2D", "DEPTH_TO_SPACE", "STRIDED_SLICE"]),
    ],
)
def test_phases_are_one_convolution_where_that_adds_no_zeros(
    bench: Any, sketch: Any, kernel: tuple[int, int], padding: Any, codes: list[str]
) -> None:
    x = sketch.input(BATCH, 5, 5, 3)
    y = sketch.op(transposed((2, 2), padding), x, sketch.constant(4, *kernel, 3))
    assert bench.codes(sketch.output(y)) == codes


def test_weights_take_no_more_room_than_they_had(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH, 5, 5, 64)
    y = sketch.op(transposed((2, 2), ((1, 0), (1, 0))), x, sketch.constant(64, 3, 3, 64))
    size = bench.write(sketch.output(y)).stat().st_size
    assert size < 64 * 3 * 3 * 64 * 4 + 8000


def test_height_and_width_may_be_free(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH, Sym.named("height"), Sym.named("width"), 2)
    op = transposed((2, 2), ((1, 1), (1, 1)))
    weight = sketch.constant(3, 4, 4, 2)
    graph = sketch.output(sketch.op(op, x, weight))
    bench.agree(graph, formula_of(op, weight, None), sizes=[{"height": 5, "width": 8}, {"height": 3, "width": 2}])
