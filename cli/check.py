"""``triport check``"""

from __future__ import annotations

import click

from .console import names, print_json, print_table, say


@click.command("check")
@click.argument("model", type=click.Path())
@click.option("--to", "ports", default="onnx,tflite,web", show_default=True, metavar="PORTS", help="Ports to ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(model: str, ports: str, as_json: bool) -> int:
    """Say what each port can take of MODEL, a .triport or .pt2 file; nothing is written.

    Ends with status 3 when a port cannot take it all.
    """
    from ..exporter.errors import ModelError
    from ..runtime_checks import check

    checks = check(model, names("--to", ports) or [])
    if as_json:
        print_json([port.to_json() for port in checks])
    else:
        rows = [
            [port.port, str(port.nodes), "yes" if port.passed else f"no: {len(port.refused)} nodes"] for port in checks
        ]
        print_table(["port", "nodes", "can be written"], rows, numbers=frozenset({1}))
        refused = [[port.port, n.code, n.node, n.source, n.because, n.help] for port in checks for n in port.refused]
        if refused:
            say("")
            print_table(["port", "code", "node", "written at", "because", "help"], refused)
        for notice in checks[0].notices if checks else ():
            say(f"note: {notice}")
    return 0 if all(port.passed for port in checks) else ModelError.exit_code
