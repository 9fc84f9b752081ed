"""Activation functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..graph.types import TensorType
from .base import OpAttrs, Perm, normalize_axis
from .elementwise import UnaryOp


@dataclass(frozen=True)
class Relu(UnaryOp):
    """max(x, 0)"""


@dataclass(frozen=True)
class Clamp(UnaryOp):
    """min(max(x, minimum), maximum); either bound may be infinite"""

    minimum: float = -math.inf
    maximum: float = math.inf


@dataclass(frozen=True)
class LeakyRelu(UnaryOp):
    """x where positive, slope * x elsewhere"""

    slope: float


@dataclass(frozen=True)
class PRelu(OpAttrs):
    """x where positive, slope * x elsewhere; slope broadcasts against x

    x [...], slope [...] of at most x's rank  →  y like x
    """

    operands = ("x", "slope")

    def infer(self, *inputs: TensorType) -> TensorType:
        return inputs[0]

    def permuted(self, perm: Perm) -> PRelu:
        return self


@dataclass(frozen=True)
class Elu(UnaryOp):
    """x where positive, alpha * (exp(x) - 1) elsewhere"""

    alpha: float = 1.0


@dataclass(frozen=True)
class Selu(UnaryOp):
    """1.0507… * (x where positive, 1.6732… * (exp(x) - 1) elsewhere)  (Klambauer et al. 2017)"""


@dataclass(frozen=True)
class Sigmoid(UnaryOp):
    """1 / (1 + exp(-x))"""


@dataclass(frozen=True)
class HardSigmoid(UnaryOp):
    """min(max(x + 3, 0), 6) / 6"""


@dataclass(frozen=True)
class HardSwish(UnaryOp):
    """x * min(max(x + 3, 0), 6) / 6  (Howard et al. 2019)"""


@dataclass(frozen=True)
class Silu(UnaryOp):
    """x * sigmoid(x)"""


@dataclass(frozen=True)
class Gelu(UnaryOp):
    """x * Φ(x); ``approximate``: 0.5 x (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))  (Hendrycks & Gimpel 2016)"""

    approximate: bool = False


@dataclass(frozen=True)
class Tanh(UnaryOp):
    """Hyperbolic tangent"""


@dataclass(frozen=True)
class Softplus(UnaryOp):
    """log(1 + exp(x))"""


@dataclass(frozen=True)
class Softsign(UnaryOp):
    """x / (1 + |x|)"""


@dataclass(frozen=True)
class Mish(UnaryOp):
    """x * tanh(softplus(x))"""


@dataclass(frozen=True)
class _AlongAxis(OpAttrs, abstract=True):
    axis: int

    def infer(self, *inputs: TensorType) -> TensorType:
        normalize_axis(self.axis, inputs[0].rank)
        return inputs[0]


@dataclass(frozen=True)
class Softmax(_AlongAxis):
    """exp(x) / sum(exp(x)) along ``axis``, shifted by the maximum"""

    def permuted(self, perm: Perm) -> Softmax:
        return Softmax(perm.index(normalize_axis(self.axis, len(perm))))


@dataclass(frozen=True)
class LogSoftmax(_AlongAxis):
    """log of softmax along ``axis``"""

    def permuted(self, perm: Perm) -> LogSoftmax:
        return LogSoftmax(perm.index(normalize_axis(self.axis, len(perm))))
