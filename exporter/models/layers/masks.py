"""Masks over steps: which steps of a sequence count.

A mask [batch, steps] is true where a step counts. It travels with the tensor it belongs to, as in Keras:
``Embedding(mask_zero=True)`` and ``Masking`` put it there; layers with ``supports_masking`` pass it on; layers whose
``call`` takes ``mask`` heed it; all others let it go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..structure import flatten

if TYPE_CHECKING:
    from .base import Layer

ATTRIBUTE = "_triport_mask"


def of(inputs: Any) -> Any:
    """The mask of a tensor, a list of masks for a list; None where there is none."""
    if isinstance(inputs, Tensor):
        return getattr(inputs, ATTRIBUTE, None)
    if isinstance(inputs, list | tuple):
        found = [of(item) for item in inputs]
        return None if all(mask is None for mask in found) else found
    return None


def attach(y: Tensor, mask: Tensor | None) -> Tensor:
    """y, with this mask."""
    setattr(y, ATTRIBUTE, mask)
    return y


def call(layer: Layer, compute: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], mask: Any) -> Any:
    """What ``layer`` computes on inputs that have a mask; its outputs have what ``compute_mask`` makes of it."""
    if "mask" in layer.call_parameters and len(args) == 1 and kwargs.get("mask") is None:
        kwargs = {**kwargs, "mask": mask}
    result = compute(*args, **kwargs)
    after = layer.compute_mask(args[0], mask)
    if after is not None:
        leaves = flatten(result)
        marks = after if isinstance(after, list) else [after] + [None] * (len(leaves) - 1)
        for leaf, mark in zip(leaves, marks, strict=True):
            if isinstance(leaf, Tensor):
                attach(leaf, mark)
    return result
