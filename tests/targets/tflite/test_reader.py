"""The summary of a .tflite file, and what happens when the file is not sound."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triport.exporter.errors import EnvironmentError_, FormatError
from triport.exporter.graph import DType, Graph, Quantization, Sym
from triport.exporter.ops import Conv, Gather, Layout, Linear, MaxPool, Relu, Reshape
from triport.targets.tflite import summarize
from triport.targets.tflite.reader import summarize_bytes
from triport.targets.tflite.schema import Builder, schema

BATCH = Sym.named("batch")
LAST = Layout.CHANNELS_LAST


def small_cnn(sketch: Any) -> Graph:
    x = sketch.input(BATCH, 8, 8, 2, name="image")
    conv = Conv((2, 2), ((1, 1), (1, 1)), (1, 1), 1, LAST)
    x = sketch.op(conv, x, sketch.constant(4, 3, 3, 2), sketch.constant(4))
    x = sketch.op(MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), LAST), x)
    x = sketch.op(Linear(), sketch.op(Reshape((BATCH, 16)), x), sketch.constant(3, 16), sketch.constant(3))
    graph: Graph = sketch.output(x, "scores")
    return graph


def test_summary_names_what_is_in_the_file(bench: Any, sketch: Any) -> None:
    summary = summarize(bench.write(small_cnn(sketch)))
    assert [(t.name, t.dtype, t.shape) for t in summary.inputs] == [("image", "float32", (-1, 8, 8, 2))]
    assert [(t.name, t.dtype, t.shape) for t in summary.outputs] == [("scores", "float32", (-1, 3))]
    counts = {op.name: (op.version, op.count) for op in summary.operators}
    assert counts == {
        "CONV_2D": (1, 1),
        "FULLY_CONNECTED": (1, 1),
        "MAX_POOL_2D": (1, 1),
        "PAD": (1, 1),
        "RESHAPE": (1, 1),
    }
    assert summary.parameters == 4 * 3 * 3 * 2 + 4 + 3 * 16 + 3
    assert summary.parameter_bytes == 4 * summary.parameters
    assert summary.weights == {"float32": summary.parameters}
    assert summary.runtime == "1.5.0"
    assert summary.signatures == ("serving_default",)
    assert "min_runtime_version" in summary.metadata
    assert summary.description == "graph, written by triport"
    assert summary.to_json()["inputs"][0]["shape"] == (-1, 8, 8, 2)


def test_int64_becomes_int32_on_the_device(bench: Any, sketch: Any) -> None:
    ids = sketch.input(BATCH, 5, name="ids", dtype=DType.INT64)
    summary = summarize(bench.write(sketch.output(sketch.op(Gather(0), sketch.constant(7, 2), ids))))
    assert summary.inputs[0].dtype == "int32"


def test_quantization_of_a_tensor_is_kept(bench: Any, sketch: Any) -> None:
    x = sketch.codes(BATCH, 4, of=Quantization(0.25, -3))
    y = sketch.op(Reshape((BATCH, 2, 2)), x)
    summary = summarize(bench.write(sketch.output(y)))
    assert summary.quantized_tensors == 2
    assert summary.inputs[0].quantization is not None
    assert summary.inputs[0].quantization.scale == (0.25,)
    assert summary.inputs[0].quantization.zero_point == (-3,)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x1c\0\0\0TFL2" + b"\0" * 64, b"PK\x03\x04" + b"\0" * 64])
def test_other_files_are_named_as_such(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="TP410"):
        summarize(path)


def test_a_missing_file_is_no_format_error(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentError_, match="TP340"):
        summarize(tmp_path / "nothing.tflite")


def test_every_truncation_is_noticed(bench: Any, sketch: Any) -> None:
    whole = bench.write(small_cnn(sketch)).read_bytes()
    for length in range(len(whole)):
        with pytest.raises(FormatError):
            summarize_bytes(whole[:length])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes_give_a_summary_or_a_format_error(
    bench: Any, request: Any, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(_written(bench, request))
    for position, byte in changes:
        data[position % len(data)] = byte
    try:
        summarize_bytes(data)
    except FormatError as error:
        assert error.code in ("TP410", "TP411")


def _written(bench: Any, request: Any) -> bytes:
    """The small CNN's file, written once for all examples."""
    path: Path = bench.folder / "graph.tflite"
    if not path.exists():
        bench.write(small_cnn(request.getfixturevalue("sketch")))
    return path.read_bytes()


def test_a_small_file_cannot_keep_the_reader_busy() -> None:
    """A hundred thousand tensors that are all the same one, with a name of a hundred thousand letters: 500 kB."""
    count = 100_000
    builder = Builder(count * 10)
    name = builder.CreateString("n" * count)
    schema.BufferStart(builder)
    buffer = schema.BufferEnd(builder)
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(buffer)
    buffers = builder.EndVector()
    schema.TensorStart(builder)
    schema.TensorAddName(builder, name)
    tensor = schema.TensorEnd(builder)
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    subgraph = schema.SubGraphEnd(builder)
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(subgraph)
    subgraphs = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, subgraphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    with pytest.raises(FormatError, match=r"TP411.*over and over"):
        summarize_bytes(bytes(builder.Output()))


@pytest.mark.parametrize(
    ("table", "slot", "problem"),
    [
        ("operator", 0, "code 77 of 5"),
        ("operator", 1, r"\(FULLY_CONNECTED\) refers to tensor 77"),
        ("tensor", 2, "refers to buffer 77"),
        ("subgraph", 2, "no tensor of it"),
    ],
)
def test_an_index_beyond_its_list_is_named(bench: Any, sketch: Any, table: str, slot: int, problem: str) -> None:
    data = bytearray(bench.write(small_cnn(sketch)).read_bytes())
    model = schema.Model.GetRootAs(data, 0)
    subgraph = model.Subgraphs(0)
    convolution = next(
        operator
        for operator in map(subgraph.Operators, range(subgraph.OperatorsLength()))
        if (operator.InputsLength() == 3 and operator.OpcodeIndex() > 0) or table != "operator"
    )
    weight = subgraph.Tensors(convolution.Inputs(1))
    fields = {"operator": convolution, "tensor": weight, "subgraph": subgraph}[table]._tab
    place = fields.Pos + fields.Offset(4 + 2 * slot)
    if slot and table != "tensor":  # a list of indices: change its first
        place += struct.unpack_from("<I", data, place)[0] + 4
    struct.pack_into("<I", data, place, 77)
    with pytest.raises(FormatError, match=f"TP411.*{problem}"):
        summarize_bytes(data)


def test_weights_that_share_their_bytes_count_once(bench: Any, sketch: Any) -> None:
    x = sketch.op(Linear(), sketch.input(BATCH, 4), sketch.of(np.arange(8, dtype=np.float32).reshape(2, 4)))
    x = sketch.op(Linear(), x, sketch.of(np.arange(8, dtype=np.float32).reshape(4, 2)))
    assert summarize(bench.write(sketch.output(x))).parameters == 8


def test_relu_alone_is_a_whole_model(bench: Any, sketch: Any) -> None:
    summary = summarize(bench.write(sketch.output(sketch.op(Relu(), sketch.input(BATCH, 3)))))
    assert summary.parameters == 0 and summary.operators[0].since == "1.5.0"
