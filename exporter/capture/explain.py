"""What stopped torch.export, in the user's terms: the line, the reason, what to change, and torch's words in brief."""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.fx.experimental import symbolic_shapes

from ..errors import ModelError
from . import flat
from .inputs import Inputs
from .places import code_at, innermost_frame, user_frame

_FIXED = re.compile(r"size\(\)\[(\d+)\].*?(?:specialized it to be a constant|specialized due to hint of .*?) \((\d+)\)")
_HOOK = "_set_replacement"
"""torch's own function that notes that a free size has one value only."""

_LONGEST = 160
"""Characters of torch's own text that a message quotes."""


class FixedSizes:
    """Where the model gave free sizes a value, or made two of them equal, in the order it did."""

    def __init__(self) -> None:
        self.places: list[tuple[str, int]] = []

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """While it lasts, every size that torch has to fix is noted with the user's line."""
        original: Callable[..., Any] = getattr(symbolic_shapes.ShapeEnv, _HOOK)

        def noting(env: Any, symbol: Any, target: Any, *rest: Any, **named: Any) -> Any:
            if getattr(target, "is_number", False):
                self.places += filter(None, [_called_from_here()])
            return original(env, symbol, target, *rest, **named)

        setattr(symbolic_shapes.ShapeEnv, _HOOK, noting)
        try:
            yield
        finally:
            setattr(symbolic_shapes.ShapeEnv, _HOOK, original)


def _called_from_here() -> tuple[str, int] | None:
    """The innermost line of the user's model that is being traced just now."""
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_stack()]
    entry = max((i for i, (file, _) in enumerate(frames) if file == flat.__file__), default=-1)
    return innermost_frame(frames[entry + 1 :])


def explained(error: Exception, inputs: Inputs, fixed: FixedSizes) -> ModelError:
    """The error to raise instead of one of torch.export's."""
    text = str(error).strip()
    place = user_frame(error)
    for explain in (_fixed_size, _depends_on_data, _known_reasons):
        told = explain(error, text, inputs, fixed, place)
        if told is not None:
            return told
    return ModelError(
        "TP207",
        f"torch.export cannot trace the model{_code(place)}",
        at=_where(place),
        because=_torch_says(error, text),
        help="the model runs in eager mode on the same examples, but uses Python that tracing cannot follow: write "
        "that line with torch operations",
    )


def _fixed_size(
    error: Exception, text: str, inputs: Inputs, fixed: FixedSizes, place: tuple[str, int] | None
) -> ModelError | None:
    """TP205: a size that was to stay free has one value only."""
    found = [(line, match) for line in text.splitlines() if (match := _FIXED.search(line))]
    if found:
        line, match = found[0]
        place = fixed.places[-1] if fixed.places else place
        name, dim = _dim_of(line, int(match[1]), inputs)
        return ModelError(
            "TP205",
            f'the dimension "{dim}" (axis {match[1]} of input "{name}") cannot stay free: the model fixes it to '
            f"{match[2]}{_code(place)}",
            at=_where(place),
            because="that line compares it with a number, repeats by it, or meets a tensor of this size",
            help=f'take the number from the input\'s shape there, or leave "{dim}" out of dynamic=',
        )
    if re.search(r"size.*\(s\d+\)|Constraints violated|specialized", text):
        dims = sorted({dim for axes in inputs.dynamic.values() for dim in axes.values()})
        return ModelError(
            "TP205",
            f"a dimension that should stay free does not fit the model at every size{_code(place)}",
            at=_where(place),
            because=f"{_torch_says(error, text)} (s… stands for {' or '.join(dims)})",
            help='give equal sizes one name, or leave the one that is fixed out: dynamic={"x": {0: "batch"}}',
        )
    return None


def _dim_of(line: str, axis: int, inputs: Inputs) -> tuple[str, str]:
    """Name of the input and of the dim that a line of torch's speaks of."""
    position = re.search(r"\['\w+'\]\[(\d+)\]", line)
    name = list(inputs.tensors)[int(position[1]) if position else 0]
    return name, inputs.dynamic.get(name, {}).get(axis, f"axis {axis}")


def _depends_on_data(
    error: Exception, text: str, inputs: Inputs, fixed: FixedSizes, place: tuple[str, int] | None
) -> ModelError | None:
    """TP206: Python looks at the values of a tensor."""
    if "data-dependent" not in text and "DataDependent" not in type(error).__name__:
        return None
    becomes_number = re.search(r"expression z?uf|\bspecialized? integer|expression -?u\d+ ", text)
    return ModelError(
        "TP206",
        f"the model {'makes a Python number of' if becomes_number else 'decides by'} the values of a tensor"
        f"{_code(place)}",
        at=_where(place),
        because="a graph takes the same steps whatever the values are; what Python does with a value is not in it",
        help="leave out .item(), int() and float(): tensors compute with tensors; slice by fixed sizes"
        if becomes_number
        else "choose with torch.where(condition, a, b), bound with clamp, or mask by multiplying",
    )


def _known_reasons(
    error: Exception, text: str, inputs: Inputs, fixed: FixedSizes, place: tuple[str, int] | None
) -> ModelError | None:
    if ".numpy() is not supported" in text or ("can't convert" in text.lower() and "numpy" in text):
        return ModelError(
            "TP207",
            f"the model computes with numpy{_code(place)}",
            at=_where(place),
            because="what numpy does to a tensor is not recorded",
            help="use the torch function of that name there (np.sqrt → torch.sqrt, np.pad → F.pad)",
        )
    if isinstance(error, torch._subclasses.fake_tensor.UnsupportedOperatorException | NotImplementedError):
        return ModelError(
            "TP202",
            f"the model calls a torch op that torch itself cannot trace{_code(place)}",
            at=_where(place),
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
            f"tensors of several devices meet in the model{_code(place)}",
            at=_where(place),
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


def _where(place: tuple[str, int] | None) -> str | None:
    return f"{Path(place[0]).name}:{place[1]}" if place else None


def _code(place: tuple[str, int] | None) -> str:
    """The user's own line, quoted."""
    line = code_at(*place) if place else ""
    return f": {line}" if line else ""
