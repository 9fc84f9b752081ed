"""Functional models: a graph of layers from inputs to outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..errors import UsageError
from .config import from_data, object_to_config, to_data
from .data import InputSpec
from .layers.arguments import checked_name
from .layers.base import Layer
from .model import InputLayer, Model, check_call, free_attribute, free_name
from .structure import Node, Shape, SymbolicTensor, flatten, flatten_shapes, format_shape, map_structure


@dataclass(frozen=True)
class Slot:
    """Where among a model's values an argument of a layer call stands."""

    index: int


@dataclass(frozen=True)
class Step:
    """One layer call of a functional model: which layer, which slots go in (a structure), which come out.

    ``arguments`` are those behind the first, by name: structures of slots and of data.
    """

    layer: str
    inputs: Any
    outputs: tuple[int, ...]
    training: bool | None
    arguments: dict[str, Any] = field(default_factory=dict)

    def slots(self) -> list[int]:
        """The slots that the call reads."""
        further = [leaf.index for leaf in flatten(self.arguments) if isinstance(leaf, Slot)]
        return [*flatten(self.inputs), *further]

    def filled(self, values: Mapping[int, Any] | Sequence[Any]) -> dict[str, Any]:
        """``arguments`` with the values of its slots."""
        return {
            name: map_structure(lambda leaf: values[leaf.index] if isinstance(leaf, Slot) else leaf, argument)
            for name, argument in self.arguments.items()
        }


class Functional(Model):
    """What ``Model(inputs, outputs)`` makes: its layers by name, and the steps that run them."""

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        outputs = map_structure(lambda end: end.output if isinstance(end, Layer) else end, outputs)
        starts: list[Any] = flatten(inputs)
        ends: list[Any] = flatten(outputs)
        for tensor in [*starts, *ends]:
            if not isinstance(tensor, SymbolicTensor):
                self._refuse(
                    f"needs symbolic inputs and outputs; received {type(tensor).__name__}",
                    code="TP010",
                    help="start from x = tp.Input(shape) and call layers on it",
                )
        self._symbolic = (starts, outputs)
        nodes = _ordered(starts, ends, self)
        self._input_keys: list[str] = list(inputs) if isinstance(inputs, Mapping) else []
        self._set_inputs(starts)
        keys = self._register(node.layer for node in nodes)
        slots = {id(tensor): slot for slot, tensor in enumerate(starts)}
        self._steps: list[Step] = []
        for node in nodes:
            made = tuple(slots.setdefault(id(tensor), len(slots)) for tensor in flatten(node.outputs))
            used = map_structure(lambda tensor: slots[id(tensor)], node.inputs)
            arguments = {
                name: map_structure(
                    lambda leaf: Slot(slots[id(leaf)]) if isinstance(leaf, SymbolicTensor) else leaf, item
                )
                for name, item in node.arguments.items()
            }
            self._steps.append(Step(keys[id(node.layer)], used, made, node.training, arguments))
        self._slot_count = len(slots)
        self._outputs = map_structure(lambda tensor: slots[id(tensor)], outputs)
        self._output_names = self._named_outputs(outputs, ends, keys)
        self._output_shapes: list[Shape] = [tensor.shape for tensor in ends]
        self._output_dtypes: list[str] = [tensor.dtype for tensor in ends]
        self._last_use = _last_uses(self._steps, self._outputs)
        self.built, self.built_shape = True, [tensor.shape for tensor in starts]

    def _set_inputs(self, starts: list[SymbolicTensor]) -> None:
        taken: set[str] = set()
        self._specs: list[InputSpec] = []
        for position, tensor in enumerate(starts):
            layer = tensor.node.layer
            if self._input_keys and layer.auto_named:
                layer.name, layer.auto_named = checked_name(self._input_keys[position]), False
            if layer.auto_named:
                layer.name = "input"
            name = free_name(layer, taken)
            if layer.auto_named:
                layer.name = name
            taken.add(name)
            self._specs.append(InputSpec(name, tensor.shape, tensor.dtype, layer.source))

    def _register(self, layers: Iterable[Layer]) -> dict[int, str]:
        """Registers every layer once; names the user chose are settled first."""
        distinct = {id(layer): layer for layer in layers}
        chosen = [layer for layer in distinct.values() if not layer.auto_named]
        keys: dict[int, str] = {}
        reserved: set[str] = set()
        for layer in chosen:
            keys[id(layer)] = free_name(layer, reserved)
            reserved.add(layer.name)
        for identity, layer in distinct.items():
            if layer.auto_named:
                keys[identity] = free_name(layer, reserved)
                reserved.add(keys[identity])
                layer.name = keys[identity] if not layer.adopted else layer.name
                layer.adopted = True
        for identity, layer in distinct.items():
            self._modules[free_attribute(self, keys[identity], layer)] = layer
        return keys

    def _named_outputs(self, outputs: Any, ends: list[SymbolicTensor], keys: dict[int, str]) -> list[str]:
        if isinstance(outputs, Mapping):
            return [str(key) for key in outputs]
        names: list[str] = []
        for tensor in ends:
            base = keys.get(id(tensor.node.layer), tensor.node.layer.name)
            name, count = base, 0
            while name in names:
                count += 1
                name = f"{base}_{count}"
            names.append(name)
        return names

    # -- running ------------------------------------------------------------------------------------------------

    def forward(self, inputs: Any = None, *more: Any, **named: Any) -> Any:
        """The outputs for the inputs: positional in order, one list, one dict by name, or by keyword."""
        values: list[Any] = [None] * self._slot_count
        for slot, (x, spec) in enumerate(zip(self._in_order(inputs, more, named), self._specs, strict=True)):
            check_call(x, spec)
            values[slot] = x
        for step, finished in zip(self._steps, self._last_use, strict=True):
            layer = self._modules[step.layer]
            assert layer is not None
            used = step.inputs
            given = values[used] if isinstance(used, int) else map_structure(values.__getitem__, used)
            arguments = step.filled(values) if step.arguments else step.arguments
            if step.training is None:
                result = layer(given, **arguments)
            else:
                result = layer(given, training=step.training, **arguments)
            if len(step.outputs) == 1 and isinstance(result, Tensor):
                values[step.outputs[0]] = result
            else:
                for slot, value in zip(step.outputs, flatten(result), strict=True):
                    values[slot] = value
            for slot in finished:
                values[slot] = None
        outputs = self._outputs
        return values[outputs] if isinstance(outputs, int) else map_structure(values.__getitem__, outputs)

    def _in_order(self, inputs: Any, more: tuple[Any, ...], named: Mapping[str, Any]) -> Sequence[Any]:
        given = [inputs, *more] if isinstance(inputs, Tensor) else named if inputs is None else inputs
        if isinstance(given, Mapping):
            names = [spec.name for spec in self._specs]
            if set(given) != set(names):
                raise UsageError("TP004", f"inputs by name have to be {names}; received {list(given)}", at=self.where())
            return [given[name] for name in names]
        if len(given) != len(self._specs):
            raise UsageError(
                "TP004",
                f"{self.name!r} has {len(self._specs)} inputs {self.input_names}; received {len(given)}",
                at=self.where(),
            )
        ordered: Sequence[Any] = given
        return ordered

    # -- facts --------------------------------------------------------------------------------------------------

    @property
    def input_specs(self) -> list[InputSpec]:
        return self._specs

    @property
    def output_names(self) -> list[str]:
        return self._output_names

    @property
    def output_shape(self) -> Any:
        """The output's shape, or a list of them; the batch is None."""
        shapes = self._output_shapes
        return shapes[0] if len(shapes) == 1 else shapes

    def check_input(self, input_shape: Any) -> None:
        shapes = flatten_shapes(input_shape)
        if len(shapes) != len(self._specs):
            self._refuse(f"has {len(self._specs)} inputs, received {len(shapes)}")
        for shape, spec in zip(shapes, self._specs, strict=True):
            fits = len(shape) == len(spec.shape) and all(
                want is None or size is None or want == size for want, size in zip(spec.shape, shape, strict=True)
            )
            if not fits:
                self._refuse(
                    f"expects {format_shape(spec.shape)} for input {spec.name!r}, received {format_shape(shape)}"
                )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The outputs' shapes for these inputs, every layer asked in turn."""
        known: list[Any] = [None] * self._slot_count
        for slot, shape in enumerate(flatten_shapes(input_shape)):
            known[slot] = shape
        for step in self._steps:
            layer = self._modules[step.layer]
            assert isinstance(layer, Layer)
            arguments = step.filled(known)
            shapes = layer.call_shapes(map_structure(known.__getitem__, step.inputs), arguments)
            result = layer.call_output_shape(shapes, arguments)
            for slot, shape in zip(step.outputs, flatten_shapes(result), strict=True):
                known[slot] = shape
        return map_structure(known.__getitem__, self._outputs)

    def compute_output_dtype(self, input_dtypes: Any) -> str:
        return self._output_dtypes[0]

    def get_config(self) -> dict[str, Any]:
        """Inputs, layers and steps. Raises UsageError TP015 for a layer that holds code."""
        inputs = [{"name": s.name, "shape": list(s.shape[1:]), "dtype": s.dtype} for s in self._specs]
        layers = [{"key": key, **object_to_config(layer)} for key, layer in self._modules.items()]
        steps = [
            {"layer": step.layer, "inputs": step.inputs, "outputs": list(step.outputs), "training": step.training}
            | ({"arguments": self._arguments_to_data(step)} if step.arguments else {})
            for step in self._steps
        ]
        named = bool(self._input_keys)
        return {
            "name": self.name,
            "inputs": inputs,
            "inputs_by_name": named,
            "layers": layers,
            "steps": steps,
            "outputs": self._outputs,
        }

    def _arguments_to_data(self, step: Step) -> dict[str, Any]:
        """The further arguments of a call as JSON-only data. Raises UsageError TP015 for what JSON cannot carry."""
        layer = self._modules[step.layer]
        assert isinstance(layer, Layer)
        return {
            name: map_structure(
                lambda leaf: {"slot": leaf.index} if isinstance(leaf, Slot) else to_data(leaf, layer), item
            )
            for name, item in step.arguments.items()
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A new, untrained model. Raises FormatError TP040."""
        starts = [InputLayer(tuple(s["shape"]), s["dtype"], s["name"]).node.outputs for s in config["inputs"]]
        slots: dict[int, Any] = dict(enumerate(starts))
        layers: dict[str, Layer] = {}
        for item in config["layers"]:
            layer = from_data({"class": item["class"], "config": item["config"]})
            layer.name = checked_name(item["key"])
            layer.auto_named = False
            layers[layer.name] = layer
        for step in config["steps"]:
            given = map_structure(slots.__getitem__, step["inputs"])
            arguments = {name: _with_slots(item, slots) for name, item in step.get("arguments", {}).items()}
            result = layers[step["layer"]].call_symbolically(given, step["training"], arguments)
            slots.update(zip(step["outputs"], flatten(result), strict=True))
        inputs = {s["name"]: t for s, t in zip(config["inputs"], starts, strict=True)}
        outputs = map_structure(slots.__getitem__, config["outputs"])
        return cls(inputs if config["inputs_by_name"] else starts, outputs, name=config["name"])

    def _replay(self) -> tuple[list[SymbolicTensor], Any]:
        starts = [InputLayer(s.shape[1:], s.dtype, s.name).node.outputs for s in self._specs]
        values: list[Any] = [*starts, *[None] * (self._slot_count - len(starts))]
        for step in self._steps:
            layer = self._modules[step.layer]
            assert isinstance(layer, Layer)
            given = map_structure(values.__getitem__, step.inputs)
            result = layer.call_symbolically(given, step.training, step.filled(values))
            for slot, value in zip(step.outputs, flatten(result), strict=True):
                values[slot] = value
        return starts, map_structure(values.__getitem__, self._outputs)


def _ordered(starts: list[SymbolicTensor], ends: list[SymbolicTensor], model: Layer) -> list[Node]:
    """The nodes from inputs to outputs, each after those it needs. Raises UsageError TP010 when an input is missing."""
    begin = {id(tensor) for tensor in starts}
    order: list[Node] = []
    done: set[int] = set()
    stack: list[tuple[SymbolicTensor, bool]] = [(tensor, False) for tensor in reversed(ends)]
    while stack:
        tensor, ready = stack.pop()
        node = tensor.node
        if id(tensor) in begin or id(node) in done:
            continue
        if ready:
            done.add(id(node))
            order.append(node)
            continue
        if node.inputs is None:
            raise UsageError(
                "TP010",
                f"the outputs depend on input {node.layer.name!r}, which is not among the model's inputs",
                at=node.layer.where(),
            )
        stack.append((tensor, True))
        stack.extend((needed, False) for needed in reversed(node.needed()))
    return order


def _slotted(slots: Mapping[int, int], leaf: Any) -> Any:
    """A symbolic tensor as its slot; everything else as it is."""
    return Slot(slots[id(leaf)]) if isinstance(leaf, SymbolicTensor) else leaf


def _with_slots(item: Any, slots: Mapping[int, Any]) -> Any:
    """An argument from a description: ``{"slot": 3}`` is the value of that slot, everything else is data."""
    if isinstance(item, list):
        return [_with_slots(part, slots) for part in item]
    return slots[item["slot"]] if isinstance(item, Mapping) else item


def _last_uses(steps: list[Step], outputs: Any) -> list[tuple[int, ...]]:
    """For each step the slots nobody reads after it, so that their tensors are let go."""
    kept, seen = set(flatten(outputs)), set[int]()
    result: list[tuple[int, ...]] = []
    for step in reversed(steps):
        used = {*step.slots(), *step.outputs}
        result.append(tuple(used - kept - seen))
        seen |= used
    return result[::-1]


__all__ = ["Functional"]
