"""``compile``, ``fit``, ``evaluate``, ``predict`` and their kin: what every model can do beside being a module."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from . import optimizers
from .callbacks import Callback, CallbackList, History
from .data import ArrayBatches, InputSpec, fit_input, is_batched_source, loader_for, same_length, split_inputs, unpack
from .feeding import SourceBatches, convert, expected_samples, hold_back
from .layers.base import Layer
from .progress import Progress, resolve
from .steps import Meter, Setup, Task, check_names, evaluate_epoch, train_epoch, train_step
from .structure import flatten, user_source

Array = np.ndarray[Any, np.dtype[Any]]
EXAMPLES = 2
"""How many samples of the first training batch a model remembers, as capture's example and golden samples."""


def set_seed(seed: int) -> None:
    """Seeds Python's, numpy's and torch's global generators: one seed, one set of weights, one training."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


set_random_seed = set_seed


def best_device() -> torch.device:
    """CUDA where there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")


class Trainer(Layer):
    """A layer with named inputs and outputs that can be trained. ``Sequential`` and ``Model`` derive from it."""

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.setup: Setup | None = None
        self.history: History | None = None
        self.stop_training = False
        self.example_inputs: dict[str, Array] | None = None
        self._placed = False

    # -- what a model says about itself -------------------------------------------------------------------------

    @property
    def input_specs(self) -> list[InputSpec]:
        """Each input's name, shape and dtype. Raises UsageError TP013 before the model knows them."""
        raise NotImplementedError

    @property
    def output_names(self) -> list[str]:
        """The outputs' names, in order."""
        raise NotImplementedError

    @property
    def input_names(self) -> list[str]:
        """The inputs' names, in order."""
        return [spec.name for spec in self.input_specs]

    def flat_outputs(self, outputs: Any) -> list[Tensor]:
        """What ``forward`` returned, as a list in the order of ``output_names``."""
        return [outputs] if isinstance(outputs, Tensor) else flatten(outputs)

    def prepare(self, x: Any) -> None:
        """Lets a model without a known input shape build itself from data."""

    def output_sizes(self, inputs: list[Tensor]) -> list[torch.Size]:
        """The outputs' shapes [2, ...] for inputs like these, from one run of two samples in eval mode."""
        key = tuple(tensor.shape[1:] for tensor in inputs)
        if key in self.compiled().output_sizes:
            return self.compiled().output_sizes[key]
        was_training = self.training
        self.eval()
        with torch.no_grad():
            few = [tensor[:2].to(self.device) for tensor in inputs]
            sizes = [output.shape for output in self.flat_outputs(self(few[0] if len(few) == 1 else few))]
        self.train(was_training)
        self.compiled().output_sizes[key] = sizes
        return sizes

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        weight = next(self.parameters(), None)
        return torch.device("cpu") if weight is None else weight.device

    @property
    def optimizer(self) -> optimizers.Optimizer:
        """The optimizer of ``compile``. Raises UsageError TP014 before it."""
        return self.compiled().optimizer

    @property
    def metrics_names(self) -> list[str]:
        """The keys of ``evaluate``'s figures, once data was seen."""
        tasks = self.compiled().tasks or []
        several = len(tasks) > 1
        names = [f"{task.name}_loss" for task in tasks if several and task.loss is not None]
        return ["loss", *names, *(f"{t.name}_{m.name}" if several else m.name for t in tasks for m in t.metrics)]

    # -- training -----------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        device: str | torch.device | None = None,
        **accepted: Any,
    ) -> None:
        """Says how to train: names, objects of this package, or torch's own.

        ``device`` places the model at once; without it the first ``fit`` takes the best one there is.
        """
        unknown = set(accepted) - {
            "run_eagerly",
            "jit_compile",
            "steps_per_execution",
            "auto_scale_loss",
        }
        if unknown:
            self._refuse(f"compile has no argument {sorted(unknown)}", code="TP010")
        check_names(loss, metrics)
        self.setup = Setup(optimizers.get(optimizer), loss, metrics, loss_weights)
        if device is not None:
            self.to(device)
            self._placed = True

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Trains for ``epochs`` over x and y (arrays; or a Dataset, DataLoader, or iterable of batches as x).

        Returns the ``History``: one number an epoch for each figure. Raises UsageError TP002 to TP004, TP014, TP017.
        """
        shown = resolve(verbose)
        setup = self.compiled()
        if validation_split and validation_data is None:
            x, y, sample_weight, validation_data = hold_back(self, x, y, sample_weight, validation_split)
        size = _positive(batch_size or 32, "batch_size")
        batches = self._batches(x, y, sample_weight, class_weight, size, shuffle, shown)
        checks = None
        if validation_data is not None:
            held_x, held_y, held_weight = unpack(validation_data)
            checks = self._batches(held_x, held_y, held_weight, None, validation_batch_size or size, False, 0)
        self._bind_optimizer()
        self.history = History()
        given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
        params = {"epochs": epochs, "steps": steps_per_epoch or batches.count, "verbose": shown}
        every = CallbackList([*given, self.history], self, params)
        self.stop_training = False
        every.call("on_train_begin")
        assert setup.tasks is not None
        with Progress(shown, epochs, expected_samples(batches, steps_per_epoch, size)) as progress:
            for epoch in range(initial_epoch, epochs):
                progress.begin(epoch)
                every.call("on_epoch_begin", epoch)
                logs = train_epoch(self, batches, steps_per_epoch, setup.tasks, every, progress)
                if checks is not None and (epoch + 1) % validation_freq == 0:
                    every.call("on_test_begin")
                    held = evaluate_epoch(self, checks, validation_steps, setup.tasks)
                    logs |= {f"val_{name}": value for name, value in held.items()}
                    every.call("on_test_end", held)
                every.call("on_epoch_end", epoch, logs)
                progress.end(logs)
                if self.stop_training:
                    break
        every.call("on_train_end")
        self.eval()
        return self.history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics over x and y: a number, a list in the order of ``metrics_names``, or a dict."""
        shown = resolve(verbose)
        batches = self._batches(x, y, sample_weight, None, _positive(batch_size or 32, "batch_size"), False, 0)
        tasks = self.compiled().tasks
        assert tasks is not None
        with Progress(shown, 0, expected_samples(batches, steps, batch_size or 32), label="Evaluate") as progress:
            progress.begin(0)
            logs = evaluate_epoch(self, batches, steps, tasks, progress.advance)
            progress.end(logs)
        if return_dict:
            return logs
        return logs["loss"] if len(logs) == 1 else list(logs.values())

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = 0,
        steps: int | None = None,
    ) -> Any:
        """The outputs for x as numpy arrays: one, or a list or dict of them as the model gives them."""
        size = _positive(batch_size or 32, "batch_size")
        if is_batched_source(x):
            source = (unpack(item)[0] for item in loader_for(x, size, False))
            first = next(iter(source), None)
            if first is None:
                raise UsageError("TP017", "x holds no batches", at=user_source())
            self.prepare(first)
            batches: Iterator[list[Tensor]] = (self.inputs_from(item) for item in chain([first], source))
        else:
            self.prepare(x)
            inputs = self.inputs_from(x)
            same_length(inputs, "the inputs")
            batches = (batch for batch, _, _ in ArrayBatches(inputs, [], None, size, False, self.device))
        was_training = self.training
        self.eval()
        results = []
        try:
            with torch.no_grad():
                for step, batch in enumerate(batches):
                    moved = [tensor.to(self.device) for tensor in batch]
                    results.append(self(moved[0] if len(moved) == 1 else moved))
                    if steps is not None and step + 1 >= steps:
                        break
        finally:
            self.train(was_training)
        return _joined(results)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """One update on this batch; returns its figures as ``evaluate`` does."""
        tasks, batch = self._single(x, y, sample_weight, class_weight)
        self._bind_optimizer()
        self.train()
        values, outputs = train_step(self, batch, tasks, self.optimizer, list(self.penalties()))
        return self._figures(tasks, values, outputs, batch, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The figures of this batch, without an update."""
        tasks, batch = self._single(x, y, sample_weight, None)
        logs = evaluate_epoch(self, [batch], None, tasks)
        return logs if return_dict else logs["loss"] if len(logs) == 1 else list(logs.values())

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for x, computed as one batch."""
        return self.predict(x, batch_size=2**31)

    def save(self, path: str | Path, include_optimizer: bool = False) -> None:
        """Writes the model into a file."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """One line on stderr."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    # -- data ---------------------------------------------------------------------------------------------------

    def inputs_from(self, x: Any) -> list[Tensor]:
        """x as tensors in the order of the inputs, checked. Raises UsageError TP002, TP003, TP004."""
        specs = self.input_specs
        return [fit_input(item, spec) for item, spec in zip(split_inputs(x, specs), specs, strict=True)]

    def compiled(self) -> Setup:
        if self.setup is None:
            self._refuse(
                "was not compiled",
                code="TP014",
                help='model.compile(optimizer="adam", loss="mse") comes before fit and evaluate',
            )
        return self.setup

    def _bind_optimizer(self) -> None:
        optimizer = self.optimizer
        wanted = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if optimizer.bound is None or [id(p) for p in optimizer.parameters] != [id(p) for p in wanted]:
            if not wanted:
                self._refuse("has no weights to train", code="TP013")
            optimizer.bind(wanted)

    def place(self, shown: int) -> None:
        if not self._placed:
            self._placed = True
            device = best_device()
            if next(self.parameters(), None) is not None:
                self.to(device)
            if shown:
                self.say(f"training on {_described(device)}")

    def _batches(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Any, batch_size: int, shuffle: bool, shown: int
    ) -> Any:
        """Batches of any data, on the model's device; places and builds the model first."""
        self.compiled()
        if x is None:
            raise UsageError("TP017", "x is missing", at=user_source())
        if not is_batched_source(x):
            self.prepare(x)
            self.place(shown)
            inputs, targets, weights = convert(self, x, y, sample_weight, class_weight)
            self.remember(inputs)
            return ArrayBatches(inputs, targets, weights, batch_size, shuffle, self.device)
        if y is not None:
            raise UsageError("TP017", "x brings its own targets; y has to be left out", at=user_source())
        return SourceBatches(self, loader_for(x, batch_size, shuffle), class_weight, shown)

    def remember(self, inputs: list[Tensor]) -> None:
        if self.example_inputs is None:
            few = [tensor[:EXAMPLES].cpu().numpy().copy() for tensor in inputs]
            self.example_inputs = dict(zip(self.input_names, few, strict=True))

    def _single(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Mapping[int, float] | None
    ) -> tuple[list[Task], Any]:
        self.compiled()
        self.prepare(x)
        self.place(0)
        inputs, targets, weights = convert(self, x, y, sample_weight, class_weight)
        self.remember(inputs)
        moved = (
            [tensor.to(self.device) for tensor in inputs],
            [tensor.to(self.device) for tensor in targets],
            None if weights is None else weights.to(self.device),
        )
        tasks = self.compiled().tasks
        assert tasks is not None
        return tasks, moved

    def _figures(
        self, tasks: list[Task], values: list[Tensor], outputs: list[Tensor], batch: Any, return_dict: bool
    ) -> Any:
        meter = Meter(tasks)
        meter.add(values, outputs, batch[1], batch[0][0].shape[0])
        logs = meter.logs()
        return logs if return_dict else logs["loss"] if len(logs) == 1 else list(logs.values())


def _positive(value: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError("TP010", f"{what} has to be a positive integer; received {value!r}", at=user_source())
    return value


def _described(device: torch.device) -> str:
    name = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    return f"{device.type.upper()}{name}"


def _joined(results: list[Any]) -> Any:
    """Outputs of many batches as arrays, in the structure of one batch's."""
    first = results[0]
    if isinstance(first, Mapping):
        return {key: _joined([result[key] for result in results]) for key in first}
    if isinstance(first, list | tuple):
        return [_joined(list(column)) for column in zip(*results, strict=True)]
    return torch.cat(results).cpu().numpy()


__all__ = ["Trainer", "best_device", "set_random_seed", "set_seed"]
