"""Sizes of inputs that are counted in steps: ``height_over_4*4+1`` stands for 5, 9, 13 …

The free name of such a dim is how many steps there are. What a size says of its name is read off here, in one place for
samples, arrays and the files of all ports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .dims import Dim, Sym


@dataclass(frozen=True)
class Steps:
    """A free name times a number, plus another: ``height*4+1``; ``height`` alone is counted in steps of 1."""

    name: str
    step: int = 1
    rest: int = 0

    def size(self, count: int) -> int:
        return count * self.step + self.rest

    def count(self, size: int) -> int | None:
        """How many steps a size is; None where it is between two, or what it is more than is no whole step."""
        count, left = divmod(size - self.rest, self.step)
        return None if left or (self.rest and count < 1) else count

    def at_least(self, size: int) -> int:
        """The least count whose size is no smaller."""
        return -((self.rest - size) // self.step)

    def at_most(self, size: int) -> int:
        """The greatest count whose size is no larger."""
        return (size - self.rest) // self.step


def in_steps(dim: Dim) -> Steps | None:
    """What a dim of an input is counted in; None for a number, and for what one size cannot be solved for."""
    return read_steps(str(dim)) if isinstance(dim, Sym) else None


def read_steps(text: str) -> Steps | None:
    """`in_steps` for the text of a dim, which may be of a file that others wrote."""
    found = re.fullmatch(r"([A-Za-z_]\w*)(?:\*(\d+))?([+-]\d+)?", text)
    return Steps(found[1], int(found[2] or 1), int(found[3] or 0)) if found else None
