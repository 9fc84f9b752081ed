"""Attributes of a node as TensorFlow's protocol buffers are spelled in JSON: 64-bit integers and strings are text."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from ...exporter.graph import Dim, DType
from .dtypes import CARRIERS, DT_NAMES

Attribute = bool | int | float | str | DType | Sequence[int] | Sequence[str]


def attribute(value: Attribute) -> dict[str, Any]:
    """One attribute; an empty sequence is one of integers."""
    if isinstance(value, bool):
        return {"b": value}
    if isinstance(value, int):
        return {"i": str(value)}
    if isinstance(value, float):
        return {"f": value}
    if isinstance(value, str):
        return {"s": _text(value)}
    if isinstance(value, DType):
        return {"type": DT_NAMES[CARRIERS[value]]}
    if value and isinstance(value[0], str):
        return {"list": {"s": [_text(str(entry)) for entry in value]}}
    return {"list": {"i": [str(entry) for entry in value]}}


def shape(dims: Sequence[Dim]) -> dict[str, Any]:
    """A TensorShape; free sizes are -1."""
    return {"dim": [{"size": str(dim) if isinstance(dim, int) else "-1"} for dim in dims]}


def _text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
