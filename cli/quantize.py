"""``triport quantize``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..exporter.errors import UsageError
from .console import names, print_json, print_table, say

if TYPE_CHECKING:
    from ..quantize import PlanRow


@click.command("quantize")
@click.argument("model", type=click.Path())
@click.option("-o", "--out", metavar="FILE.triport", help="Where the quantized model goes.")
@click.option("--scheme", default="int8", show_default=True, help="int8, or weights alone: see docs/quantization.md.")
@click.option("--strict", is_flag=True, help="int8: the same integers in LiteRT without XNNPACK, too.")
@click.option(
    "--calibration", metavar="DATA", help="Real samples: an .npz, .npy or .csv file, or a folder of arrays or images."
)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Take at most so many of them.")
@click.option("--observer", metavar="NAME", help="minmax (default), moving-average, percentile, mse or entropy.")
@click.option("--keep-float", metavar="PATTERNS", help='Nodes or layers that stay float: "head*,stem".')
@click.option("--recover", metavar="METHODS", help="Against a loss of accuracy: equalize,affine,bias,gptq,adaround.")
@click.option(
    "--weights", metavar="NAME", help="full (default), or paired: coarser, and faster in ONNX Runtime on x86."
)
@click.option(
    "--max-drop", type=click.FloatRange(0), metavar="POINTS", help="Keep layers float until accuracy falls by no more."
)
@click.option("--validation", metavar="FILE.npz", help="By what accuracy is measured: the inputs, and labels.")
@click.option(
    "--io", type=click.Choice(["float32", "int8", "uint8"]), help="What inputs and outputs are.  [default: float32]"
)
@click.option(
    "--block", type=int, metavar="N", help="int4-weights: weights that share a step.  [default: 64; 0: a filter]"
)
@click.option(
    "--input-bits",
    type=click.Choice(["8", "12"]),
    help="Of float inputs that layers read: one code or two.  [default: 8]",
)
@click.option("--plan", "plan_file", metavar="FILE.json", help="Follow this plan; nothing is calibrated.")
@click.option("--plan-out", metavar="FILE.json", help="Write the plan, to be read, edited and followed again.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(
    model: str,
    out: str | None,
    scheme: str,
    strict: bool,
    calibration: str | None,
    samples: int | None,
    observer: str | None,
    keep_float: str | None,
    recover: str | None,
    weights: str | None,
    max_drop: float | None,
    validation: str | None,
    io: str | None,
    block: int | None,
    input_bits: str | None,
    plan_file: str | None,
    plan_out: str | None,
    as_json: bool,
) -> None:
    """Quantize MODEL, a .triport or .pt2 file, so that its integers are the same on every port.

    The plan is shown: the form of each node, the scale of its result, and why it stays float where it does. Without
    --out and --plan-out nothing is written.
    """
    from ..quantize import quantize_file

    if strict:
        if scheme not in ("int8", "int8-strict"):
            raise UsageError(
                "TP005", f"--strict would be ignored: scheme {scheme} looks at weights alone", help="leave it out"
            )
        scheme = "int8-strict"
    done = quantize_file(
        model,
        out,
        scheme,
        calibration=calibration,
        samples=samples,
        observer=observer,
        keep_float=names("--keep-float", keep_float) or (),
        recover=names("--recover", recover) or (),
        weights=weights,
        max_drop=max_drop,
        validation=validation,
        io=io,
        block=block,
        input_bits=int(input_bits) if input_bits else None,
        plan=plan_file,
        plan_out=plan_out,
        progress=say,
    )
    if as_json:
        print_json(done.to_json())
    elif done.rows:
        head = ["node", "op", "form", "scale", "zero point", "range", "why it stays float"]
        print_table(head, [_cells(row) for row in done.rows], numbers=frozenset({3, 4}))
    if done.plan and done.plan.sensitivity and not as_json:
        head = list(done.plan.sensitivity[0])
        print_table(head, [[_fact(entry.get(key)) for key in head] for entry in done.plan.sensitivity])
    if done.accuracy_text:
        say(done.accuracy_text)
    for notice in done.notices:
        say(f"note: {notice}")
    say(done.summary)


def _fact(fact: object) -> str:
    return f"{fact:.4g}" if isinstance(fact, float) else "" if fact is None else str(fact)


def _cells(row: PlanRow) -> list[Any]:
    scale, zero_point = (
        (f"{row.quantization.scale:.6g}", str(row.quantization.zero_point)) if row.quantization else ("", "")
    )
    seen = f"{row.range[0]:.4g} … {row.range[1]:.4g}" if row.range else ""
    return [row.node, row.op, row.form, scale, zero_point, seen, row.reason]
