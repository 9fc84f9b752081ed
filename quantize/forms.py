"""In which form each node of a float graph can be computed once it is quantized, and why the rest stays float."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from ..exporter.graph import DType, Graph, Node, Value
from ..exporter.ops import (
    Add,
    AveragePool,
    BatchNorm,
    BorderPad,
    Cast,
    Concat,
    Conv,
    ConvTranspose,
    Div,
    Expand,
    Gather,
    Identity,
    LayerNorm,
    Linear,
    MatMul,
    MaxPool,
    Mul,
    Pad,
    ReduceMax,
    ReduceMean,
    Reshape,
    Reverse,
    Slice,
    Softmax,
    Sub,
    Transpose,
    UnaryOp,
)
from ..exporter.ops.quantized import HIGHEST, LOWEST
from ..exporter.passes.shares import are_shares

MOST_EXACT = 2**24
"""Whole numbers below are exact in float32."""

STRICT = "int8-strict"
"""The scheme whose integers agree in LiteRT without XNNPACK, too (strict.py)."""

_PARAMETRIC = (BatchNorm, Conv, ConvTranspose, Gather, LayerNorm, Linear)
BINARY = (Add, Sub, Mul, Div)
MOVERS = (BorderPad, Concat, Expand, Gather, Identity, MaxPool, Pad, Reshape, Reverse, Slice, Transpose)


READS_FLOAT = "what it reads is float"


class Form(Enum):
    """How a node is computed.

    INTEGER   by an op on codes
    MOVES     as it is, on codes: it only moves or picks cells
    TABLE     a function of one code: dequantize, float op, quantize, with scales that keep all 256 results from ties
    EXACT     in float32 steps each of which is the same bits everywhere (layer norm, strict products)
    FLOAT     as before
    """

    INTEGER = "int8"
    MOVES = "moves"
    TABLE = "table"
    EXACT = "exact float"
    FLOAT = "float"


@dataclass(frozen=True)
class Decision:
    """A node's form; ``reason`` says why it stays float."""

    form: Form
    reason: str = ""


THREE_AXES = Decision(Form.FLOAT, "phones have integer kernels for two spatial axes at most")


def decide(
    graph: Graph,
    keep_float: Collection[str] = (),
    refused: Mapping[str, str] | None = None,
    *,
    coded_inputs: bool = False,
    scheme: str = "int8",
) -> dict[Node, Decision]:
    """The form of every node of a canonical graph.

    keep_float    patterns (``head*``) of nodes or layers that stay float
    refused       {node name: reason}: further nodes that stay float
    coded_inputs  the graph's inputs are codes themselves, so that moves and functions of them are computed on codes
    """
    decisions: dict[Node, Decision] = {}
    for node in graph.nodes:
        kept = next((p for p in keep_float if matches(node, p)), None)
        decision = Decision(Form.FLOAT, f'kept float by "{kept}"') if kept is not None else own_decision(node, scheme)
        if refused and node.name in refused:
            decision = Decision(Form.FLOAT, refused[node.name])
        if _follows(node, decision) and not _from_codes(node, decisions, coded_inputs):
            decision = Decision(Form.FLOAT, READS_FLOAT)
        decisions[node] = decision
    return decisions


def is_float_by_nature(node: Node, reason: str, scheme: str) -> bool:
    """Whether a node stays float for want of a form on codes, and not because somebody or its accuracy asks for it.

    reason   why it stays float
    """
    return reason in (READS_FLOAT, own_decision(node, scheme).reason)


def data(node: Node) -> tuple[Value, ...]:
    """The operands that are activations: what a node reads beside parameters, indices and tables."""
    count = 1 if isinstance(node.op, _PARAMETRIC) else len(node.inputs)
    return tuple(value for value in node.inputs[:count] if not value.is_constant)


def codes_at(value: Value, decisions: dict[Node, Decision], coded_inputs: bool = False) -> bool:
    """Whether the node that computes a value gives codes; an input of the graph if ``coded_inputs``."""
    if value.producer is None:
        return coded_inputs and value.type.dtype is DType.FLOAT32
    return decisions[value.producer].form is not Form.FLOAT


def matches(node: Node, pattern: str) -> bool:
    """Whether a pattern (``head*``) names a node, or the layer that it was written as."""
    return fnmatchcase(node.name, pattern) or bool(node.source.layer and fnmatchcase(node.source.layer, pattern))


def _follows(node: Node, decision: Decision) -> bool:
    """Whether a node computes on codes only where it is given codes.

    Arithmetic with a constant is one float32 operation, the same bits everywhere: what it prepares of a float input
    (scaling, normalisation by channel) is rounded to codes once, behind it.
    """
    with_constant = isinstance(node.op, BINARY) and any(value.is_constant for value in node.inputs)
    return decision.form in (Form.MOVES, Form.TABLE) or (decision.form is not Form.FLOAT and with_constant)


def _from_codes(node: Node, decisions: dict[Node, Decision], coded_inputs: bool) -> bool:
    """Whether what a node reads is codes; what a concat reads as float32 beside codes is quantized for it."""
    coded = [codes_at(value, decisions, coded_inputs) for value in data(node)]
    return any(coded) if isinstance(node.op, Concat) else bool(coded) and all(coded)


def own_decision(node: Node, scheme: str = "int8") -> Decision:
    """The form of a node that reads codes."""
    decision = _usual_decision(node)
    if scheme != STRICT or decision.form is not Form.INTEGER:
        return decision
    if isinstance(node.op, Mul):
        return Decision(Form.EXACT)
    length = node.inputs[0].type.shape[-1]
    if isinstance(node.op, MatMul) and (not isinstance(length, int) or length * HIGHEST**2 >= MOST_EXACT):
        return Decision(Form.FLOAT, f"sums of products are exact for up to {MOST_EXACT // HIGHEST**2} of them")
    return decision


def _usual_decision(node: Node) -> Decision:
    if len(node.outputs) != 1 or any(v.type.dtype is not DType.FLOAT32 for v in (*data(node), *node.outputs)):
        return Decision(Form.FLOAT, f"{node.op.label()} has no form on codes")
    if isinstance(node.op, Conv | Linear):
        return _filters(node)
    if isinstance(node.op, BINARY):
        return _binary(node)
    if isinstance(node.op, MatMul):
        return _product(node)
    if isinstance(node.op, Softmax):
        return Decision(Form.INTEGER)
    if isinstance(node.op, AveragePool):
        padded = any(side for pair in node.op.padding for side in pair)
        if padded and not node.op.count_include_pad:
            return Decision(Form.FLOAT, "its padding is left out of the mean")
        if len(node.op.stride) > 2:
            return THREE_AXES
        return Decision(Form.INTEGER)
    if isinstance(node.op, ReduceMean | ReduceMax):
        return _over_axes(node)
    if isinstance(node.op, ConvTranspose):
        return _transposed(node)
    if isinstance(node.op, BatchNorm):
        return _batch_norm(node)
    if isinstance(node.op, LayerNorm):
        return _layer_norm(node)
    if isinstance(node.op, MOVERS):
        return Decision(Form.MOVES)
    if isinstance(node.op, UnaryOp) and not isinstance(node.op, Cast):
        return Decision(Form.TABLE)
    return Decision(Form.FLOAT, f"{node.op.label()} has no form on codes")


def _filters(node: Node) -> Decision:
    if not all(value.is_constant for value in node.inputs[1:]):
        return Decision(Form.FLOAT, "its weight is computed while the model runs")
    if isinstance(node.op, Conv) and len(node.op.stride) > 2:
        return THREE_AXES
    return Decision(Form.INTEGER)


def _binary(node: Node) -> Decision:
    constants = [value for value in node.inputs if value.is_constant]
    if len(constants) == 2:
        return Decision(Form.FLOAT, "both operands are constant")
    if constants and constants[0].array().size == 1:
        return Decision(Form.TABLE)
    if isinstance(node.op, Div):
        return Decision(Form.FLOAT, "a quotient of two tensors has no form on codes")
    return Decision(Form.INTEGER)


def _product(node: Node) -> Decision:
    """Phones add up products of two activations in float32; shares of a softmax keep the sum small at any length."""
    if len(data(node)) < len(node.inputs):
        return Decision(Form.FLOAT, "one operand is constant")
    length, most = node.inputs[0].type.shape[-1], MOST_EXACT // LOWEST**2
    if are_shares(node.inputs[0]) or (isinstance(length, int) and length <= most):
        return Decision(Form.INTEGER)
    return Decision(Form.FLOAT, f"phones add up at most {most} products of two activations exactly")


def _batch_norm(node: Node) -> Decision:
    """A batch norm that folds into nothing is a convolution with one weight a channel."""
    op, rank = node.op, node.inputs[0].type.rank
    assert isinstance(op, BatchNorm)
    if rank not in (3, 4) or op.axis not in (1, rank - 1) or not all(v.is_constant for v in node.inputs[1:]):
        return Decision(Form.FLOAT, "a batch norm has a form on codes over images and sequences alone")
    return Decision(Form.INTEGER)


def _layer_norm(node: Node) -> Decision:
    op, shape = node.op, node.inputs[0].type.shape
    assert isinstance(op, LayerNorm)
    sizes = shape[len(shape) - op.axes :]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) < len(sizes) or math.prod(known) * HIGHEST**2 >= MOST_EXACT:
        return Decision(Form.FLOAT, f"sums of squares are exact for up to {MOST_EXACT // HIGHEST**2} cells")
    return Decision(Form.EXACT)


def _transposed(node: Node) -> Decision:
    """Its phases are the filters of one convolution."""
    op = node.op
    assert isinstance(op, ConvTranspose)
    if not all(value.is_constant for value in node.inputs[1:]):
        return Decision(Form.FLOAT, "its weight is computed while the model runs")
    if len(op.stride) > 2 or op.groups > 1 or any(d > 1 for d in op.dilation):
        return Decision(Form.FLOAT, "with groups, dilation or three spatial axes it has no form on codes")
    kernel = op.kernel(node.inputs[1].type)
    for k, step, (before, after) in zip(kernel, op.stride, op.padding, strict=True):
        if before < 0 or -after > -(-k // step) * step - k:
            return Decision(Form.FLOAT, "its output is padded further than its phases reach")
    return Decision(Form.INTEGER)


def _over_axes(node: Node) -> Decision:
    op, shape = node.op, node.inputs[0].type.shape
    assert isinstance(op, ReduceMean | ReduceMax)
    if len(shape) - len(op.axes) != 2 or len(op.axes) not in (1, 2):
        return Decision(Form.FLOAT, "it has a form on codes over one or two axes that leave two")
    if not all(isinstance(shape[axis], int) for axis in op.axes):
        return Decision(Form.FLOAT, "over a free size it has no form on codes")
    if not isinstance([size for axis, size in enumerate(shape) if axis not in op.axes][-1], int):
        return Decision(Form.FLOAT, "it has a form on codes where the number of channels is known")
    return Decision(Form.MOVES if isinstance(op, ReduceMax) else Form.INTEGER)
