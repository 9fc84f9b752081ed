"""``make sweep``: every sample of torch on every port, the baseline and docs/torch-coverage.md brought up to date.

    PYTHONPATH=tests python -m sweep.run                      all samples, about half an hour on two cores
    PYTHONPATH=tests python -m sweep.run --only nn.Conv       modules and functions whose name holds this
    PYTHONPATH=tests python -m sweep.run --first              the first sample of each; nothing is brought up to date

Exit status 1 when a sample is wrong, crashes, or goes worse than the baseline. Outcomes worse than the baseline are
never taken into it.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from sweep.keys import Key
from sweep.outcome import Outcome
from sweep.samples import all_keys, first_keys
from sweep.table import PAGE, Table, make_group, page, read_baseline, worse, write_baseline
from sweep.worker import Worker

OUTCOMES = Path(__file__).parents[2] / "build" / "sweep.json"
CHUNK = 25
"""Samples of one function that a worker takes at a time; more would leave the others idle at the end."""

Outcomes = dict[Key, dict[str, Outcome]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, prints what is wrong, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="make sweep", description="torch's own samples on every port")
    parser.add_argument("--only", default="", help="part of the names of modules or functions")
    parser.add_argument("--first", action="store_true", help="only the first sample of each")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    options = parser.parse_args(arguments)
    keys = [key for key in (first_keys() if options.first else all_keys()) if options.only in key.group]
    outcomes = sweep(keys, options.jobs)
    table = as_table(outcomes)
    write_outcomes(outcomes)
    before = read_baseline()
    lost = worse(table, before)
    bad = [f"{key} on {port}: {o.verdict.value}, {o.reason}" for key, port, o in flat(outcomes) if not o.good]
    print("\n".join(bad + [f"WORSE {line}" for line in lost]))
    print(" ".join(f"{verdict}: {n}" for verdict, n in Counter(o.verdict.value for *_, o in flat(outcomes)).items()))
    if not options.first and not lost:
        write_baseline(before | table)
        PAGE.write_text(page(before | table))
    return 1 if bad or lost else 0


def sweep(keys: Sequence[Key], jobs: int) -> Outcomes:
    """The outcomes of the samples, ``jobs`` processes at a time."""
    chunks: queue.SimpleQueue[list[Key]] = queue.SimpleQueue()
    for _, run in groupby(keys, key=lambda key: key.group):
        of_group = list(run)
        for start in range(0, len(of_group), CHUNK):
            chunks.put(of_group[start : start + CHUNK])
    outcomes: Outcomes = {}

    def work() -> None:
        with Worker() as worker:
            while True:
                try:
                    chunk = chunks.get_nowait()
                except queue.Empty:
                    return
                for key in chunk:
                    outcomes[key] = worker.judge(key)
                print(f"\r{len(outcomes)} of {len(keys)}: {chunk[-1].group:60.60}", end="", file=sys.stderr)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(file=sys.stderr)
    if missing := len(keys) - len(outcomes):
        raise SystemExit(f"{missing} samples were not judged; see the error above")
    return {key: outcomes[key] for key in keys}


def flat(outcomes: Outcomes) -> Iterator[tuple[Key, str, Outcome]]:
    return ((key, port, outcome) for key, by_port in outcomes.items() for port, outcome in by_port.items())


def as_table(outcomes: Outcomes) -> Table:
    """Outcomes by module or function."""
    return {
        group: make_group(outcomes[key] for key in keys) for group, keys in groupby(outcomes, key=lambda key: key.group)
    }


def write_outcomes(outcomes: Outcomes) -> None:
    """Every outcome with its reason, into build/sweep.json."""
    rows = [
        {"kind": key.kind.value, "name": key.name, "index": key.index, "port": port}
        | {"outcome": outcome.verdict.value, "reason": outcome.reason}
        for key, port, outcome in flat(outcomes)
    ]
    OUTCOMES.parent.mkdir(exist_ok=True)
    OUTCOMES.write_text(json.dumps(rows, indent=0) + "\n")


if __name__ == "__main__":
    sys.exit(main())
