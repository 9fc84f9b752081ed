"""Runs samples through a float graph and observes its values, in ONNX Runtime.

The extremes of every value are computed inside the graph, and of its cells only every n-th leaves it, so memory does
not grow with the number of samples and little is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..exporter.errors import UsageError
from ..exporter.graph import Array, Dim, DType, Graph, TensorType, Value, evaluate_dim
from ..exporter.graph.bind import bind_sizes
from ..exporter.ops import ReduceMax, ReduceMin, Reshape, Slice
from ..exporter.wording import with_article
from .checks import check_finite
from .engine import Engine
from .files import samples_in
from .observe import Observed

Calibration = Mapping[str, Array] | Array | Iterable[Mapping[str, Array]] | str | Path
"""Arrays by the inputs' names, one array for the only input, any iterable of named arrays (a generator too), or the
path of a file or folder of samples (files.py)."""

ROWS = 8
"""Samples that run at a time."""

CELLS = 2**14
"""Cells of a value that a batch hands to its histogram, about."""


def observe(graph: Graph, values: Sequence[Value], batches: Iterable[Mapping[str, Array]]) -> dict[str, Observed]:
    """What was seen of each of these float values: {name: Observed}.

    batches   from `batches_of`
    raises    UsageError when an array does not fit the graph's inputs; EnvironmentError_ without ONNX Runtime
    """
    seen = {value.name: Observed() for value in values}
    if not values:
        return seen
    engine: Engine | None = None
    first = 0
    for batch in batches:
        if engine is None:
            engine = Engine(_probed(graph, values, bind_sizes(graph, batch)))
        results = engine.run(batch)
        rows = next((len(array) for array in batch.values() if array.ndim), 1)
        check_finite(values, results, f"samples {first} to {first + rows - 1}" if rows > 1 else f"sample {first}")
        first += rows
        for i, value in enumerate(values):
            low, high, cells = (results[f"{role}{i}"] for role in ("low", "high", "cells"))
            seen[value.name].add(float(low), float(high), cells.astype(np.float64))
    return seen


def batches_of(graph: Graph, calibration: Calibration, samples: int | None = None) -> Iterator[dict[str, Array]]:
    """The samples in batches of at most `ROWS`, or of the size that the graph's batch has.

    samples   at most so many; default: all
    raises    UsageError when a name, dtype or shape is not an input's, or when there is nothing
    """
    types = {value.name: value.type for value in graph.inputs}
    left, what = samples, "calibration data"
    given: Iterable[Mapping[str, Array] | Array]
    if isinstance(calibration, str | Path):
        given, what = samples_in(Path(calibration), graph), f"the arrays of {calibration}"
    else:
        given = [calibration] if isinstance(calibration, Mapping | np.ndarray) else calibration
    for arrays in (fitted(what, one, types) for one in given):
        rows = _rows(arrays, types)
        step = rows_at_a_time(types, rows)
        for start in range(0, rows, step):
            count = min(step, rows - start, step if left is None else left)
            if not count:
                return
            if count < step and not is_free(types):
                break  # a batch of fixed size cannot be cut
            yield {name: np.ascontiguousarray(array[start : start + count]) for name, array in arrays.items()}
            left = None if left is None else left - count


def fitted(what: str, given: Mapping[str, Array] | Array, types: Mapping[str, TensorType]) -> dict[str, Array]:
    """Arrays by the inputs' names, in the inputs' dtypes.

    what     they are called so in errors: "calibration data"
    given    arrays by name, or the array for the only input
    raises   UsageError TP004 for names, TP003 for dtypes and TP002 for shapes that are not the inputs'
    """
    arrays: object = given
    if isinstance(arrays, np.ndarray):
        if len(types) != 1:
            raise _misfit(f"{what} are one array, the graph has inputs {', '.join(types)}", types)
        arrays = dict.fromkeys(types, arrays)
    if not isinstance(arrays, Mapping):
        kind = with_article(type(arrays).__name__)
        raise _misfit(f"{what} have to be arrays by the inputs' names, {kind} was given", types)
    missing, extra = [name for name in types if name not in arrays], [name for name in arrays if name not in types]
    if missing or extra:
        parts = [f"{_quoted(extra)} {'is no input' if len(extra) == 1 else 'are no inputs'}"] if extra else []
        parts += [f"nothing is given for {_quoted(missing)}"] if missing else []
        raise _misfit(f"{what} do not match the inputs: {', and '.join(parts)}", types)
    return {name: _fitting(what, name, np.asarray(arrays[name]), type) for name, type in types.items()}


def _fitting(what: str, name: str, array: Array, type: TensorType) -> Array:
    if array.dtype != type.dtype.numpy and not (type.dtype.is_float and array.dtype.kind == "f"):
        raise UsageError(
            "TP003",
            f'{what} for "{name}" are {array.dtype.name}, the input is {type.dtype.value}',
            help=f'convert them as the model expects them: array.astype("{type.dtype.value}")',
        )
    fixed = [(size, dim) for size, dim in zip(array.shape[1:], type.shape[1:], strict=False) if isinstance(dim, int)]
    if array.ndim != type.rank or any(size != dim for size, dim in fixed):
        raise UsageError(
            "TP002",
            f'{what} for "{name}" have shape {list(array.shape)}, the input is {type}',
            help="the first axis counts the samples; the others are those of one input",
        )
    return array.astype(type.dtype.numpy, copy=False)


def _misfit(message: str, types: Mapping[str, TensorType]) -> UsageError:
    wanted, saved = (", ".join(form.format(name) for name in types) for form in ('"{}": array', "{}=array"))
    return UsageError(
        "TP004", message, help=f"pass {{{wanted}}}, or a file that holds these and no others: np.savez(path, {saved})"
    )


def _quoted(names: Sequence[object]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _rows(arrays: Mapping[str, Array], types: Mapping[str, TensorType]) -> int:
    counts = {name: array.shape[0] for name, array in arrays.items() if array.ndim}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f'"{name}" has {count}' for name, count in counts.items())
        raise UsageError("TP002", f"calibration arrays differ in their number of samples: {listed}")
    return next(iter(counts.values()), 1)


def is_free(types: Mapping[str, TensorType]) -> bool:
    """Whether a model takes any number of samples."""
    return all(not type.rank or not isinstance(type.shape[0], int) for type in types.values())


def rows_at_a_time(types: Mapping[str, TensorType], rows: int) -> int:
    """`ROWS`, or as many as the model takes; UsageError TP002 where ``rows`` do not fill one batch."""
    if is_free(types):
        return ROWS
    sizes = {type.shape[0] for type in types.values() if type.rank and isinstance(type.shape[0], int)}
    step = max(size for size in sizes if isinstance(size, int))
    if rows < step:
        raise UsageError("TP002", f"{rows} samples were given, the model takes {step} at a time")
    return step


def _probed(graph: Graph, values: Sequence[Value], sizes: Mapping[str, int]) -> Graph:
    """A graph whose outputs are, for value i, ``low{i}`` and ``high{i}`` (shape []) and ``cells{i}`` (shape [n])."""
    probed = graph.copy()
    by_name = {value.name: value for value in probed._values()} | {value.name: value for value in probed.inputs}
    probed.outputs.clear()
    for i, value in enumerate(values):
        x = by_name[value.name]
        axes = tuple(range(x.type.rank))
        count: Dim = x.type.elements
        flat = probed.add(Reshape((count,)), x)
        step = max(1, evaluate_dim(count, sizes) // CELLS)
        # A step that shares no factor with the sizes of axes does not keep to a few channels.
        step += step > 1 and step % 2 == 0
        probed.set_output(f"low{i}", probed.add(ReduceMin(axes, False), x))
        probed.set_output(f"high{i}", probed.add(ReduceMax(axes, False), x))
        probed.set_output(f"cells{i}", probed.add(Slice((0,), (0,), (count,), (step,)), flat))
    return probed


def observable(value: Value) -> bool:
    """Whether a value is one that calibration can look at: float32, computed or given, of a rank above 0."""
    return value.type.dtype is DType.FLOAT32 and not value.is_constant and value.type.rank > 0
