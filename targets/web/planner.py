"""Which values share a buffer, and how long each buffer has to keep its content.

Sizes may depend on free dims, so offsets are settled in the browser, when the sizes are known (runtime/schedule.js),
from the lifetimes that are settled here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...exporter.graph import Dim, Graph, Node, Value
from .dtypes import device_dtype
from .plan import Argument, Buffer, buffers_of


class Planner:
    """Hands out buffers while the nodes are written in order; ``position`` is that of the node at hand.

    places   where nodes are written that are not written in their own place
    """

    def __init__(self, graph: Graph, places: Mapping[Node, Node]) -> None:
        self.position = -1
        self._graph = graph
        own = {node: position for position, node in enumerate(graph.nodes)}
        self._order = {node: own[places.get(node, node)] for node in graph.nodes}
        self._buffers: list[Buffer] = []
        self._buffer_of: dict[Value, int] = {}
        self._sharing: list[list[Value]] = []
        self._calls = 0

    def buffer(self, value: Value) -> int:
        """The buffer a value stands in; KeyError before it was placed."""
        return self._buffer_of[value]

    def place(self, value: Value) -> int:
        """A new buffer for a value."""
        index = self._new(value_bytes(value))
        self._share(value, index)
        return index

    def place_over(self, value: Value, *operands: Value) -> int:
        """The buffer of the first operand that this node is the last to read and that has the size; else a new one."""
        for operand in operands:
            if value_bytes(value) == value_bytes(operand) and self._dies_here(operand):
                self.alias(value, operand)
                return self._buffer_of[value]
        return self.place(value)

    def alias(self, value: Value, operand: Value) -> None:
        self._share(value, self._buffer_of[operand])

    def scratch(self, bytes: Dim) -> int:
        """A buffer that belongs to no value."""
        return self._new(bytes)

    def touch(self, arguments: Sequence[Argument]) -> None:
        """Notes that the next call uses the buffers among its arguments."""
        for index in buffers_of(arguments):
            self._buffers[index].last = self._calls
        self._calls += 1

    def finished(self) -> list[Buffer]:
        """All buffers; those of outputs live to the end."""
        for value in self._graph.outputs.values():
            if value in self._buffer_of:
                self._buffers[self._buffer_of[value]].last = self._calls
        return self._buffers

    def _new(self, bytes: Dim) -> int:
        first = -1 if self.position < 0 else self._calls
        self._buffers.append(Buffer(bytes, first, first))
        self._sharing.append([])
        return len(self._buffers) - 1

    def _share(self, value: Value, index: int) -> None:
        self._buffer_of[value] = index
        self._sharing[index].append(value)

    def _dies_here(self, operand: Value) -> bool:
        return not any(
            self._graph.is_output(value) or any(self._order[user] > self.position for user in value.users)
            for value in self._sharing[self._buffer_of[operand]]
        )


def value_bytes(value: Value) -> Dim:
    """Bytes that a value takes in the browser."""
    return value.type.elements * device_dtype(value.type.dtype).bytes
