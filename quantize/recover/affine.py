"""Keeps scale and mean of what each filter answers, layer by layer. With y the float output and q that of the quantized
layer behind quantized layers, the line a q + b that comes nearest to y has

    a = cov(y, q) / var(q)        b = mean(y) - a mean(q)

The scales of a layer's filters take a, its bias b: no code changes, and nothing is added to what runs. Where layers
carry much noise on, outputs are too large by it, and a is below 1. A line through few samples is uncertain, so that
both are drawn towards what they are now by their standard errors, in which all cells of one sample count once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...exporter.graph import Array, Graph, Node, Quantization, Value
from ...exporter.graph.bind import bind_sizes
from ...exporter.ops import Activation, Conv, Linear
from ...exporter.ops.quantized import HIGHEST, LOWEST
from ..calibrate import is_free
from ..fine_inputs import FINER, fine_values_of
from ..forms import Form
from ..plan import Plan
from ..weights import LEAST_FACTOR, MOST_BIAS, MOST_FACTOR, Filters
from ..writer import WeightRule
from .layers import Floats, check_reads, no_samples

if TYPE_CHECKING:
    from torch import Tensor

CELLS = 2**25
"""Cells of the largest value on all samples together: so many are looked at, and no more. What a node reads and what
it answers are held at a time, float and coded: some four such values of 4 bytes a cell."""

FEWEST = 2
"""Samples of which something can be told."""

SLOPES = (0.5, 2.0)


@dataclass
class _Pair:
    """A value on one batch: in float32, and as the quantized graph has it."""

    exact: Tensor
    coded: Tensor


def lines(graph: Graph, plan: Plan, batches: Iterable[Mapping[str, Array]], rule: WeightRule) -> dict[str, Filters]:
    """{name of a layer on codes: its filters, at the scales and biases that keep its outputs}; of less than `FEWEST`
    samples none.

    graph    canonical, and the one that ``plan`` is for
    rule     chooses the codes
    raises   UsageError TP051 when there are no samples, or a layer reads NaN or infinity in float32
    """
    import torch

    given, sizes = _few(graph, batches)
    if not given:
        raise no_samples()
    if sum(map(_rows, given)) < FEWEST:
        return {}
    found: dict[str, Filters] = {}
    values: dict[Value, list[_Pair]] = {}
    fine = fine_values_of(graph, plan)
    with torch.no_grad():
        for value in graph.inputs:
            tensors = [torch.from_numpy(np.require(batch[value.name], requirements=["C", "W"])) for batch in given]
            values[value] = [_Pair(x, x) for x in tensors]
        last = {value: node for node in graph.nodes for value in node.inputs}
        for node in graph.nodes:
            operands = (_operands(node, plan, fine, values, i) for i in range(len(given)))
            if isinstance(node.op, Conv | Linear) and plan.nodes[node.name].form is Form.INTEGER:
                made, results = _layer(node, plan, operands, rule)
                found[node.name] = made
                values[node.output] = results
            else:
                for value, pairs in zip(node.outputs, _results(node, plan, operands, sizes), strict=True):
                    values[value] = pairs
            for value in {value for value in node.inputs if last[value] is node}:
                values.pop(value, None)
    return found


def _few(
    graph: Graph, batches: Iterable[Mapping[str, Array]]
) -> tuple[list[Mapping[str, Array]], list[Mapping[str, int]]]:
    """The first samples, as many as `CELLS` allows and at least `FEWEST`, and the sizes of free dims in each batch."""
    given: list[Mapping[str, Array]] = []
    sizes: list[Mapping[str, int]] = []
    free = is_free({value.name: value.type for value in graph.inputs})
    left = CELLS
    for batch in batches:
        cells, rows = _largest(graph, bind_sizes(graph, batch)), _rows(batch)
        fewest = 0 if given else FEWEST
        if free and cells > left and rows > fewest:
            rows = max(rows * left // cells, fewest)
            batch = {name: array[:rows] for name, array in batch.items()}
        if given and (not rows or (cells > left and not free)):
            break
        given.append(batch)
        sizes.append(bind_sizes(graph, batch))
        left -= cells
        if left <= 0:
            break
    return given, sizes


def _rows(batch: Mapping[str, Array]) -> int:
    return next((len(array) for array in batch.values() if array.ndim), 1)


def _largest(graph: Graph, sizes: Mapping[str, int]) -> int:
    """Cells of the largest value."""
    shapes = (value.type.evaluate(sizes) for node in graph.nodes for value in node.outputs)
    return max((int(np.prod(shape)) for shape in shapes), default=0)


def _operands(
    node: Node, plan: Plan, fine: Sequence[Value], values: Mapping[Value, Sequence[_Pair]], batch: int
) -> list[_Pair]:
    """What a node reads, float and as it is in the quantized graph, rounded where it reads codes (``fine``: to two)."""
    import torch

    found = []
    for value in node.inputs:
        if value.is_constant:
            array = torch.from_numpy(np.array(value.array()))
            pair = _Pair(array, array)
        else:
            pair = values[value][batch]
        planned = plan.values.get(value.name) if plan.nodes[node.name].form is not Form.FLOAT else None
        if planned is not None:
            high = _rounded(pair.coded, planned.quantization)
            low = _rounded((pair.coded - high) * FINER, planned.quantization) / FINER if value in fine else 0.0
            pair = _Pair(pair.exact, high + low)
        found.append(pair)
    return found


def _results(
    node: Node, plan: Plan, operands: Iterable[Sequence[_Pair]], sizes: Sequence[Mapping[str, int]]
) -> list[list[_Pair]]:
    """Of a node with nothing to be found: the op in float32 on both, the one rounded to codes where it gives these."""
    from ...exporter.reference.registry import compute

    found: list[list[_Pair]] = [[] for _ in node.outputs]
    on_codes = plan.nodes[node.name].form is not Form.FLOAT
    for pairs, bound in zip(operands, sizes, strict=True):
        exact = compute(node.op, [pair.exact for pair in pairs], bound)
        coded = compute(node.op, [pair.coded for pair in pairs], bound)
        for value, into, x, y in zip(node.outputs, found, exact, coded, strict=True):
            planned = plan.values.get(value.name) if on_codes else None
            into.append(_Pair(x, y if planned is None else _rounded(y, planned.quantization)))
    return found


def _layer(
    node: Node, plan: Plan, operands: Iterable[Sequence[_Pair]], rule: WeightRule
) -> tuple[Filters, list[_Pair]]:
    """The filters of a layer and what it answers with them."""
    import torch

    from ...exporter.reference.registry import compute

    op = node.op
    assert isinstance(op, Conv | Linear)
    of, to = plan.values[node.inputs[0].name].quantization, plan.values[node.output.name].quantization
    made = rule(node, of, to)
    steps = made.scale.reshape(-1, *[1] * (made.codes.ndim - 1))
    weight = torch.from_numpy(made.codes.astype(np.float32) * steps)
    bias = torch.from_numpy((made.bias * (of.scale * made.scale.astype(np.float64))).astype(np.float32))
    plain = replace(op, activation=Activation.NONE)
    sums = []
    for pairs in operands:
        check_reads(node, pairs[0].exact.numpy())
        (exact,) = compute(plain, [pair.exact for pair in pairs], {})
        (coded,) = compute(plain, [pairs[0].coded, weight, bias], {})
        sums.append(_Pair(exact, coded))
    axis = op.layout.channel_axis(node.output.type.rank) if isinstance(op, Conv) else node.output.type.rank - 1
    made, slope, offset = _moved(made, *_line(sums, axis), of, to)
    shape = [-1 if i == axis else 1 for i in range(node.output.type.rank)]
    a, b = (torch.from_numpy(array.astype(np.float32)).reshape(shape) for array in (slope, offset))
    low = float("-inf") if op.activation is Activation.NONE else 0.0
    high = 6.0 if op.activation is Activation.RELU6 else float("inf")
    for i, pair in enumerate(sums):  # in place: no more is held than has to be
        coded = pair.coded.mul_(a).add_(b).clamp_(low, high)
        sums[i] = _Pair(pair.exact.clamp_(low, high), _rounded(coded, to))
    return made, sums


def _moved(
    made: Filters, slope: Floats, offset: Floats, of: Quantization, to: Quantization
) -> tuple[Filters, Floats, Floats]:
    """The same codes at other scales, and the lines that these draw.

    A filter whose bias has no room at the smaller scale keeps its own: a scale that is large for the bias' sake is that
    of weights near 0, whose outputs hardly move.
    """
    least, most = (factor * to.scale / of.scale for factor in (LEAST_FACTOR, MOST_FACTOR))
    before = made.scale.astype(np.float64)
    scale = np.clip(before * slope, least, most).astype(np.float32)
    bias = np.rint((made.bias * before * of.scale * slope + offset) / (of.scale * scale.astype(np.float64)))
    fits = np.abs(bias) <= MOST_BIAS
    scale, bias = np.where(fits, scale, made.scale), np.where(fits, bias, made.bias)
    moved = replace(made, scale=scale, bias=bias.astype(np.int32))
    return moved, np.where(fits, slope, 1.0), np.where(fits, offset, 0.0)


def _line(sums: Sequence[_Pair], axis: int) -> tuple[Floats, Floats]:
    """Slope and offset of each channel, [C] each; 1 and 0 where codes become NaN or infinity, as a quotient of two that
    round to 0."""
    samples = sum(len(pair.exact) for pair in sums)
    count = sum(pair.exact.numel() // pair.exact.shape[axis] for pair in sums)
    mean_y, mean_q = (
        np.sum([_total(_channels(part, axis)) for part in parts], axis=0) / count
        for parts in ([pair.exact for pair in sums], [pair.coded for pair in sums])
    )
    yy = qq = yq = np.zeros(len(mean_y))
    for pair in sums:
        dy, dq = _channels(pair.exact, axis) - _column(mean_y), _channels(pair.coded, axis) - _column(mean_q)
        yy, qq, yq = yy + _total(dy * dy), qq + _total(dq * dq), yq + _total(dy * dq)
    sound = np.isfinite(mean_y) & np.isfinite(mean_q) & np.isfinite(yy) & np.isfinite(qq) & np.isfinite(yq)
    yy, qq, yq, mean_y, mean_q = (np.where(sound, moment, 0.0) for moment in (yy, qq, yq, mean_y, mean_q))
    moves = qq > 0
    found = np.divide(yq, qq, out=np.ones_like(qq), where=moves)
    left = np.maximum(yy - found * yq, 0.0) / count  # variance of what is no line
    error = np.divide(left * count, qq * samples, out=np.zeros_like(qq), where=moves)
    slope = np.clip(1 + _drawn(found - 1, error), *SLOPES)
    shift = _drawn(mean_y - mean_q, left / samples)
    return slope, shift + mean_q * (1 - slope)


def _drawn(found: Floats, variance: Floats) -> Floats:
    """What was found, the nearer to 0 the less certain it is."""
    square = found * found
    drawn: Floats = found * np.divide(square, square + variance, out=np.zeros_like(square), where=square > 0)
    return drawn


def _channels(x: Tensor, axis: int) -> Tensor:
    """[C, cells]"""
    return x.movedim(axis, 0).reshape(x.shape[axis], -1)


def _total(x: Tensor) -> Floats:
    return np.asarray(x.sum(1).numpy(), np.float64)


def _column(mean: Floats) -> Tensor:
    import torch

    return torch.from_numpy(mean.astype(np.float32))[:, None]


def _rounded(x: Tensor, to: Quantization) -> Tensor:
    """To the values that have codes; a whole number, which no code stands for, stays."""
    if not x.dtype.is_floating_point:
        return x
    codes = (x * float(np.float32(1 / to.scale))).round_().add_(to.zero_point).clamp_(LOWEST, HIGHEST)
    return codes.sub_(to.zero_point).mul_(to.scale)
