"""Which values are shares: cells that a softmax along the last axis made, and that add up to 1 along it."""

from __future__ import annotations

from ..graph import Value
from ..ops import Dequantize, Quantize, QuantizedSoftmax, Reshape, Softmax, Transpose
from ..ops.base import normalize_axis


def are_shares(value: Value) -> bool:
    """Whether a softmax made the value, rounded to codes or not, in the graph before quantization or after."""
    node, last = value.producer, value.type.rank - 1
    if node is None:
        return False
    if isinstance(node.op, Softmax | QuantizedSoftmax):
        return normalize_axis(node.op.axis, value.type.rank) == last
    x = node.inputs[0]
    if isinstance(node.op, Transpose):
        return node.op.perm[-1] == last and are_shares(x)
    if isinstance(node.op, Reshape):
        return x.type.shape[-1:] == value.type.shape[-1:] and are_shares(x)
    return isinstance(node.op, Quantize | Dequantize) and are_shares(x)
