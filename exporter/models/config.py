"""Models as JSON-only data, and back: what a file carries so that ``load_model`` trains on without the user's source.

A model is ``{"class": "Sequential", "config": {...}}``; inside configs, layers, initialisers and regularisers have the
same form. Nothing in it is code: class names are looked up in this package's own tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError, TriportError, UsageError
from ..wording import with_article
from . import activations, initializers, losses, metrics, optimizers, regularizers, schedules
from .layers.arguments import own_arguments
from .layers.base import Layer

if TYPE_CHECKING:
    from .model import Model
    from .steps import Setup

_CUSTOM: ContextVar[Mapping[str, Any]] = ContextVar("custom_objects")
"""The classes of the user's that a description being read may name."""
MAX_DEPTH = 64
"""How deep models, layers and lists may be nested in a description."""


def model_to_config(model: Model) -> dict[str, Any]:
    """The model's description, without weights. Raises UsageError TP015 naming the layer that cannot be described."""
    return object_to_config(model)


def model_from_config(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Model:
    """A new, untrained model; ``custom_objects`` has the classes of the user's that the description names.

    Raises FormatError TP040 for a description that does not fit.
    """
    from .model import Model

    token = _CUSTOM.set(custom_objects or {})
    try:
        model = from_data(dict(config))
    finally:
        _CUSTOM.reset(token)
    if not isinstance(model, Model):
        raise FormatError("TP040", f"the description is of {with_article(type(model).__name__)}, not of a model")
    return model


def object_to_config(item: Any) -> dict[str, Any]:
    """``{"class": ..., "config": ...}`` of a layer, model, initialiser, loss and so on."""
    return {"class": type(item).__name__, "config": item.get_config()}


def to_data(value: Any, owner: Layer) -> Any:
    """A constructor argument as JSON-only data. Raises UsageError TP015 when it holds code."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [to_data(item, owner) for item in value]
    if isinstance(value, initializers.Initializer | regularizers.Regularizer):
        known = initializers.CLASSES if isinstance(value, initializers.Initializer) else regularizers.CLASSES
        if type(value).__name__ in known:
            return object_to_config(value)
    if isinstance(value, Layer):
        return object_to_config(value)
    name = activations.name_of(value) if callable(value) else None
    if name is not None:
        return name
    described = getattr(value, "__name__", None) or type(value).__name__
    raise UsageError(
        "TP015",
        f'{type(owner).__name__} "{owner.name}" holds {described!r}, which is code and cannot be written into a file',
        at=owner.where(),
        help="the model can still be exported; to save it for training on, use layers and activations of this package",
    )


def from_data(value: Any, depth: int = 0) -> Any:
    """The inverse of ``to_data``. Raises FormatError TP040."""
    if depth > MAX_DEPTH:
        raise FormatError("TP040", f"the description is nested more than {MAX_DEPTH} deep")
    if isinstance(value, list):
        return [from_data(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    name, config = value.get("class"), value.get("config")
    if not isinstance(name, str) or not isinstance(config, dict):
        raise FormatError("TP040", f"a description needs a class and a config; found {sorted(map(str, value))[:5]}")
    kind = _class(name)
    try:
        if isinstance(kind, type) and issubclass(kind, Layer):
            return kind.from_config(config)
        return kind(**{key: from_data(item, depth + 1) for key, item in config.items()})
    except FormatError:
        raise
    except (TriportError, TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError) as error:
        message = error.message if isinstance(error, TriportError) else str(error)
        raise FormatError("TP040", f"{name} cannot be made from its description: {message}") from error


def _class(name: str) -> Any:
    from . import layers
    from .functional import Functional
    from .sequential import Sequential

    models: dict[str, Any] = {"Sequential": Sequential, "Functional": Functional}
    code = {"Lambda", "TorchModule"}
    custom = _CUSTOM.get({})
    if name in custom:
        return custom[name]
    for table in (models, layers.CLASSES, initializers.CLASSES, regularizers.CLASSES):
        if name in table and name not in code:
            return table[name]
    raise FormatError(
        "TP040",
        f"the description names {name!r}, which is no layer of this version",
        help=f'if the class is yours: load_model(path, custom_objects={{"{name}": {name}}}); else update triport',
    )


def layer_from_config(kind: type[Layer], config: Mapping[str, Any]) -> Layer:
    """A new, unbuilt layer from its constructor's arguments. Raises FormatError TP040 for unknown ones."""
    accepted = {"name", "trainable", *own_arguments(kind)}
    unknown = sorted(set(config) - accepted)
    if unknown:
        raise FormatError("TP040", f"{kind.__name__} takes no {unknown[0]!r}")
    made: Any = kind
    layer = made(**{key: from_data(value) for key, value in config.items()})
    assert isinstance(layer, Layer)
    return layer


def setup_to_config(setup: Setup) -> dict[str, Any] | None:
    """What ``compile`` was told, JSON-only; None when a part of it is code (a function, a torch object)."""
    try:
        return {
            "optimizer": object_to_config(setup.optimizer),
            "loss": _named(setup.loss, losses.CLASSES),
            "metrics": _named(setup.metrics, metrics.CLASSES),
            "loss_weights": _named(setup.loss_weights, {}),
        }
    except UsageError:
        return None


def _named(value: Any, known: Mapping[str, type]) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_named(item, known) for item in value]
    if isinstance(value, Mapping):
        return {"by_name": {str(key): _named(item, known) for key, item in value.items()}}
    if isinstance(value, type) and value.__name__ in known:
        value = value()
    if known.get(type(value).__name__) is type(value):
        return object_to_config(value)
    raise UsageError("TP015", f"{type(value).__name__} is code and cannot be written into a file")


def compile_from_config(model: Model, config: Mapping[str, Any]) -> None:
    """Compiles the model as ``setup_to_config`` says. Raises FormatError TP040 for what does not fit."""
    try:
        described = config["optimizer"]
        arguments = dict(described["config"])
        rate = arguments.get("learning_rate")
        if isinstance(rate, Mapping):
            arguments["learning_rate"] = schedules.CLASSES[rate["class"]](**rate["config"])
        optimizer = optimizers.CLASSES[described["class"]](**arguments)
        model.compile(
            optimizer,
            loss=_unnamed(config.get("loss"), losses.CLASSES),
            metrics=_unnamed(config.get("metrics"), metrics.CLASSES),
            loss_weights=_unnamed(config.get("loss_weights"), {}),
        )
    except (KeyError, TypeError, UsageError) as error:
        raise FormatError("TP040", f"the training set-up in the file cannot be read: {error}") from error


def _unnamed(value: Any, known: Mapping[str, type]) -> Any:
    if isinstance(value, list):
        return [_unnamed(item, known) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "by_name" in value:
        return {key: _unnamed(item, known) for key, item in value["by_name"].items()}
    return known[value["class"]](**value["config"])


__all__ = ["compile_from_config", "model_from_config", "model_to_config", "setup_to_config"]
