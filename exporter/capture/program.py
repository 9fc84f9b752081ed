"""Calling torch.export: example inputs in any form, free dims by name, and failures said in the user's terms."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import Dim as TorchDim
from torch.export import ExportedProgram

from ..errors import ModelError, TriportError, UsageError
from .attention import plain_transformers
from .recurrent_calls import whole_recurrent_calls
from .whole_pools import whole_pools

Examples = torch.Tensor | np.ndarray[Any, Any] | Sequence[Any] | Mapping[str, Any]
Dynamic = Mapping[str, Mapping[int, str]]

MINIMUM_FREE_SIZE = 2
"""torch.export turns sizes 0 and 1 into constants, so examples are enlarged to this along free dims."""


@dataclass(frozen=True)
class Inputs:
    """The example inputs of one capture.

    tensors   {input name: tensor}, in the order forward takes them
    dynamic   {input name: {axis: dim name}}
    """

    tensors: dict[str, torch.Tensor]
    dynamic: dict[str, dict[int, str]]


def normalize_inputs(module: torch.nn.Module, examples: Examples, dynamic: Dynamic | None) -> Inputs:
    """Named tensors and free dims; by default axis 0 of every input is ``batch``.

    Raises UsageError when names, axes or sizes contradict each other.
    """
    names = _input_names(module)
    if isinstance(examples, Mapping):
        unknown = [name for name in examples if names and name not in names]
        if unknown:
            raise UsageError("TP004", f"example input {unknown[0]!r} is unknown; the inputs are {', '.join(names)}")
        ordered = {name: examples[name] for name in (names or examples) if name in examples}
    else:
        listed = [examples] if isinstance(examples, torch.Tensor | np.ndarray) else list(examples)
        if len(listed) > len(names) > 0:
            raise UsageError("TP004", f"got {len(listed)} example inputs for {len(names)}: {', '.join(names)}")
        padded = [*names, *(f"input_{i}" for i in range(len(names), len(listed)))]
        ordered = dict(zip(padded, listed, strict=False))
    missing = [name for name in _required_names(module) if name not in ordered]
    if missing:
        raise UsageError(
            "TP004",
            f"no example for input {missing[0]!r}; forward needs {', '.join(_required_names(module))}",
            help="pass one example for each, as a list in the order of forward or as {name: array}",
        )
    tensors = {name: _tensor(name, value).to(device_of(module)) for name, value in ordered.items()}
    if dynamic is None:
        dynamic = {name: {0: "batch"} for name, tensor in tensors.items() if tensor.dim()}
    _check_dynamic(tensors, dynamic)
    return Inputs(tensors, {name: dict(axes) for name, axes in dynamic.items()})


def enlarge(inputs: Inputs) -> Inputs:
    """The same examples with at least two cells along every free dim, equal where the name is equal."""
    sizes: dict[str, int] = {}
    for name, axes in inputs.dynamic.items():
        for axis, dim in axes.items():
            sizes[dim] = max(sizes.get(dim, MINIMUM_FREE_SIZE), inputs.tensors[name].shape[axis])
    grown = {}
    for name, tensor in inputs.tensors.items():
        for axis, dim in inputs.dynamic.get(name, {}).items():
            repeats = -(-sizes[dim] // tensor.shape[axis])
            tensor = torch.cat([tensor] * repeats, dim=axis).narrow(axis, 0, sizes[dim])
        grown[name] = tensor
    return Inputs(grown, inputs.dynamic)


def call(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of forward for named tensors: keywords from the first one left out."""
    if getattr(module, "forward_takes_list", False):
        return (list(tensors.values()),), {}
    leading = [name for name, expected in zip(tensors, _input_names(module), strict=False) if name == expected]
    count = next((i for i, name in enumerate(tensors) if i >= len(leading) or leading[i] != name), len(tensors))
    if count < len(tensors) and all(name in _input_names(module) for name in tensors):
        named = list(tensors.items())
        return tuple(tensor for _, tensor in named[:count]), dict(named[count:])
    return tuple(tensors.values()), {}


def export_program(module: torch.nn.Module, inputs: Inputs) -> ExportedProgram:
    """torch.export of the module; ModelError says which line cannot be captured and why."""
    grown = enlarge(inputs)
    # DYNAMIC keeps a size free or fails. A named Dim would also refuse guards such as "the pooled height is not 1",
    # which every window op makes; the names are kept by `DimNames` instead.
    shapes = {n: dict.fromkeys(inputs.dynamic.get(n, {}), TorchDim.DYNAMIC) or None for n in grown.tensors}
    arguments, keywords = call(module, grown.tensors)
    listed: Any = tuple(shapes.values())
    if getattr(module, "forward_takes_list", False):
        listed = (list(listed),)
    try:
        with torch.no_grad(), whole_recurrent_calls(), whole_pools(), plain_transformers():
            return torch.export.export(
                module, arguments, keywords, dynamic_shapes=shapes if keywords else listed, strict=False
            )
    except TriportError as error:
        raise error.placed(user_line(error)) from None
    except Exception as error:
        # The module has just run on the same examples, so whatever stops it now is about tracing.
        raise _explained(error).placed(user_line(error)) from error


def user_line(error: Exception) -> str:
    """``model.py:41``: the innermost line of an error that is neither torch's nor this package's."""
    frames = traceback.extract_tb(error.__traceback__)
    return innermost((frame.filename, frame.lineno or 0) for frame in frames)


def innermost(frames: Iterable[tuple[str, int]]) -> str:
    """The last of some frames, outermost first, that is neither torch's nor this package's; "" when all are."""
    own = str(Path(__file__).resolve().parents[2])
    found = ""
    for file, line in frames:
        inside = file.startswith((own + "/exporter/", "torch/", "<")) or "/site-packages/" in file
        found = found if inside else f"{Path(file).name}:{line}"
    return found


def _explained(error: Exception) -> ModelError:
    text = str(error).strip()
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    meets_a_free_size = re.search(r"size.*\(s\d+\)", first)
    if "Constraints violated" in text or "specialized" in text or meets_a_free_size:
        return ModelError(
            "TP205",
            f"a dimension that should stay free is fixed by the model: {_reason(text)}",
            help='name only dims that are free: dynamic={"x": {0: "batch"}}, or dynamic={} for none',
        )
    if "data-dependent" in text or "GuardOnDataDependent" in type(error).__name__:
        return ModelError(
            "TP206",
            f"the model's control flow or shapes depend on the data: {first}",
            help="replace the `if` or the data-dependent index by torch.where, clamp or a fixed size",
        )
    return ModelError(
        "TP207",
        f"torch.export cannot trace the model: {type(error).__name__}: {first}",
        because="the module runs in eager mode on the same examples, but uses Python that tracing cannot follow",
        help="rewrite the line above with torch operations",
    )


def _reason(text: str) -> str:
    lines = [line.strip(" -") for line in text.splitlines() if "- " in line or "specialized" in line]
    return lines[0] if lines else text.splitlines()[0]


def _input_names(module: torch.nn.Module) -> list[str]:
    """Names the module gives its inputs, else the parameters of forward."""
    declared = getattr(module, "input_names", None)
    if declared:
        return [str(name) for name in declared]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in inspect.signature(module.forward).parameters.values() if p.kind in kinds]


def _required_names(module: torch.nn.Module) -> list[str]:
    """Parameters of forward that have no default; none where the module names its inputs itself."""
    if getattr(module, "input_names", None) or getattr(module, "forward_takes_list", False):
        return []
    parameters = inspect.signature(module.forward).parameters
    return [name for name in _input_names(module) if parameters[name].default is inspect.Parameter.empty]


def device_of(module: torch.nn.Module) -> torch.device:
    """Where the module's parameters lie."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def _tensor(name: str, value: object) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value))
    raise UsageError(
        "TP003",
        f"example input {name!r} is a {type(value).__name__}, expected a tensor or an array",
        help="pass torch tensors or numpy arrays",
    )


def _check_dynamic(tensors: Mapping[str, torch.Tensor], dynamic: Dynamic) -> None:
    sizes: dict[str, tuple[str, int]] = {}
    for name, axes in dynamic.items():
        if name not in tensors:
            raise UsageError("TP004", f"dynamic names input {name!r}; the inputs are {', '.join(tensors)}")
        for axis, dim in axes.items():
            if not 0 <= axis < tensors[name].dim():
                raise UsageError(
                    "TP001", f"dynamic[{name!r}] names axis {axis} of a tensor of shape {list(tensors[name].shape)}"
                )
            if tensors[name].shape[axis] == 0:
                raise UsageError("TP002", f"example input {name!r} is empty along axis {axis}")
            first = sizes.setdefault(dim, (name, tensors[name].shape[axis]))
            if first[1] != tensors[name].shape[axis]:
                raise UsageError(
                    "TP002",
                    f'"{dim}" is {first[1]} in example input {first[0]!r} and {tensors[name].shape[axis]} in {name!r}',
                    help='say which axes are free: dynamic={"x": {0: "batch"}}',
                )
