"""What ports are run on: samples the user gives, golden ones from the graph, and generated ones at batch 1, 2 and 7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..exporter.errors import UsageError
from ..exporter.graph import Array, DType, Graph, Sample, Sym, TensorType
from ..exporter.graph.bind import bind_types
from ..exporter.graph.conditions import allowed_sizes
from ..exporter.graph.further import further_sizes
from ..exporter.graph.npz import read_npz
from ..exporter.graph.steps import in_steps
from ..exporter.ops import Cast, Gather

BATCHES = (1, 2, 7)
"""Sizes of the free batch that generated samples have: one, the next, and one that no vector width divides."""

ROWS_AT_A_TIME = 64
"""Given samples run in slices of this many rows along their batch."""

OTHER_SIZE = 8
"""Size of a free dim beside the batch where no golden sample tells one."""

Given = Mapping[str, Array] | Sequence[Mapping[str, Array]] | str | Path
"""Samples as a user passes them: named arrays, several sets of them, or an .npz file."""


@dataclass(frozen=True)
class Case:
    """One run.

    label     what reports call it
    outputs   what to expect, where that is known already
    golden    the outputs are what the user's own model gave, in float32
    made      nobody gave the inputs: they are random numbers at sizes that the graph is said to take
    """

    label: str
    inputs: dict[str, Array]
    outputs: dict[str, Array] = field(default_factory=dict)
    golden: bool = False
    made: bool = False


def golden_cases(samples: Sequence[Sample]) -> list[Case]:
    """The samples that were recorded from the user's own model."""
    return [Case(f"golden {i}", sample.inputs, sample.outputs, True) for i, sample in enumerate(samples, 1)]


def given_cases(given: Given, types: Mapping[str, TensorType]) -> list[Case]:
    """The user's samples in slices that fit in memory.

    types    the graph's inputs. Arrays with other names are refused
    raises   UsageError when an array does not fit, FormatError for a file that is not an .npz of plain arrays
    """
    if isinstance(given, str | Path):
        given = read_npz(Path(given))
    sets: list[object] = [given] if isinstance(given, Mapping) else list(given)
    cases: list[Case] = []
    for i, arrays in enumerate(sets, 1):
        if not isinstance(arrays, Mapping):
            received = given if isinstance(given, np.ndarray) else arrays
            raise UsageError(
                "TP004",
                f"samples have to be arrays by the inputs' names, received {type(received).__name__}",
                help="samples={" + ", ".join(f'"{name}": array' for name in types) + "}",
            )
        inputs = {name: np.asarray(array) for name, array in arrays.items()}
        label = "given" if len(sets) == 1 else f"given {i}"
        cases += _in_slices(label, inputs, types)
    return cases


def generated_cases(graph: Graph, seed: int = 0) -> list[Case]:
    """Random inputs like the golden ones, at batch 1, 2 and 7 (or the sizes next to them that it takes), and once with
    another size along every other free dim that can have one.

    One case when the graph has no free dim, and where integers may be places along a free axis (a graph's edges): they
    are right for the golden samples' sizes alone.
    """
    free = graph.free_names()
    batch = batch_name({value.name: value.type for value in graph.inputs})
    if batch is None and free and not any(value.type.dtype.is_integer for value in graph.inputs):
        batch = free[0]
    golden = {name: _golden_size(graph, name) for name in free}
    if not batch:
        return [_random_case(graph, "random", golden, seed, 1)]
    wanted = [allowed_sizes(graph, golden | {batch: size}) or golden for size in BATCHES]
    wanted.append(further_sizes(graph, wanted[0], keep=[batch]))
    distinct = {tuple(sizes.items()): sizes for sizes in wanted}.values()
    return [_random_case(graph, _label(sizes, batch), sizes, seed, sizes[batch]) for sizes in distinct]


def _label(sizes: Mapping[str, int], batch: str) -> str:
    return ", ".join(f"{name} {sizes[name]}" for name in (batch, *(name for name in sizes if name != batch)))


def _random_case(graph: Graph, label: str, sizes: Mapping[str, int], *seed: int) -> Case:
    random = np.random.default_rng(seed)
    return Case(
        label, {value.name: _random_like(graph, value.name, sizes, random) for value in graph.inputs}, made=True
    )


def batch_name(types: Mapping[str, TensorType]) -> str | None:
    """The free dim that is the first axis of every input; None when there is no such."""
    firsts = {type.shape[0] if type.rank else None for type in types.values()}
    first = firsts.pop() if len(firsts) == 1 else None
    return str(first) if isinstance(first, Sym) and str(first) in first.names else None


def _in_slices(label: str, inputs: dict[str, Array], types: Mapping[str, TensorType]) -> list[Case]:
    """The arrays whole where they fit as they are, else cut along the first axis to the batch the graph has."""
    batch = batch_name(types)
    rows = {array.shape[0] if array.ndim else None for array in inputs.values()}
    size = rows.pop() if len(rows) == 1 else None
    step = ROWS_AT_A_TIME if batch else _fixed_batch(types)
    if size is None or step is None or size <= step or (not batch and size % step):
        bind_types(types, inputs)
        return [Case(label, inputs)]
    cases: list[Case] = []
    for start in range(0, size, step):
        part = {name: array[start : start + step] for name, array in inputs.items()}
        bind_types(types, part)
        cases.append(Case(f"{label}, rows {start}–{min(start + step, size) - 1}", part))
    return cases


def _fixed_batch(types: Mapping[str, TensorType]) -> int | None:
    """The known size that every input's first axis has."""
    firsts = {type.shape[0] if type.rank else None for type in types.values()}
    first = firsts.pop() if len(firsts) == 1 else None
    return first if isinstance(first, int) else None


def _golden_size(graph: Graph, name: str) -> int:
    for sample in graph.samples:
        for value in graph.inputs:
            array = sample.inputs.get(value.name)
            for axis, dim in enumerate(value.type.shape):
                steps = in_steps(dim)
                if array is not None and steps is not None and steps.name == name and axis < array.ndim:
                    return steps.at_most(int(array.shape[axis]))
    return OTHER_SIZE


def _random_like(graph: Graph, name: str, sizes: Mapping[str, int], random: np.random.Generator) -> Array:
    """Values as the golden samples have them; without any: normal floats, integers that every reader accepts."""
    type = next(value.type for value in graph.inputs if value.name == name)
    shape = type.evaluate(sizes)
    seen = [sample.inputs[name].ravel() for sample in graph.samples if name in sample.inputs]
    known = np.concatenate(seen) if seen else np.empty(0, type.dtype.numpy)
    if type.dtype.is_float:
        known = known[np.isfinite(known)].astype(np.float64)
        mean, deviation = (float(known.mean()), float(known.std())) if known.size else (0.0, 1.0)
        values = random.normal(mean, deviation or 1.0, shape)
        if known.size > 1 and known.min() < known.max():
            values = values.clip(known.min(), known.max())
        return values.astype(type.dtype.numpy)
    rows = [sample.inputs[name] for sample in graph.samples if name in sample.inputs]
    if shape and rows and all(row.shape[1:] == shape[1:] and len(row) for row in rows):
        # Each place has a range of its own: columns of a table hold categories of different kinds.
        stacked = np.concatenate(rows)
        picked = random.integers(0, len(stacked), shape)
        return np.take_along_axis(stacked, picked, 0).astype(type.dtype.numpy)
    if known.size:
        return random.choice(known, shape).astype(type.dtype.numpy)
    return random.integers(0, _table_rows(graph, name, type.dtype), shape).astype(type.dtype.numpy)


def _table_rows(graph: Graph, name: str, dtype: DType) -> int:
    """One more than the largest index that is safe: the rows of the table that the input picks from, else 2."""
    limits = [2]
    readers = [node for value in graph.inputs if value.name == name for node in value.users]
    while readers:
        node = readers.pop()
        if isinstance(node.op, Cast):
            readers += node.output.users
        elif isinstance(node.op, Gather):
            rows = node.inputs[0].type.shape[node.op.axis]
            limits.append(rows if isinstance(rows, int) else 1)
    if dtype is DType.BOOL or len(limits) == 1:
        return 2
    return min(limits[1:])
