"""CONV_2D, DEPTHWISE_CONV_2D and the padding around them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from triport.exporter.graph import DType, Sym, TensorType, Value
from triport.exporter.ops import Activation, BorderMode, BorderPad, Conv, Layout, Relu

BATCH = Sym.named("batch")
LAST = Layout.CHANNELS_LAST


def conv_formula(op: Conv, weight: Value, bias: Value | None) -> Any:
    """The convolution in float64, on channels-last arrays."""

    def formula(x: Any) -> Any:
        image = torch.from_numpy(x).double().permute(0, 3, 1, 2)
        (top, bottom), (left, right) = op.padding
        image = F.pad(image, (left, right, top, bottom))
        filters = torch.from_numpy(weight.array()).double().permute(0, 3, 1, 2)
        offset = None if bias is None else torch.from_numpy(bias.array()).double()
        y = F.conv2d(image, filters, offset, op.stride, 0, op.dilation, op.groups)
        y = {"none": lambda t: t, "relu": torch.relu, "relu6": F.relu6}[op.activation.value](y)
        return y.permute(0, 2, 3, 1).numpy()

    return formula


CASES = {
    "plain": ((9, 7), 3, 5, (3, 3), Conv((1, 1), ((0, 0), (0, 0)), (1, 1), 1, LAST)),
    "same": ((9, 7), 3, 5, (3, 3), Conv((1, 1), ((1, 1), (1, 1)), (1, 1), 1, LAST, Activation.RELU)),
    "torch_stride_2_even": ((8, 8), 3, 4, (3, 3), Conv((2, 2), ((1, 1), (1, 1)), (1, 1), 1, LAST)),
    "torch_stride_2_odd": ((9, 7), 3, 4, (3, 3), Conv((2, 2), ((1, 1), (1, 1)), (1, 1), 1, LAST, Activation.RELU6)),
    "keras_same_stride_2": ((8, 8), 3, 4, (3, 3), Conv((2, 2), ((0, 1), (0, 1)), (1, 1), 1, LAST)),
    "asymmetric": ((6, 11), 2, 3, (2, 5), Conv((1, 2), ((0, 3), (4, 1)), (1, 1), 1, LAST)),
    "unreached_padding": ((6, 6), 2, 3, (3, 3), Conv((3, 3), ((0, 2), (0, 2)), (1, 1), 1, LAST)),
    "padding_that_keeps_the_count": ((6, 6), 2, 3, (3, 3), Conv((3, 3), ((1, 0), (1, 0)), (1, 1), 1, LAST)),
    "one_channel": ((5, 5), 1, 1, (3, 3), Conv((1, 1), ((1, 1), (1, 1)), (1, 1), 1, LAST)),
    "pointwise": ((5, 3), 6, 8, (1, 1), Conv((1, 1), ((0, 0), (0, 0)), (1, 1), 1, LAST)),
    "pointwise_stride": ((5, 4), 6, 8, (1, 1), Conv((2, 2), ((0, 0), (0, 0)), (1, 1), 1, LAST)),
    "dilated": ((12, 9), 3, 4, (3, 3), Conv((1, 1), ((2, 2), (2, 2)), (2, 2), 1, LAST)),
    "dilated_and_strided": ((13, 10), 3, 4, (3, 3), Conv((2, 2), ((2, 2), (2, 2)), (2, 2), 1, LAST)),
    "dilated_and_strided_valid": ((13, 10), 3, 4, (3, 2), Conv((2, 3), ((0, 0), (0, 0)), (2, 3), 1, LAST)),
    "grouped": ((7, 7), 6, 9, (3, 3), Conv((1, 1), ((1, 1), (1, 1)), (1, 1), 3, LAST, Activation.RELU)),
    "grouped_strided": ((8, 7), 4, 8, (3, 3), Conv((2, 2), ((1, 1), (1, 1)), (1, 1), 2, LAST)),
    "depthwise": ((9, 7), 5, 5, (3, 3), Conv((1, 1), ((1, 1), (1, 1)), (1, 1), 5, LAST, Activation.RELU6)),
    "depthwise_multiplier": ((9, 7), 3, 6, (3, 3), Conv((2, 2), ((1, 1), (1, 1)), (1, 1), 3, LAST)),
    "depthwise_dilated": ((12, 9), 4, 4, (3, 3), Conv((1, 1), ((2, 2), (2, 2)), (2, 2), 4, LAST)),
    "depthwise_dilated_strided": ((13, 12), 4, 4, (3, 3), Conv((2, 2), ((2, 2), (2, 2)), (2, 2), 4, LAST)),
    "depthwise_dilated_strided_wide": ((13, 12), 4, 8, (3, 2), Conv((1, 2), ((0, 0), (0, 0)), (3, 2), 4, LAST)),
    "lifted_1d": ((1, 20), 3, 4, (1, 5), Conv((1, 2), ((0, 0), (2, 2)), (1, 1), 1, LAST)),
    "large_kernel": ((16, 16), 2, 3, (7, 7), Conv((2, 2), ((3, 3), (3, 3)), (1, 1), 1, LAST)),
}


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("case", CASES)
def test_convolution_equals_torch(bench: Any, sketch: Any, case: str, bias: bool) -> None:
    size, channels, filters, kernel, op = CASES[case]
    x = sketch.input(BATCH, *size, channels)
    weight = sketch.constant(filters, *kernel, channels // op.groups)
    offset = sketch.constant(filters) if bias else None
    y = sketch.op(op, *[v for v in (x, weight, offset) if v is not None])
    bench.agree(sketch.output(y), conv_formula(op, weight, offset))


@pytest.mark.parametrize(
    ("size", "padding", "stride", "codes"),
    [
        ((9, 7), ((1, 1), (1, 1)), (2, 2), ["CONV_2D"]),
        ((8, 8), ((0, 1), (0, 1)), (2, 2), ["CONV_2D"]),
        ((8, 8), ((1, 1), (1, 1)), (2, 2), ["PAD", "CONV_2D"]),
        ((9, 8), ((0, 0), (1, 1)), (1, 1), ["PAD", "CONV_2D"]),
        ((6, 6), ((0, 2), (0, 2)), (3, 3), ["CONV_2D"]),
    ],
)
def test_padding_goes_in_front_only_where_neither_scheme_fits(
    bench: Any, sketch: Any, size: tuple[int, int], padding: Any, stride: Any, codes: list[str]
) -> None:
    x = sketch.input(BATCH, *size, 2)
    y = sketch.op(Conv(stride, padding, (1, 1), 1, LAST), x, sketch.constant(4, 3, 3, 2))
    assert bench.codes(sketch.output(y)) == codes


@pytest.mark.parametrize("stride", [1, 2])
def test_free_height_and_width_are_free_in_the_file(bench: Any, sketch: Any, stride: int) -> None:
    x = sketch.input(BATCH, Sym.named("height"), Sym.named("width"), 2)
    op = Conv((stride, stride), ((1, 1), (1, 1)), (1, 1), 1, LAST)
    weight = sketch.constant(3, 3, 3, 2)
    graph = sketch.output(sketch.op(op, x, weight))
    assert bench.codes(graph) == (["CONV_2D"] if stride == 1 else ["PAD", "CONV_2D"])
    bench.agree(graph, conv_formula(op, weight, None), sizes=[{"height": 5, "width": 8}, {"height": 12, "width": 7}])


def test_stand_in_sizes_grow_until_every_window_fits(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH, Sym.named("height"), 20, 1)
    op = Conv((1, 1), ((0, 0), (0, 0)), (1, 1), 1, LAST)
    weight = sketch.constant(2, 11, 3, 1)
    details = bench.load(sketch.output(sketch.op(op, x, weight))).interpreter.get_input_details()
    assert details[0]["shape"].tolist() == [1, 16, 20, 1]
    assert details[0]["shape_signature"].tolist() == [-1, -1, 20, 1]


def test_stand_in_sizes_grow_until_there_is_enough_to_mirror(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH, Sym.named("length"), 3)
    op = BorderPad((0, 3, 0), (0, 5, 0), BorderMode.REFLECT)
    details = bench.load(sketch.output(sketch.op(op, x))).interpreter.get_input_details()
    assert details[0]["shape"].tolist() == [1, 8, 3]


def test_a_weight_that_is_computed_is_refused(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH, 8, 8, 2)
    weight = sketch.op(Relu(), sketch.constant(4, 3, 3, 2))
    y = sketch.op(Conv((1, 1), ((0, 0), (0, 0)), (1, 1), 1, LAST), x, weight)
    refusal = bench.target.refusal(y.producer)
    assert refusal is not None and refusal.code == "TP102" and "computed" in refusal.because


def test_float64_is_refused_with_what_to_do(bench: Any, sketch: Any) -> None:
    x = sketch.graph.add_input("x", TensorType(DType.FLOAT64, (BATCH, 4)))
    y = sketch.op(Relu(), x)
    refusal = bench.target.refusal(y.producer)
    assert refusal is not None and refusal.code == "TP105" and "cast it to float32" in refusal.help
