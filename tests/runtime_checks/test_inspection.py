"""What files say of themselves; damaged ones are refused, never crash."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_graphs import convnet

from triport.exporter.errors import FormatError, UsageError
from triport.exporter.preprocessing import Preprocessing
from triport.runtime_checks import inspect

PARAMETERS = 4 * 9 + 4 + 640 + 10


def test_a_graph_file(model_file: Path) -> None:
    summary = inspect(model_file)
    assert (summary.kind, summary.name, summary.parameters) == ("triport graph", "convnet", PARAMETERS)
    assert list(map(str, summary.inputs)) == ["image float32[batch, 1, 8, 8]"]
    assert summary.ops["conv"] == 1
    assert summary.weight_bytes == 4 * PARAMETERS


def test_labels_and_preprocessing(tmp_path: Path) -> None:
    rules = Preprocessing(range=(0, 16), channels="grey")
    convnet().describe([f"digit {i}" for i in range(10)], rules).save(tmp_path / "m.triport")
    assert inspect(tmp_path / "m.triport").described == [
        "scores: " + ", ".join(f"digit {i}" for i in range(10)),
        "image: size [8, 8], range [0.0, 16.0], channels grey",
    ]


def test_an_onnx_file(exported: Path) -> None:
    path = exported / "model.onnx"
    summary = inspect(path)
    model = onnx.load(str(path))
    assert (summary.kind, summary.name, summary.parameters) == ("ONNX", "convnet", PARAMETERS)
    assert summary.producer.startswith("triport")
    assert sum(summary.ops.values()) == len(model.graph.node)
    assert summary.needs == {"ir_version": str(model.ir_version), "opset": str(model.opset_import[0].version)}
    assert list(map(str, summary.inputs)) == ["image float32[batch, 1, 8, 8]"]
    assert list(map(str, summary.outputs)) == ["scores float32[batch, 10]"]
    assert summary.bytes == path.stat().st_size


def test_an_onnx_file_of_somebody_else(tmp_path: Path) -> None:
    """Typed data instead of raw data, an initialiser that is an input too, a domain, a scalar, a dim without a name."""
    helper, tensor = onnx.helper, onnx.TensorProto
    weight = helper.make_tensor("w", tensor.INT8, [2, 3], [1, 2, 3, 4, 5, 6])
    inputs = [helper.make_tensor_value_info(n, tensor.INT8, s) for n, s in (("x", [None, 2]), ("w", [2, 3]))]
    outputs = [helper.make_tensor_value_info("y", tensor.INT32, [])]
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["x", "w"], ["y"])], "g", inputs, outputs, [weight])
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=7), str(tmp_path / "x.onnx"))
    summary = inspect(tmp_path / "x.onnx")
    assert list(map(str, summary.inputs)) == ["x int8[?, 2]"]
    assert list(map(str, summary.outputs)) == ["y int32[]"]
    assert (summary.parameters, summary.weight_bytes) == (6, 6)
    assert summary.needs == {"ir_version": "7", "opset": "13", "opset com.microsoft": "1"}
    assert summary.quantization == "1 quantizing ops"


def test_a_tflite_file(exported: Path) -> None:
    summary = inspect(exported / "model.tflite")
    assert (summary.kind, summary.parameters) == ("TFLite", PARAMETERS)
    assert summary.ops["CONV_2D"] == 1
    assert [tensor.shape for tensor in summary.inputs] == [["?", 1, 8, 8]]
    assert summary.needs["runtime"]


def test_a_bundle(exported: Path) -> None:
    summary = inspect(exported / "web")
    assert (summary.kind, summary.name, summary.parameters) == ("browser bundle", "convnet", None)
    assert list(map(str, summary.inputs)) == ["image float32[batch, 1, 8, 8]"]
    assert summary.weight_bytes == (exported / "web" / "weights.bin").stat().st_size
    assert summary.bytes == sum(path.stat().st_size for path in (exported / "web").iterdir())


def test_an_export_folder_and_its_parts(exported: Path) -> None:
    summary = inspect(exported)
    assert summary.kind == "export folder"
    assert [part.kind for part in summary.parts] == ["ONNX", "TFLite", "browser bundle"]
    assert summary.parameters == PARAMETERS
    assert json.loads(json.dumps(summary.to_json()))["parts"][0]["kind"] == "ONNX"


def test_what_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        inspect(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["empty.onnx", "empty.tflite", "empty.triport", "empty.txt"])
def test_an_empty_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(FormatError):
        inspect(tmp_path / name)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no triport\.json and no plan\.json"):
        inspect(tmp_path)


@pytest.mark.parametrize(
    "plan", ["{}", "[]", '{"format": "triport-web"}', '{"format": "other"}', '{"format": "triport-web", "weights": 1}']
)
def test_a_damaged_plan_is_refused(plan: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(plan)
    with pytest.raises(FormatError):
        inspect(tmp_path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_onnx_file_is_refused(kept: float, exported: Path, tmp_path: Path) -> None:
    content = (exported / "model.onnx").read_bytes()
    path = tmp_path / "short.onnx"
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(FormatError, match="is not an ONNX model"):
        inspect(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_onnx_file_is_read_or_refused(exported: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray((exported / "model.onnx").read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        summary = inspect(path)
    except FormatError:
        return
    assert summary.kind == "ONNX"
