"""Which axes a reshape merges and splits, and whether a transpose before it can wait until after it.

[N, C, H, W] → [N, C, H*W] keeps the groups {N}, {C}, {H, W} apart, so

    reshape(transpose(x [N, H, W, C], to first), [N, C, H*W])  =  transpose(reshape(x, [N, H*W, C]), (0, 2, 1))

[N, C, H, W] → [N, C*H*W] mixes what the transpose moved, and there is no such form.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Dim, Shape
from ..graph.dims import exact_quotient
from ..ops.base import Perm, inverse_perm
from .rearrange import Rearrangement


@dataclass(frozen=True)
class Group:
    """Neighbouring axes that become neighbouring axes of the same number of cells."""

    before: tuple[int, ...]
    after: tuple[int, ...]


def axis_groups(before: Shape, after: Shape) -> list[Group] | None:
    """The smallest groups of a reshape, in order; None when free dims hide them."""
    groups: list[Group] = []
    start, stop, new_start, new_stop = 0, 0, 0, 0
    cells: Dim = 1
    new_cells: Dim = 1
    while stop < len(before) or new_stop < len(after):
        if stop < len(before) and (stop == start or (_less(cells, new_cells) and new_stop > new_start)):
            cells, stop = cells * before[stop], stop + 1
        elif new_stop < len(after) and (new_stop == new_start or _less(new_cells, cells)):
            new_cells, new_stop = new_cells * after[new_stop], new_stop + 1
        else:
            return None
        if cells == new_cells and stop > start and new_stop > new_start:
            groups.append(Group(tuple(range(start, stop)), tuple(range(new_start, new_stop))))
            start, new_start, cells, new_cells = stop, new_stop, 1, 1
    return groups if start == stop and new_start == new_stop else None


def _less(a: Dim, b: Dim) -> bool:
    """Whether ``a`` is a part of ``b``: smaller, or a divisor where one of them is free."""
    if isinstance(a, int) and isinstance(b, int):
        return a < b
    return a != b and exact_quotient(b, a) is not None


def reshape_before(perm: Perm, seen: Shape, after: Shape) -> tuple[Shape, Perm] | None:
    """The (shape, perm) for which ``reshape(transpose(x, perm), after) = transpose(reshape(x, shape), perm')``.

    seen   the shape of transpose(x, perm)
    """
    given = tuple(seen[axis] for axis in inverse_perm(perm))
    whole = Rearrangement.start(given).transposed(perm).reshaped(after)
    return _by_groups(perm, seen, after) if whole is None else whole.as_reshape_first()


def _by_groups(perm: Perm, seen: Shape, after: Shape) -> tuple[Shape, Perm] | None:
    """`reshape_before` where the new axes cut across the old ones, [4, 6] → [6, 4], which stay together then."""
    groups = axis_groups(seen, after)
    if groups is None:
        return None
    origin: list[tuple[int, Group]] = []
    for group in groups:
        axes = [perm[axis] for axis in group.before]
        if axes != list(range(axes[0], axes[0] + len(axes))):
            return None
        origin.append((axes[0], group))
    ordered = [group for _, group in sorted(origin, key=lambda item: item[0])]
    moved = tuple(axis for group in ordered for axis in group.after)
    return tuple(after[axis] for axis in moved), inverse_perm(moved)
