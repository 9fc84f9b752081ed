"""Losses with Keras's names, arguments and formulas. ``loss(y_true, y_pred)`` is a scalar, the mean over the batch.

Shapes have to match exactly: where torch would broadcast ``[batch, 1]`` against ``[batch]`` to a ``[batch, batch]``
table, UsageError TP002 names both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError
from .structure import user_source

EPSILON = 1e-7
"""Probabilities are clipped to [EPSILON, 1 - EPSILON] before a logarithm is taken, as in Keras."""


class Loss:
    """Base of all. ``values`` gives one number a sample (and position); calling gives their (weighted) mean."""

    labels: ClassVar[bool] = False
    """Whether y_true holds class numbers (int64) instead of values of y_pred's shape."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """[batch, ...]: the loss of each sample and position."""
        raise NotImplementedError

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The mean of ``values``; subclasses take torch's fused kernel where there is one."""
        return self.values(y_true, y_pred).mean()

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        """Raises UsageError TP002 when the shapes would broadcast."""
        if y_true.shape != y_pred.shape:
            raise mismatch(type(self).__name__, y_true, y_pred)

    def __call__(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        sample_weight: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The mean over all positions, or over those that ``mask`` [batch, ...] counts; raises UsageError TP002."""
        self.check(y_true, y_pred)
        if sample_weight is None and mask is None:
            return self.mean(y_true, y_pred)
        values = self.values(y_true, y_pred)
        if sample_weight is not None:
            values = values * sample_weight.reshape(-1, *(1,) * (values.ndim - 1))
        if mask is None:
            return values.mean()
        if mask.shape != values.shape:
            raise UsageError(
                "TP002",
                f"the output has a mask of shape {list(mask.shape)}, {type(self).__name__} gives numbers of shape "
                f"{list(values.shape)}",
                at=user_source(),
                help="let the last layers drop the mask: x * 1 in a Lambda layer",
            )
        return (values * mask).sum() / (mask.sum() + EPSILON)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-only."""
        return {key: value for key, value in vars(self).items() if value is not None}


def mismatch(what: str, y_true: Tensor, y_pred: Tensor, help: str | None = None) -> UsageError:
    """The error for two shapes that torch would broadcast or refuse."""
    return UsageError(
        "TP002",
        f"{what}: y_true has shape {list(y_true.shape)} and y_pred has shape {list(y_pred.shape)}; "
        f"they have to be the same",
        at=user_source(),
        because="torch would broadcast one to the shape of the other, and train on numbers that mean nothing",
        help=help or _shapes_help(y_true.shape, y_pred.shape),
    )


def _shapes_help(given: torch.Size, answered: torch.Size) -> str:
    if len(given) == len(answered) > 1 and given[:-1] == answered[:-1]:
        return f"give the last layer {given[-1]} outputs instead of {answered[-1]}, or change the labels"
    if given.numel() == answered.numel():
        return f"reshape the labels: y.reshape({', '.join(map(str, (-1, *answered[1:])))})"
    return "change the last layer, or the shape of the labels"


def _over_last_axis(values: Tensor) -> Tensor:
    return values.mean(dim=-1) if values.ndim > 1 else values


class MeanSquaredError(Loss):
    """mean((y_true - y_pred)²)."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _over_last_axis(F.mse_loss(y_pred, y_true, reduction="none"))

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return F.mse_loss(y_pred, y_true)


class MeanAbsoluteError(Loss):
    """mean(|y_true - y_pred|)."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _over_last_axis(F.l1_loss(y_pred, y_true, reduction="none"))

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return F.l1_loss(y_pred, y_true)


class Huber(Loss):
    """Quadratic within ``delta``, linear beyond: 0.5·d² for |d| ≤ delta, else delta·(|d| - 0.5·delta)."""

    def __init__(self, delta: float = 1.0, name: str | None = None) -> None:
        super().__init__(name)
        self.delta = delta

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _over_last_axis(F.huber_loss(y_pred, y_true, reduction="none", delta=self.delta))

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return F.huber_loss(y_pred, y_true, delta=self.delta)


class BinaryCrossentropy(Loss):
    """-(y·log(p) + (1-y)·log(1-p)), with p = y_pred, or sigmoid(y_pred) when ``from_logits``."""

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, name: str | None = None) -> None:
        super().__init__(name)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing

    def _elements(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor:
        if self.label_smoothing:
            y_true = y_true * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        if self.from_logits:
            return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction=reduction)
        return F.binary_cross_entropy(y_pred.clamp(EPSILON, 1 - EPSILON), y_true, reduction=reduction)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _over_last_axis(self._elements(y_true, y_pred, "none"))

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._elements(y_true, y_pred, "mean")


def log_probabilities(y_pred: Tensor, from_logits: bool) -> Tensor:
    """log p along the last axis; probabilities are first divided by their sum and clipped, as in Keras."""
    if from_logits:
        return F.log_softmax(y_pred, dim=-1)
    return (y_pred / y_pred.sum(dim=-1, keepdim=True)).clamp(EPSILON, 1 - EPSILON).log()


class CategoricalCrossentropy(Loss):
    """-sum(y·log(p)) over the last axis; y_true is one-hot (or a distribution), of y_pred's shape."""

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, name: str | None = None) -> None:
        super().__init__(name)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        if y_true.shape != y_pred.shape:
            help = 'for labels that are class numbers: loss="sparse_categorical_crossentropy"'
            raise mismatch(type(self).__name__, y_true, y_pred, help=help)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.label_smoothing:
            y_true = y_true * (1 - self.label_smoothing) + self.label_smoothing / y_true.shape[-1]
        return -(y_true * log_probabilities(y_pred, self.from_logits)).sum(dim=-1)


class SparseCategoricalCrossentropy(Loss):
    """-log(p[y]); y_true holds class numbers: y_true [batch, ...], y_pred [batch, ..., classes]."""

    labels = True

    def __init__(self, from_logits: bool = False, ignore_class: int | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.from_logits = from_logits
        self.ignore_class = ignore_class

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        if y_true.shape != y_pred.shape[:-1]:
            raise UsageError(
                "TP002",
                f"SparseCategoricalCrossentropy: y_true has shape {list(y_true.shape)} and y_pred has shape "
                f"{list(y_pred.shape)}; y_true has to be class numbers of shape {list(y_pred.shape[:-1])}",
                at=user_source(),
                help="for one-hot labels use loss='categorical_crossentropy'",
            )

    def _reduced(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor:
        log_p = log_probabilities(y_pred, self.from_logits)
        ignored = -100 if self.ignore_class is None else self.ignore_class
        if log_p.ndim > 2:
            log_p = log_p.movedim(-1, 1)
        return F.nll_loss(log_p, y_true, reduction=reduction, ignore_index=ignored)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._reduced(y_true, y_pred, "none")

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._reduced(y_true, y_pred, "mean")


class TorchLoss(Loss):
    """A ``torch.nn`` loss: called as torch does, (y_pred, y_true). Images have their classes moved to axis 1 for it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(type(module).__name__)
        self.module = module
        self.labels_wanted = isinstance(module, nn.CrossEntropyLoss | nn.NLLLoss)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        if y_true.shape != y_pred.shape and not (self.labels_wanted and y_true.shape == y_pred.shape[:-1]):
            raise mismatch(type(self.module).__name__, y_true, y_pred)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.labels_wanted and y_pred.ndim > 2:
            y_pred = y_pred.movedim(-1, 1)
            y_true = y_true.movedim(-1, 1) if y_true.ndim == y_pred.ndim else y_true
        value: Tensor = self.module(y_pred, y_true)
        return value

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if getattr(self.module, "reduction", None) != "none":
            raise UsageError(
                "TP010",
                f"sample and class weights need a loss value per sample; {type(self.module).__name__} gives their mean",
                help="construct it with reduction='none', or use a loss of this package by name",
            )
        return self.mean(y_true, y_pred)


class FunctionLoss(Loss):
    """A function of the user's, called as Keras does: function(y_true, y_pred) → a value per sample, or a scalar."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(getattr(function, "__name__", "loss"))
        self.function = function

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        if y_true.shape not in (y_pred.shape, y_pred.shape[:-1]):
            raise mismatch(self.name or "loss", y_true, y_pred)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.function(y_true, y_pred)


KNOWN: dict[str, type[Loss]] = {
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "huber": Huber,
    "huber_loss": Huber,
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
}
"""Every name that ``loss=`` accepts, beside the class names."""

CLASSES: dict[str, type[Loss]] = {kind.__name__: kind for kind in KNOWN.values()}


def check_name(name: str) -> None:
    """Raises UsageError TP016 for a text that names no loss."""
    if name.lower() not in KNOWN and name not in CLASSES:
        raise UsageError(
            "TP016", f"loss {name!r} is not known", at=user_source(), help=f"use one of: {', '.join(KNOWN)}"
        )


def get(identifier: Any) -> Loss:
    """The loss for a name, an object, a ``torch.nn`` loss or a function. Raises UsageError TP016 for anything else."""
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, nn.Module):
        return TorchLoss(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Loss | nn.Module):
        return get(identifier())
    if isinstance(identifier, str) and (kind := KNOWN.get(identifier.lower()) or CLASSES.get(identifier)):
        return kind()
    if callable(identifier):
        return FunctionLoss(identifier)
    raise UsageError(
        "TP016", f"loss {identifier!r} is not known", at=user_source(), help=f"use one of: {', '.join(KNOWN)}"
    )


def wants_labels(loss: Loss, y_true_shape: torch.Size, y_pred_shape: torch.Size) -> bool:
    """Whether y_true has to be class numbers (int64) for this loss and these shapes."""
    if isinstance(loss, TorchLoss):
        return loss.labels_wanted and len(y_true_shape) < len(y_pred_shape)
    return loss.labels


__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "get",
]
