"""What a quantized graph is made of, at its border and inside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_graphs import BATCH, convnet, dense, perceptron
from test_op_cases import PORTS

import triport as tp
from triport.exporter.errors import UsageError
from triport.exporter.graph import DType, Graph, Quantization, TensorType
from triport.exporter.graph.verify import verify
from triport.exporter.ops import (
    Activation,
    AveragePool,
    Concat,
    Dequantize,
    LayerNorm,
    Lookup,
    Mul,
    Quantize,
    QuantizedConv,
    QuantizedLinear,
    QuantizedSoftmax,
    Recode,
    ReduceMean,
    Sigmoid,
    Sqrt,
)
from triport.exporter.passes.exact_values import exact_values
from triport.quantize import quantize
from triport.runtime_checks.parity import same_bits
from triport.runtime_checks.runners import get_runner
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

IMAGES = {"image": np.random.default_rng(0).normal(0, 1, (40, 1, 8, 8)).astype(np.float32)}
ROWS = {"x": np.random.default_rng(1).normal(0, 1, (40, 4)).astype(np.float32)}


def ops(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def test_a_factor_behind_a_linear_layer_is_in_its_weights() -> None:
    graph = Graph("scaled")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    y = dense(graph, x, np.eye(4, dtype=np.float32), "layer", "net.py:1")
    graph.set_output("y", graph.add(Mul(), y, graph.add_constant(np.asarray(0.2, np.float32)), name="scaled"))
    assert ops(quantize(graph, calibration=ROWS)) == ["quantize", "quantized_linear", "dequantize"]


def test_a_float_border_has_one_quantize_and_gives_float32() -> None:
    quantized = quantize(convnet(), calibration=IMAGES)
    verify(quantized)
    assert ops(quantized) == [
        "quantize",
        "quantized_conv",
        "max_pool",
        "reshape",
        "quantized_linear",
        "quantized_softmax",
    ]
    assert [value.type.dtype for value in quantized.outputs.values()] == [DType.FLOAT32]
    (softmax,) = (node.op for node in quantized.nodes if isinstance(node.op, QuantizedSoftmax))
    assert softmax.to is None
    assert list(quantized.outputs) == ["scores"] and set(quantized.outputs.values()) <= exact_values(quantized)


@pytest.mark.parametrize(("io", "dtype", "lowest"), [("int8", DType.INT8, -128), ("uint8", DType.UINT8, 0)])
def test_an_integer_border_says_what_its_integers_stand_for(io: str, dtype: DType, lowest: int) -> None:
    quantized = quantize(convnet(), calibration=IMAGES, io=io)
    verify(quantized)
    (x,), (y,) = quantized.inputs, quantized.outputs.values()
    assert x.type.dtype is dtype and y.type.dtype is dtype
    assert x.quantization and y.quantization and y.quantization.zero_point == lowest
    assert not any(isinstance(node.op, Quantize | Dequantize) for node in quantized.nodes)
    assert sum(isinstance(node.op, Recode) for node in quantized.nodes) == (2 if io == "uint8" else 0)
    assert all(sample.inputs["image"].dtype == dtype.numpy for sample in quantized.samples)
    assert all(sample.outputs["scores"].dtype == dtype.numpy for sample in quantized.samples)


def test_uint8_is_int8_128_higher() -> None:
    narrow, unsigned = (quantize(convnet(), calibration=IMAGES, io=io) for io in ("int8", "uint8"))
    codes = np.random.default_rng(2).integers(-128, 128, (7, 1, 8, 8)).astype(np.int8)
    a = narrow.run({"image": codes})["scores"]
    b = unsigned.run({"image": (codes.astype(np.int16) + 128).astype(np.uint8)})["scores"]
    assert np.array_equal(a.astype(np.int16) + 128, b)
    assert len(np.unique(a)) > 20


@pytest.mark.parametrize("port", PORTS)
def test_uint8_at_the_border_is_the_same_on_every_port(port: str, tmp_path: Path) -> None:
    quantized, target = quantize(convnet(), calibration=IMAGES, io="uint8"), get_target(port)
    artefact = tmp_path / target.artefact
    target.write(prepare(quantized, target), artefact, {})
    with get_runner(PORTS[port]).load(artefact) as session:
        for batch in (1, 7):
            codes = np.random.default_rng(batch).integers(0, 256, (batch, 1, 8, 8)).astype(np.uint8)
            got, wanted = session.run({"image": codes}), quantized.run({"image": codes})
            assert same_bits(got["scores"], wanted["scores"])


def test_a_saved_graph_keeps_its_border(tmp_path: Path) -> None:
    quantized = quantize(convnet(), calibration=IMAGES, io="uint8")
    quantized.save(tmp_path / "q.triport")
    again = Graph.load(tmp_path / "q.triport")
    assert str(again) == str(quantized) and again.metadata == quantized.metadata


def test_the_types_of_codes_hold_their_zero_points() -> None:
    for dtype, zero_point in ((DType.INT8, 128), (DType.UINT8, -1), (DType.INT16, 0), (DType.FLOAT32, 0)):
        with pytest.raises(ValueError, match=r"zero point|cannot be quantized"):
            TensorType(dtype, (1,), Quantization(1.0, zero_point))
    with pytest.raises(ValueError, match="zero point 256"):
        Quantization(1.0, 256)


def test_the_original_is_left_alone() -> None:
    graph = convnet()
    before = str(graph)
    quantize(graph, calibration=IMAGES)
    assert str(graph) == before and not graph.notices and "quantization" not in graph.metadata


def test_activations_are_taken_in_and_clamp() -> None:
    (conv,) = (node.op for node in quantize(convnet(), calibration=IMAGES).nodes if isinstance(node.op, QuantizedConv))
    assert conv.activation is Activation.RELU and conv.to.zero_point == -128


def test_functions_stay_between_dequantize_and_quantize_and_become_a_table_at_the_end() -> None:
    inner = quantize(perceptron(), calibration=ROWS)
    assert ops(inner) == [
        "quantize",
        "quantized_linear",
        "dequantize",
        "sigmoid",
        "quantize",
        "quantized_linear",
        "dequantize",
    ]
    graph = Graph("ends")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    y = dense(graph, x, np.eye(4, dtype=np.float32), "dense", "net.py:1")
    graph.set_output("y", graph.add(Sigmoid(), y, name="sigmoid"))
    ends = quantize(graph, calibration=ROWS)
    (table,) = (node for node in ends.nodes if isinstance(node.op, Lookup))
    assert table.op == Lookup(table.inputs[0].quantization, None)  # type: ignore[arg-type]
    assert ends.outputs["y"].type.dtype is DType.FLOAT32 and ends.outputs["y"] in exact_values(ends)


def test_an_average_pool_is_a_depthwise_convolution_of_ones() -> None:
    graph = Graph("pool")
    x = graph.add_input("image", TensorType(DType.FLOAT32, (BATCH, 3, 8, 8)))
    pool = AveragePool((2, 4), (2, 4), ((0, 0), (0, 0)), (1, 1))
    graph.set_output("y", graph.add(pool, x, name="pool"))
    images = np.random.default_rng(0).normal(0, 1, (40, 3, 8, 8)).astype(np.float32)
    quantized = quantize(graph, calibration=images)
    (conv,) = (node for node in quantized.nodes if isinstance(node.op, QuantizedConv))
    assert conv.op.groups == 3 and (conv.inputs[1].array() == 1).all()  # type: ignore[attr-defined]
    assert conv.inputs[2].array() == pytest.approx(np.full(3, 1 / 8))


def test_a_layer_norm_is_float_steps_that_are_exact() -> None:
    graph = Graph("norm")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    y = dense(graph, x, np.eye(4, dtype=np.float32), "dense", "net.py:1")
    gamma, beta = (graph.add_constant(np.ones(4, np.float32), name) for name in ("gamma", "beta"))
    graph.set_output("y", graph.add(LayerNorm(1, 1e-5), y, gamma, beta, name="norm"))
    quantized = quantize(graph, calibration=ROWS)
    assert any(isinstance(node.op, Sqrt) for node in quantized.nodes)
    assert quantized.outputs["y"] in exact_values(quantized)


def test_answers_stay_near_the_float_models() -> None:
    for graph, inputs in ((convnet(), IMAGES), (perceptron(), ROWS)):
        exact, got = graph.run(inputs), quantize(graph, calibration=inputs).run(inputs)
        for name, wanted in exact.items():
            wide, narrow = wanted.astype(np.float64), got[name].astype(np.float64)
            assert 10 * np.log10((wide**2).sum() / ((wide - narrow) ** 2).sum()) > 25, name


def test_layers_that_are_kept_float_are_the_layers_they_were() -> None:
    quantized = quantize(convnet(), calibration=IMAGES, keep_float="stem")
    (stem,) = (node for node in quantized.nodes if node.name == "stem")
    assert not isinstance(stem.op, QuantizedConv)
    assert any(isinstance(node.op, QuantizedLinear) for node in quantized.nodes)


def test_a_model_a_file_and_a_graph_are_quantized_alike(tmp_path: Path) -> None:
    model = tp.Sequential([tp.Input((4,), name="x"), tp.layers.Dense(3, activation="relu"), tp.layers.Dense(2)])
    model.save(tmp_path / "m.triport")
    graph = Graph.load(tmp_path / "m.triport")
    made = [
        quantize(given, calibration=ROWS) for given in (model, graph, tmp_path / "m.triport", f"{tmp_path}/m.triport")
    ]
    answers = [quantized.run(ROWS)["dense_1"] for quantized in made]
    assert all(same_bits(answer, answers[0]) for answer in answers)
    with pytest.raises(UsageError, match="got int") as raised:
        quantize(3, calibration=ROWS)  # type: ignore[arg-type]
    assert raised.value.code == "TP001"


@pytest.mark.parametrize("io", ["float32", "int8", "uint8"])
def test_golden_samples_hold_what_the_reference_answers(io: str) -> None:
    quantized = quantize(convnet(), calibration=IMAGES, io=io)
    assert len(quantized.samples) == 2
    for sample in quantized.samples:
        assert same_bits(sample.outputs["scores"], quantized.run(sample.inputs)["scores"])


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_an_output_behind_what_runtimes_round_differently_stays_float32(tmp_path: Path, io: str) -> None:
    graph = Graph("means")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    weight = np.random.default_rng(2).normal(0, 1, (6, 4)).astype(np.float32)
    y = dense(graph, x, weight, "layer", "net.py:1")
    mean = graph.add(ReduceMean((1,), True), y, name="mean")
    graph.set_output("y", y)
    graph.set_output("beside", graph.add(Concat(1), y, mean, name="beside"))
    quantized = quantize(graph, calibration=ROWS, io=io)
    types = {name: value.type.dtype for name, value in quantized.outputs.items()}
    assert types == {"y": DType(io), "beside": DType.FLOAT32}
    (notice,) = (notice for notice in quantized.notices if "runtimes" in notice)
    assert notice.startswith('codes of "beside" could differ by a step between runtimes')
    codes = np.random.default_rng(3).integers(-128, 128, (300, 4)).astype(np.int8)
    samples = {"x": codes if io == "int8" else (codes + np.int16(128)).astype(np.uint8)}
    report = tp.export(quantized, tmp_path / "dist", to=["onnx", "tflite"], samples=samples)
    assert report.identical() == ["y"]


def test_integers_need_no_torch_to_be_found(tmp_path: Path) -> None:
    convnet().save(tmp_path / "m.triport")
    np.save(tmp_path / "data.npy", IMAGES["image"])
    code = (
        "import sys; from triport.quantize import quantize_file\n"
        "made = quantize_file(sys.argv[1], calibration=sys.argv[2])\n"
        "assert len(made.graph.samples) == 2 and 'torch' not in sys.modules"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "m.triport"), str(tmp_path / "data.npy")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
