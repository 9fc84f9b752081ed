"""JSON from files nobody vouches for: parsed strictly, then narrowed to what is expected or refused by place."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import NoReturn

from ..errors import FormatError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

LARGEST = 2**63 - 1
"""Whole numbers in a file fit a signed 64-bit integer."""


def parse_json(text: str, where: str) -> Json:
    """The data a JSON text denotes; FormatError for duplicate keys, NaN, absurd nesting, or no JSON at all."""

    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        table = dict(pairs)
        if len(table) != len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise FormatError("TP403", f"{where}: the key {repeated[:80]!r} occurs twice in one object")
        return table

    def not_finite(token: str) -> NoReturn:
        raise FormatError("TP403", f"{where}: {token} is not a finite number")

    def finite(token: str) -> float:
        result = float(token)
        return result if math.isfinite(result) else not_finite(token[:40])

    try:
        data: Json = json.loads(text, object_pairs_hook=unique, parse_float=finite, parse_constant=not_finite)
    except RecursionError:
        raise FormatError("TP403", f"{where} is nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, and numbers of thousands of digits
        raise FormatError("TP403", f"{where} is not JSON: {str(error)[:120]}") from None
    return data


def table(
    value: Json, where: str, required: Collection[str] = (), optional: Collection[str] | None = None
) -> dict[str, Json]:
    """An object. With ``optional`` given, keys beside ``required`` and ``optional`` are refused."""
    if not isinstance(value, dict):
        raise expected("an object", value, where)
    for key in required:
        if key not in value:
            raise FormatError("TP403", f'{where}: the key "{key}" is missing')
    if optional is not None:
        for key in value:
            if key not in required and key not in optional:
                raise FormatError("TP403", f"{where}: unknown key {key[:80]!r}")
    return value


def items(value: Json, where: str, length: int | None = None) -> list[Json]:
    """A list, of ``length`` items where that is given."""
    if not isinstance(value, list):
        raise expected("a list", value, where)
    if length is not None and len(value) != length:
        raise FormatError("TP403", f"{where}: expected a list of {length}, got one of {len(value)}")
    return value


def text(value: Json, where: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise expected("a string", value, where)
    return value


def integer(value: Json, where: str) -> int:
    """A whole number of 64 bits."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise expected("a whole number", value, where)
    if not -LARGEST - 1 <= value <= LARGEST:
        raise FormatError("TP403", f"{where}: {str(value)[:40]} does not fit 64 bits")
    return value


def whole_number(value: Json, where: str) -> int:
    """A size, count or position: not negative."""
    number = integer(value, where)
    if number < 0:
        raise FormatError("TP403", f"{where}: {number} must not be negative")
    return number


def number(value: Json, where: str) -> float:
    """A float; ``"inf"``, ``"-inf"`` and ``"nan"`` stand for what JSON has no numbers for."""
    if value in ("inf", "-inf", "nan") and isinstance(value, str):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise expected('a number, "inf", "-inf" or "nan"', value, where)
    return float(value) if isinstance(value, float) else float(integer(value, where))


def number_to_json(value: float) -> Json:
    """The inverse of `number`."""
    return float(value) if math.isfinite(value) else str(float(value))


def expected(what: str, value: Json, where: str) -> FormatError:
    """The error for a value of the wrong kind."""
    return FormatError("TP403", f"{where}: expected {what}, got {json.dumps(value)[:60]}")
