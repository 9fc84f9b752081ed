"""Resize."""

from __future__ import annotations

from ....exporter.graph import Node
from ....exporter.ops import Layout, Resize, ResizeMode
from ..emitters import emits
from ..sizes import shape_tensor
from ..writer import OnnxWriter


@emits(Resize)
def resize(node: Node, writer: OnnxWriter) -> None:
    """Sizes for the spatial axes only, which needs opset 18's ``axes``: the batch stays out of it."""
    op = node.op
    assert isinstance(op, Resize) and op.layout is Layout.CHANNELS_FIRST
    sizes = shape_tensor(writer, node, op.size, "sizes")
    nearest = op.mode is ResizeMode.NEAREST
    writer.node(
        "Resize",
        node,
        [node.inputs[0], "", "", sizes],
        mode="nearest" if nearest else "linear",
        nearest_mode="floor" if nearest else None,
        coordinate_transformation_mode=(
            "asymmetric" if nearest else "align_corners" if op.align_corners else "half_pixel"
        ),
        axes=list(op.layout.spatial_axes(node.inputs[0].type.rank)),
    )
