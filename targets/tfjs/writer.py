"""The graph model under construction: emitters hand it nodes and ask it for the names of tensors.

A tensor is named by its node; the second and later results of a node are ``node:1`` and so on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...exporter.graph import Array, Graph, Node, TensorType, Value
from ...exporter.graph.stored import stored_forms
from .attributes import Attribute, attribute, shape
from .dtypes import CARRIERS, DT_NAMES, carried

_TAKEN = frozenset({"constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString",
                    "toString", "valueOf"})  # fmt: skip
"""What every JavaScript object has: TensorFlow.js looks its nodes up by name in plain objects."""


@dataclass
class GraphModel:
    """What becomes model.json and the shards beside it.

    nodes              as the format has them
    weights            {name of its Const node: array}
    inputs, outputs    {name in the graph: (name of the tensor, type)}
    """

    nodes: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    inputs: dict[str, tuple[str, TensorType]] = field(default_factory=dict)
    outputs: dict[str, tuple[str, TensorType]] = field(default_factory=dict)


class Writer:
    """Builds a `GraphModel` from the nodes of a prepared graph, in their order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.model = GraphModel()
        self.forms = stored_forms(graph.metadata)
        """The forms that the weights were rounded to."""
        self.at = ""
        """Name of the node at hand: what its temporaries are called after."""
        self.computed: dict[str, str] = {}
        """Sizes computed while the model runs: text of the dim → int32 tensor [1] (see sizes.py)."""
        self._tensor_of: dict[Value, str] = {}
        self._constant_of: dict[bytes, str] = {}
        self._names: dict[str, int] = dict.fromkeys(_TAKEN, 0)
        for value in graph.inputs:
            name = self._fresh(value.name)
            kind = {"dtype": attribute(value.type.dtype), "shape": {"shape": shape(value.type.shape)}}
            self.model.nodes.append({"name": name, "op": "Placeholder", "attr": kind})
            self.model.inputs[value.name] = name, value.type
            self._tensor_of[value] = name

    # -- what emitters use -------------------------------------------------------------------------------------------

    def tensor(self, value: Value) -> str:
        """The tensor of a value of the graph."""
        if value not in self._tensor_of:
            self._tensor_of[value] = self.constant(value.array(), value.name)
        return self._tensor_of[value]

    def constant(self, array: Array, name: str) -> str:
        """A tensor that holds ``array``; the same array is stored once."""
        array = np.ascontiguousarray(carried(array)).reshape(array.shape)
        head = f"{array.dtype}{array.shape}".encode()
        key = hashlib.sha256(head + hashlib.sha256(array.reshape(-1).view(np.uint8).data).digest()).digest()
        if key not in self._constant_of:
            node = self._fresh(name)
            dtype = DT_NAMES[next(d for d in CARRIERS if d.numpy == array.dtype)]
            content = {"tensor": {"dtype": dtype, "tensorShape": shape(array.shape)}}
            self.model.nodes.append({"name": node, "op": "Const", "attr": {"dtype": {"type": dtype}, "value": content}})
            self.model.weights[node] = array
            self._constant_of[key] = node
        return self._constant_of[key]

    def scalar(self, number: float) -> str:
        """A float32 constant of shape []."""
        return self.constant(np.array(number, np.float32), f"{self.at}/number")

    def int32s(self, numbers: Sequence[int], role: str) -> str:
        """An int32 constant of shape [n]: axes, a shape."""
        return self.constant(np.asarray(numbers, np.int32), f"{self.at}/{role}")

    def int32(self, number: int, role: str) -> str:
        """An int32 constant of shape []: an axis."""
        return self.constant(np.array(number, np.int32), f"{self.at}/{role}")

    def node(self, op: str, inputs: Sequence[str], out: Value | str, **attributes: Attribute) -> str:
        """Appends a node; returns its first tensor.

        out   the value of the graph that it computes, or the role of a temporary
        """
        given = self.graph_name(out) if isinstance(out, Value) else f"{self.at}/{out}"
        name = self._fresh(given)
        made: dict[str, Any] = {"name": name, "op": op, "input": list(inputs)}
        made["attr"] = {key: attribute(value) for key, value in attributes.items()}
        self.model.nodes.append(made)
        if isinstance(out, Value):
            self._tensor_of[out] = name
        return name

    def bind(self, value: Value, tensor: str) -> None:
        """Lets a value of the graph be a tensor that is there already."""
        self._tensor_of[value] = tensor

    def graph_name(self, value: Value) -> str:
        """What the node that ends in ``value`` is called: the node of the graph, or the output that it is."""
        for name, output in self.graph.outputs.items():
            if output is value:
                return name
        return value.producer.name if value.producer is not None else value.name

    # -- what the target uses ----------------------------------------------------------------------------------------

    def write_nodes(self, emit: Callable[[Node, Writer], None]) -> GraphModel:
        """The finished model. Every output has a node of its own: TensorFlow.js knows outputs by their node."""
        for node in self.graph.nodes:
            self.at = node.name
            emit(node, self)
        taken: set[str] = {name for name, _ in self.model.inputs.values()}
        for name, value in self.graph.outputs.items():
            tensor = self.tensor(value)
            if tensor in taken or ":" in tensor or value.is_constant:
                self.at = name
                tensor = self.node("Identity", [tensor], "output")
            taken.add(tensor)
            self.model.outputs[name] = tensor, value.type
        return self.model

    def _fresh(self, wanted: str) -> str:
        """A name that TensorFlow accepts and no other node has."""
        stem = name = re.sub(r"^[^A-Za-z0-9.]+|[^A-Za-z0-9_.\-/]", "_", wanted).lstrip("_") or "node"
        while name in self._names:
            self._names[stem] += 1
            name = f"{stem}_{self._names[stem]}"
        self._names[name] = 0
        return name
