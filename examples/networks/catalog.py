"""The networks that people bring: what each is, what it is fed, and which of its sizes are free.

A family is a module beside this one (text, vision, audio) with ``NETWORKS``, a list. A family imports nothing heavy at
its top: transformers, timm and their like are imported in ``build``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

import torch
from torch import nn

FAMILIES = ("text", "vision", "audio")

Inputs = dict[str, torch.Tensor]

Sizes = Mapping[str, int]
"""Sizes of free dims by name: {"batch": 2, "length": 7}."""


@dataclass(frozen=True)
class Network:
    """One network.

    build     makes it, in eval mode, with the same weights each time
    inputs    called with one of ``checks`` as keywords: what forward takes, by its names and in its order
    dynamic   {input name: {axis: dim name}}: the sizes that shall stay free
    checks    the sizes it is judged at, two or more; captured at the first
    browser   also judged in a real browser, beside Node
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[..., Inputs]
    dynamic: Mapping[str, Mapping[int, str]]
    checks: tuple[Sizes, ...] = field(default=({"batch": 1}, {"batch": 3}))
    browser: bool = False


def networks(only: Iterable[str] = ()) -> list[Network]:
    """All networks, or those whose name, or whose family's name, is in ``only``; LookupError for one that none has."""
    by_family = {family: list(import_module(family).NETWORKS) for family in FAMILIES}
    wanted = list(only)
    known = {network.name for members in by_family.values() for network in members}
    unknown = [name for name in wanted if name not in known and name not in by_family]
    if unknown:
        raise LookupError(f"no network is called {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return [
        network
        for family, members in by_family.items()
        for network in members
        if not wanted or family in wanted or network.name in wanted
    ]


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """What ``make`` makes, with weights that are the same each time, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


def random_floats(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers, the same each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_integers(high: int, *shape: int, seed: int = 0) -> torch.Tensor:
    """int64 in [0, high), the same each time."""
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))
