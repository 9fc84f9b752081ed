"""Calling torch.export: example inputs in any form, free dims by name, and failures said in the user's terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.export import Dim as TorchDim
from torch.export import ExportedProgram

from ..errors import ModelError, UsageError

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
    tensors = {name: _tensor(name, value) for name, value in ordered.items()}
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


def export_program(module: torch.nn.Module, inputs: Inputs) -> ExportedProgram:
    """torch.export of the module; ModelError says which line cannot be captured and why."""
    grown = enlarge(inputs)
    # DYNAMIC keeps a size free or fails. A named Dim would also refuse guards such as "the pooled height is not 1",
    # which every window op makes; the names are kept by `DimNames` instead.
    shapes = tuple(dict.fromkeys(inputs.dynamic.get(name, {}), TorchDim.DYNAMIC) or None for name in grown.tensors)
    forward_takes_list = getattr(module, "forward_takes_list", False)
    arguments: tuple[Any, ...] = tuple(grown.tensors.values())
    try:
        with torch.no_grad():
            return torch.export.export(
                module,
                (list(arguments),) if forward_takes_list else arguments,
                dynamic_shapes=(list(shapes),) if forward_takes_list else shapes,
                strict=False,
            )
    except torch._dynamo.exc.UserError as error:
        raise _explained(error) from error
    except RuntimeError as error:
        raise _explained(error) from error


def _explained(error: Exception) -> ModelError:
    text = str(error).strip()
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    if "Constraints violated" in text or "specialized" in text:
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
        "TP207", f"torch.export cannot trace the model: {first}", help="run the module in eager mode first"
    )


def _reason(text: str) -> str:
    lines = [line.strip(" -") for line in text.splitlines() if "- " in line or "specialized" in line]
    return lines[0] if lines else text.splitlines()[0]


def _input_names(module: torch.nn.Module) -> list[str]:
    """Names the module gives its inputs, else the parameters of forward."""
    declared = getattr(module, "input_names", None)
    if declared:
        return [str(name) for name in declared]
    import inspect

    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in inspect.signature(module.forward).parameters.values() if p.kind in kinds]


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
    for name, axes in dynamic.items():
        if name not in tensors:
            raise UsageError("TP004", f"dynamic names input {name!r}; the inputs are {', '.join(tensors)}")
        for axis in axes:
            if not 0 <= axis < tensors[name].dim():
                raise UsageError(
                    "TP001", f"dynamic[{name!r}] names axis {axis} of a tensor of shape {list(tensors[name].shape)}"
                )
            if tensors[name].shape[axis] == 0:
                raise UsageError("TP002", f"example input {name!r} is empty along axis {axis}")
