"""What ``fit``, ``evaluate`` and ``predict`` accept as data, turned into batches of tensors.

Arrays (numpy, torch, lists, data frames; one, a list, or a dict by input name) are converted once, checked once, and
sliced; a ``torch.utils.data`` Dataset or DataLoader, or any iterable of batches, is passed through batch by batch.

Conveniences at this border, and only here:
* integers become float32 where the input or target is float; float64 becomes float32;
* x of shape [n] becomes [n, 1] for an input of shape [batch, 1];
* y of shape [n] becomes [n, 1] when the model answers [batch, 1]; class numbers of shape [n, 1] become [n].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ..errors import UsageError
from .structure import DTYPES, Shape, dtype_name, format_shape, user_source

CHUNK_BYTES = 64 << 20
"""How much of a shuffled data set is gathered at once: then batches are plain slices."""


@dataclass(frozen=True)
class InputSpec:
    """One input of a model: its name, its shape (free sizes None, the batch first) and its dtype's name."""

    name: str
    shape: Shape
    dtype: str
    at: str | None = None


Batch = tuple[list[Tensor], list[Tensor], Tensor | None]
"""Inputs, targets, sample weights [batch] or None."""


def as_tensor(value: Any, what: str) -> Tensor:
    """A CPU tensor for an array, a list of numbers, a data frame. Raises UsageError TP003 for text and objects."""
    if isinstance(value, Tensor):
        return value.detach()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UsageError("TP002", f"{what} is not a regular array: {error}", at=user_source()) from error
    if array.dtype.kind not in "fiub":
        raise UsageError(
            "TP003",
            f"{what} has dtype {array.dtype}, expected numbers",
            at=user_source(),
            help="convert it to numbers first",
        )
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    elif array.dtype == np.longdouble:
        array = array.astype(np.float64)
    if not array.flags.writeable or not array.flags.c_contiguous or not array.dtype.isnative:
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(array) if array.ndim else torch.tensor(array.item())


def is_batched_source(x: object) -> bool:
    """Whether x brings its own batches: a Dataset, a DataLoader, a generator, an object made to be iterated."""
    if isinstance(x, DataLoader | Dataset):
        return True
    if isinstance(x, Tensor | np.ndarray | Sequence | Mapping) or hasattr(x, "__array__"):
        return False
    return isinstance(x, Iterable)


def split_inputs(x: Any, specs: Sequence[InputSpec]) -> list[Any]:
    """x as one item an input: by name from a dict, by position from a list. Raises UsageError TP004."""
    names = [spec.name for spec in specs]
    if isinstance(x, Mapping) and not hasattr(x, "__array__"):
        missing = [name for name in names if name not in x]
        unknown = [key for key in x if key not in names]
        if missing or unknown:
            raise UsageError(
                "TP004",
                f"inputs by name have to be {names}; received {list(x)}",
                at=user_source(),
            )
        return [x[name] for name in names]
    if len(specs) == 1:
        arrays = isinstance(x, list | tuple) and len(x) == 1 and isinstance(x[0], Tensor | np.ndarray)
        return [x[0]] if arrays and x[0].ndim >= len(specs[0].shape) - 1 and x[0].ndim > 0 else [x]
    if not isinstance(x, list | tuple) or len(x) != len(specs):
        given = f"{len(x)} arrays" if isinstance(x, list | tuple) else type(x).__name__
        raise UsageError(
            "TP004",
            f"the model has {len(specs)} inputs, {names}; received {given}",
            at=user_source(),
            help="pass a list in that order, or a dict by name",
        )
    return list(x)


def fit_input(value: Any, spec: InputSpec) -> Tensor:
    """One input's array as a tensor of the spec's dtype and rank. Raises UsageError TP002, TP003."""
    what = f"input {spec.name!r}"
    tensor = as_tensor(value, what)
    if tensor.ndim == 1 and len(spec.shape) == 2 and spec.shape[1] in (1, None):
        tensor = tensor.unsqueeze(1)
    wrong = tensor.ndim != len(spec.shape) or any(
        want is not None and want != size for want, size in zip(spec.shape[1:], tensor.shape[1:], strict=True)
    )
    if wrong:
        raise UsageError(
            "TP002", f"{what} expects shape {format_shape(spec.shape)}, received {list(tensor.shape)}", at=spec.at
        )
    return cast(tensor, spec.dtype, what, spec.at)


def cast(tensor: Tensor, dtype: str, what: str, at: str | None = None) -> Tensor:
    """The tensor in ``dtype``, never cut: float → int raises UsageError TP003, as does int64 out of range."""
    wanted = DTYPES[dtype]
    if tensor.dtype == wanted:
        return tensor
    if wanted.is_floating_point and not tensor.dtype.is_complex:
        return tensor.to(wanted)
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex or wanted == torch.bool:
        raise UsageError(
            "TP003",
            f"{what} expects {dtype}, received {dtype_name(tensor.dtype)}",
            at=at or user_source(),
            help=f"convert it explicitly: x.astype('{dtype}')",
        )
    limits = torch.iinfo(wanted)
    if tensor.dtype != torch.bool and tensor.numel() and (tensor.max() > limits.max or tensor.min() < limits.min):
        raise UsageError(
            "TP003", f"{what} expects {dtype}; the values run from {int(tensor.min())} to {int(tensor.max())}", at=at
        )
    return tensor.to(wanted)


def fit_target(value: Any, output: Tensor | torch.Size, labels: bool, what: str) -> Tensor:
    """One target as a tensor for an output of shape [any, ...]: float32 of the same rank, or int64 class numbers."""
    shape = output.shape if isinstance(output, Tensor) else output
    tensor = as_tensor(value, what)
    if labels:
        if tensor.ndim == len(shape) and tensor.shape[-1] == 1:
            tensor = tensor.squeeze(-1)
        return _class_numbers(tensor, shape[-1] if shape else 0, what)
    if tensor.ndim == 1 and len(shape) == 2 and shape[1] == 1:
        tensor = tensor.unsqueeze(1)
    return tensor.to(torch.float32)


def _class_numbers(tensor: Tensor, classes: int, what: str) -> Tensor:
    if tensor.dtype.is_floating_point and not bool((tensor == tensor.round()).all()):
        raise UsageError("TP003", f"{what} has to be class numbers, received fractions", at=user_source())
    numbers = tensor.to(torch.int64)
    if numbers.numel() and classes and (int(numbers.max()) >= classes or int(numbers.min()) < 0):
        raise UsageError(
            "TP017",
            f"{what} holds class numbers from {int(numbers.min())} to {int(numbers.max())}; "
            f"the output has {classes} classes",
            at=user_source(),
            help=f"classes are counted from 0; the last layer needs {int(numbers.max()) + 1} units for these labels",
        )
    return numbers


def same_length(tensors: Sequence[Tensor], what: str) -> int:
    """The number of samples all agree on. Raises UsageError TP017 when they do not, or when there are none."""
    lengths = {int(tensor.shape[0]) if tensor.ndim else 0 for tensor in tensors}
    if len(lengths) != 1:
        raise UsageError("TP017", f"{what} have different numbers of samples: {sorted(lengths)}", at=user_source())
    length = lengths.pop()
    if length == 0:
        raise UsageError("TP017", f"{what} hold no samples", at=user_source())
    return length


class ArrayBatches:
    """Batches from tensors of equal length, in a new order each epoch when ``shuffle``."""

    def __init__(
        self,
        inputs: list[Tensor],
        targets: list[Tensor],
        weights: Tensor | None,
        batch_size: int,
        shuffle: bool,
        device: torch.device,
    ) -> None:
        self.inputs, self.targets, self.weights = inputs, targets, weights
        self.batch_size, self.shuffle, self.device = batch_size, shuffle, device
        self.samples: int | None = int(inputs[0].shape[0])
        self.count: int | None = -(-self.samples // batch_size)

    def __iter__(self) -> Iterator[Batch]:
        tensors = [*self.inputs, *self.targets] + ([] if self.weights is None else [self.weights])
        samples, n_inputs, n_targets = int(tensors[0].shape[0]), len(self.inputs), len(self.targets)
        row_bytes = sum(tensor[:1].numel() * tensor.element_size() for tensor in tensors)
        chunk = max(1, CHUNK_BYTES // max(1, row_bytes * self.batch_size)) * self.batch_size
        order = torch.randperm(samples) if self.shuffle else None
        for start in range(0, samples, chunk):
            if order is None:
                part = [tensor[start : start + chunk] for tensor in tensors]
            else:
                index = order[start : start + chunk]
                part = [tensor.index_select(0, index.to(tensor.device)) for tensor in tensors]
            pieces = [torch.split(tensor.to(self.device), self.batch_size) for tensor in part]
            for batch in zip(*pieces, strict=True):
                weights = None if self.weights is None else batch[-1]
                yield list(batch[:n_inputs]), list(batch[n_inputs : n_inputs + n_targets]), weights


def loader_for(source: Any, batch_size: int, shuffle: bool) -> Iterable[Any]:
    """A Dataset in a DataLoader; anything else is already an iterable of batches."""
    if isinstance(source, Dataset):
        return DataLoader(source, batch_size=batch_size, shuffle=shuffle and not isinstance(source, IterableDataset))
    iterable: Iterable[Any] = source
    return iterable


def unpack(item: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample weights) of one item that a source yields; y and weights may be missing."""
    if isinstance(item, list | tuple):
        if len(item) == 1:
            return item[0], None, None
        if len(item) == 2:
            return item[0], item[1], None
        if len(item) == 3:
            return item[0], item[1], item[2]
        raise UsageError(
            "TP017", f"a batch has to be x, (x, y) or (x, y, weights); received {len(item)} items", at=user_source()
        )
    return item, None, None
