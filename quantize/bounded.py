"""Which layers have to stay float so that accuracy drops by no more than so many points.

Where too much is lost with all of them quantized, each layer is quantized alone, and ranked by the noise that it alone
brings to the model's outputs. Then as few as possible of the worst stay float: 1, 2, 4 … until the drop is within the
bound, and fewer by bisection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from ..exporter.errors import CheckError
from ..exporter.graph import Array, Graph
from .apply import apply
from .engine import Engine
from .forms import Form
from .plan import Plan
from .settle import Calibrated
from .writer import WeightRule

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """What quantizing one layer alone does to the model's outputs.

    sqnr     signal to noise, in decibels
    cosine   similarity of the outputs to the float model's
    share    of the noise that all layers bring one by one
    """

    node: str
    sqnr: float
    cosine: float
    share: float

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dumps; sqnr is None where there is no noise."""
        return asdict(self) | {"sqnr": self.sqnr if isfinite(self.sqnr) else None}


@dataclass(frozen=True)
class Bounded:
    """The plan that keeps within the bound, and why it keeps float what it does.

    sensitivity   every layer's, the one that harms most first; empty where the bound holds with nothing kept float
    base     accuracy of the float model, 0 … 1
    drop     points (hundredths) of accuracy lost against it, by the plan and with nothing kept float
    spared   how many layers stay float for it
    """

    plan: Plan
    sensitivity: tuple[Sensitivity, ...]
    base: float
    drop: float
    drop_of_all: float
    spared: int


def sensitivity(
    calibrated: Calibrated, batches: Sequence[Mapping[str, Array]], filters: WeightRule | None = None
) -> tuple[Sensitivity, ...]:
    """Every layer that can be integer, the one that harms most first."""
    graph = calibrated.graph
    truth = _outputs(graph, batches)
    layers = [node for node, d in calibrated.decisions().items() if d.form in (Form.INTEGER, Form.EXACT)]
    noise: dict[str, tuple[float, float, float]] = {}
    for layer in layers:
        others = {node.name: "another layer is looked at" for node in graph.nodes if node is not layer}
        alone = apply(graph, calibrated.plan(others), filters=filters)
        got = _outputs(alone, batches)
        power = float(((truth - got) ** 2).sum())
        cosine = float((truth * got).sum() / max(np.sqrt((truth**2).sum() * (got**2).sum()), 1e-30))
        noise[layer.name] = power, float((truth**2).sum()), cosine
    total = sum(power for power, _, _ in noise.values()) or 1.0
    found = [
        Sensitivity(name, 10 * float(np.log10(signal / power)) if power else float("inf"), cosine, power / total)
        for name, (power, signal, cosine) in noise.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.share))


def bounded(
    calibrated: Calibrated,
    measure: Callable[[Graph], float],
    batches: Sequence[Mapping[str, Array]],
    max_drop: float,
    filters: WeightRule | None = None,
) -> Bounded:
    """The plan that keeps the fewest layers float and loses at most ``max_drop`` points of accuracy.

    measure   the accuracy of a graph, 0 … 1
    batches   samples by which layers are ranked
    raises    CheckError TP055 when not even the float layers that are left lose so little
    """
    base = measure(calibrated.graph)

    def drop_of(plan: Plan) -> float:
        return 100 * (base - measure(apply(calibrated.graph, plan, filters=filters)))

    whole = calibrated.plan()
    drop_of_all = drop_of(whole)
    if drop_of_all <= max_drop:
        return Bounded(whole, (), base, drop_of_all, drop_of_all, 0)
    ranked = sensitivity(calibrated, batches, filters)

    def keeping(count: int) -> tuple[Plan, float]:
        reasons = {
            one.node: f"alone it brings {100 * one.share:.0f} % of the noise ({one.sqnr:.1f} dB)"
            for one in ranked[:count]
        }
        plan = calibrated.plan(reasons)
        return plan, drop_of(plan)

    lost, count = 0, 1
    while (found := keeping(min(count, len(ranked))))[1] > max_drop:
        if count >= len(ranked):
            raise CheckError(
                "TP055",
                f"accuracy drops by {found[1]:.2f} points with every layer kept float, allowed are {max_drop:g}",
                help="give more samples to measure by, or allow a larger drop",
            )
        lost, count = count, count * 2
    best, kept = found, min(count, len(ranked))
    while kept - lost > 1:
        middle = (kept + lost) // 2
        tried = keeping(middle)
        if tried[1] <= max_drop:
            best, kept = tried, middle
        else:
            lost = middle
    return Bounded(best[0], ranked, base, best[1], drop_of_all, kept)


def _outputs(graph: Graph, batches: Sequence[Mapping[str, Array]]) -> Floats:
    """All float outputs on all batches, one after the other."""
    engine = Engine(graph)
    parts = [array.astype(np.float64).reshape(-1) for batch in batches for array in engine.answers(batch).values()]
    return np.concatenate(parts)
