"""Arithmetic on codes. Inputs are int8 codes themselves, over their whole range; answers must be the same integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from triport.exporter.graph import DType, Quantization
from triport.exporter.ops import (
    Activation,
    BorderMode,
    BorderPad,
    Concat,
    Dequantize,
    Expand,
    Gather,
    Identity,
    Lookup,
    MaxPool,
    OpAttrs,
    Pad,
    Quantize,
    QuantizedAdd,
    QuantizedConv,
    QuantizedLinear,
    QuantizedMatMul,
    QuantizedMul,
    QuantizedSoftmax,
    QuantizedSub,
    Recode,
    Reshape,
    Reverse,
    Slice,
    Transpose,
)
from triport.quantize.arithmetic import add_is_safe, mul_is_safe, nudged, softmax_table, sub_is_safe
from triport.quantize.means import untied_scales

from .case import BATCH, Const, Data, OpCase

Pair = tuple[Data, Data]


def _q(scale: float, zero_point: int = 0) -> Quantization:
    return Quantization(float(np.float32(scale)), zero_point)


X, Y = _q(0.0217, -7), _q(0.0173, 12)
"""What codes stand for where it does not matter."""

HALVES, QUARTERS = _q(2.0**-5, -7), _q(2.0**-6, 12)
"""Powers of two."""

ALIKE = (1, 1, 0)
"""Of a sum whose operands share their scale and zero point."""

SCALES = (0.0031, 0.0047, 0.0012)
"""Of the filters in turn."""

CODES = tuple(float(code) for code in range(-128, 128))
CLAMPED = tuple(min(max(code, -51.0), 77.0) for code in CODES)


def _fixed_codes(shape: tuple[int, ...], of: Quantization = X) -> Const:
    """Codes that the graph holds."""
    return Const(shape, -128, 127, DType.INT8, quantization=of)


def _codes(shape: tuple[int, ...], of: Quantization = X, *, low: int = -128, fixed: bool = False) -> Data:
    """An int8 input, uniform over the codes."""
    return Data(shape, low, 127, DType.INT8, fixed, quantization=of)


def _filters(shape: tuple[int, ...], scales: tuple[float, ...], weight: Const | None = None) -> tuple[Const, ...]:
    """Weight codes, scales, and a bias as large as the sums are without it."""
    bias = int(4000 * math.prod(shape[1:]) ** 0.5)
    return (
        weight or Const(shape, -127, 127, DType.INT8),
        Const((shape[0],), values=scales),
        Const((shape[0],), -bias, bias, DType.INT32),
    )


def _filled(taps: int, of: Quantization, scales: tuple[float, ...], zero_point: int, wide: float) -> Quantization:
    """Codes that sums of ``taps`` products fill, so that some saturate; fewer of them where ``wide`` is large."""
    return _q(of.scale * float(np.mean(scales)) * 90 * taps**0.5 * wide, zero_point)


def _halves(shape: tuple[int, ...]) -> Const:
    """Weights of which two add up to 128 at most, so that ONNX files hold them as int8 (targets/pairs.py)."""
    return Const(shape, -64, 64, DType.INT8)


def _conv(
    name: str,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    *,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0)),
    dilation: tuple[int, ...] = (1, 1),
    groups: int = 1,
    activation: Activation = Activation.NONE,
    of: Quantization = X,
    zero_point: int = 5,
    wide: float = 1.0,
    scales: tuple[float, ...] = SCALES,
    codes: Const | None = None,
) -> OpCase:
    to = _filled(math.prod(weight[1:]), of, scales, zero_point, wide)
    op = QuantizedConv(stride, padding, dilation, groups, activation=activation, of=of, to=to)
    return OpCase(f"quantized_conv/{name}", op, (_codes(x, of), *_filters(weight, scales, codes)))


def _whole_channels(name: str, x: tuple[int, int, int], taps: tuple[int, ...], bias: int, **options: Any) -> OpCase:
    """One filter for all channels, which sees each channel once: a mean where its taps are 1."""
    channels, *sizes = x
    case = _conv(
        name,
        x,
        (channels, 1, *sizes),
        groups=channels,
        scales=(0.0031,),
        codes=Const((channels, 1, *sizes), dtype=DType.INT8, values=tuple(map(float, taps))),
        **options,
    )
    return replace(case, operands=(*case.operands[:3], Const((channels,), values=(bias,), dtype=DType.INT32)))


def _mean(name: str, x: tuple[int, ...], *, ratio: float = 5.0, of: Quantization = X, tied: bool = False) -> OpCase:
    """Of all of an image; ``ratio`` is of.scale / to.scale, 2 / cells where results are to lie on ties."""
    window = x[1:]
    cells, once = math.prod(window), (1,) * len(window)
    to = _q(of.scale * 2 / cells, 3) if tied else _q(next(untied_scales(cells, of, _q(of.scale / ratio, 3))), 3)
    op = QuantizedConv(once, ((0, 0),) * len(window), once, x[0], of=of, to=to)
    filters = (
        Const((x[0], 1, *window), values=(1.0,), dtype=DType.INT8),
        Const((x[0],), values=(float(np.float32(1 / cells)),)),
        Const((x[0],), values=(0.0,), dtype=DType.INT32),
    )
    return OpCase(f"quantized_conv/{name}", op, (_codes(x, of), *filters))


def _linear(
    name: str,
    x: tuple[int, ...],
    outputs: int,
    *,
    activation: Activation = Activation.NONE,
    of: Quantization = X,
    zero_point: int = 5,
    wide: float = 1.0,
    scales: tuple[float, ...] = SCALES,
    codes: Const | None = None,
    fixed: bool = False,
) -> OpCase:
    to = _filled(x[-1], of, scales, zero_point, wide)
    operands: tuple[Data | Const, ...] = (_codes(x, of, fixed=fixed), *_filters((outputs, x[-1]), scales, codes))
    return OpCase(f"quantized_linear/{name}", QuantizedLinear(activation, of=of, to=to), operands)


def _matmul(
    name: str,
    a: tuple[int, ...],
    b: tuple[int, ...],
    *,
    transpose_b: bool = False,
    of: tuple[Quantization, Quantization] = (HALVES, QUARTERS),
    scale: float = 2.0**-2,
    zero_point: int = 3,
) -> OpCase:
    """The right side keeps to -127 … 127: two products of -128 * -128 overflow 16 bits on old ARM cores."""
    operands = _codes(a, of[0]), _codes(b, of[1], low=-127)
    op = QuantizedMatMul(transpose_b, of=of, to=_q(scale, zero_point))
    return OpCase(f"quantized_matmul/{name}", op, operands)


def _safe(is_safe: Callable[[Quantization], bool], scale: float, zero_point: int) -> Quantization:
    """What a plan would choose for a result."""
    found = nudged(scale, lambda candidate: is_safe(Quantization(candidate, zero_point)))
    assert found is not None, f"no safe scale near {scale}"
    return Quantization(found, zero_point)


def _sums(
    name: str,
    *shapes: tuple[int, ...],
    of: Quantization = X,
    weights: tuple[int, int, int] = ALIKE,
    ratio: float = 1.73,
    zero_point: int = 3,
    activation: Activation = Activation.NONE,
) -> list[OpCase]:
    """The same case of add and of sub.

    ratio     to.scale / of.scale
    weights   the scales of both operands and of the result in whole numbers; `ALIKE`: the operands share one and a zero
              point
    """
    p, q, r = weights
    both = of, of if weights == ALIKE else _q(of.scale * q / p, Y.zero_point)
    ratio = ratio if weights == ALIKE else r / p
    operands = tuple(_codes(shape, q) for shape, q in zip(shapes, both, strict=False)) or _every_pair(*both)
    added = _safe(lambda to: add_is_safe(*both, to), of.scale * ratio, zero_point)
    less = _safe(lambda to: sub_is_safe(*both, to), of.scale * ratio, zero_point)
    return [
        OpCase(f"quantized_add/{name}", QuantizedAdd(added, activation, of=both), operands),
        OpCase(f"quantized_sub/{name}", QuantizedSub(less, activation, of=both), operands),
    ]


def _mul(
    name: str,
    *shapes: tuple[int, ...],
    of: tuple[Quantization, Quantization] = (X, Y),
    scale: float = 0.0391,
    zero_point: int = 4,
    activation: Activation = Activation.NONE,
) -> OpCase:
    a, b = of
    to = _safe(lambda to: mul_is_safe(a, b, to), scale, zero_point)
    operands = tuple(_codes(shape, q) for shape, q in zip(shapes, of, strict=False)) or _every_pair(a, b)
    return OpCase(f"quantized_mul/{name}", QuantizedMul(to, activation, of=of), operands)


def _every_pair(a: Quantization, b: Quantization) -> Pair:
    """All 65,536 pairs of codes."""
    return (
        Data((256, 1), dtype=DType.INT8, fixed=True, values=CODES, quantization=a),
        Data((1, 256), dtype=DType.INT8, fixed=True, values=CODES, quantization=b),
    )


def _softmax(
    name: str, shape: tuple[int, ...], axis: int, *, of: Quantization, to: Quantization | None = None
) -> OpCase:
    """The table holds exp(-k * scale) in steps of 2**-14: sums over up to 1,024 cells stay below 2**24."""
    table = Const((256,), values=tuple(float(round(math.exp(-k * of.scale) * 2**14)) for k in range(256)))
    return OpCase(f"quantized_softmax/{name}", QuantizedSoftmax(axis, of, to), (_codes(shape, of), table))


def _softmax_by_exp(name: str, shape: tuple[int, ...], axis: int, of: Quantization, to: Quantization) -> OpCase:
    """With a table that a runtime's own exp gives, as a plan has it."""
    table = Const((256,), values=tuple(softmax_table(of.scale, 2**14, gives_codes=True).tolist()))
    return OpCase(f"quantized_softmax/{name}", QuantizedSoftmax(axis, of, to), (_codes(shape, of), table))


def _moved(name: str, op: OpAttrs, *shapes: tuple[int, ...], other: tuple[Data | Const, ...] = ()) -> OpCase:
    """Ops that move codes and leave what they stand for alone."""
    return OpCase(f"{name}/codes", op, (*(_codes(shape) for shape in shapes), *other))


RELU, RELU6 = Activation.RELU, Activation.RELU6
SAME = ((1, 1), (1, 1))

CASES = [
    OpCase("quantize/power_of_two", Quantize(_q(2.0**-6, -3)), (Data((5, 7)),)),
    OpCase("quantize/any_scale", Quantize(_q(0.0213, 17)), (Data((5, 7)),)),
    OpCase("quantize/ties", Quantize(_q(0.25, 1)), (Data((64,), values=tuple(k / 8 for k in range(-31, 33))),)),
    OpCase("quantize/saturating", Quantize(_q(0.01, 100)), (Data((4, 8), values=(-1e9, -3.0, 3.0, 1e9, 2e30, -2e30)),)),
    OpCase("quantize/image", Quantize(_q(1 / 255, -128)), (Data((3, 5, 6), 0.0, 1.0),)),
    OpCase("recode/int8", Recode(), (Data((256,), dtype=DType.INT8, values=CODES, quantization=X),)),
    OpCase(
        "recode/uint8",
        Recode(),
        (Data((256,), dtype=DType.UINT8, values=tuple(map(float, range(256))), quantization=_q(0.0217, 121)),),
    ),
    OpCase("recode/image", Recode(), (_codes((3, 5, 6)),)),
    OpCase("dequantize/all_codes", Dequantize(X), (Data((256,), dtype=DType.INT8, values=CODES, quantization=X),)),
    OpCase("dequantize/image", Dequantize(_q(0.5, -128)), (_codes((3, 5, 6), _q(0.5, -128)),)),
    _conv("valid", (3, 9, 7), (5, 3, 3, 3)),
    _conv("same", (3, 9, 7), (5, 3, 3, 3), padding=SAME),
    _conv("one_by_one", (6, 5, 5), (8, 6, 1, 1)),
    _conv("one_channel", (1, 8, 8), (4, 1, 3, 3), padding=SAME),
    _conv("one_filter", (3, 8, 8), (1, 3, 3, 3), padding=SAME),
    _conv("stride", (3, 11, 8), (4, 3, 3, 3), stride=(2, 2), padding=SAME),
    _conv("strides_differ", (3, 11, 8), (4, 3, 3, 2), stride=(2, 3)),
    _conv("asymmetric_padding", (3, 8, 8), (4, 3, 3, 3), stride=(2, 2), padding=((0, 1), (0, 1))),
    _conv("padding_only_before", (2, 6, 7), (3, 2, 3, 3), padding=((2, 0), (1, 3))),
    _conv("dilation", (3, 12, 12), (4, 3, 3, 3), dilation=(2, 3), padding=((2, 2), (3, 3))),
    _conv("groups", (6, 7, 7), (4, 3, 3, 3), groups=2, padding=SAME),
    _conv("depthwise", (5, 9, 9), (5, 1, 3, 3), groups=5, padding=SAME),
    _conv("depthwise_stride", (19, 9, 9), (19, 1, 3, 3), groups=19, stride=(2, 2), padding=((0, 1), (0, 1))),
    _conv("depthwise_multiplier", (3, 8, 8), (6, 1, 5, 5), groups=3, padding=((2, 2), (2, 2))),
    _conv("depthwise_dilation", (4, 11, 11), (4, 1, 3, 3), groups=4, dilation=(2, 2), padding=((2, 2), (2, 2))),
    _conv("depthwise_7x7", (8, 9, 9), (8, 1, 7, 7), groups=8, padding=((3, 3), (3, 3))),
    _conv("many_channels", (64, 4, 4), (33, 64, 3, 3), padding=SAME),
    _conv("many_channels_and_pixels", (32, 13, 11), (36, 32, 3, 3), padding=SAME),
    _conv("1d", (3, 17), (5, 3, 4), stride=(1,), padding=((1, 2),), dilation=(1,)),
    _conv("1d_depthwise", (4, 21), (4, 1, 3), stride=(2,), padding=((1, 1),), dilation=(1,), groups=4),
    _whole_channels("mean_of_channels", (24, 6, 5), (1,), 0, wide=0.03),
    _whole_channels("whole_channels_relu6", (24, 5, 5), tuple(range(-120, 130, 10)), 900, activation=RELU6, wide=0.7),
    _whole_channels("whole_channels_of_two_kinds", (24, 5, 5), tuple(range(1, 51)), 900, wide=0.4),
    _conv("relu_at_the_lowest_code", (3, 7, 7), (5, 3, 3, 3), activation=RELU, zero_point=-128, wide=0.6),
    _conv("relu_above_the_lowest_code", (3, 7, 7), (5, 3, 3, 3), activation=RELU, zero_point=-31),
    _conv("relu6", (3, 7, 7), (5, 3, 3, 3), activation=RELU6, zero_point=-31, wide=0.9),
    _conv("relu6_beyond_the_codes", (3, 7, 7), (5, 3, 3, 3), activation=RELU6, zero_point=40, wide=0.5),
    _conv(
        "depthwise_relu6", (8, 7, 7), (8, 1, 3, 3), groups=8, padding=SAME, activation=RELU6, zero_point=-60, wide=3.0
    ),
    _conv("saturating", (3, 7, 7), (5, 3, 3, 3), wide=0.05),
    _conv("lowest_zero_points", (3, 7, 7), (5, 3, 3, 3), padding=SAME, of=_q(0.02, -128), zero_point=-128),
    _conv("highest_zero_points", (3, 7, 7), (5, 3, 3, 3), padding=SAME, of=_q(0.02, 127), zero_point=127),
    _mean("mean", (37, 7, 7)),
    _mean("mean_of_many_cells", (9, 28, 28), ratio=9.0),
    _mean("mean_of_few_cells", (21, 2, 3), ratio=1.2, of=_q(0.31, -128)),
    _mean("mean_1d", (12, 21)),
    _mean("mean_with_ties", (37, 7, 7), tied=True),
    _conv("scales_far_apart", (3, 7, 7), (6, 3, 3, 3), scales=(3e-6, 3e-3, 1e-4)),
    _conv("powers_of_two", (3, 7, 7), (5, 3, 3, 3), of=_q(2.0**-5, 0), scales=(2.0**-8, 2.0**-9)),
    _conv(
        "empty_filters",
        (2, 6, 6),
        (4, 2, 2, 2),
        codes=Const((4, 2, 2, 2), dtype=DType.INT8, values=(0.0,) * 8 + CODES[9::33]),
    ),
    _conv(
        "extreme_codes",
        (16, 5, 5),
        (4, 16, 3, 3),
        codes=Const((4, 16, 3, 3), dtype=DType.INT8, values=(127.0, 127.0, -127.0)),
    ),
    _conv("halves", (16, 7, 7), (24, 16, 3, 3), padding=SAME, wide=0.5, codes=_halves((24, 16, 3, 3))),
    _conv("halves_odd", (5, 7, 7), (7, 5, 3, 3), wide=0.5, codes=_halves((7, 5, 3, 3))),
    _conv("halves_groups", (12, 7, 7), (8, 6, 3, 3), groups=2, wide=0.5, codes=_halves((8, 6, 3, 3))),
    _conv("halves_one_by_one", (64, 5, 5), (48, 64, 1, 1), wide=0.5, codes=_halves((48, 64, 1, 1))),
    _conv(
        "halves_1d",
        (9, 17),
        (5, 9, 4),
        stride=(1,),
        padding=((1, 2),),
        dilation=(1,),
        wide=0.5,
        codes=_halves((5, 9, 4)),
    ),
    _linear("halves", (37,), 11, wide=0.5, codes=_halves((11, 37))),
    _linear("halves_rank_3", (5, 64), 32, wide=0.5, codes=_halves((32, 64))),
    _linear("matrix", (37,), 11),
    _linear("one_output", (37,), 1),
    _linear("one_scale", (64,), 32, scales=(0.0042,)),
    _linear("rank_3", (5, 24), 10),
    _linear("rank_4", (2, 3, 24), 10),
    _linear("vector", (24,), 10, fixed=True),
    _linear("relu", (40,), 16, activation=RELU, zero_point=-128),
    _linear("relu_above_the_lowest_code", (40,), 16, activation=RELU, zero_point=-20),
    _linear("relu6", (40,), 16, activation=RELU6, zero_point=-70, wide=1.5),
    _linear("rank_3_relu6", (5, 24), 10, activation=RELU6, zero_point=-70, wide=1.5),
    _linear("saturating", (40,), 16, wide=0.05),
    _linear("scales_far_apart", (40,), 16, scales=(3e-6, 3e-3, 1e-4)),
    _linear("lowest_zero_points", (40,), 16, of=_q(0.02, -128), zero_point=-128),
    _matmul("batched", (5, 24), (24, 7)),
    _matmul("transposed", (5, 24), (7, 24), transpose_b=True),
    _matmul("heads", (3, 6, 16), (3, 16, 6)),
    _matmul("heads_transposed", (3, 6, 16), (3, 6, 16), transpose_b=True),
    _matmul("saturating", (5, 24), (24, 7), scale=2.0**-6, zero_point=-128),
    *_sums("every_pair"),
    *_sums("every_pair_odd_ratio", of=_q(0.0413, 41), ratio=0.877, zero_point=-128),
    *_sums("every_pair_same_scale", ratio=1.0, of=_q(0.05, -20), zero_point=-20),
    *_sums("every_pair_half", ratio=2.0, of=_q(0.05, 0), zero_point=-1),
    *_sums("every_pair_relu", activation=RELU, zero_point=-50),
    *_sums("every_pair_relu6", of=_q(0.04, 3), ratio=1.9, activation=RELU6, zero_point=-50),
    *_sums("every_pair_of_two_scales", weights=(23, 16, 31)),
    *_sums("every_pair_of_two_scales_finest", weights=(1, 127, 127), zero_point=-128),
    *_sums("every_pair_of_two_scales_coarse", weights=(126, 125, 63), of=_q(0.0413, -128), zero_point=127),
    *_sums("every_pair_of_two_scales_relu", weights=(64, 3, 53), activation=RELU, zero_point=-90),
    *_sums("image", (4, 5, 6), (4, 5, 6)),
    *_sums("two_scales", (4, 5, 7), (4, 1, 7), weights=(37, 61, 75)),
    *_sums("broadcast_channel", (4, 5, 6), (4, 1, 1)),
    *_sums("broadcast_left", (1, 6), (5, 6)),
    OpCase("quantized_add/constant", QuantizedAdd(X, of=(X, X)), (_codes((5, 6)), _fixed_codes((5, 6)))),
    OpCase("quantized_sub/constant_first", QuantizedSub(X, of=(X, X)), (_fixed_codes((6,)), _codes((5, 6)))),
    *_sums("saturating", (4, 33), (4, 33), ratio=0.55),
    _mul("every_pair"),
    _mul("every_pair_lowest_zero_points", of=(_q(0.0235, -128), _q(1 / 256, -128)), scale=0.0231, zero_point=-128),
    _mul("every_pair_odd_zero_points", of=(_q(0.0235, 33), _q(0.0137, -51)), scale=0.0417, zero_point=-77),
    _mul("every_pair_relu6", of=(_q(0.0235, -28), _q(0.0337, 2)), scale=0.0417, zero_point=-76, activation=RELU6),
    _mul("image", (4, 5, 6), (4, 5, 6)),
    OpCase(
        "quantized_mul/constant",
        QuantizedMul(_safe(lambda to: mul_is_safe(X, Y, to), 0.0391, 4), of=(X, Y)),
        (_codes((4, 5)), _fixed_codes((5,), Y)),
    ),
    _mul("gates", (4, 5, 6), (4, 1, 1)),
    _mul("broadcast_left", (1, 6), (5, 6)),
    _mul("saturating", (4, 33), (4, 33), scale=0.0021),
    OpCase(
        "lookup/all_codes",
        Lookup(X, Y),
        (Data((256,), dtype=DType.INT8, values=CODES, quantization=X), Const((256,), -128, 127, DType.INT8)),
    ),
    OpCase("lookup/clamp", Lookup(X, Y), (_codes((4, 33)), Const((256,), values=CLAMPED, dtype=DType.INT8))),
    OpCase("lookup/float", Lookup(X, None), (_codes((4, 33)), Const((256,)))),
    OpCase("lookup/image", Lookup(X, Y), (_codes((3, 5, 6)), Const((256,), -128, 127, DType.INT8))),
    _softmax("last_axis", (10,), 1, of=_q(0.0125), to=_q(1 / 256, -128)),
    _softmax("steep", (4, 33), 2, of=_q(0.31, 9), to=_q(1 / 256, -128)),
    _softmax("any_scale", (4, 33), 2, of=_q(0.043, 9), to=_q(0.0021, -100)),
    _softmax("middle_axis", (7, 5), 1, of=_q(0.11, -60), to=_q(1 / 256, -128)),
    _softmax("heads", (2, 5, 6), 3, of=_q(0.017, -60), to=_q(1 / 256, -128)),
    _softmax("float", (4, 33), 2, of=_q(0.043, 9)),
    _softmax_by_exp("by_exp", (3, 7, 40), 3, _q(0.021, 9), _q(1 / 256, -128)),
    _softmax_by_exp("by_exp_flat", (4, 256), 2, _q(0.0021, -128), _q(2.0**-12, -128)),
    _softmax_by_exp("by_exp_steep", (4, 33), 1, _q(0.9, 127), _q(1 / 256, -128)),
    _softmax("one_cell", (3, 1), 2, of=_q(0.11, -60), to=_q(1 / 256, -128)),
    _moved("identity", Identity(), (4, 6)),
    _moved("reshape", Reshape((BATCH, 24)), (4, 6)),
    _moved("transpose", Transpose((0, 2, 3, 1)), (3, 5, 6)),
    _moved("slice", Slice((1, 2), (1, 0), (4, 5), (1, 2)), (5, 6)),
    _moved("reverse", Reverse((2,)), (4, 5)),
    _moved("concat", Concat(1), (3, 5), (2, 5)),
    _moved("concat_constant", Concat(0), (5,), other=(_fixed_codes((2, 5)),)),
    _moved("expand", Expand((BATCH, 4, 5)), (1, 5)),
    _moved("pad", Pad((0, 1, 2), (0, 0, 3), -7.0), (3, 4)),
    _moved("border_pad", BorderPad((0, 1, 2), (0, 0, 3), BorderMode.REFLECT), (3, 4)),
    _moved("max_pool/one_axis", MaxPool((3,), (2,), ((0, 1),), (1,)), (3, 9)),
    _moved("max_pool", MaxPool((3, 3), (2, 2), ((0, 1), (1, 1)), (1, 1)), (3, 8, 8)),
    OpCase(
        "max_pool/negative_codes",
        MaxPool((3, 3), (2, 2), SAME, (1, 1)),
        (Data((3, 8, 8), -128, -100, DType.INT8, quantization=X),),
    ),
    _moved("gather", Gather(1), (7, 5), other=(Data((4,), 0, 6, DType.INT32, fixed=True),)),
]
