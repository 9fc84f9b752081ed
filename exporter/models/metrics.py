"""Metrics with Keras's names; ``torchmetrics`` computes them (imported when the first one is made).

``update`` takes what was collected over many steps at once, so a training step pays nothing for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .losses import Loss, mismatch
from .structure import user_source


class Metric:
    """Base of all: ``update`` as often as wanted, ``result`` for the value so far, ``reset`` before the next epoch."""

    default_name: ClassVar[str] = "metric"
    sparse: ClassVar[bool] = False
    """Whether y_true holds class numbers, one axis less than y_pred."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.default_name
        self._computer: Any = None

    def make(self) -> Any:
        """The torchmetrics object that does the work."""
        raise NotImplementedError

    @property
    def computer(self) -> Any:
        """The torchmetrics object, made at first use."""
        if self._computer is None:
            self._computer = self.make()
        return self._computer

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        """Raises UsageError TP002 when the shapes would broadcast."""
        wanted = y_pred.shape[:-1] if self.sparse else y_pred.shape
        if y_true.shape != wanted:
            raise mismatch(f"metric {self.name!r}", y_true, y_pred)

    def update(self, y_true: Tensor, y_pred: Tensor) -> None:
        """Adds samples: y_true and y_pred [batch, ...]."""
        self.check(y_true, y_pred)
        computer = self.computer
        if isinstance(computer, nn.Module):
            computer.to(y_pred.device)
        computer.update(*self.prepare(y_true, y_pred))

    def prepare(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """(predictions, targets) as torchmetrics wants them."""
        return y_pred, y_true

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        """``update``, by Keras's name and for arrays too."""
        self.update(torch.as_tensor(y_true), torch.as_tensor(y_pred))

    def result(self) -> float:
        """The value over all samples since ``reset``."""
        return float(self.computer.compute())

    def reset(self) -> None:
        """Forgets all samples."""
        if self._computer is not None:
            self._computer.reset()

    reset_state = reset

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-only."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_") and value is not None}


class _Fraction(Metric):
    """The share of correct answers."""

    def correct(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """1 where an answer is right."""
        raise NotImplementedError

    def make(self) -> Any:
        from torchmetrics import MeanMetric

        return MeanMetric(nan_strategy="disable")

    def update(self, y_true: Tensor, y_pred: Tensor) -> None:
        self.check(y_true, y_pred)
        self.computer.to(y_pred.device).update(self.correct(y_true, y_pred).to(torch.float32))


class BinaryAccuracy(_Fraction):
    """The share of values on the right side of ``threshold``."""

    default_name = "binary_accuracy"

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def correct(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (y_pred > self.threshold) == (y_true > 0.5)


class CategoricalAccuracy(_Fraction):
    """The share of samples whose largest score stands where the one-hot label does."""

    default_name = "categorical_accuracy"

    def correct(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred.argmax(dim=-1) == y_true.argmax(dim=-1)


class SparseCategoricalAccuracy(_Fraction):
    """The share of samples whose largest score stands at the label's class number."""

    default_name = "sparse_categorical_accuracy"
    sparse = True

    def correct(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred.argmax(dim=-1) == y_true


class Accuracy(_Fraction):
    """The share of exactly equal values; ``"accuracy"`` by name means the form that fits the loss and the shapes."""

    default_name = "accuracy"

    def correct(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred == y_true


class TopKCategoricalAccuracy(_Fraction):
    """The share of samples whose one-hot label is among the ``k`` largest scores."""

    default_name = "top_k_categorical_accuracy"

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = k

    def correct(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        best = y_pred.topk(min(self.k, y_pred.shape[-1]), dim=-1).indices
        return (best == y_true.argmax(dim=-1, keepdim=True)).any(dim=-1)


class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """The share of samples whose class number is among the ``k`` largest scores."""

    default_name = "sparse_top_k_categorical_accuracy"
    sparse = True

    def correct(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        best = y_pred.topk(min(self.k, y_pred.shape[-1]), dim=-1).indices
        return (best == y_true.unsqueeze(-1)).any(dim=-1)


class _Thresholded(Metric):
    """Precision and recall: values above the threshold are positive answers, all entries counted together."""

    def __init__(self, thresholds: float | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.thresholds = thresholds

    def prepare(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        threshold = 0.5 if self.thresholds is None else self.thresholds
        return (y_pred > threshold).to(torch.int64).flatten(), (y_true > 0.5).to(torch.int64).flatten()


class Precision(_Thresholded):
    """True positives / all positive answers."""

    default_name = "precision"

    def make(self) -> Any:
        from torchmetrics.classification import BinaryPrecision

        return BinaryPrecision(validate_args=False)


class Recall(_Thresholded):
    """True positives / all positive labels."""

    default_name = "recall"

    def make(self) -> Any:
        from torchmetrics.classification import BinaryRecall

        return BinaryRecall(validate_args=False)


class AUC(Metric):
    """The area under the ROC curve, or under precision over recall with ``curve="PR"``.

    Exact over all scores (Keras interpolates between 200 thresholds), so the third decimal may differ from Keras.
    """

    default_name = "auc"

    def __init__(self, curve: str = "ROC", name: str | None = None, from_logits: bool = False) -> None:
        super().__init__(name)
        if curve.upper() not in ("ROC", "PR"):
            raise UsageError("TP010", f"curve has to be 'ROC' or 'PR'; received {curve!r}", at=user_source())
        self.curve = curve
        self.from_logits = from_logits

    def make(self) -> Any:
        from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

        kind = BinaryAUROC if self.curve.upper() == "ROC" else BinaryAveragePrecision
        return kind(validate_args=False)

    def prepare(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        scores = torch.sigmoid(y_pred) if self.from_logits else y_pred
        return scores.flatten(), (y_true > 0.5).to(torch.int64).flatten()


class MeanSquaredError(Metric):
    """mean((y_true - y_pred)²)."""

    default_name = "mean_squared_error"

    def make(self) -> Any:
        from torchmetrics import MeanSquaredError as Computer

        return Computer()

    def prepare(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        return y_pred.flatten(), y_true.to(y_pred.dtype).flatten()


class RootMeanSquaredError(MeanSquaredError):
    """sqrt(mean((y_true - y_pred)²))."""

    default_name = "root_mean_squared_error"

    def make(self) -> Any:
        from torchmetrics import MeanSquaredError as Computer

        return Computer(squared=False)


class MeanAbsoluteError(MeanSquaredError):
    """mean(|y_true - y_pred|)."""

    default_name = "mean_absolute_error"

    def make(self) -> Any:
        from torchmetrics import MeanAbsoluteError as Computer

        return Computer()


class TorchMetric(Metric):
    """A torchmetrics object of the user's, called as torchmetrics does: (y_pred, y_true)."""

    def __init__(self, computer: Any) -> None:
        super().__init__(type(computer).__name__)
        self._computer = computer

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        if y_true.shape not in (y_pred.shape, y_pred.shape[:-1]):
            raise mismatch(f"metric {self.name!r}", y_true, y_pred)


class FunctionMetric(_Fraction):
    """The mean of a function of the user's, or of a loss: function(y_true, y_pred) → values."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str | None = None) -> None:
        super().__init__(name or getattr(function, "__name__", type(function).__name__))
        self._function = function

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        if y_true.shape not in (y_pred.shape, y_pred.shape[:-1]):
            raise mismatch(f"metric {self.name!r}", y_true, y_pred)

    def correct(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._function(y_true, y_pred)


KNOWN: dict[str, type[Metric]] = {
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "precision": Precision,
    "recall": Recall,
    "auc": AUC,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "rmse": RootMeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
}
"""Every name that ``metrics=`` accepts, beside ``accuracy``/``acc``, the class names and the losses' names."""

CLASSES: dict[str, type[Metric]] = {kind.__name__: kind for kind in (*KNOWN.values(), Accuracy)}


def check_name(name: str) -> None:
    """Raises UsageError TP016 for a text that names no metric."""
    from . import losses

    known = name.lower() in ("accuracy", "acc", *KNOWN, *losses.KNOWN) or name in CLASSES
    if not known:
        raise UsageError(
            "TP016", f"metric {name!r} is not known", at=user_source(), help=f"use one of: accuracy, {', '.join(KNOWN)}"
        )


def get(identifier: Any, loss: Loss | None, y_true_shape: torch.Size, y_pred_shape: torch.Size) -> Metric:
    """The metric for a name or object, given what it will see. Raises UsageError TP016 for what is not known."""
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if isinstance(identifier, nn.Module) and hasattr(identifier, "compute"):
        return TorchMetric(identifier)
    if isinstance(identifier, str):
        return _named(identifier, loss, y_true_shape, y_pred_shape)
    if callable(identifier):
        return FunctionMetric(identifier)
    raise UsageError("TP016", f"metric {identifier!r} is not known", at=user_source())


def _named(name: str, loss: Loss | None, y_true_shape: torch.Size, y_pred_shape: torch.Size) -> Metric:
    from . import losses

    if name.lower() in ("accuracy", "acc"):
        return _accuracy(name, loss, y_true_shape, y_pred_shape)
    kind = KNOWN.get(name.lower()) or CLASSES.get(name)
    if kind is not None:
        return kind(name=name.lower() if name.lower() in KNOWN else None)
    if name.lower() in losses.KNOWN:
        function = losses.get(name)
        return FunctionMetric(lambda y_true, y_pred: function(y_true, y_pred), name=name)
    raise UsageError(
        "TP016", f"metric {name!r} is not known", at=user_source(), help=f"use one of: accuracy, {', '.join(KNOWN)}"
    )


def _accuracy(name: str, loss: Loss | None, y_true_shape: torch.Size, y_pred_shape: torch.Size) -> Metric:
    """One score a sample is binary; labels of the scores' shape are one-hot; else they are class numbers.

    Two differences from Keras: with ``from_logits`` a single score is compared with 0 (a logit), not with 0.5; and
    several independent yes/no outputs under binary cross-entropy are each counted, not reduced to the largest.
    """
    if y_pred_shape[-1:] == (1,) or (len(y_pred_shape) == 1):
        threshold = 0.0 if isinstance(loss, Loss) and getattr(loss, "from_logits", False) else 0.5
        return BinaryAccuracy(name=name, threshold=threshold)
    if y_true_shape == y_pred_shape:
        if type(loss).__name__ == "BinaryCrossentropy":
            return BinaryAccuracy(name=name, threshold=0.0 if getattr(loss, "from_logits", False) else 0.5)
        return CategoricalAccuracy(name=name)
    return SparseCategoricalAccuracy(name=name)


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "get",
]
