"""The inner loops of training and evaluation: what is computed a step, and what is kept for the figures.

A step neither waits for the device nor computes metrics: losses and outputs are kept and reduced together, when the
buffer is full, when the bar is redrawn, and at the end of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import UsageError
from . import losses, metrics
from .layers import masks
from .structure import flatten, user_source

if TYPE_CHECKING:
    from .callbacks import CallbackList
    from .data import Batch
    from .optimizers import Optimizer
    from .progress import Progress
    from .training import Trainer

KEPT_BYTES = 16 << 20
"""How many bytes of outputs are kept before metrics take them."""


@dataclass
class Task:
    """One output of the model: what it is trained on and measured by."""

    name: str
    loss: losses.Loss | None
    weight: float
    metrics: list[metrics.Metric] = field(default_factory=list)
    labels: bool = False


@dataclass
class Setup:
    """What ``compile`` was told, and what the first data made of it."""

    optimizer: Optimizer
    loss: Any
    metrics: Any
    loss_weights: Any
    tasks: list[Task] | None = None
    output_sizes: dict[tuple[torch.Size, ...], list[torch.Size]] = field(default_factory=dict)

    def resolve(self, names: Sequence[str], outputs: Sequence[torch.Size], targets: Sequence[Any]) -> list[Task]:
        """The tasks, once the shapes of outputs [batch, ...] and targets are known. Raises UsageError TP014, TP016."""
        if self.tasks is not None and len(self.tasks) == len(names):
            return self.tasks
        wanted = per_output(self.loss, names, "loss")
        weights = per_output(self.loss_weights, names, "loss_weights")
        measures = per_output(self.metrics, names, "metrics", several=True)
        tasks = []
        for name, loss, weight, measure, output, target in zip(
            names, wanted, weights, measures, outputs, targets, strict=True
        ):
            made = None if loss is None else losses.get(loss)
            task = Task(name, made, 1.0 if weight is None else float(weight))
            shape = torch.Size(target)
            if made is not None:
                task.labels = losses.wants_labels(made, shape, output)
            if len(shape) == 1 and len(output) == 2 and output[-1] == 1 and not task.labels:
                shape = torch.Size((*shape, 1))
            items = [measure] if measure is not None and not isinstance(measure, list | tuple) else measure or []
            task.metrics = [metrics.get(item, made, shape, output) for item in items]
            if made is None and any(item.sparse for item in task.metrics):
                task.labels = True
            tasks.append(task)
        self.tasks = tasks
        return tasks


def check_names(loss: Any, measures: Any) -> None:
    """Raises UsageError TP016 for a text among losses and metrics that names none; shapes come into it later."""
    for given, check in ((loss, losses.check_name), (measures, metrics.check_name)):
        for item in flatten(given):
            if isinstance(item, str):
                check(item)


def per_output(given: Any, names: Sequence[str], what: str, several: bool = False) -> list[Any]:
    """``given`` as one item an output: by name, by position, or one for all."""
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise UsageError(
                "TP004", f"{what} names outputs {unknown}; the outputs are {list(names)}", at=user_source()
            )
        return [given.get(name) for name in names]
    if len(names) == 1:
        single = isinstance(given, list | tuple) and not several and len(given) == 1
        return [given[0]] if single else [given]
    if isinstance(given, list | tuple):
        if len(given) == len(names) and (
            not several or all(isinstance(item, list | tuple) or item is None for item in given)
        ):
            return list(given)
        if several and len(given) == len(names):
            return [[item] for item in given]
        raise UsageError(
            "TP010", f"{what} has {len(given)} entries for {len(names)} outputs {list(names)}", at=user_source()
        )
    return [given] * len(names)


class Meter:
    """Losses and metrics over an epoch."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = tasks
        self.named_losses = len(tasks) > 1
        self.keeps_outputs = any(task.metrics for task in tasks)
        for task in tasks:
            for metric in task.metrics:
                metric.reset()
        self._losses: list[list[Tensor]] = []
        self._counts: list[int] = []
        self._outputs: list[tuple[list[Tensor], list[Tensor]]] = []
        self._kept = 0
        self._sums: list[float] = []
        self._samples = 0

    def add(self, values: list[Tensor], outputs: list[Tensor], targets: list[Tensor], samples: int) -> None:
        """One step: the total loss followed by each output's, the outputs, the targets."""
        self._losses.append([value.detach() for value in values])
        self._counts.append(samples)
        if self.keeps_outputs:
            kept = [output.detach() for output in outputs]
            found = [masks.of(output) for output in outputs]
            if any(mask is not None for mask in found):
                kept = [output if mask is None else output[mask] for output, mask in zip(kept, found, strict=True)]
                targets = [y if mask is None else y[mask] for y, mask in zip(targets, found, strict=True)]
            self._outputs.append((kept, targets))
            self._kept += sum(output.numel() * output.element_size() for output in kept)
            if self._kept > KEPT_BYTES:
                self.flush()

    def flush(self) -> None:
        """Reduces what was kept."""
        if not self._counts:
            return
        losses_by_step = torch.stack([torch.stack(step) for step in self._losses]).to("cpu", torch.float64)
        sums = (losses_by_step.T @ torch.tensor(self._counts, dtype=torch.float64)).tolist()
        self._sums = [a + b for a, b in zip(self._sums or [0.0] * len(sums), sums, strict=True)]
        self._samples += sum(self._counts)
        for position, task in enumerate(self.tasks):
            if task.metrics and self._outputs:
                y_pred = torch.cat([outputs[position] for outputs, _ in self._outputs])
                y_true = torch.cat([targets[position] for _, targets in self._outputs])
                for metric in task.metrics:
                    metric.update(y_true, y_pred)
        self._losses, self._counts, self._outputs, self._kept = [], [], [], 0

    def logs(self) -> dict[str, float]:
        """The figures so far: loss, each output's loss when there are several, the metrics."""
        self.flush()
        means = [total / max(1, self._samples) for total in self._sums]
        logs = {"loss": means[0]} if means else {}
        if self.named_losses:
            trained = [task for task in self.tasks if task.loss is not None]
            logs |= {f"{task.name}_loss": mean for task, mean in zip(trained, means[1:], strict=True)}
        for task in self.tasks:
            for metric in task.metrics:
                logs[f"{task.name}_{metric.name}" if self.named_losses else metric.name] = metric.result()
        return logs

    @property
    def empty(self) -> bool:
        """Whether nothing was added."""
        return not self._samples and not self._counts

    def loss_so_far(self) -> float:
        """The mean loss alone, for callbacks that look at every step."""
        self.flush()
        return self._sums[0] / max(1, self._samples)


def compute_losses(
    tasks: list[Task], outputs: list[Tensor], targets: list[Tensor], weights: Tensor | None, penalties: list[Any]
) -> list[Tensor]:
    """[total, then each trained output's loss when there are several]."""
    if len(tasks) == 1:
        loss = tasks[0].loss
        assert loss is not None
        values = [loss(targets[0], outputs[0], weights, masks.of(outputs[0]))]
    else:
        parts = [
            (task.weight, task.loss(target, output, weights, masks.of(output)))
            for task, target, output in zip(tasks, targets, outputs, strict=True)
            if task.loss is not None
        ]
        total = parts[0][0] * parts[0][1]
        for weight, part in parts[1:]:
            total = total + weight * part
        values = [total, *(part for _, part in parts)]
    if len(tasks) == 1 and tasks[0].weight != 1.0:
        values[0] = tasks[0].weight * values[0]
    for regularizer, weight in penalties:
        values[0] = values[0] + regularizer(weight)
    return values


def train_step(
    model: Trainer, batch: Batch, tasks: list[Task], optimizer: Optimizer, penalties: list[Any]
) -> tuple[list[Tensor], list[Tensor]]:
    """One update; returns the losses and the outputs."""
    inputs, targets, weights = batch
    assert optimizer.bound is not None
    optimizer.bound.zero_grad(set_to_none=True)
    outputs = model.flat_outputs(model(inputs[0] if len(inputs) == 1 else inputs))
    values = compute_losses(tasks, outputs, targets, weights, penalties)
    values[0].backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return values, outputs


def train_epoch(
    model: Trainer,
    batches: Any,
    limit: int | None,
    tasks: list[Task],
    callbacks: CallbackList,
    progress: Progress,
) -> dict[str, float]:
    """All batches (or the first ``limit``) once; returns the figures."""
    model.train()
    optimizer = model.optimizer
    penalties = list(model.penalties())
    meter = Meter(tasks)
    step = 0
    for step, batch in enumerate(batches):
        for callback in callbacks.before_batch:
            callback.on_train_batch_begin(step)
        values, outputs = train_step(model, batch, tasks, optimizer, penalties)
        samples = batch[0][0].shape[0]
        meter.add(values, outputs, batch[1], samples)
        progress.advance(samples, meter.logs)
        if callbacks.after_batch:
            logs = {"loss": meter.loss_so_far()}
            for callback in callbacks.after_batch:
                callback.on_train_batch_end(step, logs)
            if model.stop_training:
                break
        if limit is not None and step + 1 >= limit:
            break
    if meter.empty:
        raise _no_batches()
    return meter.logs()


def evaluate_epoch(
    model: Trainer,
    batches: Any,
    limit: int | None,
    tasks: list[Task],
    advance: Callable[[int, Callable[[], dict[str, float]]], None] | None = None,
) -> dict[str, float]:
    """The figures over all batches in eval mode; the model's mode is put back."""
    was_training = model.training
    model.eval()
    penalties = list(model.penalties())
    meter = Meter(tasks)
    try:
        with torch.no_grad():
            for step, (inputs, targets, weights) in enumerate(batches):
                outputs = model.flat_outputs(model(inputs[0] if len(inputs) == 1 else inputs))
                values = compute_losses(tasks, outputs, targets, weights, penalties)
                meter.add(values, outputs, targets, inputs[0].shape[0])
                if advance is not None:
                    advance(inputs[0].shape[0], meter.logs)
                if limit is not None and step + 1 >= limit:
                    break
            if meter.empty:
                raise _no_batches()
            return meter.logs()
    finally:
        model.train(was_training)


def _no_batches() -> UsageError:
    return UsageError(
        "TP017",
        "the data has no more batches",
        at=user_source(),
        help="a generator is read once: give steps_per_epoch=, or pass a Dataset, a DataLoader or arrays",
    )


__all__ = ["Meter", "Setup", "Task", "compute_losses", "evaluate_epoch", "per_output", "train_epoch", "train_step"]
