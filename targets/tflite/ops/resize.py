"""Resampling of images: RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR."""

from __future__ import annotations

from typing import cast

from ....exporter.graph import Node
from ....exporter.ops import Resize, ResizeMode
from ..registry import FLOAT, all_of, emits
from ..schema import schema
from ..sizes import shape_tensor
from ..writer import Writer
from .conv import two_spatial_axes


@emits(Resize, accepts=all_of(two_spatial_axes, FLOAT))
def resize(node: Node, writer: Writer) -> None:
    """Nearest picks floor(float32(i) * float32(size / wanted)), as torch does."""
    op = cast(Resize, node.op)
    if op.mode is ResizeMode.NEAREST:
        code, options = "RESIZE_NEAREST_NEIGHBOR", schema.ResizeNearestNeighborOptionsT()
    else:
        code = "RESIZE_BILINEAR"
        options = schema.ResizeBilinearOptionsT(alignCorners=op.align_corners, halfPixelCenters=not op.align_corners)
    inputs = [writer.tensor(node.inputs[0]), shape_tensor(writer, node, op.size, "size")]
    writer.operator(code, inputs, writer.tensor(node.output), options)
