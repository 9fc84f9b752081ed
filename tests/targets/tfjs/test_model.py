"""What a graph model says of itself, and forms that op cases have not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases.case import BATCH, Const, Data, OpCase
from test_op_cases import BATCHES

from triport.exporter import ops
from triport.exporter.errors import ModelError
from triport.exporter.graph import DType, Graph, Sym, TensorType
from triport.exporter.reference import run_graph
from triport.runtime_checks.runners.tfjs import Backend
from triport.targets.prepare import prepare
from triport.targets.tfjs import TfjsTarget
from triport.targets.tfjs.artefact import SHARD_BYTES

from .conftest import Open

BOOLS, MANY, NUMBERS = (
    Data((3, 4), dtype=DType.BOOL),
    Data((3, 4), 0, 200, DType.UINT8),
    Data((3, 4), -99, 99, DType.INT32),
)
_NO = ((0, 0), (0, 0))


def _moves(operand: Data) -> list[OpCase]:
    """Everything that moves cells without computing, of one operand."""
    rows = Const((2,), values=(2, 0), dtype=DType.INT64)
    plain: dict[str, tuple[ops.OpAttrs, tuple[Data | Const, ...]]] = {
        "reshape": (ops.Reshape((BATCH, 12)), (operand,)),
        "transpose": (ops.Transpose((2, 0, 1)), (operand,)),
        "slice": (ops.Slice((1, 2), (0, 1), (3, 4), (2, 1)), (operand,)),
        "steps": (ops.Slice((2,), (1,), (4,), (2,)), (operand,)),
        "concat": (ops.Concat(2), (operand, operand)),
        "expand": (ops.Expand((2, BATCH, 3, 4)), (operand,)),
        "reverse": (ops.Reverse((1, 2)), (operand,)),
        "pad": (ops.Pad((0, 1, 0), (0, 0, 2)), (operand,)),
        "reflect": (ops.BorderPad((0, 1, 0), (0, 0, 2), ops.BorderMode.REFLECT), (operand,)),
        "replicate": (ops.BorderPad((0, 1, 0), (0, 0, 2), ops.BorderMode.REPLICATE), (operand,)),
        "gather": (ops.Gather(1), (operand, rows)),
        "identity": (ops.Identity(), (operand,)),
    }
    return [OpCase(f"{name}/{operand.dtype.value}", op, operands) for name, (op, operands) in plain.items()]


MORE = [
    *(case for operand in (BOOLS, MANY, NUMBERS) for case in _moves(operand)),
    OpCase("add/eight_axes", ops.Add(), (Data((2,) * 7), Const((2, 2, 2, 1, 1, 2, 2)))),
    OpCase("pad/seven_axes", ops.Pad((0, 0, 0, 2, 0, 0, 1), (0, 0, 0, 1, 0, 0, 0)), (Data((1, 2, 1, 2, 1, 2)),)),
    OpCase("pad/six_axes", ops.Pad((0, 1, 0, 1, 1, 2), (0, 0, 2, 1, 0, 1), 0.5), (Data((1, 2, 1, 2, 3)),)),
    OpCase("max_pool/one_cell", ops.MaxPool((1, 1), (2, 2), _NO, (1, 1)), (Data((2, 5, 6)),)),
    OpCase("average_pool/one_cell", ops.AveragePool((1, 1), (2, 1), _NO, (1, 1)), (Data((2, 5, 6)),)),
    OpCase(
        "floor_divide/beyond_24_bits",
        ops.FloorDivide(),
        (Data((6,), values=(2**30 + 5, -(2**30) + 1, 2**30 - 1), dtype=DType.INT32),
         Data((6,), values=(1, 3, 2**30 - 1, -7, 65537), dtype=DType.INT32)),
    ),
    OpCase("div/negative_integers", ops.Div(), (Data((9,), -99, 99, DType.INT32), Data((9,), 1, 9, DType.INT32))),
    OpCase("sin/wide", ops.Sin(), (Data((50,), -20, 20),)),
    OpCase("sin/odd", ops.Sin(), (Data((4,), values=(math.nan, math.inf, 0.125, -0.125)),)),
    OpCase("linear/long_rows", ops.Linear(ops.Activation.RELU), (Data((3, 200)), Const((7, 200)), Const((7,)))),
    OpCase("matmul/long_rows", ops.MatMul(), (Data((2, 3, 200)), Data((2, 200, 5)))),
]  # fmt: skip


@pytest.mark.parametrize("backend", Backend, ids=lambda backend: backend.value)
@pytest.mark.parametrize("case", MORE, ids=lambda case: case.name)
def test_cells_arrive(case: OpCase, backend: Backend, open_graph: Open) -> None:
    graph = case.graph()
    session = open_graph(graph, backend)
    for batch in BATCHES:
        inputs = case.inputs(batch)
        want, got = run_graph(graph, inputs)["y"], session.run(inputs)["y"]
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=2e-5, atol=2e-5)


def _written(graph: Graph, folder: Path) -> dict[str, Any]:
    target = TfjsTarget()
    target.write(prepare(graph, target), folder, {})
    model: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return model


def test_model_json_is_what_tensorflow_js_documents(tmp_path: Path) -> None:
    graph = Graph("small")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    weight = graph.add_constant(np.ones((3, 4), np.float32), "weight")
    graph.set_output("y", graph.add(ops.Linear(), x, weight, name="layer"))
    model = _written(graph, tmp_path)
    assert (model["format"], list(model["signature"])) == ("graph-model", ["inputs", "outputs"])
    assert model["signature"]["inputs"]["x"] == {
        "name": "x:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}, {"size": "4"}]},
    }  # fmt: skip
    assert model["userDefinedMetadata"]["triport"]["inputs"] == [
        {"name": "x", "dtype": "float32", "shape": ["batch", 4]}
    ]
    (group,) = model["weightsManifest"]
    assert group["paths"] == ["group1-shard1of1.bin"]
    assert [(entry["dtype"], entry["shape"]) for entry in group["weights"]] == [("float32", [4, 3])]
    assert (tmp_path / "group1-shard1of1.bin").stat().st_size == 48


def test_weights_are_cut_into_shards_and_stored_once(tmp_path: Path, open_graph: Open) -> None:
    graph = Graph("large")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 1500)))
    array = np.random.default_rng(0).normal(0, 0.02, (1500, 1500)).astype(np.float32)
    for name in ("first", "second"):
        x = graph.add(ops.Linear(), x, graph.add_constant(array, name))
    graph.set_output("y", x)
    _written(graph, tmp_path)
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*.bin"))]
    assert sizes == [SHARD_BYTES, SHARD_BYTES, 4 * 1500 * 1500 - 2 * SHARD_BYTES]
    given = {"x": np.random.default_rng(1).normal(0, 1, (2, 1500)).astype(np.float32)}
    got = open_graph(graph, Backend.WASM).run(given)["y"]
    want = run_graph(graph, given)["y"]
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), atol=2e-5)


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    case = next(case for case in MORE if case.name == "linear/long_rows")
    for name in ("once", "again"):
        _written(case.graph(), tmp_path / name)
    for file in (tmp_path / "once").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


@pytest.mark.parametrize("backend", Backend, ids=lambda backend: backend.value)
def test_names_that_tensorflow_does_not_take(backend: Backend, open_graph: Open) -> None:
    """A colon would be the number of a result, and node names have no spaces."""
    graph = Graph("names")
    x, other = (graph.add_input(name, TensorType(DType.FLOAT32, (BATCH,))) for name in ("größe: 1", "__x"))
    graph.set_output("summe : 0", graph.add(ops.Add(), x, other, name="a:b"))
    got = open_graph(graph, backend).run({"größe: 1": np.ones(2, np.float32), "__x": np.ones(2, np.float32)})
    np.testing.assert_array_equal(got["summe : 0"], [2, 2])


@pytest.mark.parametrize("backend", Backend, ids=lambda backend: backend.value)
def test_outputs_that_are_inputs_constants_or_one_another(backend: Backend, open_graph: Open) -> None:
    graph = Graph("odd")
    x = graph.add_input("constructor", TensorType(DType.FLOAT32, (BATCH, 2)))
    y = graph.add(ops.Relu(), x, name="toString")
    graph.set_output("same", x)
    graph.set_output("y", y)
    graph.set_output("y again", y)
    graph.set_output("fixed", graph.add_constant(np.arange(3, dtype=np.float32), "numbers"))
    session = open_graph(graph, backend)
    given = np.array([[1, -1]], np.float32)
    for _ in range(2):
        got = session.run({"constructor": given})
        assert list(got) == ["same", "y", "y again", "fixed"]
        np.testing.assert_array_equal(got["same"], given)
        np.testing.assert_array_equal(got["y again"], got["y"])
        np.testing.assert_array_equal(got["y"], [[1, 0]])
        np.testing.assert_array_equal(got["fixed"], [0, 1, 2])


def test_two_free_sizes_are_computed(open_graph: Open) -> None:
    graph = Graph("free")
    image = TensorType(DType.FLOAT32, (BATCH, 3, Sym.named("h") * 2, Sym.named("w")))
    x = graph.add_input("x", image)
    pool = graph.add(ops.AveragePool((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)), x)
    weight = graph.add_constant(np.random.default_rng(0).normal(0, 1, (3, 5, 3, 3)).astype(np.float32), "w")
    y = graph.add(ops.ConvTranspose((2, 2), ((1, 0), (1, 0)), (1, 1)), pool, weight)
    graph.set_output("y", graph.add(ops.Reshape((y.type.shape[0], 5, y.type.shape[2] * y.type.shape[3])), y))
    for backend in Backend:
        session = open_graph(graph, backend)
        for shape in ((1, 3, 4, 5), (2, 3, 6, 9)):
            given = {"x": np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)}
            got, want = session.run(given)["y"], run_graph(graph, given)["y"]
            np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), atol=2e-5)


def test_a_sequence_that_is_too_long_to_unroll_is_refused() -> None:
    graph = Graph("long")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (600, 1, 2)))
    weights = [np.zeros(shape, np.float32) for shape in ((8, 2), (8, 2), (2, 8))]
    node = graph.add_node(ops.Lstm(), [x, *(graph.add_constant(array, "w") for array in weights)], name="lstm")
    graph.set_output("y", node.outputs[0])
    with pytest.raises(ModelError, match="600 steps") as error:
        prepare(graph, TfjsTarget())
    assert error.value.code == "TP102"


@pytest.mark.parametrize("backend", Backend, ids=lambda backend: backend.value)
def test_the_mean_behind_a_fractional_power_is_a_sum(backend: Backend, open_graph: Open) -> None:
    graph = Graph("power")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 1, 2, 4)))
    power = graph.add(ops.Pow(), x, graph.add_constant(np.array(1.5, np.float32)))
    graph.set_output("y", graph.add(ops.AveragePool((2, 2), (2, 2), _NO, (1, 1)), power))
    got = open_graph(graph, backend).run({"x": np.array([[[[1, 4, -1, 1], [1, 4, 1, 1]]]], np.float32)})["y"]
    np.testing.assert_array_equal(got, [[[[4.5, np.nan]]]])


@pytest.mark.parametrize(
    "case",
    [
        OpCase("add", ops.Add(), (Data((2,) * 7), Const((2, 1, 2, 1, 2, 1, 2)))),
        OpCase("pad", ops.Pad((0, 1, 1, 1, 1, 1, 1), (0,) * 7), (Data((1,) * 6),)),
    ],
    ids=lambda case: case.name,
)
def test_more_axes_than_the_wasm_kernels_walk_are_refused(case: OpCase) -> None:
    with pytest.raises(ModelError, match="at most 6 axes") as error:
        prepare(case.graph(), TfjsTarget())
    assert error.value.code == "TP102"
