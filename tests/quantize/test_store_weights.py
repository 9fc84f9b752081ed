"""Weights alone: what is rounded and how, what stays, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cases.stored_networks import image_feeds, image_network, token_feeds, token_network

import triport as tp
from triport.exporter.errors import UsageError
from triport.exporter.graph import Array, DType, Graph, TensorType
from triport.exporter.graph.stored import stored_form_of, stored_forms
from triport.exporter.ops import Add, Conv, Linear
from triport.targets.prepare import prepare
from triport.targets.registry import get_target
from triport.targets.tflite.schema import schema


def linear(weight: Array) -> Graph:
    graph = Graph("linear")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (2, weight.shape[1])))
    graph.set_output("y", graph.add(Linear(), x, graph.add_constant(weight, "w"), name="head"))
    return graph


def rounded(weight: Array, scheme: str, block: int | None = None) -> Array:
    (value,) = tp.quantize(linear(weight), scheme, block=block).constants()
    return value.array()


def weights(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def forms(graph: Graph) -> dict[str, tuple[int, tuple[int, ...]] | None]:
    """{constant: bits and view} of those that are large enough to have a form."""
    found = {v.name: stored_form_of(v.array(), stored_forms(graph.metadata)) for v in graph.constants()}
    return {name: (stored.bits, stored.view) if stored else None for name, stored in found.items()}


def snr(weight: Array, other: Array) -> float:
    error = np.square(weight.astype(np.float64) - other.astype(np.float64)).sum()
    return float(10 * np.log10(np.square(weight.astype(np.float64)).sum() / error))


def test_each_filter_has_its_step_and_each_weight_its_nearest_code() -> None:
    factors = np.logspace(-3, 3, 12, dtype=np.float32)[:, None]
    weight = np.multiply(weights(12, 40), factors, dtype=np.float32)
    steps = np.abs(weight).max(1, keepdims=True) / 127
    assert np.all(np.abs(rounded(weight, "int8-weights") - weight) <= steps * 0.5001)


def test_fewer_weights_to_a_step_lose_less() -> None:
    factors = np.random.default_rng(1).lognormal(0, 1, (32, 256))
    weight = np.multiply(weights(32, 256), factors).astype(np.float32)
    lost = [snr(weight, rounded(weight, "int4-weights", block)) for block in (0, 128, 64, 32, 16)]
    assert lost == sorted(lost) and lost[-1] - lost[0] > 5
    assert lost[-1] < snr(weight, rounded(weight, "int8-weights")) < snr(weight, rounded(weight, "float16"))


def test_the_step_of_4_bits_is_the_best_of_several() -> None:
    weight = weights(64, 64)
    steps = np.abs(weight).max(1, keepdims=True) / 7
    plain = np.clip(np.rint(weight / steps), -8, 7) * steps
    assert snr(weight, rounded(weight, "int4-weights", 0)) > snr(weight, plain) + 0.3


def test_every_kind_of_weight_is_stored() -> None:
    found = forms(tp.quantize(image_network(), "int8-weights"))
    small = {"grouped.1", "norm.0", "norm.1", "stem.1", "depthwise.1", "wide.1", "up.1"}
    assert {name for name, form in found.items() if form is None} - small == {"first.1"}
    assert found["up.0"] == (8, (1, 48, 16, 4))
    found = forms(tp.quantize(token_network(), "int8-weights"))
    assert {name for name, form in found.items() if form} == {
        "words", "lstm.0", "lstm.1", "gru.0", "gru.1", "rnn.0", "rnn.1", "head.0",
    }  # fmt: skip


def test_filters_of_few_weights_have_8_bits_beside_4() -> None:
    found = forms(tp.quantize(image_network(), "int4-weights"))
    assert found["depthwise.0"] == (8, (1, 1, 32, 9)) and found["wide.0"] == (4, (1, 1, 48, 32))


def _added(table: Array) -> Graph:
    graph = Graph("positions")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (2, *table.shape)))
    graph.set_output("y", graph.add(Add(), x, graph.add_constant(table, "table")))
    return graph


def test_tables_of_positions_are_stored_and_rows_that_are_added_are_not() -> None:
    assert forms(tp.quantize(_added(weights(12, 96)), "int4-weights"))["table"] == (4, (1, 1, 24, 48))
    with pytest.raises(UsageError, match="no weight that int4-weights"):
        tp.quantize(_added(weights(1, 96)), "int4-weights")


def test_tflite_holds_filters_of_few_cells_in_bytes(tmp_path: Path) -> None:
    """XNNPACK has no kernels for 4 bits, and little is gained by them here; the numbers are the same."""
    conv, target = Conv((1, 1), ((0, 0), (0, 0)), (1, 1)), get_target("tflite")
    taken = {}
    for cells in (24, 32):
        graph = Graph("pointwise")
        x = graph.add_input("x", TensorType(DType.FLOAT32, (1, cells, 4, 4)))
        graph.set_output("y", graph.add(conv, x, graph.add_constant(weights(40, cells, 1, 1), "w")))
        stored = prepare(tp.quantize(graph, "int4-weights"), target)
        assert forms(stored)["w"] == (4, (1, 1, 40, cells))
        target.write(stored, tmp_path / "model.tflite", {})
        main = schema.ModelT.InitFromPackedBuf((tmp_path / "model.tflite").read_bytes(), 0).subgraphs[0]
        taken[cells] = {tensor.type for tensor in main.tensors} - {schema.TensorType.FLOAT32, schema.TensorType.INT32}
    assert taken == {24: {schema.TensorType.INT8}, 32: {schema.TensorType.INT4}}


def test_the_table_of_halves_takes_half_a_kilobyte(tmp_path: Path) -> None:
    target = get_target("onnx")
    target.write(prepare(tp.quantize(image_network(), "int4-weights"), target), tmp_path / "model.onnx", {})
    (table,) = (t for t in onnx.load(tmp_path / "model.onnx").graph.initializer if t.name == "stored/pairs")
    assert len(table.raw_data) == 512


@pytest.mark.parametrize(("cells", "block", "taken"), [(784, 64, 56), (96, 64, 48), (194, 64, 194), (64, 64, 64)])
def test_a_block_divides_its_row(cells: int, block: int, taken: int) -> None:
    graph = tp.quantize(linear(weights(8, cells)), "int4-weights", block=block)
    assert forms(graph)["w"] == (4, (1, 1, 8 * cells // taken, taken))


def test_layers_that_are_kept_float_keep_their_weights() -> None:
    graph = image_network()
    kept = tp.quantize(graph, "int8-weights", keep_float=["first", "st*"])
    before, after = ({v.name: v.array() for v in g.constants()} for g in (graph, kept))
    assert {name for name in after if np.array_equal(before[name], after[name]) and after[name].size > 512} == {
        "first.0", "stem.0",
    }  # fmt: skip


def test_a_norm_is_not_folded_into_rounded_weights() -> None:
    graph = tp.quantize(image_network(), "int8-weights")
    prepared = prepare(graph, get_target("tflite"))
    assert forms(prepared)["first.0"] is not None


def test_outliers_zeros_and_what_is_not_finite() -> None:
    weight = weights(6, 64)
    weight[0, 3] = 1e6
    weight[1] = 0
    out = rounded(weight, "int8-weights")
    assert out[0, 3] == pytest.approx(1e6, rel=1e-4) and np.all(out[1] == 0) and np.isfinite(out).all()
    assert snr(weight[2:], out[2:]) > 35
    broken = np.where(weight == 1e6, np.float32(np.inf), weight)
    with pytest.raises(UsageError, match="has no weight"):
        tp.quantize(linear(broken), "int8-weights")
    with pytest.raises(UsageError, match="has no weight"):
        tp.quantize(linear(weight), "float16")


def test_it_says_how_far_the_outputs_are_from_float32() -> None:
    graph = image_network()
    told = {}
    for scheme in ("float16", "int8-weights", "int4-weights"):
        stored = tp.quantize(graph, scheme)
        told[scheme] = stored.metadata["quantization"]["sqnr_db"]
        assert f"{told[scheme]} dB (SQNR)" in stored.notices[-1]
        wanted, got = (g.samples[0].outputs["y"].astype(np.float64) for g in (graph, stored))
        assert told[scheme] == pytest.approx(snr(wanted, got), abs=0.06)
    assert told["float16"] > told["int8-weights"] + 10 > told["int4-weights"] + 20


@pytest.mark.parametrize(
    ("scheme", "options", "says"),
    [
        ("int5", {}, "scheme 'int5' is not known"),
        ("int8-weights", {"calibration": np.zeros((4, 8), np.float32)}, "no use for calibration"),
        ("float16", {"io": "int8", "recover": "bias"}, "no use for io, recover bias"),
        ("float16", {"recover": "gptq"}, "no use for recover gptq"),
        ("int8-weights", {"recover": ["gptq", "bias"], "samples": 3}, "no use for recover bias"),
        ("int4-weights", {"recover": "gptq"}, "recover gptq needs samples"),
        ("int4-weights", {"recover": ["gptq", "adaround"]}, "both choose every weight"),
        ("float16", {"block": 32}, "has no blocks"),
        ("int8", {"block": 32}, "has no blocks"),
        ("int4-weights", {"block": 48}, "block 48 is not known"),
        ("int8-weights", {"keep_float": "tail"}, 'keep_float "tail" names no node'),
    ],
)
def test_options_without_a_meaning_are_refused(scheme: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        tp.quantize(linear(weights(8, 64)), scheme, **options)


def chained(count: int, *shape: int) -> Array:
    """Samples whose cells hang together, as those of pictures and sounds do, and have a mean."""
    walks = np.random.default_rng(7).normal(0, 1, (count, *shape)).cumsum(-1)
    return (walks / np.sqrt(np.arange(1, shape[-1] + 1)) + 0.3).astype(np.float32)


@pytest.mark.parametrize("recover", ["gptq", "adaround"])
def test_codes_that_keep_outputs_lose_less_than_the_nearest(recover: str) -> None:
    graph, x = linear(weights(24, 128)), chained(256, 2, 128)
    feeds = [{"x": sample} for sample in x]
    exact = np.stack([graph.run(feed)["y"] for feed in feeds])
    lost = {}
    for methods in ((), (recover,)):
        stored = tp.quantize(graph, "int4-weights", recover=methods, calibration=feeds if methods else None)
        lost[methods] = snr(exact, np.stack([stored.run(feed)["y"] for feed in feeds]))
        assert forms(stored) == {"w": (4, (1, 1, 48, 64))}
    assert lost[recover,] > lost[()] + 2, lost


def test_every_kind_of_layer_keeps_its_outputs() -> None:
    for graph, feeds, scheme in (
        (image_network(), image_feeds, "int8-weights"),
        (token_network(), token_feeds, "int4-weights"),
    ):
        calibration = [feeds(batch) for batch in (1, 2, 7, 7)]
        nearest = tp.quantize(graph, scheme)
        kept = tp.quantize(graph, scheme, recover="gptq", calibration=calibration)
        assert forms(kept) == forms(nearest)
        before, after = ({v.name: v.array() for v in g.constants()} for g in (nearest, kept))
        same = {name for name, form in forms(kept).items() if form and np.array_equal(before[name], after[name])}
        assert same == ({"words"} if graph.name == "tokens" else set())
        exact, plain, chosen = (g.run(feeds(7))["y"] for g in (graph, nearest, kept))
        assert snr(exact, chosen) > snr(exact, plain) + 1


def test_the_command_takes_samples_for_codes_that_keep_outputs(tmp_path: Path) -> None:
    image_network().save(tmp_path / "m.triport")
    np.savez(tmp_path / "data.npz", x=image_feeds(40)["x"])
    arguments = ["--scheme", "int4-weights", "--recover", "gptq", "--calibration", str(tmp_path / "data.npz")]
    done = quantize_command(str(tmp_path / "m.triport"), *arguments, "-o", str(tmp_path / "q.triport"))
    assert done.returncode == 0, done.stderr
    idle = quantize_command(str(tmp_path / "m.triport"), "--scheme", "int4-weights", *arguments[-2:])
    assert idle.returncode == 2 and "--calibration would be ignored" in idle.stderr and "gptq" in idle.stderr


def test_rounded_weights_are_not_rounded_again() -> None:
    stored = tp.quantize(linear(weights(8, 64)), "int8-weights")
    for scheme in ("float16", "int8"):
        with pytest.raises(UsageError, match="quantized already"):
            tp.quantize(stored, scheme, calibration=None)


def test_small_models_have_nothing_to_store() -> None:
    with pytest.raises(UsageError, match="fewer than 64 numbers"):
        tp.quantize(linear(weights(2, 8)), "int4-weights")


@pytest.mark.parametrize(
    ("scheme", "block", "most"),
    [("float16", None, 0.51), ("int8-weights", None, 0.27), ("int4-weights", None, 0.16), ("int4-weights", 0, 0.14)],
)
def test_every_file_is_small(scheme: str, block: int | None, most: float, tmp_path: Path) -> None:
    graph = Graph("perceptron")
    y = graph.add_input("x", TensorType(DType.FLOAT32, (2, 512)))
    for i in range(2):
        y = graph.add(Linear(), y, graph.add_constant(weights(512, 512, seed=i)), graph.add_constant(weights(512)))
    graph.set_output("y", y)
    stored = tp.quantize(graph, scheme, block=block)
    stored.save(tmp_path / "model.triport")
    for name in ("onnx", "tflite", "web"):
        target = get_target(name)
        target.write(prepare(stored, target), tmp_path / target.artefact, {})
    files = ["model.triport", "model.onnx", "model.tflite", "web/weights.bin"]
    sizes = {file: (tmp_path / file).stat().st_size / graph.parameter_bytes() for file in files}
    assert max(sizes.values()) < most, sizes


def test_onnx_multiplies_blocks_and_expands_the_rest(tmp_path: Path) -> None:
    stored, target = tp.quantize(image_network(), "int4-weights", block=64), get_target("onnx")
    target.write(prepare(stored, target), tmp_path / "model.onnx", {})
    model = onnx.load(tmp_path / "model.onnx")
    (product,) = (node for node in model.graph.node if node.op_type == "MatMulNBits")
    assert {a.name for a in product.attribute} == {"K", "N", "bits", "block_size"}  # no accuracy_level
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [17] and model.ir_version == 8


def test_an_odd_number_of_codes_takes_bytes_in_onnx(tmp_path: Path) -> None:
    graph = Graph("odd")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (1, 3, 5, 5)))
    conv = Conv((1, 1), ((0, 0), (0, 0)), (1, 1))
    graph.set_output("y", graph.add(conv, x, graph.add_constant(weights(3, 3, 5, 5), "w")))
    stored, target = tp.quantize(graph, "int4-weights"), get_target("onnx")
    target.write(prepare(stored, target), tmp_path / "model.onnx", {})
    kept = {t.name: t for t in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert onnx.numpy_helper.to_array(kept["w/codes"]).dtype == np.int8


def test_the_command_takes_blocks_and_layers_to_keep(tmp_path: Path) -> None:
    image_network().save(tmp_path / "m.triport")
    arguments = [
        "--scheme",
        "int4-weights",
        "--block",
        "32",
        "--keep-float",
        "first",
        "-o",
        str(tmp_path / "q.triport"),
    ]
    done = quantize_command(str(tmp_path / "m.triport"), *arguments)
    assert done.returncode == 0 and "written to" in done.stderr and "dB (SQNR)" in done.stderr
    found = forms(tp.Graph.load(tmp_path / "q.triport"))
    assert found["first.0"] is None and found["second.0"] == (4, (1, 1, 768, 32))


def quantize_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "triport", "quantize", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
