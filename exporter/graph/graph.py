"""The portable graph: values, the nodes that compute them, and the only verbs that change them.

SSA: each value has one producer. Values and nodes are compared by identity; nothing outside this file assigns to
their fields. Nodes may be added at any time: `Graph.nodes` is always in an order in which every node follows what it
reads, and otherwise in the order of creation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UsageError
from .golden import Sample
from .stored import stored_form_of, stored_forms
from .types import Array, DType, Quantization, Source, TensorType

if TYPE_CHECKING:
    from ..labels import Labels
    from ..ops.base import OpAttrs
    from ..preprocessing import Declared


class Value:
    """One tensor in a graph: an input, a constant, or the output of a node.

    constant   the array, for a constant; None otherwise
    producer   the node that computes it; None for inputs and constants
    users      the nodes that read it, once per node
    """

    __slots__ = ("_users", "constant", "name", "producer", "type")

    def __init__(self, name: str, type: TensorType, constant: Array | None = None) -> None:
        self.name = name
        self.type = type
        self.constant = constant
        self.producer: Node | None = None
        self._users: dict[Node, None] = {}

    @property
    def users(self) -> tuple[Node, ...]:
        return tuple(self._users)

    @property
    def quantization(self) -> Quantization | None:
        """What the integers stand for; None where they are plain numbers."""
        return self.type.quantization

    @property
    def is_constant(self) -> bool:
        return self.constant is not None

    def array(self) -> Array:
        """The constant's array; TypeError for any other value."""
        if self.constant is None:
            raise TypeError(f"value {self.name} is not a constant")
        return self.constant

    def __repr__(self) -> str:
        return f"<{'constant' if self.is_constant else 'value'} %{self.name}: {self.type}>"


class Node:
    """One application of an op: ``outputs = op(*inputs)``."""

    __slots__ = ("inputs", "name", "op", "outputs", "source")

    def __init__(self, name: str, op: OpAttrs, inputs: tuple[Value, ...], source: Source) -> None:
        self.name = name
        self.op = op
        self.inputs = inputs
        self.outputs: tuple[Value, ...] = ()
        self.source = source

    @property
    def output(self) -> Value:
        """The only output; ValueError for a node with several."""
        (value,) = self.outputs
        return value

    def describe(self) -> str:
        """``conv2d "stem.conv"``: the words messages use for this node."""
        return f'{self.op.label()} "{self.name}"'

    def __repr__(self) -> str:
        return f"<node {self.describe()}>"


class Graph:
    """A model as data.

    inputs    [Value], in the order the model takes them; a value's name is the input's name
    outputs   {output name: Value}, in the order the model returns them
    metadata  JSON data that travels with the graph: labels, preprocessing, model config, producer, notices
    samples   golden samples recorded from the user's own model
    extra_tensors   {name: array}: further arrays that travel with the graph, such as an optimizer's state
    """

    def __init__(self, name: str = "model") -> None:
        self.name = name
        self.inputs: list[Value] = []
        self.outputs: dict[str, Value] = {}
        self.metadata: dict[str, Any] = {}
        self.samples: list[Sample] = []
        self.extra_tensors: dict[str, Array] = {}
        self._nodes: list[Node] = []
        self._sorted = True
        self._names: dict[str, int] = {}
        self._node_names: dict[str, int] = {}

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, producers before users."""
        if not self._sorted:
            self._nodes = _topological(self._nodes)
            self._sorted = True
        return tuple(self._nodes)

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should know about how the graph came about, a sentence each: what was converted or restricted."""
        told = self.metadata.get("notices", [])
        return tuple(str(notice) for notice in told) if isinstance(told, list) else ()

    def describe(self, labels: Labels | None = None, preprocessing: Declared | None = None) -> Graph:
        """Notes what its classes are called and how its images are prepared, for pages and devices; returns the graph.

        labels         names of the classes, for the only output that has so many, or {output name: names}
        preprocessing  ``tp.Preprocessing(...)``, or {input name: that}
        raises         UsageError where they do not fit the graph
        """
        from ..labels import record_labels
        from ..preprocessing import record_preprocessing

        record_labels(self, labels)
        record_preprocessing(self, preprocessing)
        return self

    def constants(self) -> list[Value]:
        """Constants that a node reads or that are outputs, in order of first use."""
        found: dict[Value, None] = {}
        for node in self.nodes:
            for value in node.inputs:
                if value.is_constant:
                    found[value] = None
        for value in self.outputs.values():
            if value.is_constant:
                found[value] = None
        return list(found)

    def free_names(self) -> tuple[str, ...]:
        """Names of the free dimensions, in the order the inputs mention them."""
        names: dict[str, None] = {}
        for value in self.inputs:
            for dim in value.type.shape:
                for name in sorted(getattr(dim, "names", ())):
                    names[name] = None
        return tuple(names)

    def parameter_bytes(self) -> int:
        """Bytes of all constants in memory; an array that two values share counts once."""
        return sum({id(v.array()): v.array().nbytes for v in self.constants()}.values())

    def stored_bytes(self) -> int:
        """Bytes of all constants in a file: fewer than `parameter_bytes` where weights are stored in few bits."""
        arrays = {id(value.array()): value.array() for value in self.constants()}
        forms = stored_forms(self.metadata)
        if not forms:
            return self.parameter_bytes()
        stored = ((array, stored_form_of(array, forms)) for array in arrays.values())
        return sum(array.nbytes if form is None else form.nbytes for array, form in stored)

    def is_output(self, value: Value) -> bool:
        return any(value is output for output in self.outputs.values())

    def __str__(self) -> str:
        from .text import to_text

        return to_text(self)

    # -- files -----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Writes the graph to a ``.triport`` file; see `file.save_graph`."""
        from .file import save_graph

        save_graph(self, path)

    @staticmethod
    def load(path: str | Path) -> Graph:
        """The graph in a ``.triport`` file; see `file.load_graph`."""
        from .file import load_graph

        return load_graph(path)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for named arrays, as torch computes them; see `reference.run_graph`.

        Raises UsageError when a name, shape or dtype does not fit.
        """
        from ..reference import run_graph

        return run_graph(self, inputs)

    # -- the verbs -------------------------------------------------------------------------------------------------

    def fresh_name(self, wanted: str) -> str:
        """``wanted``, or ``wanted_1``, ``wanted_2`` … when another value has that name."""
        return _fresh(self._names, wanted)

    def add_input(self, name: str, type: TensorType) -> Value:
        """A new input, after those already there; UsageError when the name is taken."""
        if name in self._names:
            raise UsageError("TP004", f'input "{name}" is named twice', help="give every input its own name")
        value = Value(self.fresh_name(name), type)
        self.inputs.append(value)
        return value

    def retype_input(self, value: Value, type: TensorType) -> Value:
        """An input of another type in the place of ``value``, whose name it takes; `replace` the old one's readers."""
        name, value.name = value.name, self.fresh_name(f"{value.name}~")
        retyped = Value(name, type)
        self.inputs[self.inputs.index(value)] = retyped
        return retyped

    def add_constant(self, array: Array, name: str = "constant", quantization: Quantization | None = None) -> Value:
        """A constant; its array must not be changed afterwards.

        quantization   what the array's codes stand for, where it holds codes
        """
        return Value(self.fresh_name(name), TensorType(DType.of(array), array.shape, quantization), np.asarray(array))

    def add_node(
        self,
        op: OpAttrs,
        inputs: Sequence[Value],
        *,
        name: str = "",
        source: Source | None = None,
        output_names: Sequence[str] = (),
    ) -> Node:
        """A node whose output types follow from the op's shape rule.

        name           wanted name; made unique. Default: the op's label
        output_names   wanted names of the outputs. Default: the node's name
        """
        types = op.infer_outputs(*(value.type for value in inputs))
        node = Node(_fresh(self._node_names, name or op.label()), op, tuple(inputs), source or Source())
        wanted = list(output_names) or [
            f"{node.name}:out" if i == 0 else f"{node.name}:out{i}" for i in range(len(types))
        ]
        node.outputs = tuple(Value(self.fresh_name(n), t) for n, t in zip(wanted, types, strict=True))
        for value in node.outputs:
            value.producer = node
        for value in node.inputs:
            value._users[node] = None
        self._nodes.append(node)
        self._sorted = False
        return node

    def add(self, op: OpAttrs, *inputs: Value, name: str = "", source: Source | None = None) -> Value:
        """`add_node` for ops with one output: returns that output."""
        return self.add_node(op, inputs, name=name, source=source).output

    def rebuild(self, node: Node, op: OpAttrs, inputs: Sequence[Value]) -> Node:
        """A node that takes over the name, the source and the output names of ``node``.

        The old node stays, under another name, until nobody reads it: `replace` its outputs and `remove` it.
        """
        name, output_names = node.name, [value.name for value in node.outputs]
        node.name = _fresh(self._node_names, f"{name}~")
        for value in node.outputs:
            value.name = self.fresh_name(f"{value.name}~")
        rebuilt = self.add_node(op, inputs, name=f"{name}~", source=node.source)
        rebuilt.name = name
        if len(rebuilt.outputs) == len(output_names):
            for value, output_name in zip(rebuilt.outputs, output_names, strict=True):
                value.name = output_name
        return rebuilt

    def rebuild_constant(self, value: Value, array: Array) -> Value:
        """A constant of other content in the place of ``value`` for one of its readers.

        The only reader's constant takes over the name; where others still read ``value``, that keeps it.
        """
        if len(value._users) > 1 or self.is_output(value):
            return self.add_constant(array, value.name, value.quantization)
        rebuilt = self.add_constant(array, f"{value.name}~", value.quantization)
        rebuilt.name, value.name = value.name, rebuilt.name
        return rebuilt

    def hand_name_over(self, old: Node, new: Value) -> None:
        """The node that computes ``new`` takes over the name of ``old`` and of its only output."""
        node = new.producer
        if node is None or node is old:
            raise ValueError(f"{new!r} has no node of its own")
        node.name, old.name = old.name, node.name
        new.name, old.output.name = old.output.name, new.name

    def set_output(self, name: str, value: Value) -> None:
        self.outputs[name] = value

    def set_inputs(self, node: Node, inputs: Sequence[Value]) -> None:
        """Lets ``node`` read other values; its output types must stay what they are."""
        for value in node.inputs:
            value._users.pop(node, None)
        node.inputs = tuple(inputs)
        for value in node.inputs:
            value._users[node] = None
        self._sorted = False

    def set_op(self, node: Node, op: OpAttrs, inputs: Sequence[Value] | None = None) -> None:
        """Changes what a node computes; output types are inferred again."""
        if inputs is not None:
            self.set_inputs(node, inputs)
        types = op.infer_outputs(*(value.type for value in node.inputs))
        node.op = op
        for value, type in zip(node.outputs, types, strict=True):
            value.type = type

    def replace(self, old: Value, new: Value) -> None:
        """Every reader of ``old`` (and every output that is ``old``) reads ``new`` instead."""
        for node in old.users:
            self.set_inputs(node, [new if value is old else value for value in node.inputs])
        for name, value in self.outputs.items():
            if value is old:
                self.outputs[name] = new

    def rename(self, value: Value, name: str) -> None:
        """Gives a value another name; whoever has that name gets a fresh one. Inputs keep theirs: ValueError."""
        if value.name == name:
            return
        if any(other.name == name for other in self.inputs):
            raise ValueError(f"{name} is an input")
        for other in self._values():
            if other.name == name:
                other.name = self.fresh_name(name)
        self._names.setdefault(name, 0)
        value.name = name

    def _values(self) -> Iterator[Value]:
        for node in self.nodes:
            yield from node.inputs
            yield from node.outputs

    def remove(self, node: Node) -> None:
        """Removes a node nobody reads."""
        if any(value._users or self.is_output(value) for value in node.outputs):
            raise ValueError(f"{node!r} is still read")
        for value in node.inputs:
            value._users.pop(node, None)
        self._nodes.remove(node)

    def retain(self, keep: Iterable[Node]) -> None:
        """Removes all nodes but ``keep``; the rest must not be read by them."""
        kept = set(keep)
        for node in self._nodes:
            if node not in kept:
                for value in node.inputs:
                    value._users.pop(node, None)
        self._nodes = [node for node in self._nodes if node in kept]

    def copy(self) -> Graph:
        """A graph of its own; constant arrays are shared, never copied."""
        other = Graph(self.name)
        other.metadata = dict(self.metadata)
        other.samples = list(self.samples)
        other.extra_tensors = dict(self.extra_tensors)
        other._names = dict(self._names)
        other._node_names = dict(self._node_names)
        twin: dict[Value, Value] = {}

        def value_twin(value: Value) -> Value:
            if value not in twin:
                twin[value] = Value(value.name, value.type, value.constant)
            return twin[value]

        other.inputs = [value_twin(value) for value in self.inputs]
        for node in self.nodes:
            copied = Node(node.name, node.op, tuple(value_twin(v) for v in node.inputs), node.source)
            copied.outputs = tuple(value_twin(v) for v in node.outputs)
            for value in copied.outputs:
                value.producer = copied
            for value in copied.inputs:
                value._users[copied] = None
            other._nodes.append(copied)
        other.outputs = {name: value_twin(value) for name, value in self.outputs.items()}
        return other


def _topological(nodes: Sequence[Node]) -> list[Node]:
    """Producers before users, otherwise as given; ValueError when nodes wait for each other."""
    done: set[Node] = set()
    begun: set[Node] = set()
    ordered: list[Node] = []
    for root in nodes:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in done:
                stack.pop()
                continue
            waiting = [v.producer for v in node.inputs if v.producer is not None and v.producer not in done]
            if waiting:
                if node in begun:
                    raise ValueError(f"{node!r} waits for its own result")
                begun.add(node)
                stack.extend(reversed(waiting))
            else:
                done.add(node)
                ordered.append(node)
                stack.pop()
    return ordered


def _fresh(taken: dict[str, int], wanted: str) -> str:
    """A name that is not taken yet; it is from now on."""
    name = wanted
    while name in taken:
        taken[wanted] += 1
        name = f"{wanted}_{taken[wanted]}"
    taken[name] = 0
    return name
