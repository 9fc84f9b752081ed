"""Weights that files hold in fewer bits: as float16, or as codes with one step a filter or block.

In a graph every weight is an array of float32, and passes and emitters move its cells as they move any. What a scheme
does to it is to round it to numbers of few bits: float16, or

    cell = code * step        step with `STEP_BITS` significant bits, so that the product is exact

``metadata["quantization"]["stored"]`` lists the `StoredForm`s that were used. Whoever writes an array to a file asks
`stored_form_of`, which finds the form that gives its cells back *bit for bit*, in whatever order they have come to
stand by then, and None for an array that has none. So a file never holds other numbers than the graph.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from .types import Array

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int8]

STEP_BITS = 16
"""Significant bits of a step: with the 7 of a code they fit the 24 of a float32."""

LEAST_CELLS = 64
"""Smaller arrays stay float32: what says how to expand them would be larger."""

LEAST_SHARING = 3
"""Cells that share a step, at least: a step takes four bytes."""

CODE_RANGES = {4: (-8, 7), 8: (-127, 127)}
"""Least and greatest code by bits. -128 is left out: weights are symmetric."""

_ROWS_TRIED = 4
_CELLS_TRIED = 512
_CHUNK = 2**20


@dataclass(frozen=True)
class StoredForm:
    """How weights are stored.

    bits    16: float16; 8 and 4: codes
    block   cells in a row that share a step; 0: all that belong to a filter
    """

    bits: int
    block: int = 0


@dataclass(frozen=True)
class Stored:
    """An array of float32 in fewer bits.

    codes   of the array's shape: float16, or int8 (of which 4 bits have -8 … 7)
    view    sizes (A, B, C, D) as which the cells, in their order, are looked at where there are steps
    steps   float32 [A, C]: cell [a, b, c, d] is its code times steps[a, c]; None for float16
    """

    bits: int
    codes: Array
    view: tuple[int, int, int, int]
    steps: Floats | None = None

    @property
    def nbytes(self) -> int:
        return -(-self.codes.size * self.bits // 8) + (0 if self.steps is None else self.steps.nbytes)

    def expanded(self) -> Floats:
        """The array."""
        if self.steps is None:
            return self.codes.astype(np.float32)
        factors = self.steps[:, None, :, None]
        return (self.codes.astype(np.float32).reshape(self.view) * factors).reshape(self.codes.shape)

    def packed(self) -> Array:
        """The codes as a file holds them: of 4 bits two in a byte, the first in the low half."""
        return pack_halves(self.codes) if self.bits == 4 else np.ascontiguousarray(self.codes)


def pack_halves(codes: Array) -> npt.NDArray[np.uint8]:
    """Codes -8 … 7, two in a byte, the first in the low half: uint8 [ceil(n / 2)]"""
    halves = codes.reshape(-1).view(np.uint8) & 15
    if halves.size % 2:
        halves = np.append(halves, np.uint8(0))
    return np.asarray(halves[::2] | halves[1::2] << 4, np.uint8)


def unpack_halves(packed: npt.NDArray[np.uint8], shape: Sequence[int]) -> Codes:
    """The codes that `pack_halves` packed."""
    both = np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)[: math.prod(shape)]
    return np.asarray((both ^ 8).astype(np.int8) - 8, np.int8).reshape(shape)


def unpacked(
    bits: int, packed: Array, shape: tuple[int, ...], view: tuple[int, int, int, int], steps: Array
) -> Stored | str:
    """What a file holds as codes: `Stored.packed` and the rest of it; a sentence where they do not fit one another."""
    size = math.prod(shape)
    if bits not in CODE_RANGES:
        return f"weights are stored in 4, 8 or 16 bits, not {bits}"
    if (packed.dtype.name, packed.size) != (("uint8", -(-size // 2)) if bits == 4 else ("int8", size)):
        return f"{packed.dtype.name}{list(packed.shape)} does not hold {size} codes of {bits} bits"
    if math.prod(view) != size or (steps.dtype.name, steps.shape) != ("float32", (view[0], view[2])):
        return f"steps {steps.dtype.name}{list(steps.shape)} and view {list(view)} do not fit the shape {list(shape)}"
    codes = unpack_halves(packed.astype(np.uint8), shape) if bits == 4 else packed.reshape(shape)
    return Stored(bits, codes, view, steps.astype(np.float32))


def stored_forms(metadata: Mapping[str, Any]) -> tuple[StoredForm, ...]:
    """The forms that the weights of a graph were rounded to, the smallest first; none for most graphs."""
    about = metadata.get("quantization")
    listed = about.get("stored", []) if isinstance(about, dict) else []
    try:
        forms = {StoredForm(int(bits), int(block)) for bits, block in listed}
    except (TypeError, ValueError) as error:
        raise FormatError("TP405", f"metadata.quantization.stored is no list of [bits, block]: {error}") from error
    if any(form.bits not in (4, 8, 16) or form.block < 0 for form in forms):
        raise FormatError("TP405", "metadata.quantization.stored names a form that does not exist")
    return tuple(sorted(forms, key=lambda form: (form.bits, form.block)))


def stored_form_of(array: Array, forms: Iterable[StoredForm]) -> Stored | None:
    """The array in the first of the forms that gives back every cell; None when none does."""
    if array.dtype != np.float32 or array.size < LEAST_CELLS:
        return None
    for form in forms:
        if form.bits < 16 and array.ndim < 2:
            continue  # a bias that happens to be all zeros or ones
        found = _as_half(array) if form.bits == 16 else _as_codes(array, form)
        if found is not None:
            return found
    return None


def rounded_step(most: npt.NDArray[np.float64], bits: int) -> Floats:
    """Steps of `STEP_BITS` significant bits, none too small for its codes to be normal numbers, of which
    ``most`` / the greatest code is at most one."""
    mantissa, exponent = np.frexp(np.maximum(most / CODE_RANGES[bits][1], 2.0**-100))
    return np.asarray(np.ldexp(np.ceil(mantissa * 2**STEP_BITS), exponent - STEP_BITS), np.float32)


def _as_half(array: Array) -> Stored | None:
    with np.errstate(over="ignore"):
        halves = array.astype(np.float16)
    return Stored(16, halves, (1, 1, 1, array.size)) if np.array_equal(halves.astype(np.float32), array) else None


def _as_codes(array: Array, form: StoredForm) -> Stored | None:
    """Tries the sets of axes that the step may depend on, those with the fewest steps first."""
    for shape, along in sorted(_arrangements(array.shape, form.block), key=lambda tried: _count(*tried)):
        view = _view(shape, along)
        if view is None or _count(shape, along) * LEAST_SHARING > array.size:
            continue
        cells = np.asarray(array.reshape(view).transpose(0, 2, 1, 3), np.float32)
        steps = _steps_of(cells.reshape(view[0] * view[2], -1), form.bits)
        if steps is not None:
            steps = steps.reshape(view[0], view[2])
            codes = np.rint(np.asarray(array, np.float32).reshape(view) / steps[:, None, :, None]).astype(np.int8)
            return Stored(form.bits, codes.reshape(array.shape), view, steps)
    return None


def _arrangements(shape: tuple[int, ...], block: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(shape, axes that the step depends on); with blocks, one axis of the shape is split: in two, or, where a pass has
    turned the axes that are flattened there, in three with the blocks in the middle."""
    if not block:
        yield from ((shape, along) for count in range(3) for along in itertools.combinations(_wide(shape), count))
        return
    for axis in _wide(shape):
        if shape[axis] % block == 0 and shape[axis] > block:
            for before in (size for size in range(1, block) if block % size == 0):
                pieces = (before, shape[axis] // block, block // before)
                split = (*shape[:axis], *pieces, *shape[axis + 1 :])
                others = [i for i in _wide(split) if i not in range(axis, axis + 3)]
                for count in range(3):
                    yield from ((split, (axis + 1, *along)) for along in itertools.combinations(others, count))


def _wide(shape: tuple[int, ...]) -> list[int]:
    return [axis for axis, size in enumerate(shape) if size > 1]


def _count(shape: tuple[int, ...], along: tuple[int, ...]) -> int:
    return math.prod(shape[axis] for axis in along)


def _view(shape: tuple[int, ...], along: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """The shape as (A, B, C, D) in which the step depends on A and C; None where four sizes are too few."""
    wide = [(axis in along, shape[axis]) for axis in _wide(shape)]
    runs = [(steps, math.prod(n for _, n in run)) for steps, run in itertools.groupby(wide, lambda axis: axis[0])]
    start = 0 if runs[0][0] and len(runs) > 2 else 2 if runs[0][0] else 1
    if start + len(runs) > 4:
        return None
    a, b, c, d = [1] * start + [size for _, size in runs] + [1] * (4 - start - len(runs))
    return a, b, c, d


def _steps_of(rows: Floats, bits: int) -> Floats | None:
    """The step of each row, of which all its cells are whole multiples; None when a row has none.

    Some cells of some rows are tried first, and then the rows in pieces: most arrays that have none show it at once.
    """
    some = np.random.default_rng(0).integers(rows.shape[1], size=_CELLS_TRIED)
    if _common_steps(rows[:_ROWS_TRIED, some], bits) is None:
        return None
    found = []
    count = max(_CHUNK // rows.shape[1], 1)
    for start in range(0, len(rows), count):
        steps = _common_steps(rows[start : start + count], bits)
        if steps is None:
            return None
        found.append(steps)
    return np.concatenate(found)


def _is_step(numbers: Floats) -> npt.NDArray[np.bool_]:
    """Which have `STEP_BITS` significant bits: with more, a product may only *round* to a cell."""
    return np.asarray(numbers.view(np.uint32) & (1 << 24 - STEP_BITS) - 1 == 0)


def _common_steps(rows: Floats, bits: int) -> Floats | None:
    """The greatest cell of a row has some code: tried are all, the greatest first."""
    least, most = CODE_RANGES[bits]
    greatest = np.abs(rows).max(1)
    steps = np.ones(len(rows), np.float32)
    unknown = np.flatnonzero(greatest)
    if not np.isfinite(greatest).all():
        return None
    for code in range(max(-least, most), 0, -1):
        if not unknown.size:
            break
        cells = rows[unknown]
        tried = greatest[unknown] / np.float32(code)
        with np.errstate(all="ignore"):
            codes = np.rint(cells / tried[:, None])
            fits = (codes * tried[:, None] == cells) & (codes >= least) & (codes <= most)
        known = fits.all(1) & _is_step(tried)
        steps[unknown[known]] = tried[known]
        unknown = unknown[~known]
    return None if unknown.size else steps
