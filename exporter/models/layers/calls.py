"""How layers are called: which argument is which, and what a call on symbolic tensors announces.

A layer of this package says in ``compute_output_shape`` what comes out. A layer that a user wrote with ``call`` need
not, as in Keras: it is run on zeros, at two sizes where a size is free, and what changes with the size is free too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...errors import TriportError
from ..structure import (
    DTYPES,
    Node,
    SymbolicTensor,
    dtype_name,
    flatten,
    flatten_shapes,
    format_shape,
    is_shape,
    map_structure,
)

if TYPE_CHECKING:
    from .base import Layer

PACKAGE = __name__.partition(".")[0]
TRIED_SIZES = ((32, 36), (8, 12), (96, 100), (1, 2))
"""What free sizes are set to, in pairs, until a layer of the user's accepts both."""


# -- arguments ----------------------------------------------------------------------------------------------------


def parameters(kind: type) -> dict[str, inspect.Parameter]:
    """What the layer's ``call`` (or ``forward``) takes, ``self`` left out."""
    function = getattr(kind, "call", None) or getattr(kind, "forward")  # noqa: B009
    return dict(list(inspect.signature(function).parameters.items())[1:])


def bound(layer: Layer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """(the first argument, the others by name) of a call; arguments that are None are left out.

    Where ``call`` takes its inputs as one list or by any name, so do the arguments come back. Raises UsageError TP010.
    """
    known = layer.call_parameters
    given = {name: value for name, value in kwargs.items() if value is not None}
    names = [name for name, item in known.items() if item.kind is item.POSITIONAL_OR_KEYWORD]
    kinds = {item.kind for item in known.values()}
    takes_any = bool(kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})
    if not args and takes_any:
        return given, {}
    if not args:
        if names[0] not in given:
            layer._refuse(f"was called without {names[0]!r}", code="TP010")
        args = (given.pop(names[0]),)
    unknown = [name for name in given if name not in names]
    if unknown and not (layer.is_foreign and inspect.Parameter.VAR_KEYWORD in kinds):
        layer._refuse(f"takes no argument {unknown[0]!r} when it is called", code="TP010")
    if takes_any or len(args) > len(names):
        return (args[0] if len(args) == 1 else list(args)), given
    further = {name: value for name, value in zip(names[1:], args[1:], strict=False) if value is not None}
    return args[0], further | given


def shapes(layer: Layer, inputs: Any, arguments: Mapping[str, Any]) -> Any:
    """What ``build`` is told of a call on tensors or symbolic tensors: shapes with a free batch."""
    return layer.call_shapes(map_structure(_shape_of, inputs), _argument_shapes(arguments))


def _shape_of(value: Any) -> Any:
    if isinstance(value, SymbolicTensor):
        return value.shape
    return (None, *(int(size) for size in value.shape[1:]))


def _argument_shapes(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with shapes in the place of tensors."""
    return {
        name: map_structure(lambda leaf: _shape_of(leaf) if isinstance(leaf, Tensor | SymbolicTensor) else leaf, value)
        for name, value in arguments.items()
    }


# -- what comes out -----------------------------------------------------------------------------------------------


def announced(node: Node) -> Any:
    """The symbolic outputs of a call: one, or a structure of them. Builds the layer."""
    layer = node.layer
    known = shapes(layer, node.inputs, node.arguments)
    layer.ensure_built(known)
    if layer.is_foreign:
        seen = observed(layer, node.inputs, node.arguments)
        return map_structure(lambda tensor: SymbolicTensor(tensor.shape, tensor.dtype, node), seen)
    build_inside(layer, known, node.inputs, node.arguments)
    shape = layer.call_output_shape(known, _argument_shapes(node.arguments))
    dtype = layer.compute_output_dtype(map_structure(lambda tensor: tensor.dtype, node.inputs))
    return _map_shapes(lambda sizes: SymbolicTensor(sizes, dtype, node), shape)


def _map_shapes(function: Any, known: Any) -> Any:
    if is_shape(known):
        return function(known)
    if isinstance(known, dict):
        return {key: _map_shapes(function, item) for key, item in known.items()}
    return [_map_shapes(function, item) for item in known]


def is_users(kind: type) -> bool:
    """Whether the user wrote what the layer computes."""
    return not _writer(kind, "call", "forward").__module__.startswith(f"{PACKAGE}.")


def is_foreign(kind: type) -> bool:
    """Whether the user wrote what the layer computes, and not what shape that has."""
    from .base import Layer as Base

    return is_users(kind) and _writer(kind, "compute_output_shape") is Base


def _writer(kind: type, *names: str) -> type:
    return next(base for base in kind.__mro__ if any(name in vars(base) for name in names))


def build_inside(layer: Layer, known: Any, inputs: Any = None, arguments: Mapping[str, Any] | None = None) -> None:
    """Builds the layers inside one of the user's, which only its ``call`` knows how, by running it on zeros.

    ``known`` are the shapes of its inputs, ``inputs`` and ``arguments`` what it is called on where that is known.
    """
    from .base import Layer as Base

    if is_users(type(layer)) and any(isinstance(part, Base) and not part.built for part in layer.modules()):
        if inputs is None:
            observed_of_shapes(layer, known)
        else:
            observed(layer, inputs, arguments or {})


def observed(layer: Layer, inputs: Any, arguments: Mapping[str, Any]) -> Any:
    """The symbolic outputs of a layer of the user's, seen by running it on zeros in eval mode.

    Raises UsageError TP011 with torch's reason where it accepts none of the sizes that are tried.
    """
    leaves = [leaf for leaf in flatten([inputs, arguments]) if isinstance(leaf, SymbolicTensor)]
    is_free = any(None in leaf.shape[1:] for leaf in leaves)
    node = Node(layer, inputs)
    failure: Exception | None = None
    for pair in TRIED_SIZES if is_free else (TRIED_SIZES[0][:1],):
        try:
            runs = [_run_on_zeros(layer, inputs, arguments, size) for size in pair]
        except (TriportError, RuntimeError, ValueError, IndexError) as error:
            failure = failure or error
            continue
        return _joined(layer, runs, node)
    if failure is None or isinstance(failure, TriportError):
        raise failure or AssertionError
    tried = " and ".join(format_shape(leaf.shape) for leaf in leaves)
    layer._refuse(f"does not accept an input of shape {tried}: {failure}", cause=failure)


def observed_of_shapes(layer: Layer, known: Any) -> Any:
    """Like ``observed``, where the dtypes are not known: the layer's own, else integers."""
    failure: TriportError | None = None
    for dtype in dict.fromkeys((layer.preferred_dtype, "int32", "int64")):
        node = Node(layer, None)
        inputs = _map_shapes(functools.partial(SymbolicTensor, dtype=dtype, node=node), known)
        try:
            return observed(layer, inputs, {})
        except TriportError as error:
            failure = failure or error
    raise failure or AssertionError


def _run_on_zeros(layer: Layer, inputs: Any, arguments: Mapping[str, Any], size: int) -> Any:
    """The layer's outputs for two samples of zeros, each free size ``size``."""

    def zeros(leaf: Any) -> Any:
        if not isinstance(leaf, SymbolicTensor):
            return leaf
        return torch.zeros((2, *(size if free is None else free for free in leaf.shape[1:])), dtype=DTYPES[leaf.dtype])

    was_training = layer.training
    layer.eval()
    try:
        with torch.no_grad():
            given = {name: map_structure(zeros, value) for name, value in arguments.items()}
            return layer(map_structure(zeros, inputs), **given)
    finally:
        layer.train(was_training)


def _joined(layer: Layer, runs: list[Any], node: Node) -> Any:
    """One or two runs' outputs as symbolic tensors: a size that differs between runs is free, the first one always."""
    first, last = runs[0], runs[-1]
    if isinstance(first, Mapping):
        return {key: _joined(layer, [first[key], last[key]], node) for key in first}
    if isinstance(first, list | tuple):
        return [_joined(layer, [a, b], node) for a, b in zip(first, last, strict=True)]
    if not isinstance(first, Tensor) or not isinstance(last, Tensor):
        layer._refuse(f"has to return tensors; it returned {type(first).__name__}")
    if first.ndim != last.ndim or first.ndim == 0:
        layer._refuse("has to return tensors [batch, ...] of one rank, whatever the sizes of its input")
    sizes = (a if a == b else None for a, b in zip(first.shape[1:], last.shape[1:], strict=True))
    return SymbolicTensor((None, *sizes), dtype_name(first.dtype), node)


# -- what went wrong ----------------------------------------------------------------------------------------------


def explain(layer: Layer, args: tuple[Any, ...], error: RuntimeError) -> None:
    """After torch refused: raises a UsageError when the cause is a shape or dtype; returns when it is not."""
    for expected, tensor in zip(flatten_shapes(layer.built_shape), flatten(list(args)), strict=False):
        if not isinstance(tensor, Tensor):
            continue
        sizes = tuple(tensor.shape)
        wrong = len(sizes) != len(expected) or any(
            want is not None and want != size for want, size in zip(expected[1:], sizes[1:], strict=True)
        )
        if wrong:
            layer._refuse(f"expects an input of shape {format_shape(expected)}, received {list(sizes)}", cause=error)
        weight = next(layer.parameters(), None)
        if weight is not None and tensor.dtype != weight.dtype and tensor.dtype.is_floating_point:
            layer._refuse(
                f"computes in {dtype_name(weight.dtype)}, received {dtype_name(tensor.dtype)}",
                code="TP003",
                help="convert the input first: x.float()",
                cause=error,
            )
