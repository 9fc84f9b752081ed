"""Codes in TFLite: what stands in the file, what XNNPACK takes, and what is refused because it would not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from cases.case import OpCase
from cases.quantized import CASES
from small_graphs import convnet

from triport.exporter.graph import Array, DType, Graph, Quantization, Sym, Value
from triport.exporter.ops import (
    Activation,
    Layout,
    MaxPool,
    Pad,
    QuantizedAdd,
    QuantizedConv,
    QuantizedLinear,
    QuantizedMatMul,
    QuantizedMul,
    QuantizedSoftmax,
    Recode,
)
from triport.quantize import quantize
from triport.targets.prepare import prepare
from triport.targets.tflite import TFLiteTarget, summarize

BATCH = Sym.named("batch")
LAST = Layout.CHANNELS_LAST
X, Y = Quantization(0.25, -3), Quantization(0.5, 10)

DEPTHWISE = "DEPTHWISE_CONV_2D"

WITHOUT_A_KERNEL = {"BROADCAST_TO", "CAST", "GATHER", "MIRROR_PAD", "PADV2", "REVERSE_V2"}
"""Operators that XNNPACK does not take; they move or look up codes, which is exact in any kernel."""


def _load(path: Path, threads: int = 1) -> Any:
    return Interpreter(str(path), num_threads=threads)


def _run(interpreter: Any, inputs: dict[str, Array]) -> dict[str, Array]:
    for detail in interpreter.get_input_details():
        interpreter.resize_tensor_input(detail["index"], inputs[detail["name"]].shape, strict=True)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], inputs[detail["name"]])
    interpreter.invoke()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()}


def _is_one_piece(interpreter: Any) -> bool:
    """Whether XNNPACK runs everything from the inputs to the outputs."""
    interpreter.allocate_tensors()
    pieces = [op for op in interpreter._get_ops_details() if op["op_name"] == "DELEGATE"]
    if len(pieces) != 1:
        return False
    inputs = {detail["index"] for detail in interpreter.get_input_details()}
    outputs = {detail["index"] for detail in interpreter.get_output_details()}
    return inputs <= set(pieces[0]["inputs"]) and outputs <= set(pieces[0]["outputs"])


def _written(case: OpCase, folder: Path) -> Path:
    target, path = TFLiteTarget(), folder / "case.tflite"
    target.write(prepare(case.graph(), target), path, {})
    return path


def test_xnnpack_takes_every_op_on_codes_for_which_it_has_a_kernel(tmp_path: Path) -> None:
    wrong = []
    for case in CASES:
        path = _written(case, tmp_path)
        taken = not WITHOUT_A_KERNEL & {operator.name for operator in summarize(path).operators}
        # QUANTIZE between int8 and uint8, STRIDED_SLICE with a step
        taken &= not isinstance(case.op, Recode) and all(step == 1 for step in getattr(case.op, "steps", ()))
        if _is_one_piece(_load(path)) is not taken:
            wrong.append(case.name)
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "operator"),
    [("mean", "MEAN"), ("mean_1d", "MEAN"), ("mean_with_ties", "FULLY_CONNECTED"), ("depthwise", DEPTHWISE)],
)
def test_a_mean_of_an_image_is_a_mean_where_no_kernel_meets_a_tie(name: str, operator: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == f"quantized_conv/{name}")
    assert operator in {used.name for used in summarize(_written(case, tmp_path)).operators}


def test_two_threads_give_the_same_codes(tmp_path: Path) -> None:
    differ = []
    for case in CASES:
        inputs = case.inputs(2)
        got = _run(_load(_written(case, tmp_path), threads=2), inputs)
        if not all(np.array_equal(got[name], want) for name, want in case.graph().run(inputs).items()):
            differ.append(case.name)
    assert differ == []


def test_a_quantized_network_runs_in_one_piece_and_gives_the_same_integers(tmp_path: Path) -> None:
    graph = convnet(samples=0)
    graph.outputs.clear()
    graph.set_output("scores", graph.nodes[-2].output)  # without the softmax
    images = np.random.default_rng(5).normal(0, 1, (64, 1, 8, 8)).astype(np.float32)
    quantized = quantize(graph, calibration={"image": images})
    target, path = TFLiteTarget(), tmp_path / "model.tflite"
    target.write(prepare(quantized, target), path, {})
    interpreter = _load(path)
    assert _is_one_piece(interpreter)
    got = _run(interpreter, {"image": images})["scores"]
    want = quantized.run({"image": images})["scores"]
    assert np.array_equal(got, want) and len(np.unique(want)) > 100


def _filters(sketch: Any, *shape: int) -> tuple[Value, Value, Value]:
    """Weight, scales 0.125, 0.25, … of the filters, bias."""
    count = shape[0]
    weight = np.arange(int(np.prod(shape)), dtype=np.int8).reshape(shape)
    scales = (np.arange(1, count + 1) / 8).astype(np.float32)
    return sketch.of(weight), sketch.of(scales), sketch.of(np.full(count, 5, np.int32))


def _conv(sketch: Any, groups: int, **attributes: Any) -> Value:
    op = QuantizedConv((1, 1), ((0, 0), (0, 0)), (1, 1), groups, LAST, of=X, to=Y, **attributes)
    x = sketch.codes(BATCH, 5, 5, 2, of=X)
    value: Value = sketch.op(op, x, *_filters(sketch, 2, 3, 3, 2 // groups))
    return value


def _quantized_tensors(path: Path) -> dict[str, dict[str, Any]]:
    details = _load(path).get_tensor_details()
    return {d["name"]: d | d["quantization_parameters"] for d in details if len(d["quantization_parameters"]["scales"])}


@pytest.mark.parametrize(("groups", "axis", "shape"), [(1, 0, (2, 3, 3, 2)), (2, 3, (1, 3, 3, 2))])
def test_filters_have_their_own_scales_along_the_axis_of_the_outputs(
    bench: Any, sketch: Any, groups: int, axis: int, shape: tuple[int, ...]
) -> None:
    tensors = _quantized_tensors(bench.write(sketch.output(_conv(sketch, groups))))
    x, y = tensors.pop("x"), tensors.pop("y")
    assert (x["scales"].tolist(), x["zero_points"].tolist()) == ([0.25], [-3])
    assert (y["scales"].tolist(), y["zero_points"].tolist()) == ([0.5], [10])
    bias, weight = sorted(tensors.values(), key=lambda tensor: len(tensor["shape"]))
    assert weight["quantized_dimension"] == axis and tuple(weight["shape"]) == shape
    assert weight["scales"].tolist() == [0.125, 0.25] and not weight["zero_points"].any()
    assert bias["scales"].tolist() == [0.03125, 0.0625] and not bias["zero_points"].any()


def test_the_zero_points_of_filters_are_written_once(bench: Any, sketch: Any) -> None:
    """8 bytes each: beside a filter of 4 weights, its bias and two scales, they would be a third of the file."""
    x = sketch.codes(BATCH, 4, of=X)
    for _ in range(4):
        y = sketch.op(QuantizedLinear(of=X, to=Y), x, *_filters(sketch, 512, 4))
        sketch.graph.set_output(y.name, y)
    written = bench.write(sketch.graph).stat().st_size
    shared = 512 * (4 + 4 + 4 + 4 + 8)  # equal weights, biases, scales and zero points
    assert shared < written < shared + 4096


def test_operators_on_codes_have_the_lowest_versions(bench: Any, sketch: Any) -> None:
    y = _conv(sketch, 1)
    y = sketch.op(QuantizedMul(Quantization(0.5, 0), of=(Y, Y)), y, y)
    y = sketch.op(QuantizedMul(Quantization(0.125, 0), of=(Quantization(0.5, 0), Y)), y, _constant_codes(sketch))
    versions = {operator.name: operator.version for operator in summarize(bench.write(sketch.output(y))).operators}
    assert versions["CONV_2D"] == 3
    assert versions["MUL"] == 3  # version 2 cannot rescale by 2


def _constant_codes(sketch: Any) -> Value:
    value: Value = sketch.graph.add_constant(np.array([3, -5], np.int8), "gate", Y)
    return value


def test_a_pad_with_the_zero_point_is_one_that_xnnpack_takes(bench: Any, sketch: Any) -> None:
    x = sketch.codes(BATCH, 4, of=X)
    graph = sketch.output(sketch.op(Pad((0, 1), (0, 2), -3.0), x))
    path = bench.write(graph)
    assert _is_one_piece(_load(path))
    codes = np.array([[1, 2, 3, 4]], np.int8)
    assert _run(_load(path), {"x": codes})["y"].tolist() == [[-3, 1, 2, 3, 4, -3, -3]]


def test_a_max_pool_after_a_relu_is_padded_with_the_zero_point(bench: Any, sketch: Any) -> None:
    y = _conv(sketch, 1, activation=Activation.RELU)
    graph = sketch.output(sketch.op(MaxPool((2, 2), (2, 2), ((1, 0), (1, 0)), (1, 1), LAST), y))
    assert _is_one_piece(_load(bench.write(graph)))


def _refused(bench: Any, value: Value) -> str:
    refusal = bench.target.refusal(value.producer)
    assert refusal is not None and refusal.code == "TP107", refusal
    return str(refusal.because)


def test_scales_beyond_xnnpacks_kernels_are_refused(bench: Any, sketch: Any) -> None:
    fine = Quantization(2.0**-12, 0)
    linear = QuantizedLinear(of=X, to=fine)
    x = sketch.codes(BATCH, 3, of=X)
    assert "256 steps of its result" in _refused(bench, sketch.op(linear, x, *_filters(sketch, 2, 3)))
    assert "0.000977 to 256" in _refused(bench, sketch.op(QuantizedAdd(fine, of=(X, X)), x, x))
    assert "1.53e-05 to 256" in _refused(bench, sketch.op(QuantizedMul(Quantization(2.0**14, 0), of=(X, X)), x, x))


def test_a_clamp_half_way_between_two_codes_is_refused(bench: Any, sketch: Any) -> None:
    x = sketch.codes(BATCH, 3, of=X)
    even, odd = Quantization(4.0, 0), Quantization(4.0, 1)  # 6 / 4 = 1.5: 2 above an even, 2.5 → 2 above an odd one
    refused = sketch.op(QuantizedAdd(odd, Activation.RELU6, of=(X, X)), x, x)
    assert "half way" in _refused(bench, refused)
    accepted = sketch.op(QuantizedAdd(even, Activation.RELU6, of=(X, X)), x, x)
    assert bench.target.refusal(accepted.producer) is None


def _product(sketch: Any, a: Value, length: Any, of: tuple[Quantization, Quantization]) -> Value:
    b = sketch.codes(BATCH, length, 4, of=of[1], name="b")
    value: Value = sketch.op(QuantizedMatMul(of=of, to=Y), a, b)
    return value


def test_products_of_codes_are_refused_where_float32_would_round_their_sums(bench: Any, sketch: Any) -> None:
    third = Quantization(float(np.float32(1 / 3)), 0)
    by_three = _product(sketch, sketch.codes(BATCH, 2, 8, of=third, name="a"), 8, (third, X))
    assert "powers of two" in _refused(bench, by_three)


@pytest.mark.parametrize(("length", "fits"), [(1024, True), (1025, False), (Sym.named("time"), False)])
def test_a_sum_of_products_stays_below_what_float32_holds(bench: Any, sketch: Any, length: Any, fits: bool) -> None:
    symmetric = Quantization(0.25, 0)
    a = sketch.codes(BATCH, 2, length, of=symmetric, name="a")
    product = _product(sketch, a, length, (symmetric, symmetric))
    if fits:
        assert bench.target.refusal(product.producer) is None
    else:
        assert "2**24" in _refused(bench, product)


def test_products_of_codes_follow_their_sizes(bench: Any, sketch: Any) -> None:
    """XNNPACK's own rewriting of DEQUANTIZE before BATCH_MATMUL keeps scales from before a resize."""
    time, symmetric = Sym.named("time"), Quantization(2.0**-6, 0)
    a = sketch.codes(BATCH, 4, 8, of=symmetric, name="a")
    b = sketch.codes(BATCH, 8, time, of=symmetric, name="b")
    graph = sketch.output(sketch.op(QuantizedMatMul(of=(symmetric, symmetric), to=Quantization(0.125, 3)), a, b))
    interpreter = _load(bench.write(graph))
    for batch, length in ((1, 1), (1, 12), (1, 64), (3, 40), (1, 300), (7, 300)):
        shapes = {"a": (batch, 4, 8), "b": (batch, 8, length)}
        codes = {name: bench.rng.integers(-90, 60, shape).astype(np.int8) for name, shape in shapes.items()}
        np.testing.assert_array_equal(_run(interpreter, codes)["y"], graph.run(codes)["y"])


@pytest.mark.parametrize(("axis", "fits"), [(-1, True), (1, False)])
def test_shares_of_a_softmax_add_up_to_one_however_many_they_are(
    bench: Any, sketch: Any, axis: int, fits: bool
) -> None:
    time, shares = Sym.named("time"), Quantization(2.0**-8, -128)
    scores = sketch.codes(BATCH, 2, time, of=X, name="a")
    table = sketch.of(np.ones(256, np.float32))
    a = sketch.op(QuantizedSoftmax(axis, X, shares), scores, table)
    product = _product(sketch, a, time, (shares, Quantization(0.25, 0)))
    assert (bench.target.refusal(product.producer) is None) is fits


def test_a_graph_may_begin_and_end_with_codes(bench: Any, sketch: Any) -> None:
    graph: Graph = sketch.output(_conv(sketch, 1))
    summary = summarize(bench.write(graph))
    assert summary.inputs[0].dtype == summary.outputs[0].dtype == DType.INT8.value
    assert summary.outputs[0].quantization is not None and summary.outputs[0].quantization.scale == (0.5,)
