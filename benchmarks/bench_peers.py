"""Latency of our files beside those that other converters make of the same torch networks, on the same runtimes.

    make bench-peers                                         (makes .venv-peers, 4 GB, and runs this with --docs)
    .venv/bin/python benchmarks/bench_peers.py [--rounds 31] [--keep] [--docs] [NETWORK ...]

Every tool converts in an environment of its own. All files are then run by this one process with one thread, in rounds:
in each round every file has its turn in another order, first a call that is not counted, since it finds the caches full
of another's weights, then one to ten that are. Every file is loaded anew four times: where its weights come to lie in
memory makes up to 2 %. Figures are CPU time; the ratio is that of the medians over all rounds.

    --keep    converts nothing again that build/peers holds already
    --docs    writes the table into docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from peer_convert import file_name
from peer_networks import NETWORKS
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "peers"
DOCS = ROOT / "docs" / "benchmarks.md"
MARKS = ("<!-- peers: written by benchmarks/bench_peers.py --docs -->\n", "<!-- end of peers -->\n")

PYTHONS = {
    "triport": Path(sys.executable),
    "torch.onnx": ROOT / ".venv-peers" / "torch" / "bin" / "python",
    "litert-torch": ROOT / ".venv-peers" / "torch" / "bin" / "python",
    "onnx2tf": ROOT / ".venv-peers" / "onnx2tf" / "bin" / "python",
}
CLOSE = 1e-4
"""Of the output's range: files that lie further apart do not compute the same, and their speed says nothing."""

LOADS = 4

Call = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One comparison: CPU milliseconds of a call, and CPU seconds of converting."""

    network: str
    peer: str
    ours: float
    theirs: float
    seconds: tuple[float, float]

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


def convert(names: Sequence[str], keep: bool, console: Console) -> dict[tuple[str, str], dict[str, Any]]:
    """(tool, network) → how converting went; tools that are not installed are left out."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    results: dict[tuple[str, str], dict[str, Any]] = {}
    for tool, python in PYTHONS.items():
        if not python.exists():
            console.print(f"{tool}: not installed (make bench-peers)")
            continue
        log = FOLDER / f"{tool}.log"
        lines = log.read_text().splitlines() if keep and log.exists() else []
        known = {line["network"]: line for line in map(json.loads, lines)}
        missing = [name for name in names if name not in known]
        if missing:
            environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
            command = [str(python), str(ROOT / "benchmarks" / "peer_convert.py"), tool, str(FOLDER), *missing]
            child = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            known |= {line["network"]: line for line in map(json.loads, child.stdout.splitlines())}
            log.write_text("".join(json.dumps(line) + "\n" for line in known.values()))
        for name in names:
            results[tool, name] = known.get(name, {"error": "it ended without a word"})
            if "error" in results[tool, name]:
                console.print(f"{tool}: {name}: {results[tool, name]['error']}")
    return results


def onnx_call(path: Path, x: np.ndarray[Any, Any]) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})[0]


def litert_call(path: Path, x: np.ndarray[Any, Any]) -> Call:
    """Images are turned to what the file takes; so is an answer that is one."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    given = interpreter.get_input_details()[0]
    if tuple(given["shape"]) != x.shape:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    interpreter.allocate_tensors()
    index, output = given["index"], interpreter.get_output_details()[0]["index"]

    def call() -> Any:
        interpreter.set_tensor(index, x)
        interpreter.invoke()
        return interpreter.get_tensor(output)

    return call


def loaded(paths: Iterable[Path], x: np.ndarray[Any, Any]) -> dict[Path, Call]:
    return {path: onnx_call(path, x) if path.suffix == ".onnx" else litert_call(path, x) for path in paths}


def milliseconds(paths: Sequence[Path], x: np.ndarray[Any, Any], rounds: int) -> dict[Path, float]:
    """The median over the rounds of all loads of the CPU time that one call takes."""
    taken: dict[Path, list[float]] = {path: [] for path in paths}
    order, shuffle = list(paths), random.Random(0).shuffle
    for _ in range(LOADS):
        shuffle(order)
        calls = loaded(order, x)
        for _ in range(rounds):
            shuffle(order)
            for path in order:
                taken[path].append(_one_turn(calls[path]))
    return {path: statistics.median(values) for path, values in taken.items()}


def _one_turn(call: Call) -> float:
    """CPU milliseconds of a call, the mean of up to ten that follow one that is not counted."""
    call()
    start, count = time.process_time_ns(), 0
    while count < 10 and (time.process_time_ns() - start < 4_000_000 or not count):
        call()
        count += 1
    return (time.process_time_ns() - start) / 1e6 / count


def agrees(got: Any, want: Any) -> bool:
    if got.shape != want.shape:
        got = got.transpose(0, 3, 1, 2)
    return bool(np.abs(got - want).max() <= CLOSE * np.ptp(want))


def measure(name: str, results: dict[tuple[str, str], dict[str, Any]], rounds: int, console: Console) -> list[Row]:
    x = NETWORKS[name].example().numpy()
    stem = FOLDER / file_name(name)
    files = {
        "torch.onnx": (Path(f"{stem}.triport.onnx"), Path(f"{stem}.torch.onnx.onnx")),
        "litert-torch": (Path(f"{stem}.triport.tflite"), Path(f"{stem}.litert-torch.tflite")),
        # onnx2tf takes images channels last, and so does the file of ours it is compared with
        "onnx2tf": (Path(f"{stem}.triport{'.nhwc' * (x.ndim == 4)}.tflite"), Path(f"{stem}.onnx2tf.tflite")),
    }
    there = {peer: pair for peer, pair in files.items() if "files" in results.get((peer, name), {})}
    paths = dict.fromkeys(path for pair in there.values() for path in pair)
    calls = loaded(paths, x)
    if not calls:
        return []
    want = next(iter(calls.values()))()
    for path in [path for path, call in calls.items() if not agrees(call(), want)]:
        console.print(f"{path.name} answers otherwise than {next(iter(calls)).name}: not compared")
        del calls[path]
    taken = milliseconds(list(calls), x, rounds)
    seconds = {tool: result["seconds"] for (tool, network), result in results.items() if network == name}
    return [
        Row(name, peer, taken[ours], taken[theirs], (seconds["triport"], seconds[peer]))
        for peer, (ours, theirs) in there.items()
        if ours in taken and theirs in taken
    ]


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line a network and peer."""
    lines = [
        "| network | peer | ours, ms | theirs, ms | ours / theirs | converting: ours, s | theirs, s |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        times = f"{row.ours:.2f} | {row.theirs:.2f} | {row.ratio:.2f}"
        lines.append(f"| {row.network} | {row.peer} | {times} | {row.seconds[0]:.1f} | {row.seconds[1]:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    console = Console(width=150)
    if not any(python.exists() for tool, python in PYTHONS.items() if tool != "triport"):
        console.print("no peer is installed: make bench-peers")
        return
    results = convert(options.networks, options.keep, console)
    rows: list[Row] = []
    for name in options.networks:
        found = measure(name, results, options.rounds, console)
        for row in found:
            console.print(f"{name}: {row.ours:.2f} ms, {row.peer} {row.theirs:.2f} ms: {row.ratio:.3f}")
        rows += found
    console.print(table(rows), markup=False)
    if options.docs:
        before, _, rest = DOCS.read_text().partition(MARKS[0])
        DOCS.write_text(before + MARKS[0] + table(rows) + MARKS[1] + rest.partition(MARKS[1])[2])


if __name__ == "__main__":
    main()
