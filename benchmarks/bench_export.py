"""What exporting costs and what it writes: CPU seconds, peak memory, bytes, transposes; and what importing takes.

    python benchmarks/bench_export.py [--rounds 5]

Times are CPU seconds (user + system) of whole processes or of the conversion within one, the least and the median of
several rounds: wall time on a shared machine says little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from networks import NETWORKS, saved
from rich.console import Console
from rich.table import Table

PORTS = ("onnx", "tflite", "web")

# Runs in a process of its own: converts a graph and prints CPU seconds and the peak memory over the idle process. On
# Linux that peak is VmHWM: ru_maxrss starts at what the parent held, and a parent with torch in it hides everything.
_CONVERT = """
import re, resource, sys, tempfile, time
from pathlib import Path
def peak():
    if sys.platform == "linux":
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
from triport.exporter.graph import Graph
from triport.targets.prepare import prepare
from triport.targets.registry import get_target
path, name = sys.argv[1:]
target = get_target(name)
idle = peak()
with tempfile.TemporaryDirectory() as folder:
    start = time.process_time()
    target.write(prepare(Graph.load(path), target), Path(folder) / target.artefact, {})
    print(time.process_time() - start, peak() - idle)
assert "torch" not in sys.modules
"""


def cpu_seconds(command: Sequence[str]) -> float:
    """User and system CPU time of a command that must succeed."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def least_and_median(values: Sequence[float], digits: int = 2) -> str:
    return f"{min(values):.{digits}f} / {statistics.median(values):.{digits}f}"


def conversions(rounds: int, console: Console) -> None:
    path = saved("MobileNetV2 1.0 224")
    weights = weight_bytes(path)
    table = Table(title=f"MobileNetV2 1.0 224 ({weights / 1e6:.1f} MB of weights), CPU s: least / median of {rounds}")
    for heading in ("port", "conversion", "triport export --no-verify", "peak memory over idle, in weights"):
        table.add_column(heading)
    for port in PORTS:
        inside, whole, peaks = [], [], []
        for _ in range(rounds):
            child = subprocess.run(
                [sys.executable, "-c", _CONVERT, str(path), port], check=True, capture_output=True, text=True
            )
            seconds, peak = map(float, child.stdout.split())
            inside.append(seconds)
            peaks.append(peak / weights)
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "triport", "export", str(path), "--to", port, "--no-verify"]
                whole.append(cpu_seconds([*command, "-o", f"{folder}/dist"]))
        table.add_row(port, least_and_median(inside, 3), least_and_median(whole), f"{max(peaks):.2f}x")
    console.print(table)


def weight_bytes(path: Path) -> int:
    from triport.exporter.graph import Graph

    return Graph.load(path).parameter_bytes()


def sizes(console: Console) -> None:
    from triport.exporter.graph import Graph
    from triport.runtime_checks import export

    table = Table(title="bytes over the weights (allowed: files 2 % + 20 kB, a page 60 kB), and transposes inside")
    for heading in (
        "network",
        "weights",
        "allowed",
        ".triport",
        ".onnx",
        ".tflite",
        "page",
        "transposes onnx/tflite/web",
    ):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for name in NETWORKS:
        path = saved(name)
        weights = weight_bytes(path)
        with tempfile.TemporaryDirectory() as folder:
            dist = Path(folder) / "dist"
            export(Graph.load(path), dist, PORTS, verify=False)
            over = [file.stat().st_size - weights for file in (path, dist / "model.onnx", dist / "model.tflite")]
            page = page_bytes(dist / "web") - weights
        counts = "/".join(str(transposes(path, port)) for port in PORTS)
        allowed = weights * 2 // 100 + 20_000
        table.add_row(name, f"{weights:,}", f"{allowed:,}", *(f"{bytes_:,}" for bytes_ in (*over, page)), counts)
    console.print(table)


def page_bytes(bundle: Path) -> int:
    """What a page fetches: the script and the weights."""
    return sum((bundle / file).stat().st_size for file in ("index.js", "weights.bin"))


def transposes(path: Path, port: str) -> int:
    """TRANSPOSE ops in what a port is given to write."""
    from triport.exporter.graph import Graph
    from triport.exporter.ops import Transpose
    from triport.targets.prepare import prepare
    from triport.targets.registry import get_target

    return sum(isinstance(node.op, Transpose) for node in prepare(Graph.load(path), get_target(port)).nodes)


def importing(rounds: int, console: Console) -> None:
    bare = [cpu_seconds([sys.executable, "-c", "pass"]) for _ in range(rounds * 2)]
    full = [cpu_seconds([sys.executable, "-c", "import triport"]) for _ in range(rounds * 2)]
    difference = (min(full) - min(bare)) * 1000
    console.print(f"import triport: {difference:.0f} ms of CPU over a bare Python (least of {rounds * 2})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    console = Console(width=150)
    conversions(rounds, console)
    sizes(console)
    importing(rounds, console)


if __name__ == "__main__":
    main()
