"""A plan read from the text that it was saved as, and what is wrong with that text in the words of the text itself."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..exporter.errors import FormatError
from ..exporter.graph import Quantization
from ..exporter.ops.quantized import HIGHEST, LOWEST
from .forms import Form
from .plan import IO, PLANNED, VERSION, NodePlan, Plan, ValuePlan


class _Wrong(ValueError):
    """What is wrong, in words."""


def read_plan(text: str, where: str) -> Plan:
    """The plan that a text holds.

    where    what errors call the text: the path of its file
    raises   FormatError TP053, which names the entry that is wrong and what is allowed there

    Scales are rounded to float32, so that one may be written with as few digits as one likes.
    """
    try:
        return _plan(json.loads(text))
    except json.JSONDecodeError as error:
        wrong = f"it is no JSON at line {error.lineno}, column {error.colno} ({error.msg})"
    except RecursionError:
        wrong = "it is nested too deeply"
    except _Wrong as error:
        wrong = str(error)
    raise FormatError(
        "TP053",
        f"{where} is not a plan of triport: {wrong}",
        help="triport quantize MODEL.triport --calibration DATA --plan-out plan.json writes one to start from",
    )


def _plan(data: Any) -> Plan:
    head = _table("it", data)
    told, version = _entry("the plan", head, "format"), _entry("the plan", head, "version")
    if told != "triport-plan" or version != VERSION:
        raise _Wrong(f"it is {told!r}, version {version!r}; read is 'triport-plan', version {VERSION}")
    return Plan(
        _one_of("scheme", _entry("the plan", head, "scheme"), PLANNED),
        {name: _node(f'node "{name}"', entry) for name, entry in _named("nodes", head).items()},
        {name: _value(f'value "{name}"', entry) for name, entry in _named("values", head).items()},
        _one_of("io", head.get("io", "float32"), IO),
        [str(notice) for notice in _list("notices", head.get("notices", []))],
        bool(head.get("equalized", False)),
        [_table("an entry of sensitivity", one) for one in _list("sensitivity", head.get("sensitivity", []))],
        _table("accuracy", head.get("accuracy", {})),
        _input_bits(head.get("input_bits", 8)),
    )


def _input_bits(given: Any) -> int:
    if given not in (8, 12) or isinstance(given, bool):
        raise _Wrong(f"input_bits is {given!r}, and has to be 8 or 12")
    return int(given)


def _node(where: str, entry: dict[str, Any]) -> NodePlan:
    form = _one_of(f"the form of {where}", _entry(where, entry, "form"), tuple(form.value for form in Form))
    return NodePlan(Form(form), str(entry.get("reason", "")))


def _value(where: str, entry: dict[str, Any]) -> ValuePlan:
    given, zero_point = _number(where, entry, "scale"), _number(where, entry, "zero_point")
    with np.errstate(over="ignore", under="ignore"):
        scale = float(np.float32(given))
    if not 0 < scale < np.inf:
        raise _Wrong(f"{where} has scale {given!r}, which is not a positive, finite float32")
    if not float(zero_point).is_integer() or not LOWEST <= zero_point <= HIGHEST:
        raise _Wrong(f"{where} has zero point {zero_point!r}, which is no whole number from {LOWEST} to {HIGHEST}")
    seen = _list(f"the range of {where}", _entry(where, entry, "range"))
    if len(seen) != 2 or not all(_is_number(end) for end in seen):
        raise _Wrong(f"the range of {where} is {seen!r}, and has to be two numbers, the least and the largest")
    return ValuePlan(Quantization(scale, int(zero_point)), float(_real(seen[0])), float(_real(seen[1])))


# -- the parts of a text -----------------------------------------------------------------------------------------------


def _named(key: str, head: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The entries of a list by their names, each of which stands there once."""
    found: dict[str, dict[str, Any]] = {}
    for place, one in enumerate(_list(key, _entry("the plan", head, key)), 1):
        where = f"entry {place} of {key}"
        entry = _table(where, one)
        name = _entry(where, entry, "name")
        if not isinstance(name, str):
            raise _Wrong(f"the name of {where} is {name!r}, and has to be a text")
        if name in found:
            raise _Wrong(f'{key} lists "{name}" twice')
        found[name] = entry
    return found


def _entry(where: str, table: dict[str, Any], key: str) -> Any:
    if key not in table:
        raise _Wrong(f'{where} has no "{key}"')
    return table[key]


def _table(where: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _Wrong(f"{where} is {_kind(given)}, and has to be an object {{…}}")
    return given


def _list(where: str, given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise _Wrong(f"{where} is {_kind(given)}, and has to be a list […]")
    return given


def _number(where: str, entry: dict[str, Any], key: str) -> float:
    given = _entry(where, entry, key)
    if not _is_number(given):
        raise _Wrong(f'{where} has {_kind(given)} as its "{key}", which has to be a number')
    return _real(given)


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)


def _real(given: int | float) -> float:
    """The number; infinity for a whole one of hundreds of digits, which no float holds."""
    return float("inf") if isinstance(given, int) and abs(given) >= 2**1000 else given


def _one_of(what: str, given: Any, known: tuple[str, ...]) -> str:
    if given not in known:
        raise _Wrong(f"{what} is {given!r}, and has to be one of: {', '.join(known)}")
    return str(given)


def _kind(given: Any) -> str:
    """What it is in JSON's words, and the thing itself where it is short."""
    if isinstance(given, dict | list):
        return "an object" if isinstance(given, dict) else "a list"
    return json.dumps(given)[:40]
