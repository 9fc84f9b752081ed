"""``triport doctor``"""

from __future__ import annotations

import click

from .console import print_json, print_table


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(as_json: bool) -> None:
    """Say what is installed here, which ports can be verified, and how to install what is missing."""
    from ..runtime_checks.doctor import doctor

    diagnosis = doctor()
    if as_json:
        print_json(diagnosis.to_json())
        return
    rows = [[c.name, c.version or "missing", c.use, c.install] for c in diagnosis.components]
    print_table(["what", "version", "used for", "install with"], rows)
    click.echo()
    ports = [
        [port, f"cannot be verified here: {gap}" if gap else "can be verified here"]
        for port, gap in diagnosis.ports.items()
    ]
    print_table(["port", ""], ports)
    click.echo()
    print_table(["machine", ""], [[name, text] for name, text in diagnosis.host.items()])
