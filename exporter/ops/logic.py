"""Comparisons, logic on bools and on the bits of integers, and the choice between two tensors."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.types import DType, TensorType
from .base import OpAttrs, Perm
from .broadcast import broadcast_shapes
from .elementwise import BinaryOp, UnaryOp


@dataclass(frozen=True)
class CompareOp(BinaryOp, abstract=True):
    """a, b of one dtype  →  bool of their common shape; every comparison with NaN is false, but for `NotEqual`"""

    def infer(self, *inputs: TensorType) -> TensorType:
        return super().infer(*inputs).with_dtype(DType.BOOL)


@dataclass(frozen=True)
class Equal(CompareOp):
    """a == b"""


@dataclass(frozen=True)
class NotEqual(CompareOp):
    """a != b"""


@dataclass(frozen=True)
class Less(CompareOp):
    """a < b"""


@dataclass(frozen=True)
class LessEqual(CompareOp):
    """a <= b"""


@dataclass(frozen=True)
class Greater(CompareOp):
    """a > b"""


@dataclass(frozen=True)
class GreaterEqual(CompareOp):
    """a >= b"""


@dataclass(frozen=True)
class LogicalOp(BinaryOp, abstract=True):
    """a, b of bools  →  bool of their common shape"""

    def infer(self, *inputs: TensorType) -> TensorType:
        if inputs[0].dtype is not DType.BOOL:
            raise self.misfit("operands must be bool", inputs)
        return super().infer(*inputs)


@dataclass(frozen=True)
class LogicalAnd(LogicalOp):
    """a and b"""


@dataclass(frozen=True)
class LogicalOr(LogicalOp):
    """a or b"""


@dataclass(frozen=True)
class LogicalXor(LogicalOp):
    """Either a or b"""


@dataclass(frozen=True)
class LogicalNot(UnaryOp):
    """not x, of bools"""

    def infer(self, *inputs: TensorType) -> TensorType:
        if inputs[0].dtype is not DType.BOOL:
            raise self.misfit("the operand must be bool", inputs)
        return inputs[0]


@dataclass(frozen=True)
class BitwiseOp(BinaryOp, abstract=True):
    """a, b of integers in two's complement  →  integers of their common shape"""

    def infer(self, *inputs: TensorType) -> TensorType:
        if not inputs[0].dtype.is_integer:
            raise self.misfit("operands must be integers", inputs)
        return super().infer(*inputs)


@dataclass(frozen=True)
class BitwiseAnd(BitwiseOp):
    """Bits set in both"""


@dataclass(frozen=True)
class BitwiseOr(BitwiseOp):
    """Bits set in either"""


@dataclass(frozen=True)
class BitwiseXor(BitwiseOp):
    """Bits set in exactly one"""


@dataclass(frozen=True)
class Where(OpAttrs):
    """a where the condition holds, b elsewhere.

    condition bool, a and b of one dtype  →  y of their common shape
    """

    operands = ("condition", "a", "b")

    def infer(self, *inputs: TensorType) -> TensorType:
        condition, a, b = inputs
        if condition.dtype is not DType.BOOL or a.dtype is not b.dtype:
            raise self.misfit("the condition must be bool, and a and b of one dtype", inputs)
        return a.with_shape(broadcast_shapes(self, condition, a, b))

    def permuted(self, perm: Perm) -> Where:
        return self
