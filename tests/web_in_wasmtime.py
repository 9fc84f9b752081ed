"""Plans run from Python, on either kernel file: no browser has to start, and no bundle has to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import wasmtime

import triport.targets.web
from triport.exporter.graph import Array, Graph
from triport.exporter.graph.dims import evaluate_dim
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.plan import Argument, Plan, TensorSpec
from triport.targets.web.target import kernels_of, make_plan

COMPILED = Path(triport.targets.web.__file__).parent / "compiled"
FILES = ("kernels.wasm", "kernels.relaxed.wasm")
ALIGNMENT = 64
SLACK = 64
"""Readable bytes behind every buffer (runtime/schedule.js)."""

GUARD = 0x55
"""What memory holds before: no kernel may count on zeros."""


class Kernels:
    """One kernel file, compiled once."""

    def __init__(self, name: str) -> None:
        config = wasmtime.Config()
        config.wasm_relaxed_simd = True
        self.engine = wasmtime.Engine(config)
        self.bytes = (COMPILED / name).read_bytes()
        self.whole = wasmtime.Module(self.engine, self.bytes)

    def module(self, plan: Plan) -> wasmtime.Module:
        """All kernels, or those of a plan that has some of its own."""
        return wasmtime.Module(self.engine, kernels_of(plan, self.bytes)) if plan.chains else self.whole

    def run(self, graph: Graph, inputs: Mapping[str, Array], *, chained: bool = True) -> dict[str, Array]:
        """The outputs of a portable graph."""
        plan = make_plan(prepare(graph, WebTarget()), chained=chained)
        sizes = {
            name: size
            for spec in plan.inputs
            for dim, size in zip(spec.shape, inputs[spec.name].shape, strict=True)
            for name in getattr(dim, "names", ())
        }
        memory = _Memory(self.engine, self.module(plan), sizes)
        weights = memory.place(len(plan.weights) + plan.room)
        memory.write(weights, bytes(plan.weights))
        for call in plan.made:
            memory.call(call.kernel, [memory.number(argument, {}, weights) for argument in call.arguments])
        buffers = [memory.place(int(evaluate_dim(buffer.bytes, sizes))) for buffer in plan.buffers]
        where = {f"@{i}": at for i, at in enumerate(buffers)}
        for spec in plan.inputs:
            memory.write(where[spec.at], inputs[spec.name].astype(spec.dtype.numpy).tobytes())
        for call in plan.calls:
            memory.call(call.kernel, [memory.number(argument, where, weights) for argument in call.arguments])
        return {spec.name: memory.tensor(spec, memory.number(spec.at, where, weights)) for spec in plan.outputs}


class _Memory:
    """The memory of one instance: nothing in it is used twice."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.store = wasmtime.Store(engine)
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        memory, heap = self.exports["memory"], self.exports["__heap_base"]
        assert isinstance(memory, wasmtime.Memory) and isinstance(heap, wasmtime.Global)
        self.memory = memory
        self.end = int(heap.value(self.store))

    def place(self, size: int) -> int:
        at = -(-self.end // ALIGNMENT) * ALIGNMENT
        self.end = at + size + SLACK
        missing = self.end + ALIGNMENT - self.memory.data_len(self.store)
        if missing > 0:
            self.memory.grow(self.store, missing // 65536 + 1)
        self.write(at, bytes([GUARD]) * (size + SLACK))
        return at

    def write(self, at: int, data: bytes) -> None:
        self.memory.write(self.store, data, at)

    def number(self, argument: Argument, where: Mapping[str, int], weights: int) -> float:
        """An argument of a call, as the JavaScript makes it a number."""
        if isinstance(argument, str):
            return where[argument] if argument in where else weights + int(argument[1:])
        if isinstance(argument, float):
            return argument
        if isinstance(argument, Sequence):
            entries = [self.number(entry, where, weights) for entry in argument]
            at = self.place(4 * len(entries))
            self.write(at, np.array(entries, np.int32).tobytes())
            return at
        return evaluate_dim(argument, self.sizes)

    def call(self, kernel: str, arguments: Sequence[float]) -> None:
        function = self.exports[kernel]
        assert isinstance(function, wasmtime.Func)
        kinds = [str(kind) for kind in function.type(self.store).params]
        assert len(kinds) == len(arguments), f"{kernel} takes {len(kinds)} arguments, got {len(arguments)}"
        assert not function(
            self.store, *(float(a) if k == "f32" else int(a) for a, k in zip(arguments, kinds, strict=True))
        )

    def tensor(self, spec: TensorSpec, at: float) -> Array:
        shape = [int(evaluate_dim(dim, self.sizes)) for dim in spec.shape]
        dtype = spec.dtype.numpy
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer(bytes(self.memory.read(self.store, int(at), int(at) + size)), dtype).reshape(shape)
