"""Resize."""

from __future__ import annotations

from ....exporter.graph import Node, Sym
from ....exporter.ops import Layout, Resize, ResizeMode
from ...emit import Refusal
from ..emitters import emits
from ..writer import OnnxWriter


def _known_size(node: Node) -> Refusal | None:
    assert isinstance(node.op, Resize)
    if any(isinstance(size, Sym) for size in node.op.size):
        return Refusal("the new size is free", "leave height and width out of dynamic=", code="TP104")
    return None


@emits(Resize, accepts=_known_size)
def resize(node: Node, writer: OnnxWriter) -> None:
    """Sizes for the spatial axes only, which needs opset 18's ``axes``: the batch stays out of it."""
    op = node.op
    assert isinstance(op, Resize) and op.layout is Layout.CHANNELS_FIRST
    sizes = writer.ints(node, "sizes", [int(size) for size in op.size if isinstance(size, int)])
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
