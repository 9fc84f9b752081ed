"""Resize."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Node
from ....exporter.ops import Layout, Resize, ResizeMode
from ..emitters import emits
from ..sizes import shape_tensor
from ..writer import OnnxWriter


@emits(Resize)
def resize(node: Node, writer: OnnxWriter) -> None:
    """Whole factors as ``scales``, which need not know the batch; any other size as the ``sizes`` of all axes.

    Never opset 18's ``axes``: where ONNX Runtime (seen with 1.31) moves a transpose past such a node, it permutes the
    spatial sizes as though they were those of all axes, and then refuses the model.
    """
    op = node.op
    assert isinstance(op, Resize) and op.layout is Layout.CHANNELS_FIRST
    factors = _whole_factors(node)
    if factors is None:
        extent = ["", shape_tensor(writer, node, node.outputs[0].type.shape, "sizes")]
    else:
        extent = [writer.constant(node, "scales", np.array(factors, np.float32))]
    nearest = op.mode is ResizeMode.NEAREST
    writer.node(
        "Resize",
        node,
        [node.inputs[0], "", *extent],
        mode="nearest" if nearest else "linear",
        nearest_mode="floor" if nearest else None,
        coordinate_transformation_mode=(
            "asymmetric" if nearest else "align_corners" if op.align_corners else "half_pixel"
        ),
    )


def _whole_factors(node: Node) -> list[int] | None:
    """By how much each axis grows; None where that is no whole number, or is not known before the model runs."""
    factors = []
    for before, after in zip(node.inputs[0].type.shape, node.outputs[0].type.shape, strict=True):
        if before == after:
            factors.append(1)
        elif isinstance(before, int) and isinstance(after, int) and before and after % before == 0:
            factors.append(after // before)
        else:
            return None
    return factors
