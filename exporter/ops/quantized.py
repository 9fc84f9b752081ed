"""Arithmetic on int8 codes, the same to the last bit on every port.

A quantized tensor has dtype int8 and says in its type what its codes stand for: ``real = (code - zero_point) * scale``.
Every op here is exact: products and sums are integers, and what turns a sum into a code again is one float32
multiplication and one rounding,

    code = clamp(round_half_even(float32(sum) * multiplier) + zero_point)

with ``multiplier = float32(float32(scale of x * scale of w) / scale of y)``. XNNPACK and ONNX Runtime's QLinear kernels
requantize like this (docs/int8.md has the measurements). Ops that only move cells take codes as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from ..graph.types import Array, DType, Quantization, TensorType
from .base import Activation, OpAttrs, Perm, normalize_axis
from .broadcast import broadcast_shapes
from .conv import Conv
from .linear import Linear, MatMul

LOWEST, HIGHEST = -128, 127
"""The codes of int8."""


@dataclass(frozen=True)
class Quantize(OpAttrs):
    """x float32  →  y int8 = clamp(round_half_even(x * float32(1 / scale)) + zero_point)"""

    to: Quantization

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if x.dtype is not DType.FLOAT32:
            raise self.misfit("expects float32", inputs)
        return TensorType(DType.INT8, x.shape, self.to)

    def permuted(self, perm: Perm) -> Quantize:
        return self


@dataclass(frozen=True)
class Dequantize(OpAttrs):
    """x int8 codes  →  y float32 = (x - zero_point) * scale"""

    of: Quantization
    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        check_codes(self, inputs, (self.of,))
        return TensorType(DType.FLOAT32, inputs[0].shape)

    def permuted(self, perm: Perm) -> Dequantize:
        return self


@dataclass(frozen=True)
class Recode(OpAttrs):
    """The same numbers in the other dtype of codes: x uint8  →  y int8 = x - 128, and x int8  →  y uint8 = x + 128

    For models whose inputs or outputs are uint8; everything between is int8.
    """

    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if x.quantization is None:
            raise self.misfit("expects codes", inputs)
        dtype, shift = (DType.INT8, LOWEST) if x.dtype is DType.UINT8 else (DType.UINT8, -LOWEST)
        return TensorType(dtype, x.shape, replace(x.quantization, zero_point=x.quantization.zero_point + shift))

    def permuted(self, perm: Perm) -> Recode:
        return self


@dataclass(frozen=True)
class QuantizedConv(Conv):
    """`Conv` over codes: x int8 [N, C, *S], weight int8, scale of each filter float32 [O], bias int32 [O]  →  y int8

    Padding cells are the zero point. The bias counts in steps of ``of.scale * weight scale``. The activation clamps at
    the codes of 0 and 6.
    """

    of: Quantization = field(kw_only=True)
    to: Quantization = field(kw_only=True)

    operands = ("x", "weight", "weight_scale", "bias")
    takes_codes = True

    def label(self) -> str:
        return f"quantized_conv{len(self.stride)}d"

    def infer(self, *inputs: TensorType) -> TensorType:
        x, weight, _, bias = inputs
        check_codes(self, inputs, (self.of,))
        _check_filters(self, inputs)
        return coded(super().infer(x, weight, bias), self.to)


@dataclass(frozen=True)
class QuantizedLinear(Linear):
    """`Linear` over codes: x int8 [..., I], weight int8 [O, I], its scales float32 [O], bias int32 [O]  →  y int8"""

    of: Quantization = field(kw_only=True)
    to: Quantization = field(kw_only=True)

    operands = ("x", "weight", "weight_scale", "bias")
    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        x, weight, _, bias = inputs
        check_codes(self, inputs, (self.of,))
        _check_filters(self, inputs)
        return coded(super().infer(x, weight, bias), self.to)


@dataclass(frozen=True)
class QuantizedMatMul(MatMul):
    """`MatMul` of two activations' codes: a int8 [..., M, K], b int8 [..., K, N]  →  y int8 [..., M, N]"""

    of: tuple[Quantization, Quantization] = field(kw_only=True)
    to: Quantization = field(kw_only=True)

    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        check_codes(self, inputs, self.of)
        return coded(super().infer(*inputs), self.to)


@dataclass(frozen=True)
class _QuantizedBinary(OpAttrs, abstract=True):
    to: Quantization
    activation: Activation = Activation.NONE

    operands = ("a", "b")
    takes_codes = True

    def permuted(self, perm: Perm) -> _QuantizedBinary:
        return self


@dataclass(frozen=True)
class _QuantizedSum(_QuantizedBinary, abstract=True):
    of: tuple[Quantization, Quantization] = field(kw_only=True)

    def infer(self, *inputs: TensorType) -> TensorType:
        a, b = inputs
        check_codes(self, inputs, self.of)
        if whole_weights(*self.of) is None:
            raise self.misfit(f"the scales must be in a ratio of whole numbers up to {MOST_WEIGHT}", inputs)
        return TensorType(DType.INT8, broadcast_shapes(self, a, b), self.to)


@dataclass(frozen=True)
class QuantizedAdd(_QuantizedSum):
    """a + b of codes:  (p * (a - zero point) + q * (b - zero point)) * float32(scale a / p / to.scale)

    p : q   the operands' scales in whole numbers (`whole_weights`); 1 : 1 where they share one
    """


@dataclass(frozen=True)
class QuantizedSub(_QuantizedSum):
    """a - b of codes:  (p * (a - zero point) - q * (b - zero point)) * float32(scale a / p / to.scale)"""


@dataclass(frozen=True)
class QuantizedMul(_QuantizedBinary):
    """a * b of codes:  (a - zero point) * (b - zero point) * float32(float32(scale a * scale b) / to.scale)"""

    of: tuple[Quantization, Quantization] = field(kw_only=True)

    def infer(self, *inputs: TensorType) -> TensorType:
        a, b = inputs
        check_codes(self, inputs, self.of)
        return TensorType(DType.INT8, broadcast_shapes(self, a, b), self.to)


@dataclass(frozen=True)
class Lookup(OpAttrs):
    """y = table[x + 128]: any function of one code.

    x int8 codes, table int8 [256]  →  y int8 codes; without ``to``: table float32 [256]  →  y float32
    """

    of: Quantization
    to: Quantization | None

    operands = ("x", "table")
    parameters = 1
    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        x, table = inputs
        check_codes(self, inputs, (self.of,))
        dtype = DType.FLOAT32 if self.to is None else DType.INT8
        if (table.dtype, table.shape) != (dtype, (256,)):
            raise self.misfit(f"the table must be {dtype.value}[256]", inputs)
        return TensorType(dtype, x.shape, self.to)

    def permuted(self, perm: Perm) -> Lookup:
        return self


@dataclass(frozen=True)
class QuantizedSoftmax(OpAttrs):
    """exp(x) / sum(exp(x)) along ``axis``, from a table of whole numbers.

    x int8 codes, table float32 [256] whole numbers  →  y float32, or int8 codes of it:

        e = table[max(x) - x]    y = e / sum(e)    code = as `Quantize` has it

    A sum of whole numbers below 2**24 is exact in float32 in any order, and the division is one IEEE division.
    """

    axis: int
    of: Quantization
    to: Quantization | None

    operands = ("x", "table")
    parameters = 1
    takes_codes = True

    def permuted(self, perm: Perm) -> QuantizedSoftmax:
        return replace(self, axis=perm.index(normalize_axis(self.axis, len(perm))))

    def infer(self, *inputs: TensorType) -> TensorType:
        x, table = inputs
        check_codes(self, inputs, (self.of,))
        if (table.dtype, table.shape) != (DType.FLOAT32, (256,)):
            raise self.misfit("the table must be float32[256]", inputs)
        return TensorType(DType.FLOAT32 if self.to is None else DType.INT8, x.shape, self.to)


def coded(type: TensorType, quantization: Quantization) -> TensorType:
    """The same shape, of codes that stand for something else."""
    return TensorType(DType.INT8, type.shape, quantization)


def check_codes(op: OpAttrs, inputs: tuple[TensorType, ...], expected: tuple[Quantization, ...]) -> None:
    """The first operands are codes of what the op was made for; ModelError otherwise."""
    for given, wanted in zip(inputs, expected, strict=False):
        if given.quantization != wanted or given.dtype is not DType.INT8:
            raise op.misfit(f"was made for codes of {wanted}", inputs)


EXP_ERROR = 2.0**-19
"""Of its result, by which a runtime's exp may be off: 32 units of the 24th bit. XNNPACK's are 4 off, and the argument,
a whole number of steps below -9 at most where the result still counts, as many again."""


def comes_of_exp(table: Array, scale: float) -> bool:
    """Whether every float32 runtime finds the table of a softmax as round(table[0] * exp(-k * scale)), k = 0 … 255."""
    exact = float(table[0]) * np.exp(-np.arange(table.size) * scale)
    from_tie = np.abs(exact - np.floor(exact) - 0.5)
    return bool((np.rint(exact) == table).all() and (from_tie >= exact * EXP_ERROR).all())


MEAN_ERROR = 2.0**-23
"""Of the numbers that meet in a mean, by which a kernel may be off: twice what float32 rounds away."""


def mean_margin(of: Quantization, to: Quantization) -> float:
    """Steps that kernels for means may be off by before they round.

    XNNPACK (operators/reduce-nd.c) scales the sum of the codes and that of the zero points apart, up to 128 steps of
    ``of`` each, and all kernels have a multiplier of three roundings for up to 255 steps.
    """
    return (256 * of.scale / to.scale + 1024) * MEAN_ERROR


def means_are_untied(cells: int, of: Quantization, to: Quantization) -> bool:
    """Whether every kernel finds the same code for the mean of any ``cells`` codes: no result lies near a tie."""
    sums = np.arange(cells * (LOWEST - of.zero_point), cells * (HIGHEST - of.zero_point) + 1, dtype=np.float64)
    steps = sums * (of.scale / (cells * to.scale))
    return nearest_tie(steps, to) >= mean_margin(of, to)


def nearest_tie(steps: Array, to: Quantization) -> float:
    """How near a result comes to the value half way between two codes; 0.5 where all are beyond the codes.

    steps   exact results, in steps of ``to.scale``, without the zero point
    """
    kept = np.clip(np.asarray(steps, np.float64), LOWEST - to.zero_point, HIGHEST - to.zero_point)
    return float(np.abs(kept - np.floor(kept) - 0.5).min())


def code_range(activation: Activation, to: Quantization) -> tuple[int, int]:
    """Least and greatest code that a kernel with this activation stores."""
    lowest = LOWEST if activation is Activation.NONE else max(LOWEST, to.zero_point)
    if activation is not Activation.RELU6:
        return lowest, HIGHEST
    return lowest, min(HIGHEST, to.zero_point + round(float(np.float32(6) / np.float32(to.scale))))


MOST_WEIGHT = 127
"""The largest whole number that a sum multiplies codes with."""


def whole_weights(a: Quantization, b: Quantization) -> tuple[int, int] | None:
    """p and q up to `MOST_WEIGHT` with scale a / scale b = p / q, as near as float32 tells; None without any."""
    ratio = a.scale / b.scale
    if not 1 / (2 * MOST_WEIGHT) < ratio < 2 * MOST_WEIGHT:
        return None
    found = Fraction(ratio).limit_denominator(MOST_WEIGHT)
    p, q = found.numerator, found.denominator
    return (p, q) if 0 < p <= MOST_WEIGHT and abs(p / q / ratio - 1) <= 2.0**-22 else None


def sum_multiplier(of: tuple[Quantization, Quantization], to: Quantization) -> Array:
    """float32(scale a / p / to.scale): what one step of a weighted sum is, in steps of the result."""
    weights = whole_weights(*of)
    assert weights is not None
    return multiplier(of[0].scale / weights[0], 1.0, to.scale)


def multiplier(x: float, weight: Array | float, y: float) -> Array:
    """float32(float32(x * weight) / y): what one step of the sum is, in steps of the result."""
    product = np.float32(x) * np.asarray(weight, np.float32)
    return np.asarray(product / np.float32(y), np.float32)


def _check_filters(op: OpAttrs, inputs: tuple[TensorType, ...]) -> None:
    _, weight, scale, bias = inputs
    dtypes = weight.dtype, scale.dtype, bias.dtype
    if dtypes != (DType.INT8, DType.FLOAT32, DType.INT32) or scale.shape != bias.shape:
        raise op.misfit("expects an int8 weight, float32 scales and an int32 bias, one of each a filter", inputs)
