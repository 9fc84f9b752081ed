"""The scheme int8-strict: the same integers in LiteRT's own kernels, for each form that a node can have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cases.strict_networks import FORMS, images, network
from hypothesis import given, settings
from hypothesis import strategies as st

import triport as tp
from triport.cli.quantize import command
from triport.exporter.errors import UsageError
from triport.exporter.graph import DType, Graph, Quantization, Sym, TensorType
from triport.exporter.ops import (
    Ceil,
    Dequantize,
    Elu,
    Linear,
    Mul,
    QuantizedConv,
    QuantizedMul,
    Round,
    UnaryOp,
)
from triport.exporter.ops.quantized import multiplier
from triport.exporter.passes.exact_values import exact_values
from triport.quantize import quantize
from triport.quantize.forms import STRICT, own_decision
from triport.quantize.strict import (
    in_steps,
    matmul_is_safe,
    product_is_safe,
    safe_for_matmul,
    short_above,
    strict_filters,
    strict_mean,
)
from triport.runtime_checks import ExportFailed
from triport.runtime_checks.parity import same_bits
from triport.runtime_checks.runners import get_runner
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

RUNTIMES = {
    "onnx": ("onnxruntime", "onnxruntime-plain"),
    "tflite": ("litert", "litert-plain", "litert-reference"),
    "web": ("node",),
}
CALIBRATION = {"x": np.random.default_rng(0).normal(0, 1, (64, 6, 8, 8)).astype(np.float32)}
SAMPLES = 64

unhurried = settings(max_examples=100, deadline=None, derandomize=True)
scales = st.floats(1e-4, 10).map(lambda scale: float(np.float32(scale)))


def strict(name: str) -> Graph:
    return quantize(network(name), STRICT, calibration=CALIBRATION)


@pytest.mark.parametrize("name", FORMS)
def test_every_kernel_gives_the_references_bits(name: str, tmp_path: Path) -> None:
    graph, inputs = strict(name), images(SAMPLES)
    assert graph.outputs["y"] in exact_values(graph)
    wanted = graph.run(inputs)["y"]
    assert len(np.unique(wanted)) > (6 if name == "round" else 30)
    for port, runtimes in RUNTIMES.items():
        target = get_target(port)
        artefact = tmp_path / target.artefact
        target.write(prepare(graph, target), artefact, {})
        for runtime in runtimes:
            with get_runner(runtime).load(artefact) as session:
                got = session.run(inputs)["y"]
            differ = f"{(got != wanted).mean():.2%} of the numbers differ in {runtime}"
            assert same_bits(got, wanted), differ


@given(x=scales, y=scales, size=st.floats(1e-6, 1e3), seed=st.integers(0, 99))
@unhurried
def test_no_sum_of_strict_filters_ties(x: float, y: float, size: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    weight = (random.normal(0, size, (5, 7)) * random.uniform(0, 1, (5, 1))).astype(np.float32)
    weight[0] = 0
    made = in_steps(strict_filters(weight, random.normal(0, size, 5), x, y))
    assert (made.codes % 4 == 0).all() and (made.bias % 4 == 2).all()
    assert np.abs(made.codes.astype(int)).max() <= 124
    shift = -np.log2(multiplier(x, made.scale, y).astype(np.float64))
    whole = np.rint(shift)
    assert np.abs(shift - whole).max() < 1e-6
    assert ((whole == 1) | (whole >= 3)).all() and whole.max() <= 14


@pytest.mark.parametrize("shape", [(3, 1, 2, 2), (4, 7, 7, 1), (2, 1, 3)])
def test_a_mean_of_equal_cells_is_the_cell(shape: tuple[int, ...]) -> None:
    made = strict_mean(shape, 0.02, 0.021)
    weights = (made.codes * made.scale.reshape(-1, *[1] * (len(shape) - 1))).reshape(shape[0], -1)
    assert made.codes.shape == shape and np.ptp(made.codes) <= 1
    assert np.abs(weights.sum(1) - 1).max() <= made.scale.max() / 2


@given(scale=scales, zero_point=st.integers(-128, 127))
@unhurried
def test_a_short_scale_lets_codes_be_dequantized_in_two_steps(scale: float, zero_point: int) -> None:
    short = short_above(scale)
    assert scale <= short <= scale * (1 + 2**-15)
    codes = np.arange(-128, 128, dtype=np.float32)
    step = np.float32(short)
    apart = codes * step - np.float32(zero_point) * step
    assert (apart == (codes - zero_point) * step).all()


def test_products_are_safe_where_no_rule_of_rounding_parts_them() -> None:
    a, b = Quantization(0.5, 3), Quantization(0.25, -7)
    assert not product_is_safe(a, b, Quantization(0.25, 0))  # an odd product is half a step
    assert product_is_safe(a, b, Quantization(0.125, 0))


def test_a_matrix_product_has_an_odd_multiple_of_its_operands_steps() -> None:
    a, b = Quantization(0.5, 3), Quantization(0.25, -7)
    assert not matmul_is_safe(a, b, Quantization(0.25, 0))
    assert not matmul_is_safe(a, b, Quantization(0.5, 0))
    found = safe_for_matmul(a, b, Quantization(0.5, 5))
    assert found == Quantization(0.625, 5) and matmul_is_safe(a, b, found)
    assert safe_for_matmul(a, b, Quantization(5e3, 0)) is None


def test_products_are_float_and_means_are_integer() -> None:
    ops = [type(node.op) for node in strict("product").nodes]
    assert QuantizedMul not in ops and Mul in ops and Dequantize in ops and QuantizedConv in ops
    (product,) = (node for node in network("product of pairs").nodes if isinstance(node.op, Mul))
    assert own_decision(product).form.value == "int8" and own_decision(product, STRICT).form.value == "exact float"


@pytest.mark.parametrize("recover", ["bias", "adaround", "gptq", "equalize"])
def test_recovered_filters_are_strict_too(recover: str) -> None:
    graph = quantize(network("conv"), STRICT, calibration=CALIBRATION, recover=recover)
    layers = [node for node in graph.nodes if isinstance(node.op, QuantizedConv)]
    assert len(layers) == 2
    for node in layers:
        assert (node.inputs[1].array() % 4 == 0).all() and (node.inputs[3].array() % 4 == 2).all()


def test_trained_filters_are_strict_too() -> None:
    model = tp.quantize_aware(network("conv"), STRICT, calibration=CALIBRATION)
    model.compile(optimizer="adam", loss="mse")
    x = CALIBRATION["x"]
    model.fit(x, np.maximum(x, 0), epochs=1, batch_size=32, verbose=0)
    graph = model.to_graph()
    (layer, _) = (node for node in graph.nodes if isinstance(node.op, QuantizedConv))
    assert (layer.inputs[1].array() % 4 == 0).all() and (layer.inputs[3].array() % 4 == 2).all()


def test_paired_weights_are_refused() -> None:
    with pytest.raises(UsageError) as refused:
        quantize(network("conv"), STRICT, calibration=CALIBRATION, weights="paired")
    assert refused.value.code == "TP050"


@pytest.mark.parametrize("op", [Ceil(), Round(), Elu(), Elu(0.3)], ids=repr)
def test_functions_that_stay_float_are_spelled_with_kernels_that_all_have(op: UnaryOp, tmp_path: Path) -> None:
    graph = Graph("function")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 8)))
    weight = graph.add_constant(np.random.default_rng(0).normal(0, 1, (8, 8)).astype(np.float32))
    y = graph.add(op, x, name="function")
    graph.set_output("y", y)
    graph.set_output("z", graph.add(Linear(), y, weight))
    rows = np.random.default_rng(1).normal(0, 3, (64, 8)).astype(np.float32)
    made = quantize(graph, STRICT, calibration={"x": rows}, keep_float="function")
    assert not {type(node.op) for node in made.nodes} & {Ceil, Round, Elu}
    edges = [0.5, 1.5, 2.5, 0.49999997, 1e-40, 8388607.5, 16777217, 3e9, 1e38, 88, *np.arange(-2, 2.1, 0.25), np.inf, 0]
    cells = np.array([*edges, *-np.array(edges), np.nan, 3, 4, -1, 7, 0.1], np.float32).reshape(-1, 8)
    wanted, got = (g.run({"x": cells})["y"].astype(np.float64) for g in (graph, made))
    finite = np.isfinite(wanted)
    assert np.array_equal(got[~finite], wanted[~finite], equal_nan=True)
    assert np.abs(got[finite] - wanted[finite]).max() <= (2e-7 if isinstance(op, Elu) else 0)
    report = tp.export(made, tmp_path, to=["tflite"])
    assert report.passed and len(report.ports[0].runners) == 3


def test_export_asks_all_kernels(tmp_path: Path) -> None:
    report = tp.export(strict("product"), tmp_path, to=["tflite"])
    assert [run.runner for run in report.ports[0].runners] == ["litert", "litert-plain", "litert-reference"]
    again = tp.verify(tmp_path)
    assert [run.runner for run in again.ports[0].runners] == ["litert", "litert-plain", "litert-reference"]


def test_kernels_that_int8_promises_nothing_for_point_to_strict(tmp_path: Path) -> None:
    advice = "not for litert-plain: triport quantize --strict chooses"
    plain = quantize(network("conv"), calibration=CALIBRATION)
    with pytest.raises(ExportFailed) as failed:
        tp.export(plain, tmp_path / "failed", to=["tflite"], runners=["litert-plain"])
    assert advice in failed.value.report.notes[-1]
    assert not [note for note in tp.export(plain, tmp_path, to=["tflite"]).notes if advice in note]
    verified = tp.verify(tmp_path, model=plain, runners=["litert-plain"])
    assert not verified.passed and advice in verified.notes[-1]


@pytest.mark.parametrize("scheme", ["int8", "float16"])
def test_the_command_takes_strict_for_int8_alone(scheme: str, tmp_path: Path) -> None:
    model, data, out = (str(tmp_path / name) for name in ("m.triport", "x.npz", "q.triport"))
    network("conv").save(model)
    np.savez(data, allow_pickle=False, **CALIBRATION)
    options = [model, "--scheme", scheme, "--strict", "--calibration", data, "-o", out]
    if scheme == "int8":
        command.main(options, standalone_mode=False)
        assert Graph.load(out).metadata["quantization"]["scheme"] == STRICT
        return
    with pytest.raises(UsageError) as refused:
        command.main(options, standalone_mode=False)
    assert refused.value.code == "TP005" and not Path(out).exists()
