"""Complex tensors as two real ones: rotations written as products of complex numbers, and what is done to spectra."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..graph import DType, Value
from ..ops import Add, Atan2, Concat, Cos, Div, Less, Mul, Neg, Sin, Slice, Sqrt, Sub, Where
from .context import Context
from .linear import reshaped
from .registry import Converter, F, captures

MOVES = frozenset(
    (
        *("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "_unsafe_view", "view_as", "permute"),
        *("transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "t", "numpy_T", "mT", "slice", "narrow"),
        *("select", "cat", "concat", "concatenate", "stack", "expand", "expand_as", "broadcast_to", "repeat", "flip"),
        *("roll", "clone", "contiguous", "detach", "alias", "sum", "mean", "index_select", "pad", "constant_pad_nd"),
        *("chunk", "split", "split_with_sizes", "unbind", "to", "_to_copy", "lift_fresh_copy"),
    )
)
"""Ops that do the same to the real and to the imaginary part."""

_CONVERTERS: dict[str, Converter] = {}


@dataclass(frozen=True)
class Complex:
    """real + i imaginary, of one shape."""

    real: Value
    imaginary: Value


def captures_complex(*names: str) -> Callable[[F], F]:
    """Decorator for converters of ops of which an operand is complex; its real operands come as they are."""

    def register(converter: F) -> F:
        _CONVERTERS.update(dict.fromkeys(names, converter))
        return converter

    return register


def complex_converter(name: str, plain: Converter | None) -> Converter | None:
    """The converter of ``aten.<name>`` for complex operands; None when they have no meaning there.

    plain   the converter for real ones
    """
    if name in _CONVERTERS:
        return _CONVERTERS[name]
    if name not in MOVES or plain is None:
        return None

    def on_parts(context: Context, *arguments: Any) -> Any:
        if any(isinstance(listed, list) and _mixed(listed) for listed in arguments):
            raise context.error("TP202", "real and complex tensors are put together", "make all complex: torch.complex")
        reals: Any = plain(context, *_part(arguments, "real"))
        imaginaries: Any = plain(context, *_part(arguments, "imaginary"))
        if isinstance(reals, Value):
            return Complex(reals, imaginaries)
        return [Complex(*pair) for pair in zip(reals, imaginaries, strict=True)]

    return on_parts


def _part(value: Any, part: str) -> Any:
    if isinstance(value, Complex):
        return getattr(value, part)
    if isinstance(value, list | tuple):
        return [_part(item, part) for item in value]
    return torch.float32 if isinstance(value, torch.dtype) and value.is_complex else value


def _mixed(listed: list[Any]) -> bool:
    return len({type(item) for item in listed if isinstance(item, Complex | Value)}) > 1


def holds_complex(value: Any) -> bool:
    """Whether an argument is or holds a complex tensor."""
    if isinstance(value, list | tuple):
        return any(map(holds_complex, value))
    return isinstance(value, Complex)


# -- from and to real numbers ------------------------------------------------------------------------------------------


@captures("view_as_complex", "view_as_complex_copy")
def viewas_complex(context: Context, x: Value) -> Complex:
    """[..., 2] → complex [...]"""
    return Complex(_last(context, x, 0), _last(context, x, 1))


def _last(context: Context, x: Value, place: int) -> Value:
    axis = x.type.rank - 1
    cells = context.add(Slice((axis,), (place,), (place + 1,), (1,)), x)
    return reshaped(context, cells, x.type.shape[:-1])


@captures("complex")
def complex_(context: Context, real: Value, imaginary: Value) -> Complex:
    return Complex(real, imaginary)


@captures("polar")
def polar(context: Context, size: Value, angle: Value) -> Complex:
    return Complex(
        context.add(Mul(), size, context.add(Cos(), angle)), context.add(Mul(), size, context.add(Sin(), angle))
    )


@captures("view_as_real", "view_as_real_copy")
@captures_complex("view_as_real", "view_as_real_copy")
def view_as_real(context: Context, x: Complex) -> Value:
    parts = [reshaped(context, part, (*part.type.shape, 1)) for part in (x.real, x.imaginary)]
    return context.add(Concat(parts[0].type.rank - 1), *parts)


@captures("real")
@captures_complex("real")
def real(context: Context, x: Complex | Value) -> Value:
    return x.real if isinstance(x, Complex) else x


@captures("imag")
@captures_complex("imag")
def imag(context: Context, x: Complex) -> Value:
    return x.imaginary


@captures_complex("abs")
def absolute(context: Context, x: Complex) -> Value:
    squares = [context.add(Mul(), part, part) for part in (x.real, x.imaginary)]
    return context.add(Sqrt(), context.add(Add(), *squares))


@captures("angle")
@captures_complex("angle")
def angle(context: Context, x: Complex | Value) -> Value:
    """Of a real number: π below 0, else 0."""
    if isinstance(x, Complex):
        return context.add(Atan2(), x.imaginary, x.real)
    zero, half_turn = (context.scalar(number, x.type.dtype) for number in (0.0, math.pi))
    return context.add(Where(), context.add(Less(), x, zero), half_turn, zero)


# -- arithmetic --------------------------------------------------------------------------------------------------------


@captures("_conj", "conj", "conj_physical", "_conj_physical")
@captures_complex("_conj", "conj", "conj_physical", "_conj_physical")
def conjugate(context: Context, x: Any) -> Any:
    if isinstance(x, Value):
        return x
    return Complex(x.real, context.add(Neg(), x.imaginary))


@captures("resolve_conj", "resolve_neg")
@captures_complex("resolve_conj", "resolve_neg")
def resolve(context: Context, x: Any) -> Any:
    return x


@captures_complex("neg")
def negative(context: Context, x: Complex) -> Complex:
    return Complex(context.add(Neg(), x.real), context.add(Neg(), x.imaginary))


@captures_complex("add")
def add(context: Context, a: Any, b: Any, alpha: complex) -> Complex:
    return _sum(context, a, b if alpha == 1 else multiply(context, b, alpha), Add())


@captures_complex("sub")
def subtract(context: Context, a: Any, b: Any, alpha: complex) -> Complex:
    return _sum(context, a, b if alpha == 1 else multiply(context, b, alpha), Sub())


def _sum(context: Context, a: Any, b: Any, op: Add | Sub) -> Complex:
    left, right = as_complex(context, a), as_complex(context, b)
    return Complex(context.add(op, left.real, right.real), context.add(op, left.imaginary, right.imaginary))


def as_complex(context: Context, value: Any) -> Complex:
    if isinstance(value, Complex):
        return value
    if isinstance(value, Value):
        number = context.cast(value, DType.FLOAT32)
        return Complex(number, context.scalar(0.0, DType.FLOAT32))
    given = complex(value)
    return Complex(context.scalar(given.real, DType.FLOAT32), context.scalar(given.imag, DType.FLOAT32))


@captures_complex("mul")
def multiply(context: Context, a: Any, b: Any) -> Complex:
    """(a + bi)(c + di) = (ac - bd) + (ad + bc)i; a real factor scales both parts."""
    for x, factor in ((a, b), (b, a)):
        if isinstance(x, Complex) and not isinstance(factor, Complex | complex):
            return _scaled(context, x, factor, Mul())
    left, right = as_complex(context, a), as_complex(context, b)

    def product(x: Value, y: Value) -> Value:
        return context.add(Mul(), x, y)

    return Complex(
        context.add(Sub(), product(left.real, right.real), product(left.imaginary, right.imaginary)),
        context.add(Add(), product(left.real, right.imaginary), product(left.imaginary, right.real)),
    )


@captures_complex("div")
def divide(context: Context, a: Any, b: Any) -> Complex:
    """By a complex number: times its conjugate, over its size squared."""
    if isinstance(a, Complex) and not isinstance(b, Complex | complex):
        return _scaled(context, a, b, Div())
    divisor = as_complex(context, b)
    squares = [context.add(Mul(), part, part) for part in (divisor.real, divisor.imaginary)]
    turned: Complex = multiply(context, as_complex(context, a), conjugate(context, divisor))
    return _scaled(context, turned, context.add(Add(), *squares), Div())


@captures_complex("reciprocal")
def reciprocal(context: Context, x: Complex) -> Complex:
    return divide(context, 1, x)


def _scaled(context: Context, x: Complex, factor: Any, op: Mul | Div) -> Complex:
    number = (
        context.cast(factor, DType.FLOAT32)
        if isinstance(factor, Value)
        else context.scalar(float(factor), DType.FLOAT32)
    )
    return Complex(context.add(op, x.real, number), context.add(op, x.imaginary, number))
