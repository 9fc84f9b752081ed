"""What constructors of layers share: their common arguments, names, and what ``activation=`` may be."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from torch import nn

from ...errors import UsageError
from .. import activations
from ..structure import user_source

F = TypeVar("F", bound=Callable[..., None])


class CoreArguments(TypedDict, total=False):
    """``BaseArguments`` without ``input_dim``, which means something else to ``Embedding``."""

    name: str | None
    trainable: bool
    dtype: str | None
    input_shape: Sequence[int | None] | int | None
    batch_input_shape: Sequence[int | None] | None


class BaseArguments(CoreArguments, total=False):
    """The keyword arguments that every layer takes beside its own."""

    input_dim: int | None


def own_arguments(kind: type[nn.Module]) -> list[str]:
    """The names a layer's constructor takes beside ``BaseArguments``; a class without one of its own takes none."""
    if kind.__init__.__qualname__ == "Layer.__init__":
        return []
    parameters = inspect.signature(kind.__init__).parameters.values()
    return [p.name for p in parameters if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


def taking(shared: Mapping[str, Any]) -> Callable[[F], F]:
    """Decorator of a constructor whose ``**arguments`` hold these beside ``BaseArguments``: its signature lists them.

    shared   {name: default} of arguments that several layers have, which so are written down once
    """

    def complete(constructor: F) -> F:
        given = inspect.signature(constructor)
        *own, rest = given.parameters.values()
        others = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=x) for name, x in shared.items()]
        setattr(constructor, "__signature__", given.replace(parameters=[*own, *others, rest]))  # noqa: B010
        return constructor

    return complete


def snake_case(name: str) -> str:
    """``Conv2DTranspose`` → ``conv2d_transpose``, by Keras's rule."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name.lstrip("_"))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def checked_name(name: object, source: str | None = None) -> str:
    """The name itself; raises UsageError TP012 when it cannot stand in a state dict."""
    if not isinstance(name, str) or not name or "." in name or "/" in name or not name.isprintable():
        raise UsageError(
            "TP012",
            f"a name has to be a non-empty string of printable characters, without '.' and '/'; received {name!r}",
            at=source or user_source(),
        )
    return name


def activation_of(identifier: Any) -> Any:
    """A name becomes its function; a layer stays a layer, and its weights join the model's."""
    if isinstance(identifier, type) and issubclass(identifier, nn.Module):
        return identifier()
    return identifier if isinstance(identifier, nn.Module) else activations.get(identifier)
