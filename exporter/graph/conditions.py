"""Conditions on the free sizes of a graph that no range says: ``height`` is no multiple of 32, or exceeds ``width``.

They travel in the graph's metadata, as a relation between two dims and what it says in words: ``"conditions":
[["height", ">", "width", "…"]]``. A graph that was traced through one branch of ``if h > w:`` answers for the sizes of
that branch alone.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import FormatError, TriportError, UsageError
from .dims import Dim, dim_names, evaluate_dim, parse_dim
from .graph import Graph
from .limits import Limit, limits_of

CONDITIONS = "conditions"

RELATIONS: Mapping[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_FAR = 64
"""Sizes up to this far away are tried where another one is wanted."""


@dataclass(frozen=True)
class Condition:
    """``left relation right``; ``words`` say the same to a reader."""

    left: Dim
    relation: str
    right: Dim
    words: str

    @property
    def names(self) -> frozenset[str]:
        return dim_names(self.left) | dim_names(self.right)

    def holds(self, sizes: Mapping[str, int]) -> bool:
        try:
            return RELATIONS[self.relation](evaluate_dim(self.left, sizes), evaluate_dim(self.right, sizes))
        except ZeroDivisionError:
            return False


def record_conditions(graph: Graph, conditions: Sequence[Condition]) -> None:
    """Writes them into the graph's metadata; nothing where there are none."""
    if conditions:
        graph.metadata[CONDITIONS] = [[str(c.left), c.relation, str(c.right), c.words] for c in conditions]


def conditions_of(graph: Graph) -> list[Condition]:
    """The conditions of a graph; FormatError TP406 where the metadata hold something else under that name."""
    found = graph.metadata.get(CONDITIONS, [])
    conditions: list[Condition] = []
    for item in found if isinstance(found, list) else [found]:
        if not isinstance(item, list) or len(item) != 4 or not all(isinstance(part, str) for part in item):
            raise _damaged(item)
        left, relation, right, words = map(str, item)
        try:
            condition = Condition(parse_dim(left), relation, parse_dim(right), words)
        except TriportError as error:
            raise _damaged(item) from error
        if relation not in RELATIONS or not condition.names <= {*graph.free_names()}:
            raise _damaged(item)
        conditions.append(condition)
    return conditions


def _damaged(item: object) -> FormatError:
    return FormatError("TP406", f"the metadata's conditions hold {item!r}, which is no relation of free sizes")


def check_conditions(graph: Graph, sizes: Mapping[str, int]) -> None:
    """UsageError TP002 when free dims have sizes for which the graph was not made."""
    if CONDITIONS not in graph.metadata:
        return
    for condition in conditions_of(graph):
        if condition.names <= sizes.keys() and not condition.holds(sizes):
            given = " and ".join(f'"{name}" is {sizes[name]}' for name in sorted(condition.names))
            other = allowed_sizes(graph, sizes)
            fitting = " and ".join(f"{name} {other[name]}" for name in sorted(condition.names)) if other else "others"
            raise UsageError(
                "TP002",
                f"{given}, and the model takes sizes for which {condition.words}",
                because="for others it computes something else, which was not captured",
                help=f"pass {fitting}, or capture the model with an example of the sizes that you need",
            )


def allows(graph: Graph, sizes: Mapping[str, int]) -> bool:
    """Whether sizes keep every limit and condition of a graph."""
    limits = limits_of(graph)
    within = all(limits[name].allows(size) for name, size in sizes.items() if name in limits)
    return within and all(condition.holds(sizes) for condition in conditions_of(graph))


def allowed_sizes(graph: Graph, wanted: Mapping[str, int]) -> dict[str, int] | None:
    """Sizes near the wanted ones that keep every limit and condition; None when there are none nearby."""
    limits, conditions = limits_of(graph), conditions_of(graph)
    sizes = {name: limits.get(name, Limit()).nearest(size) for name, size in wanted.items()}
    bound = sorted(frozenset().union(*(condition.names for condition in conditions)) & sizes.keys())
    near = {name: _nearby(sizes[name], limits.get(name, Limit())) for name in bound}
    for changed in range(len(bound) + 1):
        for names in itertools.combinations(bound, changed):
            for chosen in itertools.islice(itertools.product(*(near[name] for name in names)), _FAR * _FAR):
                tried = sizes | dict(zip(names, chosen, strict=True))
                if all(condition.holds(tried) for condition in conditions):
                    return tried
    return None


def _nearby(size: int, limit: Limit) -> list[int]:
    """Allowed sizes, the nearest first, the larger of two first."""
    steps = itertools.chain.from_iterable((size + far, size - far) for far in range(1, _FAR + 1))
    return [other for other in steps if other >= 1 and limit.allows(other)]
