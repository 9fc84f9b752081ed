"""What int8 keeps and what it costs: identical integers, accuracy, sizes and latency of int8_networks.py's networks.

    make bench-int8                                     (installs the data where it can, and runs this with --docs)
    .venv/bin/python benchmarks/bench_int8.py [--scheme int8] [--samples 1000] [--docs] [NETWORK ...]

Identity: the share of output values on 1,000 real samples that are the reference's to the last bit; of a runtime's ways
of running (optimisation levels, one or two threads) the one with the least. Accuracy is that of ONNX Runtime on the
whole test set. Latency is one sample on one thread: CPU time, in Chromium wall time.

    --docs    writes the tables into docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from int8_data import FOLDER, Array, MissingData
from int8_networks import NETWORKS, calibration, graph_of, samples, test_set

import triport as tp
from triport.exporter.ops.recurrent import Recurrent
from triport.runtime_checks.runners import Chromium, LiteRT, Node, OnnxRuntime, ReferenceSession, Runner, Session
from triport.runtime_checks.runners.onnx_runtime import LEVELS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "benchmarks.md"
MARKS = ("<!-- int8: written by benchmarks/bench_int8.py --docs -->\n", "<!-- end of int8 -->\n")
PORTS = ("onnx", "tflite", "web")
ARTEFACTS = {"onnx": "model.onnx", "tflite": "model.tflite", "web": "web"}
FETCHED = ("index.js", "kernels.wasm", "plan.json", "weights.bin")
"""What a page loads of a bundle."""
BLOCK = 250
"""Samples a call."""


@dataclass(frozen=True)
class Row:
    """What was found of one network; every pair is float32, int8.

    promised   whether the outputs have to be identical: recurrent layers compute in float32
    identical  {runtime: share of output values equal to the reference's}
    fidelity   signal to noise of the quantized outputs, in decibels
    accuracy   fractions of the test set
    sizes      {port: bytes}
    latency    {runtime: milliseconds}
    seconds    of CPU, to calibrate, plan and quantize
    """

    network: str
    promised: bool
    identical: dict[str, float]
    fidelity: float
    accuracy: tuple[float, float]
    sizes: dict[str, tuple[int, int]]
    latency: dict[str, tuple[float, float]]
    seconds: float


def ways() -> dict[str, list[Runner]]:
    """Every way of running an artefact that has to give the same integers, by the heading of its column."""
    return {
        "ONNX Runtime": [OnnxRuntime(threads=threads, level=level) for level in LEVELS for threads in (1, 2)],
        "LiteRT": [LiteRT(threads=threads) for threads in (1, 2)],
        "Node": [Node()],
        "Chromium": [Chromium()],
    }


def timed_runtimes() -> dict[str, Runner]:
    """The runtimes whose latency is told."""
    return {"ONNX Runtime": OnnxRuntime(), "LiteRT": LiteRT(), "Node": Node(), "Chromium": Chromium()}


def answers(session: Session, inputs: Array) -> Array:
    """The only output for many samples."""
    (entry,) = session.inputs
    blocks = [session.run({entry: inputs[start : start + BLOCK]}) for start in range(0, len(inputs), BLOCK)]
    return np.concatenate([next(iter(block.values())) for block in blocks])


def size(folder: Path, port: str) -> int:
    """Bytes of an artefact; of a bundle, what a page fetches."""
    path = folder / ARTEFACTS[port]
    return sum((path / name).stat().st_size for name in FETCHED) if port == "web" else path.stat().st_size


def accuracy(folder: Path, name: str) -> float:
    """The share of the whole test set that ONNX Runtime tells rightly."""
    inputs, classes = test_set(name)
    with OnnxRuntime().load(folder / ARTEFACTS["onnx"]) as session:
        return float((answers(session, inputs).argmax(axis=-1) == classes).mean())


def identical(truth: Array, folder: Path, inputs: Array) -> dict[str, float]:
    """{runtime: share of the values that it gives to the last bit in each of its ways}; those not here are left out."""
    shares: dict[str, float] = {}
    for heading, runners in ways().items():
        for runner in runners:
            if runner.missing() is None:
                with runner.load(folder / ARTEFACTS[runner.target]) as session:
                    same = float((answers(session, inputs) == truth).mean())
                shares[heading] = min(same, shares.get(heading, 1.0))
    return shares


def fidelity(exact: Array, rounded: Array) -> float:
    """Signal to quantization noise in decibels."""
    return float(10 * np.log10((exact**2).mean() / ((exact - rounded) ** 2).mean()))


def latency(folders: tuple[Path, Path], sample: Array, rounds: int) -> dict[str, tuple[float, float]]:
    """{runtime: milliseconds of the float32 and of the int8 artefact}: medians over rounds, both in turn."""
    found: dict[str, tuple[float, float]] = {}
    for heading, runner in timed_runtimes().items():
        if runner.missing() is not None:
            continue
        with ExitStack() as stack:
            sessions = [stack.enter_context(runner.load(folder / ARTEFACTS[runner.target])) for folder in folders]
            feeds = [{next(iter(session.inputs)): sample} for session in sessions]
            taken = [
                [session.timed(feed, repeats=1)[0] for session, feed in zip(sessions, feeds, strict=True)]
                for _ in range(rounds)
            ]
        float32, int8 = np.median(np.array(taken), axis=0) * 1e3
        found[heading] = float(float32), float(int8)
    return found


def measure(name: str, scheme: str, count: int, rounds: int) -> Row:
    """Quantizes one network, writes it in both forms for all ports, and runs them."""
    graph, inputs = graph_of(name), samples(name)[:count]
    (entry,) = graph.inputs
    folders = FOLDER / name / "float32", FOLDER / name / scheme
    started = time.process_time()
    quantized = tp.quantize(graph, scheme, calibration={entry.name: calibration(name)})
    seconds = time.process_time() - started
    for folder, exported in zip(folders, (graph, quantized), strict=True):
        tp.export(exported, folder, to=PORTS, verify=False)
    exact, rounded = (answers(ReferenceSession(each), inputs) for each in (graph, quantized))
    return Row(
        name,
        not any(isinstance(node.op, Recurrent) for node in quantized.nodes),
        identical(rounded, folders[1], inputs),
        fidelity(exact, rounded),
        (accuracy(folders[0], name), accuracy(folders[1], name)),
        {port: (size(folders[0], port), size(folders[1], port)) for port in PORTS},
        latency(folders, inputs[:1], rounds),
        seconds,
    )


# -- tables ---------------------------------------------------------------------------------------------------------


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text, the others figures."""
    rule = ["---", *("---:" for _ in headings[1:])]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, rule, *lines))


def share(value: float | None) -> str:
    """A share in percent; only what is complete may read 100."""
    return "not here" if value is None else "100" if value == 1 else f"{min(value * 100, 99.9999):.4f}"


def identity_table(rows: Sequence[Row]) -> str:
    headings = list(ways())
    return markdown(
        ["network", *headings],
        [
            [
                row.network if row.promised else f"{row.network}, float inside",
                *(share(row.identical.get(heading)) for heading in headings),
            ]
            for row in rows
        ],
    )


def accuracy_table(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        float32, int8 = (100 * value for value in row.accuracy)
        cells = [row.network, f"{float32:.2f}", f"{int8:.2f}", f"{int8 - float32:+.2f}", f"{row.fidelity:.1f}"]
        for before, after in row.sizes.values():
            cells += [f"{before:,} → {after:,}", f"{after / before:.2f}"]
        lines.append([*cells, f"{row.seconds:.1f}"])
    sizes = [text for port in PORTS for text in (f"{port}, bytes", "ratio")]
    return markdown(["network", "float32, %", "int8, %", "points", "SQNR, dB", *sizes, "quantizing, s"], lines)


def latency_table(rows: Sequence[Row]) -> str:
    headings = list(timed_runtimes())
    lines = []
    for row in rows:
        cells = [row.network]
        for pair in map(row.latency.get, headings):
            cells.append("not here" if pair is None else f"{pair[0]:.3f} → {pair[1]:.3f} ({pair[1] / pair[0]:.2f})")
        lines.append(cells)
    return markdown(["network", *(f"{heading}, ms" for heading in headings)], lines)


def tables(rows: Sequence[Row]) -> str:
    """Identity, accuracy with sizes, latency."""
    return "\n".join((identity_table(rows), accuracy_table(rows), latency_table(rows)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--scheme", default="int8")
    parser.add_argument("--samples", type=int, default=1_000, help="on which outputs are compared")
    parser.add_argument("--rounds", type=int, default=9, help="of the latency's measuring")
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    rows: list[Row] = []
    for name in options.networks:
        try:
            rows.append(measure(name, options.scheme, options.samples, options.rounds))
        except MissingData as missing:
            print(f"{name}: {missing}", file=sys.stderr)
            continue
        differing = [f"{heading} {share(value)}" for heading, value in rows[-1].identical.items() if value < 1]
        print(f"{name}: {'; '.join(differing) or 'identical everywhere'}", file=sys.stderr)
    text = tables(rows)
    print(text)
    if options.docs:
        before, _, rest = DOCS.read_text().partition(MARKS[0])
        DOCS.write_text(before + MARKS[0] + text + MARKS[1] + rest.partition(MARKS[1])[2])
    return int(any(value < 1 for row in rows if row.promised for value in row.identical.values()))


if __name__ == "__main__":
    sys.exit(main())
