"""What a chain of reshapes and transposes does as a whole: x is cut into atoms, which change places and form axes.

    [N, C*4, W] → reshape [N, C, 4, W] → transpose (0, 3, 1, 2) → reshape [N, W*C, 4]

has the atoms N, C, 4, W, and the axes N | W C | 4 of its result. However long, a chain is one transpose between two
reshapes, or one reshape alone. Axes of size 1 have no atoms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..graph import Dim, Graph, Node, Shape, Value
from ..graph.dims import exact_quotient, product
from ..ops import Reshape, Transpose
from ..ops.base import Perm, inverse_perm

MAX_RANK = 6
"""Of a transpose that is written; ports take no more."""


@dataclass(frozen=True)
class Rearrangement:
    """A chain of reshapes and transposes.

    given   the shape that goes in
    atoms   the sizes it is cut into, in row-major order
    axes    the atoms of each axis of the result
    """

    given: Shape
    atoms: Shape
    axes: tuple[tuple[int, ...], ...]

    @staticmethod
    def start(shape: Shape) -> Rearrangement:
        """The one that does nothing."""
        atoms = tuple(dim for dim in shape if dim != 1)
        numbers = iter(range(len(atoms)))
        return Rearrangement(shape, atoms, tuple(() if dim == 1 else (next(numbers),) for dim in shape))

    @property
    def order(self) -> tuple[int, ...]:
        """The atoms in the row-major order of the result."""
        return tuple(atom for axis in self.axes for atom in axis)

    @property
    def is_reshape(self) -> bool:
        return self.order == tuple(range(len(self.atoms)))

    @property
    def is_writable(self) -> bool:
        """Whether the transpose of it has few enough axes."""
        return len(self._blocks()) <= MAX_RANK

    @property
    def shape(self) -> Shape:
        return tuple(product(self.atoms[atom] for atom in axis) for axis in self.axes)

    def transposed(self, perm: Perm) -> Rearrangement:
        return Rearrangement(self.given, self.atoms, tuple(self.axes[axis] for axis in perm))

    def reshaped(self, shape: Shape) -> Rearrangement | None:
        """This and then a reshape; None when the new axes do not begin and end where atoms do or can be cut."""
        # An atom is known by its place: (3,) is cut into (3, 0) and (3, 1), so that places sort as atoms stand in x.
        waiting: list[tuple[tuple[int, ...], Dim]] = [((atom,), self.atoms[atom]) for atom in self.order]
        sizes: dict[tuple[int, ...], Dim] = {}
        axes: list[list[tuple[int, ...]]] = []
        for dim in shape:
            axes.append([])
            missing = dim
            while missing != 1:
                if not waiting or missing == 0:
                    return None
                place, size = waiting.pop(0)
                cut = _cut(size, missing)
                if cut is None:
                    return None
                taken, rest, missing = cut
                if rest != 1:
                    waiting.insert(0, ((*place, 1), rest))
                    place = (*place, 0)
                sizes[place] = taken
                axes[-1].append(place)
        if waiting:
            return None
        number = {place: i for i, place in enumerate(sorted(sizes))}
        atoms = tuple(sizes[place] for place in sorted(sizes))
        return Rearrangement(self.given, atoms, tuple(tuple(number[place] for place in axis) for axis in axes))

    def narrowed(self, atom: int, size: int, given: Shape) -> Rearrangement:
        """The same of an x that has only ``size`` of an atom, and the shape ``given`` therefore."""
        left = [other for other in range(len(self.atoms)) if other != atom or size != 1]
        atoms = tuple(size if other == atom else self.atoms[other] for other in left)
        axes = tuple(tuple(left.index(other) for other in axis if other in left) for axis in self.axes)
        return Rearrangement(given, atoms, axes)

    def axis_of_atom(self) -> dict[int, int]:
        """{atom: the axis of x that it is a part of}"""
        return _axis_of(self.atoms, self.given)

    def then(self, node: Node) -> Rearrangement | None:
        """This and then the reshape or transpose that ``node`` is."""
        if isinstance(node.op, Transpose):
            return self.transposed(node.op.perm)
        assert isinstance(node.op, Reshape)
        return self.reshaped(node.op.shape)

    def as_reshape_first(self) -> tuple[Shape, Perm] | None:
        """The (shape, perm) that do the same as one reshape and one transpose behind it; None when that cannot be."""
        keys: list[tuple[int, ...]] = []
        for axis in self.axes:
            if any(after != before + 1 for before, after in pairwise(axis)):
                return None
            # An axis of size 1 goes with the one before it.
            keys.append(axis or (*(keys[-1] if keys else (-1,)), -1))
        moved = sorted(range(len(keys)), key=lambda axis: keys[axis])
        return tuple(self.shape[axis] for axis in moved), inverse_perm(tuple(moved))

    def as_transpose_first(self) -> Perm | None:
        """The permutation that does the same as one transpose and one reshape behind it; None when that cannot be.

        Axes of size 1 come first, so that a slice along one of them is a piece of memory.
        """
        axis_of = _axis_of(self.atoms, self.given)
        order = [axis_of[atom] for atom in self.order]
        axes = list(dict.fromkeys(order))
        cuts = sum(before != after for before, after in pairwise(order)) + 1
        if cuts != len(axes) or any(b < a and axis_of[a] == axis_of[b] for a, b in pairwise(self.order)):
            return None
        return (*(axis for axis, dim in enumerate(self.given) if dim == 1), *axes)

    def build(self, graph: Graph, x: Value, node: Node) -> Value:
        """Nodes that do it to ``x``, under the name of ``node``, which they stand for."""
        name, source = node.name, node.source
        if self.is_reshape:
            same = self.shape == x.type.shape
            return x if same else graph.rebuild(node, Reshape(self.shape), [x]).output
        blocks = self._blocks()
        cut = tuple(product(self.atoms[atom] for atom in block) for block in blocks)
        if cut != x.type.shape:
            x = graph.add(Reshape(cut), x, name=f"{name}/reshape", source=source)
        first = {block[0]: i for i, block in enumerate(blocks)}
        perm = tuple(first[atom] for atom in self.order if atom in first)
        y = graph.rebuild(node, Transpose(perm), [x]).output
        if y.type.shape == self.shape:
            return y
        return graph.add(Reshape(self.shape), y, name=f"{name}/reshape", source=source)

    def _blocks(self) -> list[list[int]]:
        """Atoms that move as one, in the order of x: as fine as the axes on both sides, or coarser for the rank."""
        after = {atom: position for position, atom in enumerate(self.order)}
        sides = [_axis_of(self.atoms, self.given), {a: i for i, axis in enumerate(self.axes) for a in axis}]
        for axis_of in (sides, []):
            blocks: list[list[int]] = []
            for atom in range(len(self.atoms)):
                joins = blocks and after[atom] == after[atom - 1] + 1
                if joins and all(side[atom] == side[atom - 1] for side in axis_of):
                    blocks[-1].append(atom)
                else:
                    blocks.append([atom])
            if len(blocks) <= MAX_RANK:
                break
        return blocks


def _cut(size: Dim, missing: Dim) -> tuple[Dim, Dim, Dim] | None:
    """(what is taken of an atom, what is left of it, what is missing then); None when neither divides the other."""
    whole = exact_quotient(missing, size)
    if whole is not None:
        return size, 1, whole
    rest = exact_quotient(size, missing)
    return None if rest is None else (missing, rest, 1)


def _axis_of(atoms: Sequence[Dim], shape: Shape) -> dict[int, int]:
    """{atom: the axis of ``shape`` that it is a part of}, the atoms being as fine as the axes."""
    found: dict[int, int] = {}
    atom = 0
    for axis, dim in enumerate(shape):
        missing = dim
        while missing != 1 and atom < len(atoms):
            found[atom] = axis
            rest = exact_quotient(missing, atoms[atom])
            assert rest is not None, "atoms are cuts of axes"
            missing, atom = rest, atom + 1
    return found
