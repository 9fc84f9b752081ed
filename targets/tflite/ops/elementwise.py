"""Arithmetic cell by cell."""

from __future__ import annotations

from typing import Any, cast

from ....exporter.graph import DType, Node, TensorType
from ....exporter.ops import (
    Abs,
    Add,
    Atan,
    Atan2,
    Cast,
    Ceil,
    Cos,
    Div,
    Erf,
    Exp,
    Floor,
    FloorDivide,
    Identity,
    Log,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Pow,
    Remainder,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sqrt,
    Sub,
)
from ..registry import FLOAT, MOVABLE, NUMBERS, all_of, at_most_rank, broadcasts_up_to, emits, of_dtype, same_shapes
from ..schema import FUSED_ACTIVATIONS, TENSOR_TYPES, device_dtype, schema
from ..sizes import constant_shape
from ..writer import Writer
from .shape import write_reshape, write_slice

_FUSING = {
    Add: ("ADD", schema.AddOptionsT),
    Sub: ("SUB", schema.SubOptionsT),
    Mul: ("MUL", schema.MulOptionsT),
    Div: ("DIV", schema.DivOptionsT),
}
_PLAIN = {
    Abs: ("ABS", schema.AbsOptionsT),
    Atan2: ("ATAN2", schema.ATan2OptionsT),
    Ceil: ("CEIL", None),
    Cos: ("COS", schema.CosOptionsT),
    Exp: ("EXP", schema.ExpOptionsT),
    Floor: ("FLOOR", None),
    FloorDivide: ("FLOOR_DIV", schema.FloorDivOptionsT),
    Log: ("LOG", None),
    Maximum: ("MAXIMUM", schema.MaximumMinimumOptionsT),
    Minimum: ("MINIMUM", schema.MaximumMinimumOptionsT),
    Neg: ("NEG", schema.NegOptionsT),
    Remainder: ("FLOOR_MOD", schema.FloorModOptionsT),
    Round: ("ROUND", None),
    Rsqrt: ("RSQRT", None),
    Sign: ("SIGN", schema.SignOptionsT),
    Sin: ("SIN", None),
    Sqrt: ("SQRT", None),
}


@emits(Add, Sub, Mul, accepts=all_of(of_dtype(*NUMBERS), at_most_rank(5)))
@emits(Div, accepts=all_of(of_dtype(*NUMBERS), at_most_rank(5)))
def fusing(node: Node, writer: Writer) -> None:
    """Arithmetic with an activation.

    MUL that broadcasts over five axes needs XNNPACK in runtimes of 2023 and before: their plain kernel takes four.
    """
    op = cast(Add, node.op)
    code, options = _FUSING[type(op)]
    fused = options(fusedActivationFunction=FUSED_ACTIVATIONS[op.activation])
    writer.operator(code, writer.tensors(node.inputs), writer.tensor(node.output), fused)


@emits(Maximum, Minimum, accepts=all_of(of_dtype(*NUMBERS), at_most_rank(5)))
@emits(Neg, accepts=of_dtype(*NUMBERS))
@emits(Abs, Ceil, Cos, Exp, Floor, Log, Round, Rsqrt, Sign, Sin, Sqrt, accepts=FLOAT)
@emits(Remainder, accepts=all_of(of_dtype(*NUMBERS), broadcasts_up_to(4)))
@emits(FloorDivide, accepts=all_of(of_dtype(DType.INT32, DType.INT64), broadcasts_up_to(4)))
@emits(Atan2, accepts=all_of(FLOAT, same_shapes))
def plain(node: Node, writer: Writer) -> None:
    code, options = _PLAIN[type(node.op)]
    made: Any = options() if options is not None else None
    writer.operator(code, writer.tensors(node.inputs), writer.tensor(node.output), made)


@emits(Atan, accepts=FLOAT)
def atan(node: Node, writer: Writer) -> None:
    """ATAN2(x, 1), the 1 in x's shape: the kernel does not broadcast."""
    x, type = writer.tensor(node.inputs[0]), node.output.type
    size = writer.step("ABS", [x], node, "size", type, schema.AbsOptionsT())
    pair = [size, writer.scalar(0.0)]
    zero = writer.step("MINIMUM", pair, node, "zero", type, schema.MaximumMinimumOptionsT())
    one = writer.step("ADD", [zero, writer.scalar(1.0)], node, "one", type, schema.AddOptionsT())
    writer.operator("ATAN2", [x, one], writer.tensor(node.output), schema.ATan2OptionsT())


@emits(Pow, accepts=all_of(of_dtype(*NUMBERS), at_most_rank(4)))
def power(node: Node, writer: Writer) -> None:
    """POW; SQUARE and SQRT where the exponent is 2 or a half, which XNNPACK runs too."""
    exponent = node.inputs[1]
    special = {2.0: "SQUARE", 0.5: "SQRT"}
    fits = (
        exponent.type.dtype.is_float
        and exponent.is_constant
        and node.output.type == node.inputs[0].type
        and exponent.array().size
    )
    if fits and len(set(exponent.array().ravel().tolist())) == 1:
        code = special.get(float(exponent.array().flat[0]))
        if code is not None:
            writer.operator(code, [writer.tensor(node.inputs[0])], writer.tensor(node.output))
            return
    writer.operator("POW", writer.tensors(node.inputs), writer.tensor(node.output), schema.PowOptionsT())


@emits(Identity, accepts=of_dtype(*MOVABLE))
def identity(node: Node, writer: Writer) -> None:
    """Another name for the same tensor where that is possible, else a copy."""
    x = node.inputs[0]
    if x.producer is not None and not writer.graph.is_output(x) and writer.rename(x, node.output):
        return
    write_copy(node, writer)


def write_copy(node: Node, writer: Writer) -> None:
    """The first operand copied: TFLite has no operator that does only this."""
    x, output = node.inputs[0], writer.tensor(node.output)
    if constant_shape(x.type.shape) is not None:
        write_reshape(writer, node, writer.tensor(x), x.type.shape, output)
    else:
        everything = ([0] * x.type.rank, list(x.type.shape), [1] * x.type.rank)
        write_slice(writer, node, writer.tensor(x), x.type, everything, output)


@emits(Cast, accepts=of_dtype(*MOVABLE))
def cast_(node: Node, writer: Writer) -> None:
    before, after = (device_dtype(dtype) for dtype in (node.inputs[0].type.dtype, cast(Cast, node.op).dtype))
    if before is after:
        write_copy(node, writer)
        return
    options = schema.CastOptionsT(inDataType=TENSOR_TYPES[before], outDataType=TENSOR_TYPES[after])
    writer.operator("CAST", writer.tensors(node.inputs), writer.tensor(node.output), options)


# Coefficients of the rational approximation of erf in Eigen (unsupported/SpecialFunctions), for |x| <= 4.
_ERF_TOP = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_BOTTOM = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


@emits(Erf, accepts=FLOAT)
def erf(node: Node, writer: Writer) -> None:
    """No kernel: x * P(x²) / Q(x²) with x clamped to [-4, 4], within 4e-7 of erf."""
    type = node.output.type
    x = writer.tensor(node.inputs[0])
    x = writer.step("MAXIMUM", [x, writer.scalar(-4.0)], node, "clamped below", type, schema.MaximumMinimumOptionsT())
    x = writer.step("MINIMUM", [x, writer.scalar(4.0)], node, "clamped", type, schema.MaximumMinimumOptionsT())
    square = writer.step("MUL", [x, x], node, "square", type, schema.MulOptionsT())
    top = _polynomial(writer, node, square, type, _ERF_TOP)
    bottom = _polynomial(writer, node, square, type, _ERF_BOTTOM)
    scaled = writer.step("MUL", [x, top], node, "numerator", type, schema.MulOptionsT())
    writer.operator("DIV", [scaled, bottom], writer.tensor(node.output), schema.DivOptionsT())


def _polynomial(writer: Writer, node: Node, x: int, type: TensorType, coefficients: tuple[float, ...]) -> int:
    """Horner's scheme, the highest power first."""
    first, second, *rest = coefficients
    result = writer.step("MUL", [x, writer.scalar(first)], node, "term", type, schema.MulOptionsT())
    result = writer.step("ADD", [result, writer.scalar(second)], node, "sum", type, schema.AddOptionsT())
    for coefficient in rest:
        result = writer.step("MUL", [result, x], node, "term", type, schema.MulOptionsT())
        result = writer.step("ADD", [result, writer.scalar(coefficient)], node, "sum", type, schema.AddOptionsT())
    return result
