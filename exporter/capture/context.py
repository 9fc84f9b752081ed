"""What a converter works with: the graph being built, and which user line is being captured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..errors import ModelError
from ..graph import Array, Dim, DType, Graph, Source, Sym, TensorType, Value
from ..graph.conditions import Condition
from ..graph.dims import never_negative
from ..ops import Cast, Expand, OpAttrs, Pad, Reshape, Size, Slice, Transpose
from .said import relation_in_words


class Context:
    """One ATen call: where it came from, and verbs to add nodes for it.

    at_least     sizes below which torch refuses a call though its nodes could be computed
    conditions   relations of free dims without which torch refuses a call
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.source = Source()
        self.name = ""
        self.expected: TensorType | None = None
        self.at_least: list[tuple[Dim, int]] = []
        self.conditions: list[Condition] = []
        self._named: set[str] = set()

    def at(self, source: Source, name: str, expected: TensorType | None) -> None:
        """Moves on to the next call; ``expected`` is the type torch gives its result."""
        self.source = source
        self.name = name
        self.expected = expected

    def add(self, op: OpAttrs, *inputs: Value) -> Value:
        """A node named after the layer being captured.

        The first node of a layer that computes has the layer's own name; those around it ``<layer>/<op>``.
        """
        (value,) = self.add_several(op, *inputs)
        return value

    def add_several(self, op: OpAttrs, *inputs: Value) -> list[Value]:
        """`add` for an op with several outputs."""
        name = self.name
        if self.source.layer:
            moves = isinstance(op, Transpose | Reshape | Slice | Pad | Cast)
            if moves or name in self._named:
                name = f"{name}/{op.name}"
            self._named.add(name)
        return list(self.graph.add_node(op, inputs, name=name, source=self.source).outputs)

    def constant(self, array: Array, name: str = "constant") -> Value:
        return self.graph.add_constant(array, name)

    def scalar(self, number: object, dtype: DType) -> Value:
        """A number as a tensor of shape []; ModelError when a free dimension was divided or rooted for it."""
        if isinstance(number, Sym):
            return self.cast(self.add(Size(number)), dtype)
        if isinstance(number, torch.SymInt | torch.SymFloat):
            raise self.error(
                "TP203",
                f"a number that tensors are computed with depends on a free dimension ({number})",
                "fix that dimension (leave it out of dynamic=), or use mean, which divides by the size itself",
            )
        return self.constant(np.asarray(number, dtype=dtype.numpy))

    def expand(self, number: float, type: TensorType) -> Value:
        """A tensor with one number in every cell; a constant where its size is known."""
        if type.free_names:
            return self.add(Expand(type.shape), self.scalar(number, type.dtype))
        return self.constant(np.full(type.static_shape(), number, type.dtype.numpy))

    def cast(self, value: Value, dtype: DType) -> Value:
        """``value`` in another dtype; constants are converted here."""
        if value.type.dtype is dtype:
            return value
        if value.is_constant:
            return self.constant(value.array().astype(dtype.numpy), value.name)
        return self.add(Cast(dtype), value)

    def result_dtype(self) -> DType:
        """The dtype torch gives the result of this call."""
        assert self.expected is not None, "only calls that return one tensor ask for its dtype"
        return self.expected.dtype

    def result_shape(self) -> tuple[Dim, ...]:
        """The shape torch gives the result of this call."""
        assert self.expected is not None, "only calls that return one tensor ask for its shape"
        return self.expected.shape

    def static(self, dim: Dim, what: str) -> int:
        """A size that must be known now."""
        if isinstance(dim, Sym):
            raise self.error("TP203", f"{what} depends on the free dimension {dim}", "make it a constant in the model")
        return int(dim)

    def at_most(self, size: Dim, most: Dim) -> None:
        """Notes that a free size may not exceed another."""
        if not never_negative(most - size):
            words = relation_in_words(size, "<=", most) or f"{size} at most {most}"
            where = f", as {self.source.location} asks" if self.source.location else ""
            condition = Condition(size, "<=", most, f"{words}{where}")
            if condition not in self.conditions:
                self.conditions.append(condition)

    def error(self, code: str, message: str, help: str) -> ModelError:
        """An error at the user's line."""
        return ModelError(code, message, at=str(self.source) or None, help=help)


def spread(values: Sequence[int] | int, rank: int) -> tuple[int, ...]:
    """torch's ``int or list of one or rank ints`` as a tuple of ``rank`` ints."""
    listed = [values] if isinstance(values, int) else list(values)
    return tuple(listed * rank if len(listed) == 1 else listed)
