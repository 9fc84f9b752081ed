"""Networks that others made, on every port: captured, exported, run in their real runtimes, compared with the module.

    python examples/networks/run.py                     # all of them, as a table
    python examples/networks/run.py --only bert,vision  # by name or family
    python examples/networks/run.py --json              # the same figures, for programs

Exit code 1 when any port of any network does not answer as the module does. The networks come from packages that are
listed in requirements-networks.txt; `make networks` installs them beside the developer's environment and runs this.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where the other examples are

from catalog import Network, networks
from judge import ARTEFACTS, PortResult, Result, Verdict, judge

COLUMNS = ("network", "capture s", "onnx", "tflite", "web", "of the bound", "transposes", "kB onnx", "tflite", "web")


def main(arguments: Sequence[str] | None = None, chosen: Sequence[Network] | None = None) -> int:
    """The exit code; ``chosen`` are networks to run instead of those of the catalog."""
    parser = argparse.ArgumentParser(description="Networks that others made, on every port.")
    parser.add_argument("--only", default="", help="names of networks or families, with commas between")
    parser.add_argument("--to", default=",".join(ARTEFACTS), help="ports, with commas between")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--out", type=Path, help="keep the artefacts in this folder")
    options = parser.parse_args(arguments)
    names, ports = options.only.split(",") if options.only else [], options.to.split(",")
    results: list[Result] = []
    if not options.json:
        print(_line(COLUMNS))
    for network in networks(names) if chosen is None else chosen:
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.out / network.name if options.out else Path(temporary)
            results.append(judge(network, ports, folder))
        if not options.json:
            _print_row(results[-1])
    if options.json:
        print(json.dumps([result.to_json() for result in results], indent=1))
    else:
        same = sum(result.same for result in results)
        print(f"\n{same} of {len(results)} networks answer on {', '.join(ports)} as their modules do")
    return 0 if results and all(result.same for result in results) else 1


def _print_row(result: Result) -> None:
    of_port: dict[str, list[PortResult]] = {port: [] for port in ARTEFACTS}
    for found in result.ports:
        of_port[found.port].append(found)
    worst = max((port.difference for port in result.ports if port.verdict is Verdict.SAME), default=0.0)
    cells = [result.network, f"{result.capture_seconds:.1f}"]
    cells += [_word(found) for found in of_port.values()]
    cells += [f"{worst:.0%}", "-" if result.transposes is None else str(result.transposes)]
    cells += [f"{max((port.bytes for port in found), default=0) / 1000:.0f}" for found in of_port.values()]
    print(_line(cells))
    for port in result.ports:
        if port.reason:
            print(f"    {port.port} in {port.runtime}: {port.reason}")
    sys.stdout.flush()


def _word(found: Sequence[PortResult]) -> str:
    """The worst verdict of a port's runtimes, with the error's code."""
    ranks = list(Verdict)
    worst = max(found, key=lambda port: ranks.index(port.verdict), default=None)
    if worst is None:
        return "-"
    code = worst.reason.partition(":")[0]
    return f"{worst.verdict.value} {code}" if code.startswith("TP") else worst.verdict.value


def _line(cells: Sequence[str]) -> str:
    first, *others = cells
    return f"{first:22}" + "".join(f" {cell:>13}" for cell in others)


if __name__ == "__main__":
    sys.exit(main())
