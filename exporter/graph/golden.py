"""Golden samples: what went into the user's own model and what came out, kept small enough to travel in the file.

Small inputs are stored as they were. Large ones are made up by a rule instead, so that the file holds only the rule:
element ``i`` of an input depends on nothing but a seed and ``i``, and on every host, in Python and in JavaScript alike
(docs/format.md has the twin), it is the same bits. The outputs are always those the user's model gave for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..errors import UsageError
from .steps import in_steps
from .types import Array, DType, TensorType

STORED_BYTES = 8192
"""Inputs of one sample that are stored as they are, in bytes all together; larger ones are generated."""

MAX_ELEMENTS = 2**26
"""Elements a generated input may have (256 MB of float32): a file of a few kB must not make a host allocate more."""

MAX_SPAN = 2**32
"""Whole numbers an integer recipe can choose from: the hash has 32 bits."""

_CHUNK = 2**18
"""Elements generated at a time, so that the 64-bit steps between take little memory."""


@dataclass(frozen=True)
class Recipe:
    """How to make an input: uniform in [low, high) for floats, in {low, …, high} for integers and bool.

    seed   0 … 2**32 - 1
    """

    dtype: DType
    shape: tuple[int, ...]
    seed: int
    low: float
    high: float

    def problem(self) -> str:
        """What makes the recipe unusable; empty when nothing does."""
        if not 0 <= self.seed < 2**32:
            return f"seed {self.seed} is not in 0 … 2**32 - 1"
        if math.prod(self.shape) > MAX_ELEMENTS:
            return f"{list(self.shape)} has more than {MAX_ELEMENTS} elements"
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            return f"{self.low} … {self.high} is not a range"
        if self.dtype.is_float:
            top = float(np.finfo(np.dtype(self.dtype.value)).max)
            outside = abs(self.low) > top or abs(self.high) > top or not math.isfinite(self.high - self.low)
        else:
            least, most = _integer_bounds(self.dtype)
            whole = self.low == int(self.low) and self.high == int(self.high)
            outside = not whole or self.low < least or self.high > most or self.high - self.low >= MAX_SPAN
        return f"{self.low} … {self.high} is not a range of {self.dtype.value}" if outside else ""


class Sample:
    """Golden arrays recorded from the user's own model, by name.

    inputs    what goes in; arrays that are not stored are made from their recipes on first use
    recipes   {input name: how it is made}, for the inputs that are not stored
    outputs   what the user's model answered
    """

    __slots__ = ("_inputs", "outputs", "recipes")

    def __init__(
        self,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array] | None = None,
        recipes: Mapping[str, Recipe] | None = None,
    ) -> None:
        self.recipes = dict(recipes or {})
        self.outputs = dict(outputs or {})
        self._inputs = {name: array for name, array in inputs.items() if name not in self.recipes}

    @property
    def inputs(self) -> dict[str, Array]:
        for name, recipe in self.recipes.items():
            if name not in self._inputs:
                self._inputs[name] = generated_input(recipe)
        return dict(self._inputs)

    @property
    def stored_inputs(self) -> dict[str, Array]:
        """The inputs that no recipe makes."""
        return {name: array for name, array in self._inputs.items() if name not in self.recipes}

    def is_like(self, other: Sample) -> bool:
        """Whether the inputs are the same."""
        mine, others = self.stored_inputs, other.stored_inputs
        alike = self.recipes == other.recipes and mine.keys() == others.keys()
        return alike and all(same_array(mine[name], others[name]) for name in mine)

    @property
    def stored_bytes(self) -> int:
        """What the sample adds to a file, in bytes, without its place in the header."""
        return sum(array.nbytes for array in (*self.stored_inputs.values(), *self.outputs.values()))


def same_array(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same bytes."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def generated_input(recipe: Recipe) -> Array:
    """The array a recipe describes; UsageError when it describes none."""
    if problem := recipe.problem():
        raise UsageError("TP001", f"golden recipe: {problem}")
    array: Array = np.empty(math.prod(recipe.shape), recipe.dtype.numpy)
    for start in range(0, array.size, _CHUNK):
        stop = min(start + _CHUNK, array.size)
        array[start:stop] = _elements(recipe, start, stop)
    return array.reshape(recipe.shape)


def golden_inputs_for(example: Mapping[str, Array], seed: int = 0) -> dict[str, Recipe]:
    """A recipe for each input, with its shape and dtype and the range that the example's values span."""
    return {name: _recipe_like(array, seed * 1000 + i) for i, (name, array) in enumerate(example.items())}


def plan_golden(
    example: Mapping[str, Array],
    types: Mapping[str, TensorType] | None = None,
    *,
    seed: int = 0,
    largest_batch: int = 2,
) -> list[Sample]:
    """The samples to record for a model: run each one's ``inputs`` through the model and set its ``outputs``.

    The first sample is the example itself as far as it is small enough to store (the rest of it is generated in the
    example's range); the second has other floats in every input, so that a port that ignores its input is found out.

    types           the graph's input types: an input whose first axis is a free dim is cut to ``largest_batch`` along
                    every axis with that dim, which keeps the recorded outputs small
    """
    cut = _with_batch_of(largest_batch, example, types or {})
    stored = _smallest_first(cut)
    first = golden_inputs_for(cut, seed)
    second = golden_inputs_for(cut, seed + 1)
    exact = {name: cut[name] for name in cut if name in stored}
    fixed = {name: array for name, array in exact.items() if not DType.of(array).is_float}
    return [
        Sample(exact, recipes={name: recipe for name, recipe in first.items() if name not in exact}),
        Sample(fixed, recipes={name: recipe for name, recipe in second.items() if name not in fixed}),
    ]


def within_budget(samples: Iterable[Sample], weight_bytes: int, *, at_least: int = 1) -> list[Sample]:
    """The leading samples that together take at most 8 kB and 1 % of the weights; the first ones always stay."""
    kept: list[Sample] = []
    left = STORED_BYTES + weight_bytes // 100
    for sample in samples:
        left -= sample.stored_bytes
        if len(kept) >= at_least and left < 0:
            break
        kept.append(sample)
    return kept


def _elements(recipe: Recipe, start: int, stop: int) -> Array:
    """Elements start … stop - 1 of the flat array, as float64 or int64."""
    hashes = _mix(np.arange(start, stop, dtype=np.uint32) ^ _mix(np.array([recipe.seed], np.uint32)))
    if recipe.dtype.is_float:
        fraction = (hashes >> np.uint32(8)).astype(np.float64) * 2.0**-24
        values: Array = recipe.low + fraction * (recipe.high - recipe.low)
        return values
    span = np.uint64(int(recipe.high) - int(recipe.low) + 1)
    return (hashes % span).astype(np.int64) + int(recipe.low)


def _mix(x: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """``lowbias32`` (Wellons 2018): a bijection of 32-bit integers that passes for random."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _recipe_like(array: Array, seed: int) -> Recipe:
    dtype = DType.of(array)
    # Seeds that follow each other must not give streams that do; the multiplier is odd, so none collide.
    recipe = Recipe(dtype, array.shape, seed * 0x9E3779B1 % 2**32, 0.0, 1.0)
    if not dtype.is_float:
        least, most = _integer_bounds(dtype)
        start = max(int(array.min()), least) if array.size else 0
        stop = min(int(array.max()), most, start + MAX_SPAN - 1) if array.size else 0
        return replace(recipe, low=start, high=max(start, stop))
    finite = array[np.isfinite(array)].astype(np.float64) if array.size else array
    if not finite.size:
        return recipe
    low, high = float(finite.min()), float(finite.max())
    if low == high:  # a constant example says nothing of the range: take in zero, or one where it is zero
        low, high = min(low, 0.0), max(high, 0.0) if high else 1.0
    # The width of the range must be a float64 itself.
    return replace(recipe, low=max(low, -(2.0**1000)), high=min(high, 2.0**1000))


def _integer_bounds(dtype: DType) -> tuple[int, int]:
    """The least and the greatest whole number of a dtype that JavaScript's numbers hold exactly."""
    if dtype is DType.BOOL:
        return 0, 1
    info = np.iinfo(np.dtype(dtype.value))
    return max(int(info.min), -(2**53)), min(int(info.max), 2**53)


def _smallest_first(example: Mapping[str, Array]) -> frozenset[str]:
    """The inputs to store: the smallest ones, as many as fit."""
    left = STORED_BYTES
    stored: set[str] = set()
    for name, array in sorted(example.items(), key=lambda item: (item[1].nbytes, item[0])):
        left -= array.nbytes
        if left >= 0:
            stored.add(name)
    return frozenset(stored)


def _with_batch_of(largest: int, example: Mapping[str, Array], types: Mapping[str, TensorType]) -> dict[str, Array]:
    firsts = {type.shape[0] if type.rank else None for type in types.values()}
    if len(firsts) > 1 and any(type.dtype.is_integer for type in types.values()):
        return dict(example)  # integers may be places along a free axis that is no batch, as edges of a graph are
    kept = {dim: steps.size(largest) for dim in firsts if dim is not None and (steps := in_steps(dim)) is not None}
    cut: dict[str, Array] = {}
    for name, array in example.items():
        shape = types[name].shape if name in types else ()
        axes = tuple(slice(kept.get(dim)) for dim in shape)
        cut[name] = np.asarray(array[axes])
    return cut
