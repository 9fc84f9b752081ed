"""What capturing costs beside torch.export, and what converting a large network costs: CPU seconds and peak memory.

    .venv/bin/python benchmarks/bench_capture.py [--rounds 5]

torch.export and `capture` take turns in one process. Capture runs the network too: once for each golden sample, and
once as a graph, to prove it, without the convolutions that both make of the same numbers. These passes are what the
network costs, whoever runs them; they are measured as one call of the module each and named apart from what is added to
torch.export beside them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import torch
from bench_export import _CONVERT, PORTS
from networks import FOLDER
from peer_networks import LARGE, NETWORKS, PeerNetwork

import triport as tp


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def beside_export(name: str, network: PeerNetwork, rounds: int) -> str:
    """A row of the table; seconds are the least of the rounds, the last figure is the median of the rounds' own."""
    module, example = network.made(), network.example()
    twice = torch.cat([example, example])
    shapes = ({0: torch.export.Dim.DYNAMIC},)

    def export() -> object:
        with torch.no_grad():
            return torch.export.export(module, (twice,), dynamic_shapes=shapes, strict=False)

    def forward() -> object:
        with torch.no_grad():
            return module(example)

    graph = tp.capture(module, example)
    taken: dict[str, list[float]] = {"export": [], "capture": [], "forward": []}
    for _ in range(rounds):
        taken["export"].append(seconds(export))
        taken["capture"].append(seconds(lambda: tp.capture(module, example)))
        taken["forward"].append(seconds(forward))
    least = {what: min(values) for what, values in taken.items()}
    passes = (1 + len(graph.samples)) * least["forward"]
    ratio = statistics.median(c / e for c, e in zip(taken["capture"], taken["export"], strict=True))
    added = least["capture"] - least["export"] - passes
    return (
        f"| {name} | {least['export']:.2f} | {least['capture']:.2f} | {passes:.2f} | {added:.2f} "
        f"| {100 * added / least['export']:.0f} % | {ratio:.2f} |"
    )


def conversions(name: str, network: PeerNetwork, rounds: int) -> None:
    path = FOLDER / f"{name.lower()}.triport"
    FOLDER.mkdir(parents=True, exist_ok=True)
    graph = tp.capture(network.made(), network.example())
    graph.save(path)
    weights = graph.parameter_bytes()
    print(f"\n{name}, {weights / 1e6:.0f} MB: CPU seconds (least of {rounds}), peak memory over idle in weights")
    for port in PORTS:
        command = [sys.executable, "-c", _CONVERT, str(path), port]
        results = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(rounds)]
        pairs = [tuple(map(float, result.split())) for result in results]
        print(f"| {port} | {min(pair[0] for pair in pairs):.2f} | {max(pair[1] for pair in pairs) / weights:.2f}x |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore", UserWarning)  # torch's, about the weights of recurrent layers it exports
    torch.set_num_threads(1)
    print("| network | torch.export | capture | forward passes in it | added | of torch.export | capture / export |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, network in (NETWORKS | LARGE).items():
        print(beside_export(name, network, rounds), flush=True)
    for name, network in LARGE.items():
        conversions(name, network, rounds)


if __name__ == "__main__":
    main()
