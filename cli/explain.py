"""``triport explain``"""

from __future__ import annotations

import textwrap

import click

from ..exporter.error_catalog import CATALOG
from ..exporter.errors import UsageError


@click.command("explain")
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """Say what error CODE (such as TP103) means and what to do; without CODE, list all of them."""
    if code is None:
        for known in sorted(CATALOG):
            click.echo(f"{known}  {CATALOG[known].title}")
        return
    entry = CATALOG.get(code.upper())
    if entry is None:
        raise UsageError("TP001", f"there is no error code {code!r}", help="triport explain lists all of them")
    click.echo(f"{code.upper()}: {entry.title}\n")
    click.echo(textwrap.fill(entry.explanation, 88))
