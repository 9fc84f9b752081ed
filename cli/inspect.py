"""``triport inspect``"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .console import print_json, print_table, say

if TYPE_CHECKING:
    from ..runtime_checks import Summary


@click.command("inspect")
@click.argument("path", type=click.Path())
@click.option("--values", is_flag=True, help="List what every value of a quantized .triport file stands for.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(path: str, values: bool, as_json: bool) -> None:
    """Say what PATH holds: a .triport, .pt2, .onnx or .tflite file, a browser bundle, or an export folder."""
    from ..runtime_checks import inspect

    summary = inspect(path)
    if as_json:
        print_json(summary.to_json())
        return
    for i, part in enumerate([summary, *summary.parts]):
        if i:
            click.echo()
        _show(part)
    if values and summary.values:
        click.echo()
        rows = [
            [value.name, value.dtype, ", ".join(map(str, value.shape)), value.quantization] for value in summary.values
        ]
        print_table(["value", "dtype", "shape", "stands for"], rows)
    elif values:
        say("no value in it holds codes, or the file does not name them: inspect the .triport file")


def _show(summary: Summary) -> None:
    from ..runtime_checks.wording import bytes_text

    count = f"{summary.parameters:,}, " if summary.parameters is not None else ""
    ops = ", ".join(f"{count} {op}" for op, count in summary.ops.items())
    needs = ", ".join(f"{what} {version}" for what, version in summary.needs.items())
    facts = {
        "file": f"{summary.path} ({summary.kind}, {bytes_text(summary.bytes)})",
        "model": " by ".join(filter(None, (summary.name, summary.producer))),
        "inputs": "\n".join(map(str, summary.inputs)),
        "outputs": "\n".join(map(str, summary.outputs)),
        "sizes": "\n".join(summary.sizes()),
        "described": "\n".join(summary.described),
        "weights": f"{count}{bytes_text(summary.weight_bytes)}",
        "quantized": summary.quantization,
        "needs": needs,
        "ops": ops,
        "notices": "\n".join(summary.notices),
    }
    print_table(["", ""], [[name, text] for name, text in facts.items() if text])
