"""How far the free sizes of a graph may go.

Limits travel in the graph's metadata: ``"limits": {"length": [1, 64]}``, null for no upper limit. A model whose table
has 64 rows answers for 64 positions, and a graph that was traced through one branch of ``if x.shape[1] > 16`` answers
for the sizes of that branch: whoever runs either has to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import FormatError, UsageError
from .graph import Graph

LIMITS = "limits"


@dataclass(frozen=True)
class Limit:
    """The least and the greatest size of a free dim, both included; ``most`` is None where there is no greatest."""

    least: int = 1
    most: int | None = None

    def meet(self, other: Limit) -> Limit:
        """The sizes that both allow."""
        greatest = [most for most in (self.most, other.most) if most is not None]
        return Limit(max(self.least, other.least), min(greatest, default=None))

    def allows(self, size: int) -> bool:
        return self.nearest(size) == size

    def nearest(self, size: int) -> int:
        """The allowed size that is closest."""
        most = size if self.most is None else min(size, self.most)
        return max(most, self.least)

    def __str__(self) -> str:
        if self.most is None:
            return f"{self.least} at least"
        return f"{self.most} at most" if self.least == 1 else f"{self.least} to {self.most}"


def record_limits(graph: Graph, limits: Mapping[str, Limit]) -> None:
    """Writes them into the graph's metadata; nothing where there are none."""
    if limits:
        graph.metadata[LIMITS] = {name: [limit.least, limit.most] for name, limit in sorted(limits.items())}


def limits_of(graph: Graph) -> dict[str, Limit]:
    """The free dims that have a limit; FormatError TP406 where the metadata hold something else under that name."""
    found = graph.metadata.get(LIMITS, {})
    limits: dict[str, Limit] = {}
    for name, pair in found.items() if isinstance(found, dict) else [("", None)]:
        sizes = pair if isinstance(pair, list) and len(pair) == 2 else [None, None]
        least, most = sizes
        if type(least) is not int or type(most) not in (int, type(None)):
            raise FormatError("TP406", f"the metadata's limits hold {name!r}: {pair!r}, which is no [least, most]")
        limits[str(name)] = Limit(least, most)
    return limits


def check_limits(graph: Graph, sizes: Mapping[str, int]) -> None:
    """UsageError TP002 when a free dim has a size that the graph was not made for."""
    if LIMITS not in graph.metadata:
        return
    for name, limit in limits_of(graph).items():
        if name in sizes and not limit.allows(sizes[name]):
            raise UsageError(
                "TP002",
                f'"{name}" is {sizes[name]}, and the model takes {limit}',
                because="its tables end there, or it computes something else for other sizes, which was not captured",
                help=f"pass {limit.nearest(sizes[name])}, or capture the model with an example of that size",
            )
