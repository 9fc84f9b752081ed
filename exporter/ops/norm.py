"""Normalisation with stored statistics (batch) or with those of the sample (layer)."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.types import TensorType
from .base import OpAttrs, Perm


@dataclass(frozen=True)
class BatchNorm(OpAttrs):
    """y = (x - mean) / sqrt(variance + epsilon) * scale + offset, along ``axis``.

    x [.., C, ..], scale, offset, mean, variance [C]  →  y like x
    """

    epsilon: float
    axis: int = 1

    operands = ("x", "scale", "offset", "mean", "variance")
    parameters = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        for parameter in inputs[1:]:
            if parameter.shape != (x.shape[self.axis],):
                raise self.misfit(f"statistics must have shape [{x.shape[self.axis]}]", inputs)
        return x

    def permuted(self, perm: Perm) -> BatchNorm:
        return BatchNorm(self.epsilon, perm.index(self.axis))


@dataclass(frozen=True)
class LayerNorm(OpAttrs):
    """y = (x - mean) / sqrt(variance + epsilon) * scale + offset, statistics over each sample's last ``axes`` axes.

    x [..., *A], scale, offset [*A]  →  y like x; the variance is the biased one
    """

    axes: int
    epsilon: float

    operands = ("x", "scale?", "offset?")
    parameters = 1

    def permuted(self, perm: Perm) -> LayerNorm | None:
        first = len(perm) - self.axes
        return self if perm[first:] == tuple(range(first, len(perm))) else None

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        for parameter in inputs[1:]:
            if parameter.shape != x.shape[x.rank - self.axes :]:
                raise self.misfit("scale and offset must have the shape of the normalised axes", inputs)
        return x
