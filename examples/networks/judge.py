"""One network on its way: captured once, exported to each port, run there at every size, compared with the module."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from catalog import Inputs, Network
from torch import nn
from torch.utils import _pytree as pytree

import triport as tp
from triport.exporter.errors import TriportError
from triport.exporter.graph import Array
from triport.runtime_checks.manifest import download_bytes, file_sums
from triport.runtime_checks.parity import Check, check_port
from triport.runtime_checks.runners import get_runner
from triport.runtime_checks.samples import Case
from triport.runtime_checks.tolerance import tolerance_for
from triport.runtime_checks.truth import Spread, Truth

RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert", "web": "node"}
ARTEFACTS = {"onnx": "model.onnx", "tflite": "model.tflite", "web": "web"}


class Verdict(Enum):
    """How a port did: refused is a typed error, wrong another answer, crashed anything else."""

    SAME = "same"
    REFUSED = "refused"
    WRONG = "wrong"
    CRASHED = "crashed"


@dataclass(frozen=True)
class PortResult:
    """One network on one port.

    reason       why not; empty for `Verdict.SAME`
    difference   the largest, as a share of what is allowed: above 1 is wrong
    bytes        of the file, or what a page fetches of the bundle
    """

    port: str
    runtime: str
    verdict: Verdict
    reason: str = ""
    difference: float = 0.0
    bytes: int = 0


@dataclass(frozen=True)
class Result:
    """One network.

    capture_seconds   CPU seconds of tp.capture
    transposes        TRANSPOSE operators inside the TFLite file; None where there is no file
    free              the sizes that stayed free
    """

    network: str
    capture_seconds: float
    ports: list[PortResult] = field(default_factory=list)
    transposes: int | None = None
    free: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        return bool(self.ports) and all(port.verdict is Verdict.SAME for port in self.ports)

    def to_json(self) -> dict[str, Any]:
        ports = [{**asdict(port), "verdict": port.verdict.value} for port in self.ports]
        return {**asdict(self), "ports": ports, "same": self.same}


def judge(network: Network, ports: Sequence[str], folder: Path) -> Result:
    """The result on each of the ports, whose artefacts are left in the folder."""
    module = network.build()
    samples = [network.inputs(**sizes) for sizes in network.checks]
    start = time.process_time()
    try:
        graph = tp.capture(module, samples[0], network.dynamic, name=network.name, more_examples=samples[1:])
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what this looks for
        failed = [_failed(port, RUNTIMES[port], error) for port in ports]
        return Result(network.name, time.process_time() - start, failed)
    seconds = time.process_time() - start
    labels = [", ".join(f"{name} {size}" for name, size in sizes.items()) for sizes in network.checks]
    truth = module_truth(graph, module, dict(zip(labels, samples, strict=True)))
    results = []
    for port in ports:
        try:
            tp.export(graph, folder, to=[port], verify=False)
        except Exception as error:  # noqa: BLE001 - as above
            results.append(_failed(port, RUNTIMES[port], error))
            continue
        runtimes = [RUNTIMES[port], *(["chromium"] if network.browser and port == "web" else [])]
        results += [judge_port(folder / ARTEFACTS[port], port, runtime, truth) for runtime in runtimes]
    return Result(network.name, seconds, results, _transposes(folder / ARTEFACTS["tflite"]), sorted(graph.free_names()))


def module_truth(graph: tp.Graph, module: nn.Module, samples: dict[str, Inputs]) -> Truth:
    """What the module itself answers in float64, and as the allowance what it is off by in float32."""
    exact = copy.deepcopy(module).double()
    spreads = {name: Spread() for name in graph.outputs}
    cases = []
    for label, inputs in samples.items():
        own = _answer(graph, module, inputs)
        wide = _answer(graph, exact, {n: x.double() if x.is_floating_point() else x for n, x in inputs.items()})
        for name, spread in spreads.items():
            spread.add(wide[name].astype(np.float64), own[name].astype(np.float64))
        cases.append(Case(label, {name: tensor.numpy() for name, tensor in inputs.items()}, wide))
    dtypes = {name: value.type.dtype for name, value in graph.outputs.items()}
    limits = {name: spreads[name].limit(dtype, tolerance_for(dtype)) for name, dtype in dtypes.items()}
    return Truth("the module in float64", cases, limits)


def judge_port(artefact: Path, port: str, runtime: str, truth: Truth) -> PortResult:
    """An artefact in its runtime, every case twice."""
    runner = get_runner(runtime)
    if missing := runner.missing():
        return PortResult(port, runtime, Verdict.REFUSED, f"{missing.what}: {missing.install}")
    try:
        with runner.load(artefact) as session:
            checks = check_port(session, truth)
    except Exception as error:  # noqa: BLE001 - as above
        return _failed(port, runtime, error)
    files = file_sums(artefact.parent, artefact.name)
    wrong = next((check for check in checks if not check.passed), None)
    return PortResult(
        port,
        runtime,
        Verdict.WRONG if wrong else Verdict.SAME,
        f"{wrong.code}: {wrong.output} at {wrong.case}: {wrong.problem}" if wrong else "",
        max(map(_share, checks), default=0.0),
        download_bytes(files),
    )


def _answer(graph: tp.Graph, module: nn.Module, inputs: Inputs) -> dict[str, Array]:
    with torch.no_grad():
        returned = module(**{name: tensor.clone() for name, tensor in inputs.items()})
    leaves = [leaf for leaf in pytree.tree_leaves(returned) if isinstance(leaf, torch.Tensor)]
    return {name: leaf.numpy() for name, leaf in zip(graph.outputs, leaves, strict=True)}


def _share(check: Check) -> float:
    return check.max_abs / check.bound if check.bound else check.max_abs


def _failed(port: str, runtime: str, error: Exception) -> PortResult:
    if isinstance(error, TriportError):
        because = f" ({error.because.splitlines()[0]})" if error.because else ""
        at = f" at {error.at}" if error.at else ""
        # TP5 codes: a runtime would not take, or not finish, what was written for it.
        verdict = Verdict.CRASHED if error.code.startswith("TP5") else Verdict.REFUSED
        details = "".join(f"; {detail}" for detail in error.details)
        return PortResult(port, runtime, verdict, f"{error.code}: {error.message}{because}{at}{details}")
    return PortResult(port, runtime, Verdict.CRASHED, f"{type(error).__name__}: {error}")


def _transposes(file: Path) -> int | None:
    if not file.exists():
        return None
    return sum(count for op, count in tp.inspect(file).ops.items() if op.split()[0] == "TRANSPOSE")
