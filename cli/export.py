"""``triport export``"""

from __future__ import annotations

import click

from .console import names, print_json, print_report, say


@click.command("export")
@click.argument("model", type=click.Path())
@click.option(
    "--to", "ports", default="onnx,tflite,web", show_default=True, metavar="PORTS", help="Ports to write for."
)
@click.option("-o", "--out", default="dist", show_default=True, metavar="FOLDER", help="Where the artefacts go.")
@click.option(
    "--input-layout",
    type=click.Choice(["nhwc"]),
    help="Take images as [N, H, W, C] where the model takes [N, C, H, W]; samples come so too.",
)
@click.option(
    "--web-runtime",
    default="triport",
    show_default=True,
    metavar="RUNTIME",
    help="What web/ runs in: triport (its own kernels), or ort, litert or tfjs from npm.",
)
@click.option("--samples", metavar="FILE.npz", help="Compare on these inputs too: one array for each input, by name.")
@click.option(
    "--in", "runners", metavar="RUNTIMES", help="Check in these runtimes, for example chromium or litert-plain."
)
@click.option("--no-verify", is_flag=True, help="Write the files without running them.")
@click.option("--strict-verify", is_flag=True, help="Fail when a port cannot be run on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    model: str,
    ports: str,
    out: str,
    input_layout: str | None,
    web_runtime: str,
    samples: str | None,
    runners: str | None,
    no_verify: bool,
    strict_verify: bool,
    as_json: bool,
) -> None:
    """Write MODEL for server (onnx), phone (tflite) and browser (web).

    MODEL is a .triport file, or a program that torch.export.save wrote (.pt2).

    Every file is run in its real runtime and compared with the model's own answers before it is put into place.
    A difference is an error: the files then go to FOLDER/failed, and what was in FOLDER stays as it was.
    """
    from ..runtime_checks import ExportFailed, export

    try:
        report = export(
            model,
            out,
            names("--to", ports) or [],
            samples=samples,
            verify=not no_verify,
            strict_verify=strict_verify,
            runners=names("--in", runners),
            input_layout=input_layout,
            web_runtime=web_runtime,
            progress=say,
        )
    except ExportFailed as failure:
        if not as_json:
            print_report(failure.report)
        raise
    if as_json:
        print_json(report.to_json())
        return
    print_report(report)
    say(f"written to {report.folder}; figures in {report.folder}/report.html")
