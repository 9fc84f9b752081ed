"""What an op case is, and how it becomes a graph and arrays."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from triport.exporter.graph import Array, DType, Graph, Quantization, Shape, Sym, TensorType
from triport.exporter.ops import OpAttrs

BATCH = Sym.named("batch")


@dataclass(frozen=True)
class Data:
    """An input of the graph: uniform in [low, high], with a free first axis unless ``fixed``.

    shape          without the batch, unless ``fixed``; bools are true half of the time
    values         these instead, tiled over the shape: for NaN, infinities, ties
    quantization   what int8 codes stand for
    """

    shape: tuple[int, ...]
    low: float = -3.0
    high: float = 3.0
    dtype: DType = DType.FLOAT32
    fixed: bool = False
    values: tuple[float, ...] = ()
    quantization: Quantization | None = None

    @property
    def type(self) -> TensorType:
        full: Shape = self.shape if self.fixed else (BATCH, *self.shape)
        return TensorType(self.dtype, full, self.quantization)

    def array(self, batch: int, seed: int) -> Array:
        shape = self.type.evaluate({"batch": batch})
        if self.values:
            return np.resize(np.array(self.values, self.dtype.numpy), shape)
        rng = np.random.default_rng(seed)
        if self.dtype is DType.BOOL:
            return rng.integers(0, 2, shape).astype(np.bool_)
        if self.dtype.is_integer:
            return rng.integers(int(self.low), int(self.high) + 1, shape).astype(self.dtype.numpy)
        return rng.uniform(self.low, self.high, shape).astype(self.dtype.numpy)


@dataclass(frozen=True)
class Const:
    """A constant of the graph, uniform in [low, high].

    values         these instead, tiled over the shape
    quantization   what int8 codes stand for
    """

    shape: tuple[int, ...]
    low: float = -1.0
    high: float = 1.0
    dtype: DType = DType.FLOAT32
    values: tuple[float, ...] = ()
    quantization: Quantization | None = None

    def array(self, rng: np.random.Generator) -> Array:
        if self.values:
            return np.resize(np.array(self.values, self.dtype.numpy), self.shape)
        if self.dtype.is_integer:
            return rng.integers(int(self.low), int(self.high) + 1, self.shape).astype(self.dtype.numpy)
        return rng.uniform(self.low, self.high, self.shape).astype(self.dtype.numpy)


@dataclass(frozen=True)
class OpCase:
    """One op on given operands; those of an op that takes none are there for their sizes alone.

    refused   {port: error code}: the ports that say they cannot, and how
    """

    name: str
    op: OpAttrs
    operands: tuple[Data | Const, ...]
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return zlib.crc32(self.name.encode())

    def graph(self) -> Graph:
        """A graph of the op alone: inputs a, b, … and outputs y, z, …"""
        graph = Graph(self.name)
        rng = np.random.default_rng(self.seed)
        values = []
        for letter, operand in zip("abcdefgh", self.operands, strict=False):
            if isinstance(operand, Data):
                values.append(graph.add_input(letter, operand.type))
            else:
                values.append(graph.add_constant(operand.array(rng), letter, operand.quantization))
        outputs = graph.add_node(self.op, values if self.op.operands else (), name="op").outputs
        for name, value in zip("yzwvut", outputs, strict=False):
            graph.set_output(name, value)
        return graph

    def inputs(self, batch: int) -> dict[str, Array]:
        """Arrays for the graph's inputs."""
        named = zip("abcdefgh", self.operands, strict=False)
        return {
            letter: operand.array(batch, self.seed + batch + ord(letter))
            for letter, operand in named
            if isinstance(operand, Data)
        }
