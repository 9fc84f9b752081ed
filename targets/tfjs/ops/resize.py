"""Resampling of images: ResizeNearestNeighbor and ResizeBilinear."""

from __future__ import annotations

from typing import cast

from ....exporter.graph import Node
from ....exporter.ops import Resize, ResizeMode
from ..emitters import FLOAT, all_of, emits
from ..sizes import shape_tensor
from ..writer import Writer
from .conv import two_spatial_axes


@emits(Resize, accepts=all_of(two_spatial_axes, FLOAT))
def resize(node: Node, writer: Writer) -> None:
    op = cast(Resize, node.op)
    nearest = op.mode is ResizeMode.NEAREST
    writer.node(
        "ResizeNearestNeighbor" if nearest else "ResizeBilinear",
        [writer.tensor(node.inputs[0]), shape_tensor(writer, op.size, "size")],
        node.output,
        align_corners=op.align_corners,
        half_pixel_centers=not nearest and not op.align_corners,
    )
