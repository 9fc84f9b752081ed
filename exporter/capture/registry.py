"""Which function turns an ATen op into nodes of the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Converter = Callable[..., object]
F = TypeVar("F", bound=Callable[..., object])

_CONVERTERS: dict[str, Converter] = {}


def captures(*names: str) -> Callable[[F], F]:
    """Decorator for ``converter(context, *arguments)``.

    names   ATen ops with or without overload, such as ``conv2d`` or ``add.Tensor``; the in-place form (``relu_``) of a
            captured op is captured with it
    The converter gets every argument of the op's schema in order, defaults filled in: tensors as Values, symbolic
    sizes as Dims, lists as lists, everything else as torch has it.
    """

    def register(converter: F) -> F:
        for name in names:
            _CONVERTERS[name] = converter
        return converter

    return register


def converter_for(name: str, overload: str) -> Converter | None:
    """The converter of ``aten.<name>.<overload>``, also for its in-place form."""
    plain = name.rstrip("_") if not name.startswith("_") else "_" + name.strip("_")
    for key in (f"{name}.{overload}", name, f"{plain}.{overload}", plain):
        if key in _CONVERTERS:
            return _CONVERTERS[key]
    return None
