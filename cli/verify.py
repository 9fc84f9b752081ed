"""``triport verify``"""

from __future__ import annotations

import click

from .console import names, print_json, print_report


@click.command("verify")
@click.argument("folder", type=click.Path())
@click.option(
    "--model",
    metavar="FILE",
    help="The model that was exported (.triport or .pt2): adds its reference and inner values.",
)
@click.option("--samples", metavar="FILE.npz", help="Compare on these inputs too; needs --model.")
@click.option(
    "--in", "runners", metavar="RUNTIMES", help="Check in these runtimes, for example chromium or litert-plain."
)
@click.option("--strict-verify", is_flag=True, help="Fail when a port cannot be run on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    folder: str, model: str | None, samples: str | None, runners: str | None, strict_verify: bool, as_json: bool
) -> int:
    """Check an export FOLDER again: are the files those that were written, and do they answer as recorded?

    Without --model the golden samples in triport.json are what the ports are compared with, and torch is not needed.
    """
    from ..exporter.errors import CheckError
    from ..runtime_checks import verify

    report = verify(folder, model=model, samples=samples, runners=names("--in", runners), strict_verify=strict_verify)
    print_json(report.to_json()) if as_json else print_report(report)
    return 0 if report.passed else CheckError.exit_code
