"""What is wrong with the scales of a plan that was edited, and which would do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from ..exporter.errors import UsageError
from ..exporter.graph import Node
from ..exporter.ops import Add, Sub
from ..exporter.ops.quantized import MOST_WEIGHT, whole_weights
from .arithmetic import STEP, SUM_RATIOS, TRIES
from .groups import Group
from .sums import MOST_STEPS, NEAR

TRIED = 256
"""Scales, the nearest first, that are checked before none is named."""


def unsafe_scales(node: Node, groups: Mapping[str, Group], is_safe: Callable[[], bool]) -> UsageError:
    """TP052 for a node that runtimes would round in different ways, with the nearest scale at which they do not.

    groups    {value name: its scale and zero point in the plan, and the values that have to share them}
    is_safe   whether the node is, and what it is bound to, with what the groups have now
    """
    if isinstance(node.op, Add | Sub) and all(value.name in groups for value in node.inputs):
        return _unsafe_sum(node, groups, is_safe)
    name = node.output.name
    scale = groups[name].quantization.scale
    found = _first_safe(groups[name], (scale * (1 + count * STEP) for count in range(TRIES)), is_safe)
    return _tie(node, found, groups)


def _unsafe_sum(node: Node, groups: Mapping[str, Group], is_safe: Callable[[], bool]) -> UsageError:
    names, out = [value.name for value in node.inputs], groups[node.output.name]
    a, b = (groups[name] for name in names)
    if whole_weights(a.quantization, b.quantization) is None:
        return _no_ratio(node, names, groups, is_safe)
    scale, least, most = out.quantization.scale, *SUM_RATIOS
    ratios = {name: groups[name].quantization.scale / scale for name in names}
    of = a.quantization.scale, b.quantization.scale
    fitting = (to for to in _results_of(a, b, scale) if max(of) / most <= to <= min(of) / least)
    found = _first_safe(out, _nearest(scale, fitting), is_safe)
    far = next((name for name, ratio in ratios.items() if not least <= ratio <= most * (1 + 2**-22)), None)
    if far is None:
        return _tie(node, found, groups)
    return UsageError(
        "TP052",
        f'the plan\'s scale of "{far}" is {ratios[far]:.4g} times that of "{node.output.name}", the result of '
        f"{node.describe()}: from 1/{round(1 / least)} to {most:g} times is what kernels for sums are made for",
        at=str(node.source) or None,
        help=_take(found, groups[node.output.name]),
    )


def _no_ratio(node: Node, names: list[str], groups: Mapping[str, Group], is_safe: Callable[[], bool]) -> UsageError:
    """Names the operand whose scale has the shorter way to one that is safe."""
    scales = {name: groups[name].quantization.scale for name in names}
    result = groups[node.output.name].quantization.scale
    found: dict[str, float] = {}
    for name, other in zip(names, reversed(names), strict=True):
        nearest = _nearest(scales[name], _operands_beside(scales[other], result))
        safe = _first_safe(groups[name], nearest, is_safe)
        if safe is not None:
            found[name] = safe
    wrong = min(found, key=lambda name: abs(math.log(found[name] / scales[name])), default=names[1])
    other = names[1 - names.index(wrong)]
    return UsageError(
        "TP052",
        f'the plan\'s scale of "{wrong}", {scales[wrong]!r}, is {scales[wrong] / scales[other]:.6g} times that of '
        f'"{other}", {scales[other]!r}, and {node.describe()} works on both: their ratio has to be one of two whole '
        f"numbers up to {MOST_WEIGHT}",
        at=str(node.source) or None,
        help=_take(found.get(wrong), groups[wrong]),
    )


def _tie(node: Node, found: float | None, groups: Mapping[str, Group]) -> UsageError:
    return UsageError(
        "TP052",
        f'at the plan\'s scale of "{node.output.name}" results of {node.describe()} come so near to half a '
        "step that runtimes would round them in different ways",
        at=str(node.source) or None,
        help=_take(found, groups[node.output.name]),
    )


def quoted(group: Group) -> str:
    """The values of a group."""
    *others, last = (f'"{name}"' for name in group.members)
    return f"{', '.join(others)} and {last}" if others else last


def _take(found: float | None, group: Group) -> str:
    return f"take {found!r} for {quoted(group)}, or calibrate again" if found is not None else "calibrate again"


def _first_safe(group: Group, scales: Iterable[float], is_safe: Callable[[], bool]) -> float | None:
    """The first scale with which the node is safe; the group has its own again afterwards."""
    before = group.quantization
    try:
        for scale in (float(np.float32(scale)) for scale in scales):
            group.quantization = replace(before, scale=scale)
            if is_safe():
                return scale
        return None
    finally:
        group.quantization = before


def _nearest(scale: float, candidates: Iterable[float]) -> list[float]:
    return sorted(set(candidates), key=lambda one: abs(math.log(one / scale)))[:TRIED]


def _results_of(a: Group, b: Group, scale: float) -> Iterable[float]:
    """Odd multiples of the unit that both operands are multiples of, and what lies around the scale (sums.py)."""
    weights = whole_weights(a.quantization, b.quantization)
    assert weights is not None
    for parts in range(1, MOST_WEIGHT // max(weights) + 1):
        unit = a.quantization.scale / weights[0] / parts
        yield from (unit * steps for steps in range(1, MOST_STEPS + 1, 2))
    yield from (scale * (1 + count * STEP) for count in range(TRIED // 2))


def _operands_beside(other: float, result: float) -> Iterable[float]:
    """Whole multiples of a unit of which the other operand is one, too, and the result an odd one."""
    for p in range(1, MOST_WEIGHT + 1):
        steps = result / other * p
        if round(steps) % 2 and abs(steps / round(steps) - 1) < NEAR:
            yield from (other * q / p for q in range(1, MOST_WEIGHT + 1))
