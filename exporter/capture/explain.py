"""What stopped torch.export, in the user's terms: the line, the reason, what to change, and torch's words in brief."""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.fx.experimental import symbolic_shapes

from ..errors import ModelError, TriportError
from ..graph import Sym, TensorType, evaluate_dim
from ..graph.dims import dim_names
from . import flat
from .flat import FlatModule
from .inputs import Inputs
from .places import Place, innermost_frame, layer_called, place_of

_FIXED = re.compile(r"size\(\)\[(\d+)\].*?(?:specialized it to be a constant|specialized due to hint of .*?) \((\d+)\)")
_HOOK = "_set_replacement"
"""torch's own function that notes that a free size has one value only."""

_TRIED = 4096
"""Sizes up to this one are looked through for an example that would do."""

_LONGEST = 160
"""Characters of torch's own text that a message quotes."""


class FixedSizes:
    """Where a module gave free sizes a value, or made two of them equal, in the order it did."""

    def __init__(self, module: FlatModule) -> None:
        self.module = module
        self.places: list[Place] = []

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """While it lasts, every size that torch has to fix is noted with the user's line."""
        original: Callable[..., Any] = getattr(symbolic_shapes.ShapeEnv, _HOOK)

        def noting(env: Any, symbol: Any, target: Any, *rest: Any, **named: Any) -> Any:
            if getattr(target, "is_number", False):
                self.places.append(_called_from_here(self.module))
            return original(env, symbol, target, *rest, **named)

        setattr(symbolic_shapes.ShapeEnv, _HOOK, noting)
        try:
            yield
        finally:
            setattr(symbolic_shapes.ShapeEnv, _HOOK, original)


def _called_from_here(module: FlatModule) -> Place:
    """The innermost line and layer of the user's model that are being traced just now."""
    frames = [frame for frame, _ in traceback.walk_stack(None)][::-1]
    entry = max((i for i, frame in enumerate(frames) if frame.f_code.co_filename == flat.__file__), default=-1)
    traced = frames[entry + 1 :]
    line = innermost_frame((frame.f_code.co_filename, frame.f_lineno) for frame in traced)
    return Place(line, layer_called(traced, module.body))


def explained(error: Exception, inputs: Inputs, fixed: FixedSizes) -> ModelError:
    """The error to raise instead of one of torch.export's."""
    text = str(error).strip()
    place = place_of(error, fixed.module.body)
    for explain in (_depends_on_data, _fixed_size, _known_reasons):
        told = explain(error, text, inputs, fixed, place)
        if told is not None:
            return told
    return ModelError(
        "TP207",
        f"torch.export cannot trace the model{place.code}",
        at=place.at,
        because=_torch_says(error, text),
        help="the model runs in eager mode on the same examples, but uses Python that tracing cannot follow: write "
        "that line with torch operations",
    )


def _fixed_size(error: Exception, text: str, inputs: Inputs, fixed: FixedSizes, place: Place) -> ModelError | None:
    """TP205: a size that was to stay free has one value only."""
    found = [(line, match) for line in text.splitlines() if (match := _FIXED.search(line))]
    if found:
        line, match = found[0]
        place = next((p for p in reversed(fixed.places) if p.frame), fixed.places[-1] if fixed.places else place)
        name, dim = _dim_of(line, int(match[1]), inputs)
        return ModelError(
            "TP205",
            f'the dimension "{dim}" (axis {match[1]} of input "{name}") cannot stay free: the model fixes it to '
            f"{match[2]}{place.code}",
            at=place.at,
            because="that line compares it with a number, repeats by it, or meets a tensor of this size",
            help=f'take the number from the input\'s shape there, or leave "{dim}" out of dynamic=',
        )
    if re.search(r"size.*\(s\d+\)|Constraints violated|specialized", text):
        dims = sorted({dim for axes in inputs.dynamic.values() for dim in axes.values()})
        return ModelError(
            "TP205",
            f"a dimension that should stay free does not fit the model at every size{place.code}",
            at=place.at,
            because=f"{_torch_says(error, text)} (s… stands for {' or '.join(dims)})",
            help='give equal sizes one name, or leave the one that is fixed out: dynamic={"x": {0: "batch"}}',
        )
    return None


def _dim_of(line: str, axis: int, inputs: Inputs) -> tuple[str, str]:
    """Name of the input and of the dim that a line of torch's speaks of."""
    position = re.search(r"\['\w+'\]\[(\d+)\]", line)
    name = list(inputs.tensors)[int(position[1]) if position else 0]
    return name, inputs.dynamic.get(name, {}).get(axis, f"axis {axis}")


def _depends_on_data(error: Exception, text: str, inputs: Inputs, fixed: FixedSizes, place: Place) -> ModelError | None:
    """TP206: Python looks at the values of a tensor."""
    if "data-dependent" not in text and "DataDependent" not in type(error).__name__:
        return None
    becomes_number = re.search(r"expression z?uf|\bspecialized? integer|expression -?u\d+ ", text)
    return ModelError(
        "TP206",
        f"the model {'makes a Python number of' if becomes_number else 'decides by'} the values of a tensor"
        f"{place.code}",
        at=place.at,
        because="a graph takes the same steps whatever the values are; what Python does with a value is not in it",
        help="leave out .item(), int() and float(): tensors compute with tensors; slice by fixed sizes"
        if becomes_number
        else "choose with torch.where(condition, a, b), bound with clamp, or mask by multiplying",
    )


def _known_reasons(error: Exception, text: str, inputs: Inputs, fixed: FixedSizes, place: Place) -> ModelError | None:
    if ".numpy() is not supported" in text or ("can't convert" in text.lower() and "numpy" in text):
        return ModelError(
            "TP207",
            f"the model computes with numpy{place.code}",
            at=place.at,
            because="what numpy does to a tensor is not recorded",
            help="use the torch function of that name there (np.sqrt → torch.sqrt, np.pad → F.pad)",
        )
    if isinstance(error, torch._subclasses.fake_tensor.UnsupportedOperatorException | NotImplementedError):
        return ModelError(
            "TP202",
            f"the model calls a torch op that torch itself cannot trace{place.code}",
            at=place.at,
            because=_torch_says(error, text),
            help="compute it with dense tensors and ops of docs/torch-coverage.md; a custom op needs register_fake",
        )
    if "torch.classes" in text or "ScriptObject" in text or "PackedParams" in text:
        return ModelError(
            "TP209",
            "the model holds packed weights of torch.ao.quantization",
            because="only torch's own CPU kernels can read them",
            help="capture the float model; quantize afterwards",
        )
    if "device" in text and re.search(r"(same|expected|different|found) .*device", text):
        return ModelError(
            "TP213",
            f"tensors of several devices meet in the model{place.code}",
            at=place.at,
            because=_torch_says(error, text),
            help='move the whole model first: module.to("cpu")',
        )
    return None


def _torch_says(error: Exception, text: str) -> str:
    """torch's words in one short line."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    line = re.sub(r"\s*\((unhinted|Size-like symbols)[^)]*\)+", "", line).partition(" For more information")[0]
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 1].rstrip() + "…"
    return f"torch says: {line}"


def taken_for_constant(type: TensorType, expected: TensorType, at: str) -> ModelError | None:
    """TP205 where torch has the example's number for a size that is free; None for other differences.

    type       with the sizes that they are
    expected   with those that torch has
    """
    pairs = [(ours, theirs) for ours, theirs in zip(type.shape, expected.shape, strict=False) if ours != theirs]
    if (
        type.rank != expected.rank
        or not pairs
        or not all(isinstance(theirs, int) and isinstance(ours, Sym) for ours, theirs in pairs)
    ):
        return None
    size, number = next(((ours, theirs) for ours, theirs in pairs if theirs != 1), pairs[0])
    names = " and ".join(f'"{name}"' for name in sorted(dim_names(size)))
    if number != 1:
        return ModelError(
            "TP205",
            f"{size} is {number} in this program: torch fixed it to the example's size while it traced the model",
            at=at or None,
            because="LSTM and GRU that torch traces by itself have as many steps as the example",
            help=f"tp.capture(module, example, dynamic=...) keeps {names} free; torch.export needs it fixed",
        )
    larger = [n for n in range(2, _TRIED) if evaluate_dim(size, dict.fromkeys(dim_names(size), n)) > 1]
    example = f"with {names} of {larger[0]} or more" if larger else "with larger sizes"
    return ModelError(
        "TP205",
        f"a size that depends on {names} is 1 at the example, which torch takes for a constant",
        at=at or None,
        because="a line there lets an axis of this size meet one of another, and torch spreads axes of 1 over others",
        help=f"pass an example {example}, or leave {names} out of dynamic=",
    )


def advised(error: TriportError, free: Sequence[str]) -> TriportError:
    """Where operands do not go together: what to do about two names of free sizes that have to be one."""
    clashing = [name for name in free if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", error.message)]
    if error.code != "TP201" or error.help or len(clashing) < 2:
        return error
    names = ", ".join(f'"{name}"' for name in clashing)
    return type(error)(
        error.code,
        error.message,
        at=error.at,
        because=f"{names} are free each by itself, and here sizes made of them meet",
        help="give sizes that are always equal one name: tp.capture(module, example, dynamic={input: {axis: name}})",
    )
