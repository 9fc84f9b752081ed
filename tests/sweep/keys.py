"""What a sample is called. Nothing heavy is imported here: a judging process gets keys before it needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Which list a sample comes from; ``HELD`` is a function whose weights belong to the module."""

    MODULE = "module"
    FUNCTION = "function"
    HELD = "function, weights held"


@dataclass(frozen=True)
class Key:
    """One sample. ``name`` is torch's, with the variant behind a colon: ``nn.functional.pad:reflect``."""

    kind: Kind
    name: str
    index: int

    @property
    def group(self) -> str:
        """What the tables count together."""
        return group_name(self.kind, self.name)

    def __str__(self) -> str:
        return f"{self.group} #{self.index}"


def group_name(kind: Kind, name: str) -> str:
    """``nn.Conv2d``, ``nn.functional.conv2d``, ``nn.functional.conv2d (weights held)``."""
    return f"{name} (weights held)" if kind is Kind.HELD else name
