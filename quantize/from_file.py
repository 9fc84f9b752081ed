"""`quantize_file`: what ``triport quantize`` does, from a model's file to a quantized one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..exporter.errors import UsageError
from ..exporter.given_model import graph_of
from ..exporter.graph import Array, Graph
from ..exporter.graph.atomic import check_file_name
from ..exporter.graph.npz import read_npz
from .calibrate import Calibration
from .labelled import accuracy, labelled
from .options import check_choices
from .plan import PLANNED, Plan
from .quantize import make_plan, quantize
from .recover import check_methods, rounding_of
from .store_weights import BITS, check_options
from .table import PlanRow, plan_rows


@dataclass(frozen=True)
class QuantizedFile:
    """What was made.

    rows       the plan, a row a node; empty for schemes that have none
    notices    what a user should know beside
    accuracy   what was measured for ``max_drop``, as the plan has it, and as written where other integers were chosen
               for it; empty without
    bytes      of the weights, before and after
    """

    graph: Graph
    plan: Plan | None
    rows: list[PlanRow]
    notices: tuple[str, ...]
    bytes: tuple[int, int]
    path: str | None
    accuracy: Mapping[str, Any] = field(default_factory=dict)

    @property
    def accuracy_text(self) -> str:
        """What the accuracies are, and by how many layers the bound was kept; "" where none was measured."""
        if not self.accuracy:
            return ""
        found, spared = self.accuracy, self.accuracy["spared"]
        before, all_quantized, after = (100 * found[key] for key in ("float32", "all_quantized", "as_planned"))
        layers = f"{spared} layer{'s' if spared != 1 else ''} kept float for it"
        kept = layers if spared else "no layer kept float for it, and so none was ranked"
        if "as_written" in found:
            kept += f"; {100 * found['as_written']:.2f} % as written, with other integers for the plan's scales"
        return (
            f'accuracy by the output "{found["output"]}" on {found["samples"]:,} samples: {before:.2f} % in float32, '
            f"{all_quantized:.2f} % with every layer quantized, {after:.2f} % as planned, {kept}"
        )

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
        facts: dict[str, Any] = {
            "weight_bytes": {"before": before, "after": after},
            "notices": list(self.notices),
            "path": self.path,
        }
        if self.accuracy and self.plan:
            facts |= {"accuracy": dict(self.accuracy), "sensitivity": self.plan.sensitivity}
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
    input_bits: int | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> QuantizedFile:
    """Quantizes the graph in a .triport or .pt2 file and writes it, its plan, or both.

    raises   UsageError TP005 for options that a plan, a scheme without one, or other options would ignore, TP001 for a
             file that cannot be one; what `quantize` raises

    Options are looked at before the model is read.
    """
    for name, example in ((out, "model.triport"), (plan_out, "plan.json")):
        if name is not None:
            check_file_name(name, example)
            if not (folder := Path(name).parent).is_dir():
                raise UsageError(
                    "TP001", f"{name} cannot be written: there is no folder {folder}", help="make it first"
                )
    chosen: dict[str, object] = {"observer": observer, "validation": validation, "max_drop": max_drop}
    chosen |= {"input_bits": input_bits}
    kept: dict[str, object] = {"keep_float": keep_float or None}
    data: dict[str, object] = {"calibration": calibration, "samples": samples}
    if plan is not None:
        _refuse_idle("the plan decides this already", chosen | kept | ({} if recover else data))
    if scheme in BITS:
        planned: dict[str, object] = {"plan": plan, "plan_out": plan_out, "weights": weights}
        _refuse_idle(f"scheme {scheme} looks at weights alone", planned | chosen | {"io": io})
        if BITS[scheme] == 16:
            _refuse_idle(f"scheme {scheme} looks at weights alone", data)
        elif rounding_of(recover) is None:
            _refuse_idle(f"scheme {scheme} looks at samples only with --recover gptq or adaround", data)
    _check_bound(max_drop, validation)
    check_choices(
        scheme,
        observer=observer or "minmax",
        io=io or "float32",
        weights=weights or "full",
        input_bits=input_bits or 8,
    )
    check_options(scheme, block, recover, {"calibration": calibration})
    followed = Plan.load(plan) if plan is not None else None
    if followed is not None and scheme not in ("int8", followed.scheme):
        raise UsageError(
            "TP005", f"scheme {scheme} would be ignored: the plan is for {followed.scheme}", help="leave it out"
        )
    check_methods(recover, followed.scheme if followed is not None else scheme)
    graph = graph_of(model)
    given = _labelled(Path(validation), graph) if validation is not None else None
    if followed is None and scheme in PLANNED:
        progress("calibrating" if max_drop is None else "calibrating, and measuring accuracy")
        followed = make_plan(
            graph,
            scheme,
            calibration=calibration,
            samples=samples,
            observer=observer or "minmax",
            keep_float=keep_float,
            io=io or "float32",
            equalized="equalize" in recover,
            validation=given,
            max_drop=max_drop,
            weights=weights or "full",
            input_bits=input_bits or 8,
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
    measured = followed.accuracy if followed is not None and max_drop is not None else {}
    if given is not None and set(recover) - {"equalize"}:
        measured = measured | {"as_written": accuracy(quantized, *labelled(graph, given))}
    return QuantizedFile(quantized, followed, rows, quantized.notices, sizes, str(out) if out else None, measured)


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


def _check_bound(max_drop: float | None, validation: str | Path | None) -> None:
    """`options.check_bound` in the words of the command line."""
    if validation is not None and max_drop is None:
        raise UsageError(
            "TP005",
            "--validation would be ignored: accuracy is measured where its loss is bounded",
            help="say how many points may be lost, --max-drop 0.5, or leave out --validation",
        )
    if max_drop is not None and validation is None:
        raise UsageError(
            "TP051",
            "--max-drop needs samples with labels",
            help="--validation FILE.npz, which holds an array for each input and one of labels",
        )


def _refuse_idle(because: str, options: dict[str, object]) -> None:
    given = [name.replace("_", "-") for name, value in options.items() if value is not None]
    if given:
        raise UsageError("TP005", f"--{given[0]} would be ignored: {because}", help=f"leave out --{given[0]}")
