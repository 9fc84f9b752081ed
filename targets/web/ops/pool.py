"""Pooling, channels last."""

from __future__ import annotations

from ....exporter.graph import DType, Node
from ....exporter.ops import AveragePool, Layout, MaxPool
from ...emit import Refusal
from ..emitters import emits, floats_only
from ..plan import Argument
from ..writer import Writer


def _two_dimensional(node: Node) -> Refusal | None:
    assert isinstance(node.op, AveragePool | MaxPool)
    if len(node.op.kernel) != 2:
        return Refusal(
            f"the browser's kernels work over two spatial axes, not {len(node.op.kernel)}",
            "use a 2-D layer, or export to onnx: --to onnx",
            "TP102",
        )
    if isinstance(node.op, MaxPool) and node.inputs[0].type.dtype is DType.INT8:
        return None
    return floats_only(node)


@emits(MaxPool, AveragePool, accepts=_two_dimensional)
def pool(node: Node, writer: Writer) -> None:
    op, x, y = node.op, node.inputs[0], node.output
    assert isinstance(op, AveragePool | MaxPool) and op.layout is Layout.CHANNELS_LAST
    (top, _), (left, _) = op.padding
    geometry: list[Argument] = [*x.type.shape, *y.type.shape[1:3], *op.kernel, *op.stride, *op.dilation, top, left]
    geometry.append(int(isinstance(op, AveragePool) and op.count_include_pad))
    kernel = "max_pool2d" if isinstance(op, MaxPool) else "avg_pool2d"
    if x.type.dtype is DType.INT8:
        kernel += "_i8"
    operand = writer.operand(x)
    writer.call(kernel, writer.result(y), operand, geometry)
