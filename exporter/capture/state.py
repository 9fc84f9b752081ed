"""What a module holds, and what its code may keep elsewhere: whether a call has left all of it as it was."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import sys
import types
import weakref
from collections import deque
from collections.abc import Iterator
from enum import Enum

import numpy as np
import torch

_MOST_FACTS = 100_000
"""A module of which there are more counts as changed (of a ResNet-50 there are 5,000)."""

_LARGE = 2**20
"""Bytes of a numpy array from which on it is not copied, and counts as changed."""

_NUMBERS = (int, float, complex, str, bytes, np.number, np.bool, type(None), type(Ellipsis))
_FIXED = (
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, range, slice, re.Pattern, logging.Logger, Enum),
    *(types.BuiltinFunctionType, types.GetSetDescriptorType, types.MemberDescriptorType, types.MethodDescriptorType),
    *(types.WrapperDescriptorType, types.MethodWrapperType, types.ClassMethodDescriptorType, types.CodeType),
    types.ModuleType,  # whose globals are looked up where code names them
)
_LIBRARIES = {"torch", "numpy", "builtins", *sys.stdlib_module_names}
_ABOUT_CLASSES = {
    *("__dict__", "__weakref__", "__annotations__", "__doc__", "__orig_bases__", "__parameters__"),
    *("__abstractmethods__", "_abc_impl", "__dataclass_fields__", "__dataclass_params__"),
}
_OF_TORCH = frozenset(vars(torch.nn.Module()))


class _Hidden(Exception):
    """A thing keeps what cannot be looked at."""


class State:
    """What is found from a thing on, which stays alive meanwhile, so that nothing new gets the address of the old.

    Followed are attributes, containers, closures, classes, and the globals that the code of all these names; not torch,
    numpy and Python's own library. What holds a thing that cannot be looked into (a generator, a lock) is like nothing.
    Not seen is what code reaches by a name made at run time, the environment and files, and writes to a tensor's memory
    behind torch's back (``.data``, which cannot be traced anyway).
    """

    def __init__(self, start: object) -> None:
        self.facts: list[object] = []
        self.kept: dict[int, object] = {}
        self.whole = False
        with contextlib.suppress(Exception):  # attributes can be code of the user's
            self._follow(start)
            self.whole = True

    def is_like(self, later: State) -> bool:
        """Whether all that was found is the same object with the same content."""
        return self.whole and later.whole and self.facts == later.facts

    def _follow(self, start: object) -> None:
        waiting = [start]
        while waiting:
            thing = waiting.pop()
            kind = type(thing)
            if issubclass(kind, _NUMBERS):
                self.facts.append((kind, repr(thing) if issubclass(kind, float | complex) else thing))
                continue
            self.facts.append(id(thing))
            if id(thing) not in self.kept:
                self.kept[id(thing)] = thing
                fact, parts = _looked_into(thing, kind)
                self.facts.append((len(parts), fact))
                waiting += parts
            if len(self.facts) > _MOST_FACTS:
                raise _Hidden


def state_of(module: torch.nn.Module) -> State:
    """What the module answers by, besides its inputs.

    torch.export puts attributes back that tracing has changed, so that a module may answer otherwise at its first call
    alone; such a module's first answer tells something that a later one does not.
    """
    with torch._C.DisableTorchFunctionSubclass():
        return State(module)


def _looked_into(thing: object, kind: type) -> tuple[object, list[object]]:
    """What a thing is by itself, and what it refers to; raises `_Hidden`."""
    if isinstance(thing, torch.Tensor):
        return _written(thing), [*vars(thing).values()]
    if isinstance(thing, torch.nn.Module):  # of what torch puts into each module most is empty
        held = {name: value for name, value in vars(thing).items() if value or name not in _OF_TORCH}
        return tuple(held), [kind, *held.values()]
    if issubclass(kind, dict):
        return None, [*_own(thing, kind), *thing, *thing.values()]  # type: ignore[misc, attr-defined]
    if isinstance(thing, list | tuple | set | frozenset | deque):
        return None, [*_own(thing, kind), *thing]
    if isinstance(thing, type):
        return None, [] if _of_library(thing.__module__) else _of_class(thing)
    if isinstance(thing, _FIXED):
        return None, []
    if isinstance(thing, types.FunctionType):
        return None, _of_function(thing)
    if isinstance(thing, types.MethodType | staticmethod | classmethod):
        return None, [thing.__func__, getattr(thing, "__self__", None)]
    if isinstance(thing, property):
        return None, [thing.fget, thing.fset]
    if isinstance(thing, functools.partial):
        return None, [thing.func, thing.args, thing.keywords]
    if isinstance(thing, weakref.ref):
        return None, [thing()]
    if isinstance(thing, np.ndarray) and thing.nbytes <= _LARGE and not thing.dtype.hasobject:
        return (thing.shape, thing.dtype, thing.tobytes()), []
    if not _in_python(kind):
        raise _Hidden
    return None, _own(thing, kind)


def _written(tensor: torch.Tensor) -> object:
    """How often torch has written to it; raises `_Hidden` where torch does not count."""
    if torch.nn.parameter.is_lazy(tensor):
        return None
    if tensor.is_inference():
        raise _Hidden
    return tensor._version


def _of_library(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] in _LIBRARIES


def _of_class(thing: type) -> list[object]:
    """Attributes and methods of the class, and its bases; a module's own __init__ has been called already."""
    without = _ABOUT_CLASSES | ({"__init__"} if issubclass(thing, torch.nn.Module) else set())
    attributes = (value for name, value in vars(thing).items() if name not in without)
    return [*thing.__bases__, *(x for x in attributes if not isinstance(x, _FIXED) and not _is_of_c(x))]


def _is_of_c(attribute: object) -> bool:
    """Whether it stands for a part of objects that only C sees: a named tuple's fields."""
    return hasattr(attribute, "__get__") and not hasattr(attribute, "__dict__") and not isinstance(attribute, property)


def _of_function(function: types.FunctionType) -> list[object]:
    """What it closes over, its defaults, and the globals that it names, in modules too: ``settings.ready``."""
    kept = [*_cells(function), function.__defaults__, function.__kwdefaults__, function.__dict__]
    if _of_library(function.__globals__.get("__name__")):
        return kept
    names = dict.fromkeys(_names(function.__code__))
    found = [function.__globals__[name] for name in names if name in function.__globals__]
    spaces = [x for x in found if isinstance(x, types.ModuleType) and not _of_library(x.__name__)]
    inside = [vars(space)[name] for space in spaces for name in names if name in vars(space)]
    return [*found, *inside, *kept]


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _cells(function: types.FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # nothing has been put there yet
            yield None


def _own(thing: object, kind: type) -> list[object]:
    """Attributes and slots, by name, and the class of a thing."""
    if kind.__module__ == "builtins":
        return []
    held = {**getattr(thing, "__dict__", {})}
    for name, slot in _slots(kind):
        with contextlib.suppress(AttributeError):  # nothing has been put there yet
            held[name] = slot.__get__(thing)
    return [kind, *held, *held.values()]


def _slots(kind: type) -> list[tuple[str, types.MemberDescriptorType]]:
    members = ((name, member) for base in kind.__mro__ for name, member in vars(base).items())
    return [(name, x) for name, x in members if isinstance(x, types.MemberDescriptorType) and name != "__dict__"]


def _in_python(kind: type) -> bool:
    """Whether its objects are attributes and slots and nothing else, which a class written in C could hide."""
    while kind is not object:
        base = kind.__base__ or object
        members = [x for x in vars(kind).values() if isinstance(x, types.MemberDescriptorType)]
        pointers = len(members) + sum(name in vars(kind) for name in ("__dict__", "__weakref__"))
        if kind.__basicsize__ > base.__basicsize__ + 8 * pointers:
            return False
        kind = base
    return True
