"""The file as a whole: names, versions, bytes, memory, and what is refused before a byte is written."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ai_edge_litert.interpreter import Interpreter

from triport.exporter.errors import ModelError
from triport.exporter.graph import DType, Graph, Quantization, Sym, TensorType
from triport.exporter.ops import (
    REGISTRY,
    Activation,
    Add,
    BatchNorm,
    Clamp,
    Conv,
    ConvTranspose,
    Elu,
    Gelu,
    HardSigmoid,
    Identity,
    LayerNorm,
    Layout,
    Linear,
    MatMul,
    MaxPool,
    Mish,
    QuantizedAdd,
    ReduceMean,
    Relu,
    Resize,
    ResizeMode,
    Selu,
    Silu,
    Softplus,
    Softsign,
    Transpose,
)
from triport.exporter.passes.decompose import can_decompose
from triport.exporter.reference import run_graph
from triport.targets.prepare import prepare
from triport.targets.tflite import TFLiteTarget, summarize
from triport.targets.tflite.registry import EMITTERS

BATCH = Sym.named("batch")
LAST = Layout.CHANNELS_LAST


def test_every_op_is_spelled_decomposed_or_refused_with_a_reason() -> None:
    silent = [name for name, op in REGISTRY.items() if not EMITTERS.knows(op) and not can_decompose(op)]
    assert silent == []


@pytest.mark.parametrize(
    ("op", "formula"),
    [
        (Mish(), F.mish),
        (Softplus(), F.softplus),
        (Softsign(), F.softsign),
        (Silu(), F.silu),
        (Selu(), F.selu),
        (HardSigmoid(), F.hardsigmoid),
        (Elu(0.5), lambda t: F.elu(t, 0.5)),
        (Clamp(-0.5, 2.0), lambda t: t.clamp(-0.5, 2.0)),
        (LayerNorm(1, 1e-3), lambda t: F.layer_norm(t, (3,), eps=1e-3)),
        (LayerNorm(2, 1e-5), lambda t: F.layer_norm(t, (5, 3))),
    ],
    ids=lambda case: case.name if hasattr(case, "name") else "",
)
def test_decomposed_ops_equal_torch(bench: Any, sketch: Any, op: Any, formula: Any) -> None:
    graph = sketch.output(sketch.op(op, sketch.input(BATCH, 5, 3)))
    prepared = prepare(graph, bench.target)
    bench.agree(prepared, lambda x: formula(torch.from_numpy(x).double()).numpy(), scale=4.0)


def channels_first_network(sketch: Any) -> Any:
    """A CNN as torch has it, between an image and a result with the channels last."""
    x = sketch.op(Transpose((0, 3, 1, 2)), sketch.input(BATCH, 12, 10, 3, name="image"))
    x = sketch.op(Conv((2, 2), ((1, 1), (1, 1)), (1, 1)), x, sketch.constant(8, 3, 3, 3), sketch.constant(8))
    statistics = [sketch.constant(8) for _ in range(3)]
    variance = sketch.of(np.abs(sketch.rng.normal(size=8)).astype(np.float32) + 0.5)
    x = sketch.op(BatchNorm(1e-3), x, *statistics, variance)
    x = skip = sketch.op(Clamp(0.0, 6.0), x)
    x = sketch.op(Conv((1, 1), ((1, 1), (1, 1)), (1, 1), 8), x, sketch.constant(8, 1, 3, 3), sketch.constant(8))
    x = sketch.op(Relu(), sketch.op(Add(), x, skip))
    x = sketch.op(MaxPool((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)), x)
    x = sketch.op(ConvTranspose((2, 2), ((1, 1), (1, 1)), (1, 1)), x, sketch.constant(8, 4, 4, 4), sketch.constant(4))
    x = sketch.op(Resize((9, 9), ResizeMode.BILINEAR), x)
    x = sketch.op(ReduceMean((2, 3), False), x)
    return sketch.output(sketch.op(Linear(), x, sketch.constant(5, 4), sketch.constant(5)), "scores")


def test_no_transpose_is_left_in_a_convolutional_network(bench: Any, sketch: Any) -> None:
    codes = bench.codes(prepare(channels_first_network(sketch), bench.target))
    assert codes == [
        "PAD", "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "PAD", "MAX_POOL_2D", "PAD", "CONV_2D", "DEPTH_TO_SPACE",
        "STRIDED_SLICE", "RESIZE_BILINEAR", "MEAN", "FULLY_CONNECTED",
    ]  # fmt: skip


def test_a_channels_first_network_answers_as_its_reference(bench: Any, sketch: Any) -> None:
    graph = channels_first_network(sketch)
    bench.agree(
        prepare(graph, bench.target), lambda image: run_graph(graph, {"image": image}, dtype=DType.FLOAT64)["scores"]
    )


def test_names_of_inputs_and_outputs_are_in_the_signature(bench: Any, sketch: Any) -> None:
    left, right = sketch.input(BATCH, 3, name="left"), sketch.input(BATCH, 3, name="right")
    sketch.output(sketch.op(Add(), left, right), "total")
    graph = sketch.output(sketch.op(Relu(), left), "positive")
    runner = Interpreter(str(bench.write(graph))).get_signature_runner("serving_default")
    got = runner(left=np.array([[1, -2, 3]], np.float32), right=np.array([[1, 1, 1]], np.float32))
    assert got["total"].tolist() == [[2, -1, 4]] and got["positive"].tolist() == [[1, 0, 3]]


def test_tensors_have_the_names_of_the_values_whatever_the_writer_adds(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH, 8, 8, 2)
    padded = MaxPool((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), LAST)
    y = sketch.graph.add(padded, x, name="pool")
    graph = sketch.output(sketch.op(Relu(), y), "pool/pad")
    names = [detail["name"] for detail in bench.load(graph).interpreter.get_tensor_details()]
    assert {"x", "pool:out", "pool/pad", "_0"} <= set(names)
    assert len(set(names)) == len(names)


def test_a_constant_may_be_an_output(bench: Any, sketch: Any) -> None:
    sketch.output(sketch.op(Relu(), sketch.input(BATCH, 2)), "computed")
    constant = sketch.constant(3)
    graph = sketch.output(sketch.op(Identity(), constant), "stored")
    bench.agree(graph, lambda x: (np.maximum(x, 0), constant.array()))


def conv(dilation: int, groups: int) -> Conv:
    return Conv((1, 1), ((0, 0), (0, 0)), (dilation, dilation), groups, LAST)


@pytest.mark.parametrize(
    ("build", "operator", "version", "runtime"),
    [
        (lambda s: s.op(Relu(), s.input(BATCH, 3)), "RELU", 1, "1.5.0"),
        (lambda s: s.op(Linear(), s.input(BATCH, 2, 3), s.constant(4, 3)), "FULLY_CONNECTED", 5, "2.0.0"),
        (lambda s: s.op(Gelu(), s.input(BATCH, 3)), "GELU", 1, "2.9.0"),
        (lambda s: s.op(MatMul(), s.input(BATCH, 2, 3), s.constant(3, 4)), "BATCH_MATMUL", 1, "2.3.0"),
        (lambda s: s.op(Transpose((0, 4, 3, 2, 1)), s.input(BATCH, 2, 3, 4, 5)), "TRANSPOSE", 4, "2.3.0"),
        (
            lambda s: s.op(
                Conv((1, 1), ((0, 0), (0, 0)), (2, 2), 4, LAST), s.input(2, 9, 9, 4), s.constant(4, 3, 3, 1)
            ),
            "DEPTHWISE_CONV_2D",
            2,
            "1.12.0",
        ),
        (
            lambda s: s.op(
                Conv((1, 1), ((0, 0), (0, 0)), (1, 1), 2, LAST), s.input(2, 9, 9, 4), s.constant(4, 3, 3, 2)
            ),
            "CONV_2D",
            6,
            "2.9.0",
        ),
    ],
)
def test_operator_versions_are_the_lowest_that_do(
    bench: Any, sketch: Any, build: Any, operator: str, version: int, runtime: str
) -> None:
    summary = summarize(bench.write(sketch.output(build(sketch))))
    assert [(op.name, op.version) for op in summary.operators] == [(operator, version)]
    assert summary.runtime == runtime


def test_equal_arrays_are_stored_once(bench: Any, sketch: Any) -> None:
    array = sketch.rng.normal(size=(64, 64)).astype(np.float32)
    x = sketch.input(BATCH, 64)
    for copy in (array, array.copy(), array.copy()):
        x = sketch.op(Linear(Activation.RELU), x, sketch.of(copy))
    path = bench.write(sketch.output(x))
    assert path.stat().st_size < array.nbytes + 4000
    assert summarize(path).parameters == array.size
    bench.agree(sketch.graph, lambda x: _three_layers(x, array))


def _three_layers(x: Any, weight: Any) -> Any:
    for _ in range(3):
        x = np.maximum(x.astype(np.float64) @ weight.T, 0)
    return x


def test_arrays_that_differ_in_one_cell_in_the_middle_are_both_stored(bench: Any, sketch: Any) -> None:
    first = np.zeros((64, 64), np.float32)
    second = first.copy()
    second[32, 32] = 1.0
    x = sketch.op(Linear(), sketch.input(BATCH, 64), sketch.of(first))
    graph = sketch.output(sketch.op(Linear(), x, sketch.of(second)))
    assert summarize(bench.write(graph)).parameters == 2 * first.size


def test_writing_takes_no_second_copy_of_the_weights(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH, 1024)
    for _ in range(4):
        x = sketch.op(Linear(), x, sketch.constant(1024, 1024))
    graph = sketch.output(x)
    tracemalloc.start()
    bench.target.write(graph, bench.folder / "large.tflite", {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (bench.folder / "large.tflite").stat().st_size > 16 * 2**20
    assert peak < 2**20


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    script = "\n".join(
        [
            "import sys, pathlib",
            "import numpy as np",
            "from triport.exporter.graph import DType, Graph, Sym, TensorType",
            "from triport.exporter.ops import Linear, Mish, Add",
            "from triport.targets.prepare import prepare",
            "from triport.targets.tflite import TFLiteTarget",
            "g = Graph('twice')",
            "x = g.add_input('x', TensorType(DType.FLOAT32, (Sym.named('batch'), 8)))",
            "w = g.add_constant(np.arange(64, dtype=np.float32).reshape(8, 8))",
            "y = g.add(Add(), g.add(Mish(), g.add(Linear(), x, w)), x)",
            "g.rename(y, 'y'); g.set_output('y', y)",
            "target = TFLiteTarget()",
            "manifest = {'labels': ['b', 'a'], 'z': 1, 'a': {'q': 2}}",
            "target.write(prepare(g, target), pathlib.Path(sys.argv[1]), manifest)",
        ]
    )
    written = []
    for seed in ("0", "1"):
        path = tmp_path / f"{seed}.tflite"
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", script, str(path)], check=True, env=environment)
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert b'{"a":{"q":2},"labels":["b","a"],"z":1}' in written[0]


def test_two_gigabytes_are_refused_before_anything_is_written(bench: Any, sketch: Any, tmp_path: Path) -> None:
    huge = np.broadcast_to(np.float32(0), (2**16, 2**13))  # 2 GiB of which 4 bytes exist
    graph = sketch.output(sketch.op(Linear(), sketch.input(BATCH, 2**13), sketch.of(huge)))
    with pytest.raises(ModelError, match=r"TP106.*2\.15 GB"):
        bench.target.write(graph, tmp_path / "huge.tflite", {})
    assert list(tmp_path.glob("huge*")) == []


def test_the_target_says_what_it_is() -> None:
    target = TFLiteTarget()
    assert (target.name, target.artefact) == ("tflite", "model.tflite")
    assert target.capabilities.layout is LAST and target.capabilities.lifts_1d


def test_shapes_quantizations_and_options_are_written_once(bench: Any, tmp_path: Path) -> None:
    """So that a convolution more, like one before, takes a few tables and no vectors but those of its operands."""
    sizes = []
    for count in (2, 12):
        graph = Graph(f"chain_{count}")
        codes = Quantization(0.5, 3)
        x = y = graph.add_input("x", TensorType(DType.INT8, (BATCH, 3, 5, 7), codes))
        for _ in range(count):
            y = graph.add(QuantizedAdd(codes, of=(codes, codes)), y, x)
        graph.set_output("y", y)
        sizes.append(bench.write(graph).stat().st_size)
    assert (sizes[1] - sizes[0]) / 10 < 100
