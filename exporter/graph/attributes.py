"""Ops ↔ JSON, from the fields and type hints of the op classes alone: a new op needs nothing here.

int, bool, str       as they are                    float   a number, or "inf", "-inf", "nan"
Quantization         [scale, zero point]
Enum, DType          the member's value             Dim     a whole number, or an expression such as "batch*49"
tuple[T, ...]        a list                         T | None   null for None
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any

from ..errors import FormatError, TriportError
from ..ops import REGISTRY, OpAttrs
from .dims import Dim, Sym, parse_dim
from .json_checks import Json, expected, integer, items, number, number_to_json, table, text, whole_number
from .types import DType, Quantization, Shape

MAX_DIM_TEXT = 1000
"""Characters of a symbolic dimension in a file."""


@dataclasses.dataclass(frozen=True)
class _Kind:
    """How one type hint is written and read."""

    encode: Callable[[Any], Json]
    decode: Callable[[Json, str], Any]


def op_to_json(op: OpAttrs) -> dict[str, Json]:
    """Every attribute of an op by name; TypeError when one is not of the type its class declares."""
    encoded: dict[str, Json] = {}
    for name, kind in _kinds(op.name).items():
        try:
            encoded[name] = kind.encode(getattr(op, name))
        except (TypeError, ValueError) as error:
            raise TypeError(f"{type(op).__name__}.{name} holds {getattr(op, name)!r}: {error}") from error
    return encoded


def op_from_json(name: str, attributes: Json, where: str) -> OpAttrs:
    """The op called ``name`` in files; FormatError when it or an attribute is unknown, missing or of the wrong type."""
    cls = REGISTRY.get(name)
    if cls is None:
        raise FormatError(
            "TP404",
            f"{where}: unknown op {name[:80]!r}",
            because="the file comes from a newer triport, or is damaged",
            help="pip install --upgrade triport",
        )
    kinds = _kinds(name)
    if isinstance(attributes, dict) and attributes.keys() != kinds.keys() and _is_on_codes(name):
        raise FormatError(
            "TP404",
            f"{where}: this triport's {name} has {', '.join(sorted(kinds))}, in the file it has "
            f"{', '.join(key[:40] for key in sorted(attributes)[:8]) or 'nothing'}",
            because="another version of triport quantized the model, whose arithmetic on codes was another",
            help="quantize the float model again: triport quantize MODEL.triport --calibration DATA -o FILE.triport",
        )
    given = table(attributes, f"{where} ({name})", required=kinds.keys(), optional=())
    fields = {field: kind.decode(given[field], f"{where} ({name}).{field}") for field, kind in kinds.items()}
    try:
        return cls(**fields)
    except (TriportError, TypeError, ValueError) as error:
        reason = error.message if isinstance(error, TriportError) else str(error)
        raise FormatError("TP404", f"{where}: {name} rejects its attributes: {reason}") from error


def dim_to_json(dim: Dim) -> Json:
    """A size as a whole number, a free one as its expression."""
    return str(dim) if isinstance(dim, Sym) else integer(int(dim), "dimension")


def dim_from_json(value: Json, where: str) -> Dim:
    """The inverse of `dim_to_json`; expressions must be spelled as triport spells them."""
    if not isinstance(value, str):
        return whole_number(value, where)
    if len(value) > MAX_DIM_TEXT:
        raise FormatError(
            "TP402", f"{where}: a dimension of {len(value)} characters; at most {MAX_DIM_TEXT} are allowed"
        )
    try:
        dim = parse_dim(value)
    except FormatError as error:
        raise FormatError("TP402", f"{where}: {error.message}") from None
    except (TriportError, ArithmeticError, RecursionError) as error:
        raise FormatError("TP402", f"{where}: {value[:80]!r} is not a dimension: {str(error)[:200]}") from None
    if not isinstance(dim, Sym) or str(dim) != value:
        raise FormatError("TP402", f"{where}: dimension {value[:80]!r} must be spelled {str(dim)[:80]!r}")
    return dim


def shape_to_json(shape: Shape) -> Json:
    return [dim_to_json(dim) for dim in shape]


def shape_from_json(value: Json, where: str) -> Shape:
    return tuple(dim_from_json(dim, where) for dim in items(value, where))


def dtype_from_json(value: Json, where: str) -> DType:
    dtype = _DTYPES.get(text(value, where))
    if dtype is None:
        raise FormatError("TP403", f"{where}: unknown dtype {str(value)[:40]!r}; known are {', '.join(_DTYPES)}")
    return dtype


def quantization_to_json(quantization: Quantization) -> Json:
    if not isinstance(quantization, Quantization):
        raise TypeError("expected a Quantization")
    return [quantization.scale, quantization.zero_point]


def quantization_from_json(value: Json, where: str) -> Quantization:
    scale, zero_point = items(value, where, 2)
    try:
        return Quantization(number(scale, where), integer(zero_point, where))
    except (ValueError, OverflowError) as error:
        raise FormatError("TP405", f"{where}: {error}") from None


_DTYPES = {dtype.value: dtype for dtype in DType}


@functools.cache
def _kinds(name: str) -> dict[str, _Kind]:
    """The attributes of an op, in the order of its class."""
    cls = REGISTRY[name]
    hints = typing.get_type_hints(cls)
    return {field.name: _kind(hints[field.name]) for field in dataclasses.fields(cls)}


def _is_on_codes(name: str) -> bool:
    """Whether an op says what its codes stand for, as those do that a quantized model consists of."""
    hints = typing.get_type_hints(REGISTRY[name])
    fields = [hints[field.name] for field in dataclasses.fields(REGISTRY[name])]
    return any(Quantization in (hint, *typing.get_args(hint)) for hint in fields)


def _kind(hint: Any) -> _Kind:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if hint == Dim:
        return _Kind(dim_to_json, _signed_dim)
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return _list_of(_kind(arguments[0]))
        return _fixed([_kind(argument) for argument in arguments])
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        return _optional(_kind(next(argument for argument in arguments if argument is not type(None))))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint)
    raise TypeError(f"attributes of type {hint} have no form in files; attributes.py lists those that have")


def _signed_dim(value: Json, where: str) -> Dim:
    """A dim in an attribute, where a negative number may have a meaning of the op's own."""
    return dim_from_json(value, where) if isinstance(value, str) else integer(value, where)


def _list_of(kind: _Kind) -> _Kind:
    return _Kind(
        lambda value: [kind.encode(item) for item in _as_tuple(value)],
        lambda value, where: tuple(kind.decode(item, where) for item in items(value, where)),
    )


def _fixed(kinds: list[_Kind]) -> _Kind:
    return _Kind(
        lambda value: [kind.encode(item) for kind, item in zip(kinds, _as_tuple(value), strict=True)],
        lambda value, where: tuple(
            kind.decode(item, where) for kind, item in zip(kinds, items(value, where, len(kinds)), strict=True)
        ),
    )


def _optional(kind: _Kind) -> _Kind:
    return _Kind(
        lambda value: None if value is None else kind.encode(value),
        lambda value, where: None if value is None else kind.decode(value, where),
    )


def _enum(cls: type[Enum]) -> _Kind:
    members = {member.value: member for member in cls}

    def encode(value: Any) -> Json:
        if not isinstance(value, cls):
            raise TypeError(f"expected a {cls.__name__}")
        written: Json = value.value
        return written

    def decode(value: Json, where: str) -> Enum:
        if not isinstance(value, (str, int)) or isinstance(value, bool) or value not in members:
            raise expected(f"one of {', '.join(map(str, members))}", value, where)
        return members[value]

    return _Kind(encode, decode)


def _as_tuple(value: object) -> tuple[object, ...]:
    if not isinstance(value, tuple):
        raise TypeError("expected a tuple")
    return value


def _encode_bool(value: object) -> Json:
    if not isinstance(value, bool):
        raise TypeError("expected a bool")
    return value


def _encode_int(value: object) -> Json:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("expected an int")
    return value


def _encode_float(value: object) -> Json:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError("expected a float")
    return number_to_json(float(value))


def _encode_str(value: object) -> Json:
    if not isinstance(value, str):
        raise TypeError("expected a str")
    return value


def _decode_bool(value: Json, where: str) -> bool:
    if not isinstance(value, bool):
        raise expected("true or false", value, where)
    return value


_PLAIN: dict[Any, _Kind] = {
    bool: _Kind(_encode_bool, _decode_bool),
    int: _Kind(_encode_int, integer),
    float: _Kind(_encode_float, number),
    str: _Kind(_encode_str, text),
    Quantization: _Kind(quantization_to_json, quantization_from_json),
}
