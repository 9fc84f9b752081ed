"""A module of any form as one that takes tensors in a row and gives them in a row, with names for both.

torch.export then sees nothing but tensors, whatever the module's arguments and results are made of.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from ..errors import ModelError, UsageError
from ..wording import with_article
from .inputs import Inputs

BODY = "body"
"""Under this name the user's module stands in the flat one; it is cut off the paths of layers and weights."""


class FlatModule(torch.nn.Module):
    """Calls ``module`` with its arguments put together from tensors.

    names     of the outputs, once it has been called
    missing   places where the module returned None, once it has been called
    called    what to do whenever it is called, before anything else
    """

    def __init__(self, module: torch.nn.Module, inputs: Inputs) -> None:
        super().__init__()
        self.body = module
        self.inputs = inputs
        self.declared = tuple(getattr(module, "output_names", None) or ())
        self.names: list[str] = []
        self.missing: list[str] = []
        self.called: Callable[[], None] | None = None

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.called:
            self.called()
        arguments, keywords = self.inputs.call(dict(zip(self.inputs.tensors, tensors, strict=True)))
        leaves = list(named_leaves("", self.body(*arguments, **keywords)))
        outputs: list[tuple[str, torch.Tensor]] = []
        for path, leaf in leaves:
            if isinstance(leaf, torch.Tensor):
                outputs.append((path, leaf))
            elif leaf is not None:
                raise _no_tensor(path, leaf)
        if not outputs:
            raise ModelError(
                "TP208",
                f"the model returns {'None' if leaves else 'nothing'}",
                help="let forward return a tensor, or a tuple, list, dict or dataclass of tensors",
            )
        declared = self.declared if len(self.declared) == len(outputs) else ()
        self.names = _distinct(declared or [path or "output" for path, _ in outputs], self.inputs.tensors)
        self.missing = [path for path, leaf in leaves if leaf is None]
        return tuple(leaf for _, leaf in outputs)


def own_path(path: str) -> str:
    """A path of torch's as the user knows it: ``body.stem.conv`` is ``stem.conv``."""
    return path.removeprefix(BODY).removeprefix(".") if path.partition(".")[0] == BODY else path


def unwrapped(module: object) -> torch.nn.Module:
    """The module itself: not its compiled or parallel form. UsageError for what is no module."""
    while isinstance(module, torch.nn.parallel.DataParallel | torch.nn.parallel.DistributedDataParallel):
        module = module.module
    original = getattr(module, "_orig_mod", None)  # of torch.compile
    if isinstance(original, torch.nn.Module):
        return unwrapped(original)
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            "TP001",
            "a ScriptModule cannot be captured: its Python source is gone",
            help="pass the nn.Module that torch.jit.script or torch.jit.trace was given",
        )
    if isinstance(module, torch.nn.Module):
        return module
    if isinstance(module, type) and issubclass(module, torch.nn.Module):
        raise UsageError("TP001", f"{module.__name__} is a class", help=f"make a module of it: {module.__name__}(…)")
    if isinstance(module, Mapping):
        raise UsageError(
            "TP001",
            f"{with_article(type(module).__name__)} holds weights and no computation",
            help="make the module, call module.load_state_dict(…), and capture that",
        )
    if isinstance(module, torch.export.ExportedProgram):
        raise UsageError(
            "TP001",
            "an ExportedProgram is captured from its file",
            help='torch.export.save(program, "model.pt2"), then tp.capture_saved("model.pt2")',
        )
    raise UsageError(
        "TP001",
        f"expected a torch.nn.Module, got {with_article(type(module).__name__)}",
        help="write a subclass of torch.nn.Module whose forward calls your function"
        if callable(module)
        else "pass the model itself first, then its example inputs: tp.capture(model, example)",
    )


def named_leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    """Everything in nested tuples, lists, dicts and dataclasses, in order, each with a readable name."""
    if isinstance(value, Mapping):
        parts: Sequence[tuple[object, object]] = list(value.items())
    elif isinstance(value, list | tuple):
        fields = getattr(value, "_fields", None)
        parts = list(zip(fields or range(len(value)), value, strict=True))
        if not path and not fields:
            parts = [(f"output_{i}", item) for i, item in parts]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = [(part.name, getattr(value, part.name)) for part in dataclasses.fields(value)]
    else:
        yield path, value
        return
    for key, item in parts:
        yield from named_leaves(f"{path}_{key}" if path else str(key), item)


def _distinct(names: Sequence[str], inputs: Mapping[str, Any]) -> list[str]:
    """Names that no input and no other output has: a file lists them all together."""
    found: list[str] = []
    for name in map(str, names):
        free = f"{name}_out" if name in inputs else name
        number = 1
        while free in found or free in inputs:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _no_tensor(path: str, leaf: object) -> ModelError:
    where = f'"{path}"' if path else "its top"
    if isinstance(leaf, int | float | torch.SymInt | torch.SymFloat | torch.SymBool):
        kind = type(leaf).__name__.removeprefix("Sym").lower()
        return ModelError(
            "TP208",
            f"the model returns a number at {where} (a Python {kind})",
            because="a graph returns tensors",
            help="leave it out, or make it a tensor: torch.tensor(number)",
        )
    return ModelError(
        "TP208",
        f"the model returns {with_article(type(leaf).__name__)} at {where}",
        because="a graph returns tensors",
        help="leave it out if the model has an option for that (such as use_cache=False), or capture a module that "
        "calls this one and picks the tensors out of its result",
    )
