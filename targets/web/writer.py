"""What emitters write to: buffers for values, packed weights, kernel calls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ...exporter.graph import Array, Dim, DType, Graph, Node, Value
from ...exporter.graph.stored import stored_form_of, stored_forms
from .assemble import Chain
from .dtypes import device_array, device_dtype
from .fusion import Fusion
from .pack import round_up
from .plan import Argument, Call, Plan, TensorSpec, buffer_ref, weight_ref
from .planner import Planner

WEIGHT_ALIGNMENT = 16
"""Bytes: weights start where a vector may be loaded from."""


class Writer:
    """Builds a `Plan` from the nodes of a prepared graph, in their order.

    fusions   what is written in the place of a node instead of it and of others (fusion.py)
    """

    def __init__(self, graph: Graph, fusions: Mapping[Node, Fusion]) -> None:
        self.graph = graph
        self.plan = Plan()
        self._fusions = fusions
        self._places = {node: last for last, fusion in fusions.items() for node in fusion.nodes}
        self._planner = Planner(graph, self._places)
        self._forms = stored_forms(graph.metadata)
        self._weights: dict[bytes, str] = {}
        self._in_weights: dict[Value, str] = {}
        self._made: dict[tuple[str, tuple[Argument, ...]], tuple[str, int]] = {}
        self._node = ""
        for value in graph.inputs:
            self.plan.inputs.append(self._spec(value.name, value, buffer_ref(self._planner.place(value))))

    # -- what emitters use -------------------------------------------------------------------------------------------

    def operand(self, value: Value) -> str:
        """Where a node reads this value: its buffer, or the weights for a constant."""
        if value in self._in_weights:
            return self._in_weights[value]
        if value.is_constant:
            return self.weights(device_array(value.array(), value.name))
        return buffer_ref(self._planner.buffer(value))

    def result(self, value: Value) -> str:
        """A new buffer for this value."""
        return buffer_ref(self._planner.place(value))

    def result_over(self, value: Value, *operands: Value) -> str:
        """The buffer of the first operand that nothing reads afterwards and that has the size; else a new one.

        For kernels that may write over what they read.
        """
        computed = [operand for operand in operands if not operand.is_constant and operand not in self._in_weights]
        return buffer_ref(self._planner.place_over(value, *computed))

    def alias(self, value: Value, operand: Value) -> None:
        """Lets a value be the operand's cells under another shape."""
        if operand in self._in_weights or operand.is_constant:
            self._in_weights[value] = self.operand(operand)
        else:
            self._planner.alias(value, operand)

    def scratch(self, elements: Dim) -> str:
        """A buffer of float32 for the calls that mention it."""
        return buffer_ref(self._planner.scratch(elements * DType.FLOAT32.bytes))

    def weights(self, array: Array) -> str:
        """The place of these cells among the weights; equal arrays are stored once."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data  # no copy: the last layer may be the half
        key = hashlib.sha256(data).digest()
        if key not in self._weights:
            blob = self.plan.weights
            blob.extend(bytes(-len(blob) % WEIGHT_ALIGNMENT))
            self._weights[key] = weight_ref(len(blob))
            if (stored := stored_form_of(array, self._forms)) is not None:
                self.plan.stored[len(blob)] = stored
            blob.extend(data)
        return self._weights[key]

    def made(self, kernel: str, elements: int, *arguments: Argument) -> str:
        """The place of float32 that a kernel makes of weights once, when they are loaded: no file holds them.

        The kernel is given that place and then ``arguments``, which mention weights and numbers only.
        """
        key = (kernel, arguments)
        if key not in self._made:
            self._made[key] = (f"%{len(self._made)}", elements * DType.FLOAT32.bytes)
        return self._made[key][0]

    def chain(self, chain: Chain) -> str:
        """The kernel that computes a chain; equal ones are one kernel."""
        return self.plan.chains.setdefault(chain, f"chain{len(self.plan.chains)}")

    def call(self, kernel: str, *arguments: Argument) -> None:
        """One kernel call of the node at hand."""
        self.plan.calls.append(Call(kernel, arguments, self._node))
        self._planner.touch(arguments)

    # -- what the target uses ----------------------------------------------------------------------------------------

    def write_nodes(self, emit: Callable[[Node, Writer], None]) -> Plan:
        """The finished plan."""
        for position, node in enumerate(self.graph.nodes):
            self._node = node.name
            self._planner.position = position
            if self._places.get(node, node) is not node:
                continue
            if node in self._fusions:
                self._fusions[node].emit(self)
            else:
                emit(node, self)
        for name, value in self.graph.outputs.items():
            self.plan.outputs.append(self._spec(name, value, self.operand(value)))
        self.plan.buffers = self._planner.finished()
        self._place_made()
        return self.plan

    def _place_made(self) -> None:
        """Lets what is made stand behind all other weights, whose size is known now."""
        plan, places = self.plan, {}
        start = round_up(len(plan.weights), WEIGHT_ALIGNMENT)
        end = start
        for (kernel, arguments), (name, size) in self._made.items():
            places[name] = weight_ref(end)
            plan.made.append(Call(kernel, (places[name], *arguments), ""))
            end += round_up(size, WEIGHT_ALIGNMENT)
        if places:
            plan.room = end - len(plan.weights)
            plan.calls = [
                replace(call, arguments=tuple(places.get(a, a) if isinstance(a, str) else a for a in call.arguments))
                for call in plan.calls
            ]

    def _spec(self, name: str, value: Value, at: str) -> TensorSpec:
        return TensorSpec(name, device_dtype(value.type.dtype), value.type.shape, at, value.quantization)
