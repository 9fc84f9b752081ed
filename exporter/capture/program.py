"""Calling torch.export on a flat module: free dims stay free, recurrent calls whole, failures name the user's line."""

from __future__ import annotations

import contextlib
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.export import Dim as TorchDim
from torch.export import ExportedProgram

from ..errors import TriportError
from .attention import plain_transformers
from .explain import FixedSizes, explained
from .flat import FlatModule, own_path
from .inputs import Inputs, enlarge
from .lean import lean
from .limits import takes_the_way_of
from .places import place_of
from .recurrent_calls import whole_recurrent_calls
from .silence import silent
from .whole_pools import whole_pools

ROOMY_SIZE = 4
"""Free sizes are tried from this on first: half of two is one, and torch.export takes a size of one for a constant."""

TRACING = threading.RLock()
"""torch traces one model at a time: its settings, and those of `lean`, are the process's."""


class _Stopped(Exception):
    """Carries what torch.export, or the model that it calls, raised: anything, models being code."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def export_program(module: FlatModule, inputs: Inputs) -> tuple[ExportedProgram, list[str]]:
    """torch.export of the module, and notices; ModelError says which line cannot be captured and why."""
    exact = enlarge(inputs)
    roomy = enlarge(inputs, ROOMY_SIZE)
    if any(roomy.tensors[name].shape != tensor.shape for name, tensor in exact.tensors.items()):
        with contextlib.suppress(_Stopped):  # it counts at the size that the user knows to work
            program, told = _traced(module, roomy, FixedSizes(module))
            if takes_the_way_of(program, exact.tensors.values()):
                return program, _kept_tensors(module, told)
    fixed = FixedSizes(module)
    try:
        program, told = _traced(module, exact, fixed)
    except _Stopped as stopped:
        error = stopped.error
        if isinstance(error, TriportError):
            raise error.placed(place_of(error, module.body).at or "") from None
        # The module has just run on the same examples, so whatever stops it now is about tracing.
        raise explained(error, inputs, fixed) from error
    return program, _kept_tensors(module, told)


def _traced(
    module: FlatModule, inputs: Inputs, fixed: FixedSizes
) -> tuple[ExportedProgram, list[warnings.WarningMessage]]:
    """The program and torch's warnings; raises `_Stopped` for what torch.export raises, and for nothing of ours."""
    # DYNAMIC keeps a size free or fails. A named Dim would also refuse guards such as "the pooled height is not 1",
    # which every window op makes; the names are kept by `DimNames` instead.
    shapes: Any = tuple(dict.fromkeys(inputs.dynamic.get(n, {}), TorchDim.DYNAMIC) or None for n in inputs.tensors)
    examples = tuple(inputs.tensors.values())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with TRACING, torch.no_grad(), whole_calls(), fixed.watched(), silent(), lean(module):
            try:
                program = torch.export.export(
                    module, examples, dynamic_shapes=(shapes,) if shapes else (), strict=False
                )
            except Exception as error:
                raise _Stopped(error) from error
    return program, told


@contextlib.contextmanager
def whole_calls() -> Iterator[None]:
    """While it lasts, recurrent layers, pools and transformer layers are traced as the calls that they are."""
    with whole_recurrent_calls(), whole_pools(), plain_transformers():
        yield


def _kept_tensors(module: FlatModule, told: Iterable[warnings.WarningMessage]) -> list[str]:
    """A notice where the model stores tensors on itself while it runs; not for weights that a norm computes anew."""
    names = {name for warning in told for name in _kept_names(str(warning.message))}
    held = dict(module.named_parameters()) | dict(module.named_buffers())
    kept = sorted(n for n in names if not any(f"{n}{suffix}" in held for suffix in ("_orig", "_g")))
    if not kept:
        return []
    listed = ", ".join(f"self.{own_path(name)}" for name in kept)
    return [f"the model keeps tensors in {listed} while it runs; the graph computes them anew and keeps nothing"]


def _kept_names(message: str) -> list[str]:
    if "assigned during export" not in message or "_flat_weights" in message:
        return []
    return re.findall(r"self\.([\w.]+)", message.partition(" assigned during export")[0])
