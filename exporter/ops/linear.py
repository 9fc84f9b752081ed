"""Products of matrices: with a constant weight (linear), or of two activations (matmul)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..graph.types import TensorType
from .base import Activation, OpAttrs, Perm
from .broadcast import broadcast_shapes


@dataclass(frozen=True)
class Linear(OpAttrs):
    """x [..., I], weight [O, I], bias [O]  →  y [..., O] = x @ weightᵀ + bias"""

    activation: Activation = Activation.NONE

    operands: ClassVar[tuple[str, ...]] = ("x", "weight", "bias?")
    parameters = 1

    def permuted(self, perm: Perm) -> Linear | None:
        return self if perm[-1] == len(perm) - 1 else None

    def infer(self, *inputs: TensorType) -> TensorType:
        x, weight = inputs[:2]
        if weight.rank != 2 or x.rank < 1 or x.shape[-1] != weight.shape[1]:
            raise self.misfit("the last axis of x must equal the weight's second", inputs)
        if len(inputs) == 3 and inputs[2].shape != (weight.shape[0],):
            raise self.misfit(f"bias must have shape [{weight.shape[0]}]", inputs)
        return x.with_shape((*x.shape[:-1], weight.shape[0]))


@dataclass(frozen=True)
class MatMul(OpAttrs):
    """a [..., M, K], b [..., K, N]  →  y [..., M, N]; leading axes broadcast.

    transpose_b   b comes as [..., N, K]
    """

    transpose_b: bool = False

    operands = ("a", "b")

    def infer(self, *inputs: TensorType) -> TensorType:
        a, b = inputs
        if self.transpose_b and b.rank > 1:
            b = b.with_shape((*b.shape[:-2], b.shape[-1], b.shape[-2]))
        if a.rank < 2 or b.rank < 2 or a.shape[-1] != b.shape[-2]:
            raise self.misfit("inner sizes must agree", inputs)
        batch = broadcast_shapes(self, a.with_shape(a.shape[:-2]), b.with_shape(b.shape[:-2]))
        return a.with_shape((*batch, a.shape[-2], b.shape[-1]))
