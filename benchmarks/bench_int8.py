"""What int8 keeps and what it costs: identical integers, accuracy, sizes and latency of int8_networks.py's networks.

    make bench-int8                                     (installs the data where it can, and runs this with --docs)
    .venv/bin/python benchmarks/bench_int8.py [--samples 1000] [--docs] [NETWORK ...]

Identity: the share of output values on 1,000 real samples that are the reference's to the last bit; of a runtime's ways
of running (optimisation levels, one or two threads) the one with the least. Accuracy is that of ONNX Runtime on the
whole test set. Latency is one sample on one thread: CPU time, in Chromium that of the page's main thread.

    --docs    writes the tables into docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from int8_data import FOLDER, Array, MissingData
from int8_networks import NETWORKS, calibration, graph_of, samples, test_set
from playwright.sync_api import sync_playwright
from web_browser import Measured, Server, launched

import triport as tp
from triport.exporter.ops.recurrent import Recurrent
from triport.runtime_checks.runners import Chromium, LiteRT, Node, OnnxRuntime, ReferenceSession, Runner, Session
from triport.runtime_checks.runners.litert import Kernels
from triport.runtime_checks.runners.onnx_runtime import LEVELS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "benchmarks.md"
MARKS = ("<!-- int8: written by benchmarks/bench_int8.py --docs -->\n", "<!-- end of int8 -->\n")
PORTS = ("onnx", "tflite", "web")
ARTEFACTS = {"onnx": "model.onnx", "tflite": "model.tflite", "web": "web"}
FETCHED = ("index.js", "weights.bin")
"""What a page loads of a bundle."""
PAIRED = "ONNX Runtime, paired weights"
WEIGHTS = (("float16", ""), ("int8-weights", ""), ("int4-weights", ""), ("int4-weights", "gptq"))
"""Schemes that leave activations in float32, and what chooses the codes."""
RECOVERED = ("", "bias", "gptq", "gptq,bias")
"""What recovers accuracy under the strict scheme."""
KERNELS = {"XNNPACK": Kernels.XNNPACK, "plain kernels": Kernels.PLAIN, "reference kernels": Kernels.REFERENCE}
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


def answers(session: Session, inputs: Array) -> Array:
    """The only output for many samples."""
    (entry,) = session.inputs
    blocks = [session.run({entry: inputs[start : start + BLOCK]}) for start in range(0, len(inputs), BLOCK)]
    return np.concatenate([next(iter(block.values())) for block in blocks])


def size(folder: Path, port: str) -> int:
    """Bytes of an artefact; of a bundle, what a page fetches."""
    path = folder / ARTEFACTS[port]
    if port != "web":
        return path.stat().st_size
    stored = "stored" in json.loads((path / "plan.json").read_text())["weights"]
    return sum((path / name).stat().st_size for name in (*FETCHED, *(("weights.js",) if stored else ())))


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


def latency(folders: dict[str, Path], sample: Array, rounds: int) -> dict[str, tuple[float, float]]:
    """{what: CPU milliseconds of the float32 and of the int8 artefact}: the least of the rounds, both in turn.

    folders    of the exports in float32, of "int8", and of int8 with paired weights
    """
    runners: dict[str, tuple[Runner, str]] = {
        "ONNX Runtime": (OnnxRuntime(), "int8"),
        PAIRED: (OnnxRuntime(), "paired"),
        "LiteRT": (LiteRT(), "int8"),
        "Node": (Node(), "int8"),
    }
    found: dict[str, tuple[float, float]] = {}
    for heading, (runner, form) in runners.items():
        if runner.missing() is not None:
            continue
        with ExitStack() as stack:
            sessions = [
                stack.enter_context(runner.load(folders[each] / ARTEFACTS[runner.target])) for each in ("float32", form)
            ]
            feeds = [{next(iter(session.inputs)): sample} for session in sessions]
            taken = [
                [session.timed(feed, repeats=1)[0] for session, feed in zip(sessions, feeds, strict=True)]
                for _ in range(rounds)
            ]
        float32, int8 = np.min(np.array(taken), axis=0) * 1e3
        found[heading] = float(float32), float(int8)
    if Chromium().missing() is None:
        found["Chromium"] = in_page([folders["float32"], folders["int8"]], sample, rounds)
    return found


def in_page(folders: Sequence[Path], sample: Array, rounds: int) -> tuple[float, float]:
    """Least CPU milliseconds of a page's main thread, of the bundle in each of two folders; both in turn."""
    with sync_playwright() as playwright, ExitStack() as stack:
        server = Server({"int8": FOLDER})
        stack.callback(server.close)
        browser = launched(playwright)
        stack.callback(browser.close)
        pages = [Measured(browser, server.url) for _ in folders]
        pages[0].check_clock()
        for page, folder in zip(pages, folders, strict=True):
            (folder / "input.bin").write_bytes(sample.astype("<f4").tobytes())
            path = f"/int8/{folder.relative_to(FOLDER).as_posix()}"
            library = {"module": f"{path}/web/index.js", "scripts": []}
            page.call("open", "triport", {"folder": path, "input": "input.bin"}, library)
        counts = [page.warmed("triport") for page in pages]
        taken = [
            [page.cpu_ms("triport", count) for page, count in zip(pages, counts, strict=True)] for _ in range(rounds)
        ]
    float32, int8 = np.min(np.array(taken), axis=0)
    return float(float32), float(int8)


def measure(name: str, count: int, rounds: int) -> Row:
    """Quantizes one network, writes it in both forms for all ports, and runs them."""
    graph, inputs = graph_of(name), samples(name)[:count]
    (entry,) = graph.inputs
    data = {entry.name: calibration(name)}
    started = time.process_time()
    quantized = tp.quantize(graph, "int8", calibration=data)
    seconds = time.process_time() - started
    forms = {"float32": graph, "int8": quantized, "paired": tp.quantize(graph, calibration=data, weights="paired")}
    folders = {form: FOLDER / name / form for form in forms}
    for form, exported in forms.items():
        tp.export(exported, folders[form], to=PORTS[:1] if form == "paired" else PORTS, verify=False)
    exact, rounded = (answers(ReferenceSession(each), inputs) for each in (graph, quantized))
    return Row(
        name,
        not any(isinstance(node.op, Recurrent) for node in quantized.nodes),
        identical(rounded, folders["int8"], inputs),
        fidelity(exact, rounded),
        (accuracy(folders["float32"], name), accuracy(folders["int8"], name)),
        {port: (size(folders["float32"], port), size(folders["int8"], port)) for port in PORTS},
        latency(folders, inputs[:1], rounds),
        seconds,
    )


@dataclass(frozen=True)
class WeightsRow:
    """One network under a scheme that leaves activations in float32.

    recover   what chose the codes; nothing: each weight has the nearest
    accuracy  fractions of the test set, in float32 and with these weights
    ratios    {port: bytes over those of the float32 artefact}
    worst     greatest difference of a port from the reference, as a share of the outputs' range
    """

    network: str
    scheme: str
    recover: str
    accuracy: tuple[float, float]
    ratios: dict[str, float]
    worst: float


def measure_weights(name: str, scheme: str, recover: str, count: int) -> WeightsRow:
    """Rounds one network's weights; the float32 artefacts are there already."""
    graph, inputs = graph_of(name), samples(name)[:count]
    whole, folder = FOLDER / name / "float32", FOLDER / name / f"{scheme}{recover and '-' + recover}"
    rounded = tp.quantize(
        graph, scheme, recover=recover or (), calibration={graph.inputs[0].name: calibration(name)} if recover else None
    )
    tp.export(rounded, folder, to=PORTS, verify=False)
    truth = answers(ReferenceSession(rounded), inputs)
    worst = 0.0
    for runner in (OnnxRuntime(), LiteRT(), Node()):
        if runner.missing() is None:
            with runner.load(folder / ARTEFACTS[runner.target]) as session:
                worst = max(worst, float(np.abs(answers(session, inputs) - truth).max()))
    return WeightsRow(
        name,
        scheme,
        recover,
        (accuracy(whole, name), accuracy(folder, name)),
        {port: size(folder, port) / size(whole, port) for port in PORTS},
        worst / float(np.ptp(truth)),
    )


@dataclass(frozen=True)
class StrictRow:
    """One network under the strict scheme.

    identical  {kind of LiteRT's kernels: share of output values equal to the reference's}
    accuracy   fractions of the test set in float32, and by what was recovered: `RECOVERED`
    """

    network: str
    identical: dict[str, float]
    accuracy: tuple[float, ...]


def measure_strict(name: str, count: int) -> StrictRow:
    """Runs the plain and the reference kernels; the float32 artefacts are there already."""
    graph, inputs = graph_of(name), samples(name)[:count]
    data, found = {graph.inputs[0].name: calibration(name)}, [accuracy(FOLDER / name / "float32", name)]
    shares: dict[str, float] = {}
    for recover in RECOVERED:
        folder = FOLDER / name / f"int8-strict{recover and '-' + recover}"
        quantized = tp.quantize(graph, "int8-strict", calibration=data, recover=[m for m in recover.split(",") if m])
        tp.export(quantized, folder, to=PORTS[:2], verify=False)
        found.append(accuracy(folder, name))
        if not recover:
            truth = answers(ReferenceSession(quantized), inputs)
            for heading, kernels in KERNELS.items():
                with LiteRT(kernels=kernels).load(folder / ARTEFACTS["tflite"]) as session:
                    shares[heading] = float((answers(session, inputs) == truth).mean())
    return StrictRow(name, shares, tuple(found))


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
    headings = list(dict.fromkeys(heading for row in rows for heading in row.latency))
    lines = []
    for row in rows:
        cells = [row.network]
        for pair in map(row.latency.get, headings):
            cells.append("not here" if pair is None else f"{pair[0]:.3f} → {pair[1]:.3f} ({pair[1] / pair[0]:.2f})")
        lines.append(cells)
    return markdown(["network", *(f"{heading}, ms" for heading in headings)], lines)


def weights_table(rows: Sequence[WeightsRow]) -> str:
    lines = []
    for row in rows:
        float32, rounded = (100 * value for value in row.accuracy)
        ratios = [f"{ratio:.2f}" for ratio in row.ratios.values()]
        lines.append(
            [
                row.network,
                ", ".join(filter(None, (row.scheme, row.recover))),
                f"{rounded:.2f}",
                f"{rounded - float32:+.2f}",
                *ratios,
                f"{row.worst:.0e}",
            ]
        )
    ratios = [f"{port}, bytes / float32" for port in PORTS]
    return markdown(["network", "scheme", "accuracy, %", "points", *ratios, "worst difference / range"], lines)


def strict_table(rows: Sequence[StrictRow]) -> str:
    lines = []
    for row in rows:
        float32, *found = (f"{100 * value:.2f}" for value in row.accuracy)
        lines.append([row.network, *(share(row.identical[heading]) for heading in KERNELS), float32, *found])
    methods = [f"{recover or 'int8-strict'}, %" for recover in RECOVERED]
    return markdown(["network", *KERNELS, "float32, %", *methods], lines)


def tables(rows: Sequence[Row], strict: Sequence[StrictRow], weights: Sequence[WeightsRow]) -> str:
    """Identity, accuracy with sizes, latency, the strict scheme, weights alone."""
    found = (
        identity_table(rows),
        accuracy_table(rows),
        latency_table(rows),
        strict_table(strict),
        weights_table(weights),
    )
    return "\n".join(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--samples", type=int, default=1_000, help="on which outputs are compared")
    parser.add_argument("--rounds", type=int, default=9, help="of the latency's measuring")
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    rows: list[Row] = []
    strict: list[StrictRow] = []
    weights: list[WeightsRow] = []
    for name in options.networks:
        try:
            rows.append(measure(name, options.samples, options.rounds))
            strict += [measure_strict(name, options.samples)] if rows[-1].promised else []
            weights += [measure_weights(name, *scheme, options.samples) for scheme in WEIGHTS]
        except MissingData as missing:
            print(f"{name}: {missing}", file=sys.stderr)
            continue
        shares = dict(rows[-1].identical)
        if rows[-1].promised:
            shares |= {f"int8-strict in {kind}": value for kind, value in strict[-1].identical.items()}
        differing = [f"{heading} {share(value)}" for heading, value in shares.items() if value < 1]
        print(f"{name}: {'; '.join(differing) or 'identical everywhere'}", file=sys.stderr)
    text = tables(rows, strict, weights)
    print(text)
    if options.docs:
        before, _, rest = DOCS.read_text().partition(MARKS[0])
        DOCS.write_text(before + MARKS[0] + text + MARKS[1] + rest.partition(MARKS[1])[2])
    promised = [*(row.identical for row in rows if row.promised), *(row.identical for row in strict)]
    return int(any(value < 1 for shares in promised for value in shares.values()))


if __name__ == "__main__":
    sys.exit(main())
