"""triport.json: written, read back, and refused when it is not what it should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from small_graphs import BATCH, convnet

from triport.exporter.errors import FormatError
from triport.exporter.graph import Array, DType, Graph, Recipe, Sample, TensorType
from triport.exporter.graph.file import save_graph
from triport.exporter.ops import Layout, MaxPool, Relu, Transpose
from triport.exporter.passes.input_layout import layout_of
from triport.runtime_checks.manifest import (
    _sha256,
    check_files,
    fingerprint,
    golden_samples,
    manifest,
    read_manifest,
)

DTYPES = st.sampled_from([dtype.numpy for dtype in DType])


@given(DTYPES.flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0))))
def test_golden_arrays_come_back_bit_for_bit(array: Array) -> None:
    document = json.loads(json.dumps(manifest({}, {}, [Sample({"x": array}, {"y": array})])))
    (sample,) = golden_samples(document)
    for back in (sample.inputs["x"], sample.outputs["y"]):
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert back.tobytes() == array.tobytes()


def test_golden_recipes_come_back_as_recipes() -> None:
    recipe = Recipe(DType.FLOAT32, (2, 3), 7, -1.0, 1.0)
    (sample,) = golden_samples(manifest({}, {}, [Sample({}, {"y": np.zeros(1)}, {"x": recipe})]))
    assert sample.recipes == {"x": recipe}
    assert sample.inputs["x"].shape == (2, 3)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "float32", "shape": [2], "base64": "AAAA"},
        {"dtype": "float32", "shape": [1], "base64": "!!!!"},
        {"dtype": "object", "shape": [1], "base64": "AAAAAA=="},
        {"dtype": "float32", "shape": [2**40, 2**40], "recipe": {"seed": 0, "low": 0, "high": 1}},
        {"dtype": "float32", "shape": [1], "recipe": {"seed": 0}},
        "text",
    ],
)
def test_a_damaged_golden_sample_is_refused(entry: Any) -> None:
    with pytest.raises(FormatError) as error:
        golden_samples({"golden": [{"inputs": {"x": entry}, "outputs": {}}]})
    assert error.value.code == "TP420"


def test_the_fingerprint_is_the_sum_of_the_saved_file(tmp_path: Path) -> None:
    graph = convnet()
    save_graph(graph, tmp_path / "m.triport")
    assert fingerprint(graph) == _sha256(tmp_path / "m.triport")
    assert fingerprint(convnet(1)) != fingerprint(graph)


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.pop(key)


@pytest.mark.parametrize(
    "damage",
    [
        *(drop(key) for key in ("format", "version", "model", "inputs", "outputs", "ports", "golden")),
        lambda d: d.update(version=2),
        lambda d: d.update(ports=[]),
        lambda d: d["ports"].update(onnx={"artefact": "model.onnx"}),
        lambda d: d["ports"]["onnx"]["files"].update({"model.onnx": {"bytes": 3}}),
        lambda d: d["inputs"].append("x"),
    ],
)
def test_a_damaged_manifest_is_refused(
    damage: Callable[[dict[str, Any]], None], exported: Path, tmp_path: Path
) -> None:
    document = json.loads((exported / "triport.json").read_text())
    damage(document)
    (tmp_path / "triport.json").write_text(json.dumps(document))
    with pytest.raises(FormatError) as error:
        read_manifest(tmp_path)
    assert error.value.code == "TP420"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "triport.json").write_bytes(content)
    with pytest.raises(FormatError):
        read_manifest(tmp_path)


def test_a_manifest_names_no_file_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("")
    (tmp_path / "dist").mkdir()
    with pytest.raises(FormatError, match="outside of the folder"):
        check_files(tmp_path / "dist", {"files": {"../secret": {"bytes": 0, "sha256": ""}}})


def test_the_layout_of_an_input_is_that_of_the_first_spatial_op_behind_it() -> None:
    def layout(*ops: Any, shape: tuple[int, ...] = (8, 8, 3)) -> str | None:
        graph = Graph()
        y = x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, *shape)))
        for op in ops:
            y = graph.add(op, y)
        graph.set_output("y", y)
        return layout_of(graph, x)

    pool = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    last = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), Layout.CHANNELS_LAST)
    line = MaxPool((2,), (2,), ((0, 0),), (1,))
    assert layout(Relu(), pool) == "NCHW"
    assert layout(Relu(), last) == "NHWC"
    assert layout(line, shape=(4, 8)) == "NCL"
    assert layout(Relu()) is None
    assert layout(Relu(), shape=(4,)) is None
    assert layout(Transpose((0, 3, 1, 2)), pool) == "NHWC"
