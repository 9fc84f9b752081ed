"""Recurrent layers: unrolled where the number of steps is known and small and so is the layer, else a WHILE loop.

Both compute the sums over x of all steps in one FULLY_CONNECTED, and leave the batch free. A loop leaves the number of
steps free too.

What a loop costs: about 0.8 µs a step for its bookkeeping, and a copy of the outputs so far (not of the sums over x,
which body and condition hand on as they are). What unrolling costs: XNNPACK packs the weight of every FULLY_CONNECTED
for itself, so a layer of 64 steps reads 64 copies of one matrix and finds none of them in the cache. Two layers of 128
units and 64 steps take 1.7 ms unrolled and 0.8 ms looped, of 32 units 0.11 and 0.21 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ....exporter.graph import DType, Node, TensorType, Value
from ....exporter.ops import Gru, Lstm, Nonlinearity, Rnn
from ....exporter.ops.recurrent import Recurrent
from ...emit import constant_parameters
from ..registry import FLOAT, all_of, emits
from ..schema import schema
from ..sizes import shape_tensor
from ..writer import OPTIONAL, Writer

UNROLLED_STEPS = 64
"""Longer sequences are looped over: a step takes about 1.4 kB of file and a dozen operators."""

UNROLLED_BYTES = 2**21
"""Likewise where the copies of the weight that goes with the state, one a step, take more than this."""

_ONE = TensorType(DType.INT32, (1,))
_FLAG = TensorType(DType.BOOL, (1,))


@emits(Lstm, Gru, Rnn, accepts=all_of(FLOAT, constant_parameters(1, 4)))
def recurrent(node: Node, writer: Writer) -> None:
    steps = node.inputs[0].type.shape[0]
    weight = node.inputs[2].array()
    if isinstance(steps, int) and steps <= UNROLLED_STEPS and steps * weight.nbytes <= UNROLLED_BYTES:
        _unrolled(node, writer, steps)
    else:
        _looped(node, writer)


class _Cell:
    """One step of a layer, as operators of the subgraph at hand."""

    def __init__(self, node: Node, writer: Writer) -> None:
        self.node = node
        self.writer = writer
        self.op = cast(Recurrent, node.op)
        self.state = node.outputs[1].type
        self.hidden_weight = node.inputs[2]
        self.rows = self.hidden_weight.type.static_shape()[0]
        for_x, for_state = node.inputs[3].array()
        # Only the new gate of a GRU keeps the two apart: it scales what comes from the state.
        self.for_x = for_x if isinstance(self.op, Gru) else for_x + for_state
        self.for_state = for_state if isinstance(self.op, Gru) else None

    def sums_of_x(self) -> int:
        """x · W + b for all steps: [T, N, G*H]."""
        x, weight = self.node.inputs[:2]
        inputs = [self.writer.tensor(x), self.writer.tensor(weight), self._constant(self.for_x, "bias")]
        type = x.type.with_shape((*x.type.shape[:2], self.rows))
        options = schema.FullyConnectedOptionsT(keepNumDims=True)
        return self.writer.step("FULLY_CONNECTED", inputs, self.node, "sums_of_x", type, options)

    def step(self, x: int, states: Sequence[int], outputs: Sequence[int | None]) -> list[int]:
        """The states after a step whose sums over x are ``x`` [N, G*H].

        states    the ones before; none: zeros
        outputs   tensors to put the new ones into; None: temporaries
        """
        if isinstance(self.op, Lstm):
            return self._lstm(x, states, outputs)
        return [self._gru(x, states, outputs[0]) if isinstance(self.op, Gru) else self._rnn(x, states, outputs[0])]

    def _lstm(self, x: int, states: Sequence[int], outputs: Sequence[int | None]) -> list[int]:
        sums = self._add(x, self._sums_of_state(states[0])) if states else x
        i, f, g, o = self._split(sums, 4)
        fresh = self._mul(self._apply("LOGISTIC", i), self._apply("TANH", g))
        if states:
            kept = self._mul(self._apply("LOGISTIC", f), states[1])
            cell = self._add(kept, fresh, outputs[1])
        elif outputs[1] is None:
            cell = fresh
        else:
            cell = self._add(fresh, self.writer.scalar(0.0), outputs[1])
        return [self._mul(self._apply("LOGISTIC", o), self._apply("TANH", cell), outputs[0]), cell]

    def _gru(self, x: int, states: Sequence[int], output: int | None) -> int:
        reset, keep, fresh = self._split(x, 3)
        if states:
            from_state = self._split(self._sums_of_state(states[0]), 3)
        else:
            assert self.for_state is not None
            from_state = [self._constant(part, "hidden_bias") for part in np.split(self.for_state, 3)]
        r = self._apply("LOGISTIC", self._add(reset, from_state[0]))
        z = self._apply("LOGISTIC", self._add(keep, from_state[1]))
        n = self._apply("TANH", self._add(fresh, self._mul(r, from_state[2])))
        if not states:
            return self._sub(n, self._mul(z, n), output)
        return self._add(n, self._mul(z, self._sub(states[0], n)), output)

    def _rnn(self, x: int, states: Sequence[int], output: int | None) -> int:
        sums = self._add(x, self._sums_of_state(states[0])) if states else x
        relu = isinstance(self.op, Rnn) and self.op.nonlinearity is Nonlinearity.RELU
        return self._apply("RELU" if relu else "TANH", sums, output)

    def _sums_of_state(self, state: int) -> int:
        bias = OPTIONAL if self.for_state is None else self._constant(self.for_state, "hidden_bias")
        inputs = [state, self.writer.tensor(self.hidden_weight), bias]
        type = self.state.with_shape((self.state.shape[0], self.rows))
        return self.writer.step(
            "FULLY_CONNECTED", inputs, self.node, "sums_of_state", type, schema.FullyConnectedOptionsT()
        )

    def _split(self, sums: int, count: int) -> list[int]:
        gates = [self.writer.temporary(self.node, "gate", self.state) for _ in range(count)]
        axis = self.writer.constant(np.array(1, np.int32), "axis")
        self.writer.operators("SPLIT", [axis, sums], gates, schema.SplitOptionsT(numSplits=count))
        return gates

    def _constant(self, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], role: str) -> int:
        return self.writer.constant(array, f"{self.node.name}/{role}")

    def _add(self, a: int, b: int, output: int | None = None) -> int:
        return self._operator("ADD", [a, b], output, schema.AddOptionsT())

    def _sub(self, a: int, b: int, output: int | None = None) -> int:
        return self._operator("SUB", [a, b], output, schema.SubOptionsT())

    def _mul(self, a: int, b: int, output: int | None = None) -> int:
        return self._operator("MUL", [a, b], output, schema.MulOptionsT())

    def _apply(self, code: str, x: int, output: int | None = None) -> int:
        return self._operator(code, [x], output, None)

    def _operator(self, code: str, inputs: Sequence[int], output: int | None, options: object) -> int:
        """An operator whose result is as large as its first operand; the sums of an RNN are as large as its state."""
        if output is None:
            output = self.writer.temporary(self.node, "sums" if code == "ADD" else code.lower(), self._type(inputs[0]))
        return self.writer.operator(code, inputs, output, options)

    def _type(self, tensor: int) -> TensorType:
        columns = self.writer.shape_of(tensor)[-1]
        return self.state.with_shape((self.state.shape[0], columns))


def _unrolled(node: Node, writer: Writer, steps: int) -> None:
    cell = _Cell(node, writer)
    sums_type = cell.state.with_shape((cell.state.shape[0], cell.rows))
    sums = [writer.temporary(node, "sums_of_step", sums_type) for _ in range(steps)]
    writer.operators("UNPACK", [cell.sums_of_x()], sums, schema.UnpackOptionsT(num=steps, axis=0))
    last = [writer.tensor(value) if _is_read(writer, value) else None for value in node.outputs[1:]]
    states: list[int] = writer.tensors(node.inputs[4:])
    order = range(steps - 1, -1, -1) if cell.op.reverse else range(steps)
    results: dict[int, int] = {}
    for position, step in enumerate(order):
        outputs = last if position == steps - 1 else [None] * len(last)
        states = cell.step(sums[step], states, outputs)
        results[step] = states[0]
    if _is_read(writer, node.outputs[0]):
        options = schema.PackOptionsT(valuesCount=steps, axis=0)
        writer.operator("PACK", [results[step] for step in range(steps)], writer.tensor(node.outputs[0]), options)


def _looped(node: Node, writer: Writer) -> None:
    """WHILE over: index of the step, index to stop at, sums over x, the states, and y so far if anybody reads it."""
    cell = _Cell(node, writer)
    x, y, *states = node.inputs[0], *node.outputs
    sums = cell.sums_of_x()
    zero, before_first = writer.int32s([0], "zero"), writer.int32s([-1], "before_first")
    length = shape_tensor(writer, node, x.type.shape[:1])
    start, stop = zero, length
    if cell.op.reverse:
        start, stop = writer.step("ADD", [length, before_first], node, "last", _ONE, schema.AddOptionsT()), before_first
    carried = [*states, y] if _is_read(writer, y) else states
    given = writer.tensors(node.inputs[4:]) or [_zeros(node, writer, value) for value in states]
    given += [_zeros(node, writer, value) for value in carried[len(states) :]]
    sums_type = x.type.with_shape((*x.type.shape[:2], cell.rows))
    types = [_ONE, _ONE, sums_type, *(value.type for value in carried)]
    condition = _condition(node, writer, types)
    body = _body(node, writer, types)
    results = [writer.temporary(node, "loop", type) for type in types[:3]] + writer.tensors(carried)
    options = schema.WhileOptionsT(condSubgraphIndex=condition, bodySubgraphIndex=body)
    writer.operators("WHILE", [start, stop, sums, *given], results, options)


def _condition(node: Node, writer: Writer, types: Sequence[TensorType]) -> int:
    """Whether there is another step."""
    with writer.subgraph(f"{node.name}/condition") as (subgraph, index):
        subgraph.inputs = [writer.temporary(node, "operand", type) for type in types]
        step, stop = subgraph.inputs[:2]
        subgraph.outputs = [writer.step("NOT_EQUAL", [step, stop], node, "more", _FLAG, schema.NotEqualOptionsT())]
    return index


def _body(node: Node, writer: Writer, types: Sequence[TensorType]) -> int:
    """One step: the new state goes into its row of y."""
    with writer.subgraph(f"{node.name}/step") as (subgraph, index):
        cell = _Cell(node, writer)
        subgraph.inputs = [writer.temporary(node, "operand", type) for type in types]
        count = cell.op.states
        step, stop, sums, *carried = subgraph.inputs
        row_type = types[2].with_shape((1, *types[2].shape[1:]))
        row = writer.step("GATHER", [sums, step], node, "row", row_type, schema.GatherOptionsT(axis=0))
        states = cell.step(_reshape(node, writer, row, row_type, 1), carried[:count], [None] * count)
        filled = [_with_row(node, writer, y, step, states[0]) for y in carried[count:]]
        towards = writer.int32s([-1 if cell.op.reverse else 1], "towards")
        following = writer.step("ADD", [step, towards], node, "following", _ONE, schema.AddOptionsT())
        subgraph.outputs = [following, stop, sums, *states, *filled]
    return index


def _with_row(node: Node, writer: Writer, y: int, step: int, state: int) -> int:
    """y with a state in the row of a step."""
    new = _reshape(node, writer, state, node.outputs[1].type, 2)
    at_type = TensorType(DType.INT32, (3,))
    operands = [step, writer.int32s([0, 0], "zeros")]
    at = writer.step("CONCATENATION", operands, node, "at", at_type, schema.ConcatenationOptionsT())
    return writer.step("DYNAMIC_UPDATE_SLICE", [y, new, at], node, "y", node.outputs[0].type)


def _reshape(node: Node, writer: Writer, tensor: int, type: TensorType, leading: int) -> int:
    """[1, N, K] as [N, K] (``leading`` 1), or [N, K] as [1, N, K] (2), whatever N is."""
    columns = cast(int, type.shape[-1])
    wanted = [-1, columns] if leading == 1 else [1, -1, columns]
    batch = type.shape[-2]
    shape = type.with_shape((batch, columns) if leading == 1 else (1, batch, columns))
    operands = [tensor, writer.int32s(wanted, "shape")]
    return writer.step("RESHAPE", operands, node, "row", shape, schema.ReshapeOptionsT(newShape=wanted))


def _zeros(node: Node, writer: Writer, like: Value) -> int:
    operands = [shape_tensor(writer, node, like.type.shape), writer.scalar(0.0)]
    return writer.step("FILL", operands, node, "zeros", like.type, schema.FillOptionsT())


def _is_read(writer: Writer, value: Value) -> bool:
    return bool(value.users) or writer.graph.is_output(value)
