"""``triport diff``"""

from __future__ import annotations

import click

from .console import print_json, say


@click.command("diff")
@click.argument("before", type=click.Path())
@click.argument("after", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the lines as JSON.")
def command(before: str, after: str, as_json: bool) -> None:
    """Say what the quantization plan AFTER does otherwise than BEFORE, both of `triport quantize --plan-out`."""
    from ..quantize import Plan

    lines = list(Plan.load(before).difference(Plan.load(after)))
    if as_json:
        print_json(lines)
        return
    for line in lines:
        click.echo(line)
    if not lines:
        say("both plans decide the same")
