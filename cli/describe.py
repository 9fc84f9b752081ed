"""``triport describe``"""

from __future__ import annotations

import click

from .console import say


@click.command("describe")
@click.argument("model", type=click.Path())
@click.option("-o", "--out", required=True, metavar="FILE.triport", help="Where the described model goes.")
@click.option("--labels", metavar="FILE", help="Names of the classes: a text file with one a line, or .json.")
@click.option(
    "--preprocessing",
    metavar="KEYS",
    help='How pictures become inputs: "mean=0.5 std=0.25 channels=bgr", or a .json file with the same keys.',
)
@click.option("--name", metavar="NAME", help="What the model is called: in pages, packages and reports.")
def command(model: str, out: str, labels: str | None, preprocessing: str | None, name: str | None) -> None:
    """Write into MODEL what it and its classes are called and how its pictures are prepared.

    MODEL is a .triport or .pt2 file. What is written travels with it: `quantize` prepares calibration pictures so, and
    the browser bundle's fromImage and topK do the same on a page. docs/web-images.md lists the keys.
    """
    from ..exporter.describe import describe_file
    from ..runtime_checks import inspect

    described = describe_file(model, out, labels=labels, preprocessing=preprocessing, name=name)
    if name is not None:
        click.echo(f"name: {described.name}")
    for line in inspect(out).described:
        click.echo(line)
    say(f"written to {out}")
