"""The browser's table of emitters: op class → who writes its kernel calls. `ops/` fills it."""

from __future__ import annotations

import math

from ...exporter.graph import DType, Node
from ...exporter.ops import Activation
from ..emit import Emitters, Refusal
from .dtypes import DEVICE_DTYPES
from .writer import Writer

EMITTERS: Emitters[Writer] = Emitters("web")

emits = EMITTERS.emits

BOUNDS: dict[Activation, tuple[float, float]] = {
    Activation.NONE: (-math.inf, math.inf),
    Activation.RELU: (0.0, math.inf),
    Activation.RELU6: (0.0, 6.0),
}
"""The clamp that a kernel applies to its result for a fused activation."""


def dtype_refusal(node: Node) -> Refusal | None:
    """Why the browser cannot hold a value that the node touches."""
    for value in (*node.inputs, *node.outputs):
        if value.type.dtype not in DEVICE_DTYPES:
            return Refusal(
                f"{value.type.dtype.value} values do not exist in the browser's kernels",
                "convert the model with model.float() before capturing it",
                "TP105",
            )
    return None


def floats_only(node: Node) -> Refusal | None:
    """Condition for kernels that compute in float32."""
    dtype = node.inputs[0].type.dtype
    if dtype is DType.FLOAT32:
        return None
    return Refusal(
        f"the kernel computes in float32, not {dtype.value}", "cast the operand to float32 in the model", "TP105"
    )


def constant_weights(node: Node) -> Refusal | None:
    """Condition for kernels whose weights are packed at export."""
    if floats_only(node) is None and all(value.is_constant for value in node.inputs[1:]):
        return None
    return floats_only(node) or Refusal(
        "its weights are computed while the model runs, and the browser's kernel wants them packed beforehand",
        "make the weight a parameter of the model, or export to another port with --to",
        "TP102",
    )
