"""Data meets model: targets are matched with outputs, tasks are settled, sources are converted batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import UsageError
from .data import Batch, as_tensor, fit_target, is_batched_source, same_length, unpack
from .steps import per_output
from .structure import user_source

if TYPE_CHECKING:
    from .training import Trainer


def convert(
    model: Trainer, x: Any, y: Any, sample_weight: Any, class_weight: Mapping[int, float] | None
) -> tuple[list[Tensor], list[Tensor], Tensor | None]:
    """(inputs, targets, weights [batch] or None) as CPU tensors of equal length, checked against the model."""
    inputs = model.inputs_from(x)
    targets = _targets(model, inputs, y)
    weights = None if sample_weight is None else as_tensor(sample_weight, "sample_weight").to(torch.float32)
    if weights is not None and weights.ndim != 1:
        raise UsageError(
            "TP002", f"sample_weight has to have shape [samples]; received {list(weights.shape)}", at=user_source()
        )
    if class_weight is not None:
        by_class = weights_by_class(class_weight, targets)
        weights = by_class if weights is None else weights * by_class
    same_length([*inputs, *targets] + ([] if weights is None else [weights]), "x, y and weights")
    return inputs, targets, weights


def _targets(model: Trainer, inputs: list[Tensor], y: Any) -> list[Tensor]:
    """y as one tensor an output. Settles the tasks the first time, from the outputs for two samples."""
    setup, names = model.compiled(), model.output_names
    if setup.loss is None:
        raise UsageError(
            "TP014",
            f"{model.name!r} was compiled without a loss",
            at=user_source(),
            help='model.compile(loss="mse", ...)',
        )
    if y is None:
        raise UsageError("TP017", "y is missing: the loss compares the outputs with it", at=user_source())
    given = per_output(y, names, "y") if len(names) > 1 or isinstance(y, Mapping) else [y]
    raw = [as_tensor(item, f"y for output {name!r}") for item, name in zip(given, names, strict=True)]
    shapes = model.output_sizes(inputs)
    tasks = setup.resolve(names, shapes, [item.shape for item in raw])
    targets = []
    for item, shape, task in zip(raw, shapes, tasks, strict=True):
        target = fit_target(item, shape, task.labels, f"y for output {task.name!r}")
        if task.loss is not None:
            shaped = torch.Size((len(target) if target.ndim else 1, *shape[1:]))
            task.loss.check(torch.empty(target.shape, device="meta"), torch.empty(shaped, device="meta"))
        targets.append(target)
    return targets


def weights_by_class(class_weight: Mapping[int, float], targets: list[Tensor]) -> Tensor:
    """[samples]: each sample's weight, by its class number, one-hot label or 0/1 label. Missing classes weigh 1."""
    if len(targets) != 1:
        raise UsageError("TP010", "class_weight is for models with one output", at=user_source())
    target = targets[0]
    if target.ndim == 2:
        target = target.argmax(dim=-1) if target.shape[1] > 1 else target[:, 0]
    if target.ndim != 1:
        raise UsageError("TP010", "class_weight is for one label a sample", at=user_source())
    weights = torch.ones(target.shape[0])
    for label, weight in class_weight.items():
        weights[target == label] = float(weight)
    return weights


def hold_back(model: Trainer, x: Any, y: Any, sample_weight: Any, share: float) -> tuple[Any, Any, Any, Any]:
    """(x, y, weights, validation data): the last ``share`` of all arrays is held back, before any shuffling."""
    if not 0 < share < 1:
        raise UsageError("TP010", f"validation_split has to lie between 0 and 1; received {share}", at=user_source())
    if is_batched_source(x):
        raise UsageError("TP010", "validation_split needs arrays; pass validation_data= instead", at=user_source())
    model.prepare(x)
    inputs = dict(zip(model.input_names, model.inputs_from(x), strict=True))
    names = model.output_names
    given = per_output(y, names, "y") if len(names) > 1 or isinstance(y, Mapping) else [y]
    targets = dict(zip(names, (as_tensor(item, "y") for item in given), strict=True)) if y is not None else {}
    weights = None if sample_weight is None else as_tensor(sample_weight, "sample_weight")
    samples = same_length([*inputs.values(), *targets.values()], "x and y")
    cut = int(samples * (1 - share))
    if not 0 < cut < samples:
        raise UsageError(
            "TP017", f"validation_split={share} of {samples} samples leaves one side empty", at=user_source()
        )

    def part(where: slice) -> tuple[Any, ...]:
        held_x = {name: tensor[where] for name, tensor in inputs.items()}
        held_y = {name: tensor[where] for name, tensor in targets.items()}
        return held_x, held_y or None, None if weights is None else weights[where]

    first = part(slice(None, cut))
    return first[0], first[1], first[2], part(slice(cut, None))


def expected_samples(batches: Any, steps: int | None, batch_size: int) -> int | None:
    """How many samples an epoch will bring, where that is known."""
    samples: int | None = batches.samples
    if samples is None and batches.count is not None:
        samples = batches.count * batch_size
    if steps is None:
        return samples
    return steps * batch_size if samples is None else min(samples, steps * batch_size)


class SourceBatches:
    """Batches of a Dataset, a DataLoader or any iterable, converted one by one.

    A generator goes on where the last epoch's ``steps_per_epoch`` left it; anything else starts anew each epoch.
    """

    def __init__(self, model: Trainer, source: Any, class_weight: Mapping[int, float] | None, shown: int) -> None:
        self.model, self.source, self.class_weight = model, source, class_weight
        self.samples: int | None = None
        self.count: int | None = len(source) if hasattr(source, "__len__") else None
        self.once = iter(source) if hasattr(source, "__next__") else None
        first = next(iter(source), None)
        if first is None:
            raise UsageError("TP017", "x holds no batches", at=user_source())
        if self.once is not None:
            self.once = chain([first], self.once)
        model.prepare(unpack(first)[0])
        model.place(shown)
        inputs, _, _ = self._convert(first)
        model.remember(inputs)

    def _convert(self, item: Any) -> Batch:
        x, y, weights = unpack(item)
        inputs, targets, sample_weights = convert(self.model, x, y, weights, self.class_weight)
        device = self.model.device
        return (
            [tensor.to(device, non_blocking=True) for tensor in inputs],
            [tensor.to(device, non_blocking=True) for tensor in targets],
            None if sample_weights is None else sample_weights.to(device),
        )

    def __iter__(self) -> Iterator[Batch]:
        for item in self.source if self.once is None else self.once:
            yield self._convert(item)
