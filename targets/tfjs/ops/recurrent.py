"""Recurrent layers, unrolled: one product for x of all steps, then a dozen nodes a step.

The gates with the same function stand side by side, so that each function is applied once a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ....exporter.graph import Array, Node, Value
from ....exporter.ops import Activation, Gru, Lstm, Nonlinearity, Rnn
from ....exporter.ops.recurrent import Recurrent
from ...emit import Refusal, constant_parameters
from ..coded import filters
from ..emitters import FLOAT, all_of, emits
from ..sizes import reshape_tensor
from ..writer import Writer
from .linear import write_linear

MOST_STEPS = 512
"""A step takes about 2 kB of model.json and, in the wasm backend, a tenth of a millisecond."""


def _known_steps(node: Node) -> Refusal | None:
    """Condition: the number of steps is known, and not too large to be unrolled."""
    steps = node.inputs[0].type.shape[0]
    if not isinstance(steps, int):
        return Refusal(
            f"the number of steps is free ({steps}), and layers are unrolled for TensorFlow.js",
            "give the number of steps: leave it out of dynamic=",
            "TP104",
        )
    if steps > MOST_STEPS:
        return Refusal(
            f"{steps} steps are too many to be unrolled, at most {MOST_STEPS} are",
            "feed the sequence in pieces",
            "TP102",
        )
    return None


@emits(Lstm, Gru, Rnn, accepts=all_of(FLOAT, constant_parameters(1, 4), _known_steps))
def recurrent(node: Node, writer: Writer) -> None:
    cell = _Cell(node, writer)
    steps = cast(int, node.inputs[0].type.shape[0])
    states = [writer.tensor(value) for value in node.inputs[4:]]
    sums = cell.sums_of_x(steps)
    results: dict[int, str] = {}
    for step in range(steps - 1, -1, -1) if cell.op.reverse else range(steps):
        states = cell.step(sums[step], states)
        results[step] = states[0]
    for value, state in zip(node.outputs[1:], states, strict=True):
        writer.bind(value, state)
    if _is_read(writer, node.outputs[0]):
        writer.node("Pack", [results[step] for step in range(steps)], node.outputs[0], axis=0, N=steps)


class _Cell:
    """One step of a layer."""

    def __init__(self, node: Node, writer: Writer) -> None:
        self.node = node
        self.writer = writer
        self.op = cast(Recurrent, node.op)
        weight, hidden = node.inputs[1:3]
        self.hidden = cast(int, hidden.type.shape[1])
        for_x, for_state = node.inputs[3].array()
        # Only the new gate of a GRU keeps the two apart: it scales what comes from the state.
        self.apart = isinstance(self.op, Gru)
        order = self._order()
        bias = for_x if self.apart else for_x + for_state
        self.of_x = filters(weight, bias, Activation.NONE, writer.forms).rows(order)
        own = for_state if self.apart else None
        self.of_state = filters(hidden, own, Activation.NONE, writer.forms).rows(order)
        self.without_state = for_state

    def _order(self) -> Array:
        """The rows of the gates; of an LSTM i, f, o, g: three sigmoids and a tanh."""
        rows = np.arange(self.op.gates * self.hidden)
        if not isinstance(self.op, Lstm):
            return rows
        i, f, g, o = np.split(rows, 4)
        return np.concatenate([i, f, o, g])

    def sums_of_x(self, steps: int) -> list[str]:
        """x · W + b of each step, [N, G*H]."""
        features, (_, batch, _) = self.node.inputs[0].type.shape[2], self.node.inputs[0].type.shape
        rows = self._node("Reshape", self.writer.tensor(self.node.inputs[0]), self._int32s([-1, cast(int, features)]))
        product = write_linear(self.writer, rows, self.of_x, self.node.inputs[1].name, "sums_of_x")
        shape = reshape_tensor(self.writer, (steps, batch, self.op.gates * self.hidden))
        first = self.writer.node("Unpack", [self._node("Reshape", product, shape)], "steps", axis=0, num=steps)
        return [first, *(f"{first}:{step}" for step in range(1, steps))]

    def step(self, x: str, states: Sequence[str]) -> list[str]:
        """The states after a step whose sums over x are ``x``; before the first there may be none: zeros."""
        if isinstance(self.op, Lstm):
            return self._lstm(x, states)
        return [self._gru(x, states) if self.apart else self._rnn(x, states)]

    def _lstm(self, x: str, states: Sequence[str]) -> list[str]:
        sums = self._node("AddV2", x, self._of_state(states[0])) if states else x
        i, f, o = self._split(self._node("Sigmoid", self._gates(sums, 0, 3)), 3)
        cell = self._node("Mul", i, self._node("Tanh", self._gates(sums, 3, 1)))
        if states:
            cell = self._node("AddV2", self._node("Mul", f, states[1]), cell)
        return [self._node("Mul", o, self._node("Tanh", cell)), cell]

    def _gru(self, x: str, states: Sequence[str]) -> str:
        from_state = self._of_state(states[0]) if states else self._constant(self.without_state, "hidden_bias")
        both = self._node("AddV2", self._gates(x, 0, 2), self._gates(from_state, 0, 2, vector=not states))
        r, z = self._split(self._node("Sigmoid", both), 2)
        scaled = self._node("Mul", r, self._gates(from_state, 2, 1, vector=not states))
        n = self._node("Tanh", self._node("AddV2", self._gates(x, 2, 1), scaled))
        if not states:
            return self._node("Sub", n, self._node("Mul", z, n))
        return self._node("AddV2", n, self._node("Mul", z, self._node("Sub", states[0], n)))

    def _rnn(self, x: str, states: Sequence[str]) -> str:
        sums = self._node("AddV2", x, self._of_state(states[0])) if states else x
        relu = isinstance(self.op, Rnn) and self.op.nonlinearity is Nonlinearity.RELU
        return self._node("Relu" if relu else "Tanh", sums)

    def _of_state(self, state: str) -> str:
        return write_linear(self.writer, state, self.of_state, self.node.inputs[2].name, "sums_of_state")

    def _gates(self, sums: str, first: int, count: int, vector: bool = False) -> str:
        """Some of the gates of [N, G*H], or of [G*H]."""
        begin, size = [0, first * self.hidden], [-1, count * self.hidden]
        if vector:
            begin, size = begin[1:], size[1:]
        return self._node("Slice", sums, self._int32s(begin), self._int32s(size))

    def _split(self, gates: str, count: int) -> list[str]:
        first = self.writer.node("Split", [self.writer.int32(1, "axis"), gates], "gates", num_split=count)
        return [first, *(f"{first}:{i}" for i in range(1, count))]

    def _node(self, op: str, *inputs: str) -> str:
        return self.writer.node(op, inputs, op.lower())

    def _int32s(self, numbers: Sequence[int]) -> str:
        return self.writer.int32s(numbers, "numbers")

    def _constant(self, array: Array, role: str) -> str:
        return self.writer.constant(array, f"{self.node.name}/{role}")


def _is_read(writer: Writer, value: Value) -> bool:
    return bool(value.users) or writer.graph.is_output(value)
