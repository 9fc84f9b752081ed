"""Arithmetic cell by cell: of one tensor, or of two that broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ..graph.types import DType, TensorType
from .base import Activation, OpAttrs, Perm
from .broadcast import broadcast_shapes


@dataclass(frozen=True)
class UnaryOp(OpAttrs, abstract=True):
    """x [...]  →  y like x"""

    def infer(self, *inputs: TensorType) -> TensorType:
        return inputs[0]

    def permuted(self, perm: Perm) -> Self:
        return self


@dataclass(frozen=True)
class BinaryOp(OpAttrs, abstract=True):
    """a, b  →  y of their common shape (numpy's broadcasting)"""

    operands = ("a", "b")

    def infer(self, *inputs: TensorType) -> TensorType:
        a, b = inputs
        if a.dtype is not b.dtype:
            raise self.misfit("operands must have one dtype", inputs)
        return TensorType(a.dtype, broadcast_shapes(self, a, b))

    def permuted(self, perm: Perm) -> Self:
        return self


@dataclass(frozen=True)
class Add(BinaryOp):
    """a + b"""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Sub(BinaryOp):
    """a - b"""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Mul(BinaryOp):
    """a * b"""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Div(BinaryOp):
    """a / b; of integers: cut off towards zero"""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Maximum(BinaryOp):
    """The larger of the two; NaN wins"""


@dataclass(frozen=True)
class Minimum(BinaryOp):
    """The smaller of the two; NaN wins"""


@dataclass(frozen=True)
class Pow(BinaryOp):
    """a to the power of b"""


@dataclass(frozen=True)
class Remainder(BinaryOp):
    """a - b * floor(a / b): what is left has the sign of b, as Python's %"""


@dataclass(frozen=True)
class Fmod(BinaryOp):
    """a - b * trunc(a / b): what is left has the sign of a, as C's fmod"""


@dataclass(frozen=True)
class FloorDivide(BinaryOp):
    """floor(a / b), as Python's //"""


@dataclass(frozen=True)
class Atan2(BinaryOp):
    """Angle of the point (x = b, y = a), in (-π, π]"""


@dataclass(frozen=True)
class Exp(UnaryOp):
    """e to the power of x"""


@dataclass(frozen=True)
class Log(UnaryOp):
    """Natural logarithm"""


@dataclass(frozen=True)
class Sqrt(UnaryOp):
    """Square root"""


@dataclass(frozen=True)
class Rsqrt(UnaryOp):
    """1 / sqrt(x)"""


@dataclass(frozen=True)
class Neg(UnaryOp):
    """-x"""


@dataclass(frozen=True)
class Abs(UnaryOp):
    """Absolute value"""


@dataclass(frozen=True)
class Erf(UnaryOp):
    """Gauss error function"""


@dataclass(frozen=True)
class Floor(UnaryOp):
    """Largest whole number that is not above x"""


@dataclass(frozen=True)
class Ceil(UnaryOp):
    """Smallest whole number that is not below x"""


@dataclass(frozen=True)
class Round(UnaryOp):
    """Nearest whole number; halves go to the even one"""


@dataclass(frozen=True)
class Trunc(UnaryOp):
    """x without its fraction"""


@dataclass(frozen=True)
class Sign(UnaryOp):
    """-1, 0 or 1"""


@dataclass(frozen=True)
class Sin(UnaryOp):
    """Sine"""


@dataclass(frozen=True)
class Cos(UnaryOp):
    """Cosine"""


@dataclass(frozen=True)
class Tan(UnaryOp):
    """Tangent"""


@dataclass(frozen=True)
class Asin(UnaryOp):
    """Inverse sine; NaN outside [-1, 1]"""


@dataclass(frozen=True)
class Acos(UnaryOp):
    """Inverse cosine; NaN outside [-1, 1]"""


@dataclass(frozen=True)
class Atan(UnaryOp):
    """Inverse tangent"""


@dataclass(frozen=True)
class Sinh(UnaryOp):
    """Hyperbolic sine"""


@dataclass(frozen=True)
class Cosh(UnaryOp):
    """Hyperbolic cosine"""


@dataclass(frozen=True)
class Asinh(UnaryOp):
    """Inverse hyperbolic sine"""


@dataclass(frozen=True)
class Acosh(UnaryOp):
    """Inverse hyperbolic cosine; NaN below 1"""


@dataclass(frozen=True)
class Atanh(UnaryOp):
    """Inverse hyperbolic tangent; NaN outside [-1, 1]"""


@dataclass(frozen=True)
class Expm1(UnaryOp):
    """exp(x) - 1, exact to the last digits near 0"""


@dataclass(frozen=True)
class Log1p(UnaryOp):
    """log(1 + x), exact to the last digits near 0"""


@dataclass(frozen=True)
class Identity(UnaryOp):
    """x itself: gives an output a name of its own"""

    takes_codes = True


@dataclass(frozen=True)
class Cast(OpAttrs):
    """x in another dtype; floats are truncated towards zero on their way to integers"""

    dtype: DType

    def infer(self, *inputs: TensorType) -> TensorType:
        return inputs[0].with_dtype(self.dtype)

    def permuted(self, perm: Perm) -> Cast:
        return self
