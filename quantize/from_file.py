"""`quantize_file`: what ``triport quantize`` does, from a model's file to a quantized one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..exporter.errors import UsageError
from ..exporter.given_model import graph_of
from ..exporter.graph import Array, Graph
from ..exporter.graph.npz import read_npz
from .calibrate import Calibration
from .plan import PLANNED, Plan
from .quantize import SCHEMES, make_plan, quantize
from .table import PlanRow, plan_rows


@dataclass(frozen=True)
class QuantizedFile:
    """What was made.

    rows       the plan, a row a node; empty for schemes that have none
    notices    what a user should know beside
    bytes      of the weights, before and after
    """

    graph: Graph
    plan: Plan | None
    rows: list[PlanRow]
    notices: tuple[str, ...]
    bytes: tuple[int, int]
    path: str | None

    @property
    def summary(self) -> str:
        """One sentence: forms, sizes, and where it was written."""
        counts = self.plan.counts() if self.plan else {}
        forms = ", ".join(f"{count} {form}" for form, count in counts.items())
        before, after = self.bytes
        share = f" ({after / before:.2f}x)" if before else ""
        sizes = f"weights {before:,} → {after:,} bytes{share}"
        where = f"written to {self.path}" if self.path else "the model was not written: name a file with -o"
        return "; ".join(filter(None, (f"nodes: {forms}" if forms else "", sizes, where)))

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dumps."""
        nodes = [
            {
                "name": row.node,
                "op": row.op,
                "form": row.form,
                "scale": row.quantization.scale if row.quantization else None,
                "zero_point": row.quantization.zero_point if row.quantization else None,
                "range": list(row.range) if row.range else None,
                "reason": row.reason,
            }
            for row in self.rows
        ]
        before, after = self.bytes
        facts = {"weight_bytes": {"before": before, "after": after}, "notices": list(self.notices), "path": self.path}
        return dict(self.graph.metadata["quantization"]) | facts | {"plan": nodes}


def quantize_file(
    model: str | Path | Graph,
    out: str | Path | None = None,
    scheme: str = "int8",
    *,
    calibration: Calibration | None = None,
    samples: int | None = None,
    observer: str | None = None,
    keep_float: Sequence[str] = (),
    recover: Sequence[str] = (),
    io: str | None = None,
    validation: str | Path | None = None,
    max_drop: float | None = None,
    plan: str | Path | None = None,
    plan_out: str | Path | None = None,
    weights: str | None = None,
    block: int | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> QuantizedFile:
    """Quantizes the graph in a .triport or .pt2 file and writes it, its plan, or both.

    raises   UsageError TP005 for options that a plan, or a scheme without one, would ignore; what `quantize` raises
    """
    chosen: dict[str, object] = {"observer": observer, "validation": validation, "max_drop": max_drop}
    kept: dict[str, object] = {"keep_float": keep_float or None}
    data: dict[str, object] = {"calibration": calibration, "samples": samples}
    if plan is not None:
        _refuse_idle("the plan decides this already", chosen | kept | ({} if recover else data))
    if scheme in SCHEMES and scheme not in PLANNED:
        planned: dict[str, object] = {"plan": plan, "plan_out": plan_out, "weights": weights}
        _refuse_idle(f"scheme {scheme} looks at weights alone", planned | chosen | {"io": io})
    graph = graph_of(model)
    followed: Plan | None = None
    if plan is not None:
        followed = Plan.load(plan)
    elif scheme in PLANNED:
        progress("calibrating")
        followed = make_plan(
            graph,
            scheme,
            calibration=calibration,
            samples=samples,
            observer=observer or "minmax",
            keep_float=keep_float,
            io=io or "float32",
            equalized="equalize" in recover,
            validation=_labelled(Path(validation), graph) if validation is not None else None,
            max_drop=max_drop,
            weights=weights or "full",
        )
    progress("quantizing")
    if followed is None:
        quantized = quantize(
            graph,
            scheme,
            keep_float=keep_float,
            block=block,
            recover=recover,
            calibration=calibration,
            samples=samples,
        )
    else:
        quantized = quantize(
            graph,
            scheme,
            plan=followed,
            io=io,
            recover=recover,
            calibration=calibration,
            samples=samples,
            weights=weights or "full",
            block=block,
        )
    if plan_out is not None and followed is not None:
        followed.save(plan_out)
    if out is not None:
        quantized.save(out)
    rows = plan_rows(graph, followed) if followed else []
    sizes = graph.stored_bytes(), quantized.stored_bytes()
    return QuantizedFile(quantized, followed, rows, quantized.notices, sizes, str(out) if out else None)


def _labelled(path: Path, graph: Graph) -> tuple[dict[str, Array], Array]:
    """Samples by the inputs' names, and their labels: the only other array of an .npz file."""
    arrays = read_npz(path)
    inputs = [value.name for value in graph.inputs]
    others = [name for name in arrays if name not in inputs]
    if len(others) != 1 or set(inputs) - set(arrays):
        raise UsageError(
            "TP051",
            f"{path} has to hold {', '.join(inputs)} and one array of labels",
            because=f"it holds {', '.join(arrays) or 'nothing'}",
            help="np.savez(path, " + "".join(f"{name}=array, " for name in inputs) + "labels=labels)",
        )
    return {name: arrays[name] for name in inputs}, arrays[others[0]]


def _refuse_idle(because: str, options: dict[str, object]) -> None:
    given = [name.replace("_", "-") for name, value in options.items() if value is not None]
    if given:
        raise UsageError("TP005", f"--{given[0]} would be ignored: {because}", help=f"leave out --{given[0]}")
