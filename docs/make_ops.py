"""Writes docs/ops.md, the ops that a .triport file may hold, from their definitions: python docs/make_ops.py"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from enum import Enum
from pathlib import Path

from triport.exporter.ops import REGISTRY, OpAttrs

PAGE = Path(__file__).with_name("ops.md")

INTRODUCTION = """\
# Ops

The ops of a `.triport` file, by the name they have there ([format.md](format.md) has the rules). Under each name
stand its operands in order (`?`: may be left out; `…`: as many as given), its attributes, and what it computes. `N` is
the batch, `C` and `O` are channels, `*S` the spatial axes; `→` leads from operands to outputs.

This page is generated: `python docs/make_ops.py`.
"""


def render() -> str:
    """The page."""
    sections = [INTRODUCTION, *(_section(REGISTRY[name]) for name in sorted(REGISTRY))]
    return "\n".join(sections)


def _section(cls: type[OpAttrs]) -> str:
    operands = ", ".join(cls.operands) + (", …" if cls.variadic else "")
    lines = [f"## {cls.name}", "", f"operands: `{operands}`" if operands else "no operands", ""]
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        lines.append(f"* `{field.name}`: {_kind(hints[field.name])}")
    if dataclasses.fields(cls):
        lines.append("")
    texts = [(base, inspect.cleandoc(base.__doc__ or "")) for base in cls.__mro__ if issubclass(base, OpAttrs)]
    # A dataclass without words of its own gets its signature for a docstring.
    words = [text for base, text in texts if base is not OpAttrs and not text.startswith(base.__name__)]
    return "\n".join([*lines, "```text", "\n\n".join(words), "```", ""])


def _kind(hint: object) -> str:
    """An attribute's type in the words of format.md."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(f'`"{member.value}"`' for member in hint)
    text = hint.__name__ if isinstance(hint, type) else str(hint).replace("triport.exporter.graph.dims.", "")
    for spelled, meant in {"int | Sym": "dim", "tuple[": "list[", ", ...]": ", …]", " | ": " or "}.items():
        text = text.replace(spelled, meant)
    return f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
