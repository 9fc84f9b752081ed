"""Callbacks of ``fit``: called at the borders of epochs and batches, with the figures so far."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ..errors import UsageError
from .structure import user_source

if TYPE_CHECKING:
    from .training import Trainer

Logs = dict[str, float]


class Callback:
    """Base of all. ``logs`` maps names such as ``loss`` and ``val_accuracy`` to numbers.

    Batch methods are only called (and their logs only fetched from the device) when a subclass defines them.
    """

    model: Trainer
    params: dict[str, Any]

    def set_model(self, model: Trainer) -> None:
        """Called once before training."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """epochs, steps and verbose of this ``fit``."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step; ``logs["loss"]`` is the mean of this epoch so far."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""


class History(Callback):
    """What ``fit`` returns: ``history["val_loss"]`` is one number an epoch, ``epoch`` their numbers."""

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class LambdaCallback(Callback):
    """Functions in place of methods."""

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs | None], object] | None = None,
        on_epoch_end: Callable[[int, Logs | None], object] | None = None,
        on_train_begin: Callable[[Logs | None], object] | None = None,
        on_train_end: Callable[[Logs | None], object] | None = None,
    ) -> None:
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
        }
        for name, function in given.items():
            if function is not None:
                setattr(self, name, function)


class _Watching(Callback):
    """A callback that follows one figure and knows which way is better."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            raise UsageError("TP010", f"mode has to be 'auto', 'min' or 'max'; received {mode!r}", at=user_source())
        self.monitor = monitor
        rises = mode == "max" or (
            mode == "auto" and any(word in monitor for word in ("acc", "auc", "precision", "recall"))
        )
        self.sign = 1.0 if rises else -1.0
        self.min_delta = abs(min_delta)
        self.best = math.nan

    def current(self, logs: Logs | None) -> float:
        """The watched figure. Raises UsageError TP017 when this ``fit`` does not produce it."""
        if logs is None or self.monitor not in logs:
            raise UsageError(
                "TP017",
                f"{type(self).__name__} watches {self.monitor!r}, which is not among {sorted(logs or {})}",
                help="pass validation_data= or validation_split=, or name another figure in monitor=",
            )
        return logs[self.monitor]

    def improved(self, value: float, over: float) -> bool:
        """Whether ``value`` is better than ``over`` by more than ``min_delta``."""
        if math.isnan(value):
            return False
        return math.isnan(over) or self.sign * (value - over) > self.min_delta


class EarlyStopping(_Watching):
    """Ends training when a figure has not improved for ``patience`` epochs; may put the best weights back."""

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[np.ndarray[Any, np.dtype[Any]]] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best, self.best_weights = math.nan, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if epoch < self.start_from_epoch:
            return
        value = self.current(logs)
        self.wait += 1
        if self.improved(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.improved(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.verbose and self.stopped_epoch:
            self.model.say(f"Epoch {self.stopped_epoch + 1}: early stopping, best was epoch {self.best_epoch + 1}")
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(_Watching):
    """Multiplies the learning rate by ``factor`` when a figure has not improved for ``patience`` epochs."""

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if factor >= 1:
            raise UsageError("TP010", f"factor has to be below 1; received {factor}", at=user_source())
        self.factor, self.patience, self.verbose, self.cooldown, self.min_lr = (
            factor,
            patience,
            verbose,
            cooldown,
            min_lr,
        )
        self.wait = self.resting = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best, self.wait, self.resting = math.nan, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.current(logs)
        optimizer = self.model.optimizer
        if logs is not None:
            logs["learning_rate"] = optimizer.current_rate()
        if self.resting:
            self.resting -= 1
            self.wait = 0
        if self.improved(value, self.best):
            self.best, self.wait = value, 0
        elif not self.resting:
            self.wait += 1
            if self.wait >= self.patience and optimizer.current_rate() > self.min_lr:
                optimizer.set_rate(max(optimizer.current_rate() * self.factor, self.min_lr))
                self.resting, self.wait = self.cooldown, 0
                if self.verbose:
                    self.model.say(f"Epoch {epoch + 1}: learning rate is now {optimizer.current_rate():g}")


class LearningRateScheduler(Callback):
    """Asks ``schedule(epoch, rate)`` (or ``schedule(epoch)``) for the learning rate before each epoch."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, optimizer.current_rate())
        except TypeError:
            rate = self.schedule(epoch)
        optimizer.set_rate(float(rate))
        if self.verbose:
            self.model.say(f"Epoch {epoch + 1}: learning rate is {optimizer.current_rate():g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.current_rate()


class TerminateOnNaN(Callback):
    """Ends training at the first step whose loss is not a finite number."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            self.model.say(f"Batch {batch}: the loss is {loss}; training ends here")
            self.model.stop_training = True


class ModelCheckpoint(_Watching):
    """Saves the model after epochs; ``filepath`` may hold ``{epoch:02d}`` and figures such as ``{val_loss:.2f}``."""

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.filepath, self.verbose, self.save_best_only = str(filepath), verbose, save_best_only

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only:
            value = self.current(logs)
            if not self.improved(value, self.best):
                return
            self.best = value
        path = self.filepath.format(epoch=epoch + 1, **(logs or {}))
        self.model.save(path)
        if self.verbose:
            self.model.say(f"Epoch {epoch + 1}: saved {path}")


class CSVLogger(Callback):
    """Writes one line an epoch: the epoch's number and every figure."""

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = Path(filename), separator, append
        self._file: TextIO | None = None
        self._names: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        started = self.append and self.filename.exists() and self.filename.stat().st_size > 0
        if started:
            with self.filename.open(newline="") as file:
                self._names = next(csv.reader(file, delimiter=self.separator))[1:]
        self._file = self.filename.open("a" if self.append else "w", newline="")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert self._file is not None
        writer = csv.writer(self._file, delimiter=self.separator, lineterminator="\n")
        figures = logs or {}
        if self._names is None:
            self._names = list(figures)
            writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *(figures.get(name, "") for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class CallbackList:
    """All callbacks of one ``fit``, called in order."""

    def __init__(self, callbacks: Sequence[Callback], model: Trainer, params: dict[str, Any]) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise UsageError("TP010", f"callbacks have to be Callback objects; received {type(callback).__name__}")
            callback.set_model(model)
            callback.set_params(params)
        self.before_batch = [c for c in self.callbacks if _defines(c, "on_train_batch_begin")]
        self.after_batch = [c for c in self.callbacks if _defines(c, "on_train_batch_end")]

    def call(self, method: str, *args: Any) -> None:
        """``method`` of every callback."""
        for callback in self.callbacks:
            getattr(callback, method)(*args)


def _defines(callback: Callback, method: str) -> bool:
    return getattr(type(callback), method) is not getattr(Callback, method) or method in vars(callback)


__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
