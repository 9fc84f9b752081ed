"""Runs hand-built graphs in LiteRT, with XNNPACK and without, and compares them with a formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from triport.exporter.graph import Array, DType, Graph, Quantization, Sym, TensorType, Value
from triport.targets.tflite import TFLiteTarget

BATCH = Sym.named("batch")
ENGINES = {
    "xnnpack": OpResolverType.AUTO,
    "kernels": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}

Formula = Callable[..., Any]


class LiteRT:
    """One written graph, loaded by the real runtime."""

    def __init__(self, path: Path, engine: str) -> None:
        self.interpreter: Any = Interpreter(str(path), experimental_op_resolver_type=ENGINES[engine], num_threads=1)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        details = {d["name"]: d["index"] for d in self.interpreter.get_input_details()}
        for name, array in inputs.items():
            self.interpreter.resize_tensor_input(details[name], array.shape, strict=True)
        self.interpreter.allocate_tensors()
        for _ in range(2):  # state left over from the first run would show in the second
            for name, array in inputs.items():
                self.interpreter.set_tensor(details[name], array)
            self.interpreter.invoke()
        return {d["name"]: self.interpreter.get_tensor(d["index"]) for d in self.interpreter.get_output_details()}

    def codes(self) -> list[str]:
        return [op["op_name"] for op in self.interpreter._get_ops_details()]


class Bench:
    """What the tests of this folder write, run and compare with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rng = np.random.default_rng(7)
        self.target = TFLiteTarget()

    def write(self, graph: Graph) -> Path:
        for node in graph.nodes:
            assert self.target.refusal(node) is None, (node, self.target.refusal(node))
        path = self.folder / f"{graph.name}.tflite"
        self.target.write(graph, path, {})
        return path

    def codes(self, graph: Graph) -> list[str]:
        """The operators written, in order."""
        return self.load(graph).codes()

    def load(self, graph: Graph, engine: str = "kernels") -> LiteRT:
        return LiteRT(self.write(graph), engine)

    def run(self, graph: Graph, inputs: Mapping[str, Array], engine: str = "xnnpack") -> dict[str, Array]:
        return self.load(graph, engine).run(inputs)

    def array(self, value: Value, batch: int, **sizes: int) -> Any:
        shape = value.type.evaluate({"batch": batch, **sizes})
        if value.type.dtype is DType.FLOAT32:
            return self.rng.normal(size=shape).astype(np.float32)
        if value.type.dtype is DType.BOOL:
            return self.rng.integers(0, 2, size=shape).astype(np.bool_)
        return self.rng.integers(0, 5, size=shape).astype(np.int32)

    def agree(
        self,
        graph: Graph,
        formula: Formula,
        *,
        batches: Sequence[int] = (1, 2, 7),
        sizes: Sequence[Mapping[str, int]] = ({},),
        scale: float = 1.0,
        tolerance: float = 1e-5,
    ) -> None:
        """Asserts that both engines compute ``formula(*inputs)``, within ``tolerance`` of the output's range."""
        path = self.write(graph)
        for engine in ENGINES:
            runtime = LiteRT(path, engine)
            for batch in batches:
                for free in sizes:
                    arrays = {value.name: self.array(value, batch, **free) for value in graph.inputs}
                    arrays = {n: a * np.float32(scale) if a.dtype == np.float32 else a for n, a in arrays.items()}
                    got = runtime.run(arrays)
                    expected = formula(*arrays.values())
                    expected = expected if isinstance(expected, tuple) else (expected,)
                    for name, want in zip(graph.outputs, expected, strict=True):
                        self._compare(got[name], np.asarray(want), f"{engine}, batch {batch}, {dict(free)}", tolerance)

    def _compare(self, got: Any, want: Any, where: str, tolerance: float) -> None:
        assert got.shape == want.shape, where
        if got.dtype != np.float32:
            assert np.array_equal(got, want), where
            return
        finite = np.isfinite(want)
        assert np.array_equal(got[~finite], want[~finite], equal_nan=True), where
        got, want = got[finite], want[finite]
        span = max(float(np.abs(want).max(initial=0.0)), 1e-3)
        worst = float(np.abs(got.astype(np.float64) - want).max(initial=0.0))
        assert worst <= tolerance * span, f"{where}: {worst:.3g} off, range {span:.3g}"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class Sketch:
    """A graph in a few lines: inputs, constants, ops."""

    def __init__(self, name: str = "graph") -> None:
        self.graph = Graph(name)
        self.rng = np.random.default_rng(3)

    def input(self, *shape: Any, name: str = "x", dtype: DType = DType.FLOAT32) -> Value:
        return self.graph.add_input(name, TensorType(dtype, shape))

    def codes(self, *shape: Any, of: Quantization, name: str = "x") -> Value:
        return self.graph.add_input(name, TensorType(DType.INT8, shape, of))

    def constant(self, *shape: int) -> Value:
        return self.graph.add_constant(self.rng.normal(size=shape).astype(np.float32))

    def of(self, array: Any) -> Value:
        return self.graph.add_constant(np.asarray(array))

    def op(self, op: Any, *inputs: Value) -> Value:
        return self.graph.add(op, *inputs)

    def output(self, value: Value, name: str = "y") -> Graph:
        self.graph.rename(value, name)
        self.graph.set_output(name, value)
        return self.graph


@pytest.fixture
def sketch() -> Sketch:
    return Sketch()
