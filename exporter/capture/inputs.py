"""Example inputs in any form that forward takes, as named tensors: nested tuples, dicts and dataclasses are flattened.

    forward(x, pair, opts)      called with  (x, (a, b), {"bias": c})
    the graph's inputs          x, pair_0, pair_1, opts_bias

Whatever is no tensor (None, a number, a flag, a text) is a constant of the graph, and the capture says so.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..errors import UsageError
from ..wording import with_article
from .precision import CONVERTED, plain_dtype

Examples = torch.Tensor | np.ndarray[Any, Any] | Sequence[Any] | Mapping[str, Any]
Dynamic = Mapping[str, Mapping[int, str]]

MINIMUM_FREE_SIZE = 2
"""torch.export turns sizes 0 and 1 into constants, so examples are enlarged to this along free dims."""

_CONSTANTS = (type(None), bool, int, float, str, enum.Enum, torch.dtype, torch.device)


@dataclass(frozen=True)
class Slot:
    """Where an input tensor goes among the arguments of forward."""

    name: str


@dataclass(frozen=True)
class Inputs:
    """The example inputs of one capture.

    tensors     {input name: tensor}, in the order forward takes them; floats are float32
    given       the same as the user gave them
    dynamic     {input name: {axis: dim name}}
    arguments   what forward is called with, `Slot`s in the place of the tensors
    keywords    the same for keyword arguments
    notices     what a user should know about how the examples were understood
    """

    tensors: dict[str, torch.Tensor]
    dynamic: dict[str, dict[int, str]]
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    given: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        """{dim name: its size in the examples}"""
        return {
            dim: self.tensors[name].shape[axis] for name, axes in self.dynamic.items() for axis, dim in axes.items()
        }

    def call(self, tensors: Mapping[str, torch.Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of forward for named tensors."""
        positional = tuple(_mapped(argument, lambda slot: tensors[slot.name]) for argument in self.arguments)
        named = {key: _mapped(value, lambda slot: tensors[slot.name]) for key, value in self.keywords.items()}
        return positional, named

    def with_tensors(self, tensors: Mapping[str, torch.Tensor]) -> Inputs:
        return dataclasses.replace(self, tensors=dict(tensors))


def flat_inputs(tensors: Mapping[str, torch.Tensor], dynamic: Mapping[str, dict[int, str]]) -> Inputs:
    """Inputs of a module that takes its tensors one by one."""
    given = dict(tensors)
    slots = tuple(Slot(name) for name in given)
    return Inputs(_plain(given), dict(dynamic), slots, notices=tuple(_converted_notices(given)), given=given)


def normalize_inputs(module: torch.nn.Module, examples: Examples, dynamic: Dynamic | None) -> Inputs:
    """Named tensors and free dims; by default axis 0 of every input is ``batch``.

    Raises UsageError when names, axes or sizes contradict each other.
    """
    arguments, keywords = _arguments(module, examples)
    reader = _Reader(device_of(module))
    if getattr(module, "forward_takes_list", False):
        positional: tuple[Any, ...] = ([reader.read(name, value) for name, value in arguments],)
    else:
        positional = tuple(reader.read(name, value) for name, value in arguments)
    named = {name: reader.read(name, value) for name, value in keywords.items()}
    if not reader.tensors and (arguments or keywords):
        name, value = next(iter([*arguments, *keywords.items()]))
        raise UsageError(
            "TP003",
            f"there is no tensor among the example inputs; {name!r} is {_described(value)}",
            help="pass torch tensors or numpy arrays",
        )
    free = _free_axes(reader.tensors, dynamic)
    return Inputs(_plain(reader.tensors), free, positional, named, reader.notices(), reader.tensors)


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.to(plain_dtype(tensor.dtype)) for name, tensor in tensors.items()}


def _converted_notices(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    wide = [f"{n} (from {str(x.dtype).removeprefix('torch.')})" for n, x in tensors.items() if x.dtype in CONVERTED]
    return [f"inputs converted to float32: {', '.join(wide)}"] if wide else []


def enlarge(inputs: Inputs, least: int = MINIMUM_FREE_SIZE) -> Inputs:
    """The same examples with at least so many cells along every free dim, equal where the name is equal."""
    sizes: dict[str, int] = {}
    for name, axes in inputs.dynamic.items():
        for axis, dim in axes.items():
            sizes[dim] = max(sizes.get(dim, least), inputs.tensors[name].shape[axis])
    return resized(inputs, sizes)


def resized(inputs: Inputs, sizes: Mapping[str, int]) -> Inputs:
    """The same examples repeated or cut to the sizes given for free dims."""
    grown = {}
    for name, tensor in inputs.tensors.items():
        for axis, dim in inputs.dynamic.get(name, {}).items():
            if dim in sizes:
                repeats = -(-sizes[dim] // tensor.shape[axis])
                tensor = torch.cat([tensor] * repeats, dim=axis).narrow(axis, 0, sizes[dim])
        grown[name] = tensor
    return inputs.with_tensors(grown)


def device_of(module: torch.nn.Module) -> torch.device:
    """Where the module's parameters lie."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


# -- which argument is which -------------------------------------------------------------------------------------------


def _arguments(module: torch.nn.Module, examples: Examples) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """Named positional arguments, and keyword arguments, as forward is to be called with them."""
    if examples is None:
        raise UsageError(
            "TP003", "there are no example inputs", help="pass one example for each input: capture(module, (x,))"
        )
    declared = [str(name) for name in getattr(module, "input_names", None) or ()]
    if declared:
        return _declared_arguments(declared, examples), {}
    parameters = list(inspect.signature(module.forward).parameters.values())
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in kinds]
    only_keywords = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    rest = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL), None)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    required = [p.name for p in parameters if p.name in (*names, *only_keywords) and p.default is p.empty]
    if isinstance(examples, Mapping):
        given = {str(name): value for name, value in examples.items()}
        unknown = [name for name in given if name not in (*names, *only_keywords)]
        if unknown and not takes_any:
            raise _unknown(unknown[0], [*names, *only_keywords], rest)
        _check_missing(required, given)
        ordered = {name: given[name] for name in (*names, *only_keywords) if name in given} | given
        leading = next((i for i, name in enumerate(names) if name not in given), len(names))
        return [(name, given[name]) for name in names[:leading]], {
            name: value for name, value in ordered.items() if name not in names[:leading]
        }
    listed = list(examples) if isinstance(examples, list | tuple) else [examples]
    if len(listed) > len(names) and rest is None:
        raise UsageError(
            "TP004",
            f"got {len(listed)} example inputs; forward takes {', '.join(names) or 'none'}",
            help="pass them in the order of forward, or by name as {name: tensor}",
        )
    padded = [*names, *(f"{rest}_{i}" for i in range(len(listed) - len(names)))]
    positional = list(zip(padded, listed, strict=False))
    _check_missing(required, dict(positional))
    return positional, {}


def _declared_arguments(names: list[str], examples: Examples) -> list[tuple[str, Any]]:
    """Arguments of a module that says what its inputs are called."""
    if isinstance(examples, Mapping):
        unknown = [name for name in examples if name not in names]
        if unknown:
            raise _unknown(str(unknown[0]), names, None)
        return [(name, examples[name]) for name in names if name in examples]
    listed = list(examples) if isinstance(examples, list | tuple) else [examples]
    if len(listed) > len(names):
        raise UsageError("TP004", f"got {len(listed)} example inputs for {len(names)}: {', '.join(names)}")
    return list(zip(names, listed, strict=False))


def _check_missing(required: Sequence[str], given: Mapping[str, Any]) -> None:
    missing = [name for name in required if name not in given]
    if missing:
        raise UsageError(
            "TP004",
            f"no example for input {missing[0]!r}; forward needs {', '.join(required)}",
            help="pass one example for each, as a list in the order of forward or as {name: array}",
        )


def _unknown(name: str, known: Sequence[str], rest: str | None) -> UsageError:
    return UsageError(
        "TP004",
        f"example input {name!r} is unknown; the inputs are {', '.join(known) or 'none'}",
        help=f"what goes into *{rest} has no name: pass the examples as a list" if rest else None,
    )


# -- what stands in an argument ----------------------------------------------------------------------------------------


class _Reader:
    """Finds the tensors in arguments, names them, and puts a `Slot` into the place of each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.tensors: dict[str, torch.Tensor] = {}
        self.constants: dict[str, object] = {}

    def read(self, name: str, value: Any) -> Any:
        if isinstance(value, torch.Tensor | np.ndarray):
            if name in self.tensors:
                raise UsageError("TP004", f"two example inputs would be called {name!r}", help="rename one of the keys")
            self.tensors[name] = _tensor(name, value).to(self.device)
            return Slot(name)
        if isinstance(value, _CONSTANTS):
            self.constants[name] = value
            return value
        children = _children(value)
        if children is None:
            raise UsageError(
                "TP003",
                f"example input {name!r} is {_described(value)}, expected a tensor or an array",
                help="pass tensors, or tuples, lists, dicts and dataclasses of them",
            )
        return _rebuilt(value, [self.read(f"{name}_{key}", child) for key, child in children])

    def notices(self) -> tuple[str, ...]:
        told = _converted_notices(self.tensors)
        fixed = [f"{name}={value!r}" for name, value in self.constants.items() if value is not None]
        if fixed:
            numbers = any(type(value) in (int, float) for value in self.constants.values())
            advice = "; pass a number as a tensor to make it an input" if numbers else ""
            told.append(f"fixed in the graph, because they are no tensors: {', '.join(fixed)}{advice}")
        return tuple(told)


def _children(value: Any) -> list[tuple[object, Any]] | None:
    """Named parts of a container; None when it is none."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(zip(getattr(value, "_fields", None) or range(len(value)), value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(part.name, getattr(value, part.name)) for part in dataclasses.fields(value)]
    return None


def _rebuilt(value: Any, parts: list[Any]) -> Any:
    """A container like ``value`` with other parts."""
    if isinstance(value, Mapping):
        pairs = dict(zip(value, parts, strict=True))
        make: Callable[..., Any] = type(value)
        return make(pairs)
    if isinstance(value, list | tuple):
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    names = [part.name for part in dataclasses.fields(value)]
    return dataclasses.replace(value, **dict(zip(names, parts, strict=True)))


def _mapped(value: Any, fill: Callable[[Slot], Any]) -> Any:
    """The argument with something in every slot."""
    if isinstance(value, Slot):
        return fill(value)
    children = None if isinstance(value, _CONSTANTS) else _children(value)
    return value if children is None else _rebuilt(value, [_mapped(child, fill) for _, child in children])


def _tensor(name: str, value: torch.Tensor | np.ndarray[Any, Any]) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value.detach()
    try:
        return torch.from_numpy(np.array(value))
    except TypeError as error:
        raise UsageError(
            "TP003",
            f"example input {name!r} is an array of {value.dtype}, which is no kind of number",
            help="convert texts and objects to numbers before they go into the model",
        ) from error


def _described(value: object) -> str:
    kind = with_article(type(value).__name__)
    if isinstance(value, list | tuple) and value:
        return f"{kind} of {type(value[0]).__name__}"
    return kind


# -- free dims ---------------------------------------------------------------------------------------------------------


def _free_axes(tensors: Mapping[str, torch.Tensor], dynamic: Dynamic | None) -> dict[str, dict[int, str]]:
    """{input: {axis: dim name}} with axes counted from 0; UsageError where names, axes or sizes do not fit."""
    if dynamic is None:
        dynamic = {name: {0: "batch"} for name, tensor in tensors.items() if tensor.dim()}
    if not isinstance(dynamic, Mapping):
        raise UsageError(
            "TP001",
            f"dynamic is {_described(dynamic)}, expected names of inputs and their free axes",
            help='dynamic={"x": {0: "batch"}}',
        )
    free: dict[str, dict[int, str]] = {}
    for name, axes in dynamic.items():
        if name not in tensors:
            raise UsageError(
                "TP004",
                f"dynamic names input {name!r}; the inputs are {', '.join(tensors)}",
                help='dynamic={"' + next(iter(tensors), "x") + '": {0: "batch"}}',
            )
        free[name] = _named_axes(name, axes, tensors[name])
    _check_sizes(tensors, free)
    return free


def _named_axes(name: str, axes: Any, tensor: torch.Tensor) -> dict[int, str]:
    """Axes as {axis: name}; also ["batch", None, …] with one entry an axis, axes from the end, torch's own Dims."""
    if isinstance(axes, list | tuple):
        axes = dict(enumerate(axes))
    if not isinstance(axes, Mapping):
        raise UsageError(
            "TP001",
            f"dynamic[{name!r}] is {_described(axes)}, expected the free axes and their names",
            help=f'dynamic={{"{name}": {{0: "batch"}}}}',
        )
    found: dict[int, str] = {}
    for axis, dim in axes.items():
        if dim is None:
            continue
        if not isinstance(axis, int) or not -tensor.dim() <= axis < tensor.dim():
            raise UsageError(
                "TP001",
                f"dynamic[{name!r}] names axis {axis} of a tensor of shape {list(tensor.shape)}",
                help=f"axes are counted from 0 to {tensor.dim() - 1}",
            )
        text = dim if isinstance(dim, str) else getattr(dim, "__name__", None)
        if not isinstance(text, str) or not text.isidentifier() or not text.isascii():
            raise UsageError(
                "TP001",
                f"dynamic[{name!r}][{axis}] is {dim!r}, expected the name of a dimension",
                help='names are identifiers such as "batch" or "height"',
            )
        found[axis % tensor.dim()] = text
    return found


def _check_sizes(tensors: Mapping[str, torch.Tensor], free: Mapping[str, Mapping[int, str]]) -> None:
    sizes: dict[str, tuple[str, int]] = {}
    for name, axes in free.items():
        for axis, dim in axes.items():
            size = tensors[name].shape[axis]
            if size == 0:
                raise UsageError(
                    "TP002",
                    f"example input {name!r} is empty along axis {axis}",
                    help=f'"{dim}" is free, so any size but 0 will do for the example',
                )
            first = sizes.setdefault(dim, (name, size))
            if first[1] != size:
                raise UsageError(
                    "TP002",
                    f'"{dim}" is {first[1]} in example input {first[0]!r} and {size} in {name!r}',
                    help='say which axes are free: dynamic={"x": {0: "batch"}}',
                )
