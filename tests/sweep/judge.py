"""One sample through capture, three ports and their runtimes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sweep.keys import Key
from sweep.outcome import SAME, Outcome, Verdict, outcome_of
from sweep.samples import Sample, build
from torch.utils import _pytree as pytree

from triport.exporter.capture import capture
from triport.exporter.errors import CheckError, EnvironmentError_, UsageError
from triport.exporter.graph import Graph
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners import LiteRT, OnnxRuntime, Session
from triport.runtime_checks.runners.bundle import BundleSession
from triport.runtime_checks.runners.node import NodeProcess
from triport.runtime_checks.samples import Case
from triport.runtime_checks.truth import Truth, truth_by_reference
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

NODE_LOADS = 100
"""Bundles that one Node process loads before the next takes over: imported modules are never given back."""


class Judge:
    """Keeps one Node process for many bundles."""

    def __init__(self) -> None:
        self._node = KeptNode()

    def judge(self, key: Key, ports: Sequence[str], begin: Callable[[str], None]) -> dict[str, Outcome]:
        """The outcome on each port; ``begin`` is told the stage (capture, then each port) before it starts."""
        begin("capture")
        try:
            sample = build(key)
            graph, truth = _captured(sample)
        except EnvironmentError_:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this sweep looks for
            return dict.fromkeys(ports, outcome_of(error))
        outcomes: dict[str, Outcome] = {}
        for port in ports:
            begin(port)
            folder = Path(tempfile.mkdtemp(prefix="sweep-"))
            try:
                outcomes[port] = self._on_port(graph, truth, port, folder)
            except EnvironmentError_:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                outcomes[port] = outcome_of(error)
            finally:
                shutil.rmtree(folder)
        return outcomes

    def _on_port(self, graph: Graph, truth: Truth, port: str, folder: Path) -> Outcome:
        target = get_target(port)
        artefact = folder / target.artefact
        target.write(prepare(graph, target), artefact, {})
        try:
            with self._load(port, artefact) as session:
                failed = [check for check in check_port(session, truth) if not check.passed]
        except UsageError as error:  # the file asks for other inputs than the graph has
            return Outcome(Verdict.WRONG, outcome_of(error).reason)
        if failed:
            return Outcome(Verdict.WRONG, f"{failed[0].code}: {failed[0].output}: {failed[0].problem}")
        return SAME

    def _load(self, port: str, artefact: Path) -> Session:
        if port == "onnx":
            return OnnxRuntime().load(artefact)
        return LiteRT().load(artefact) if port == "tflite" else self._node.load(artefact)

    def close(self) -> None:
        self._node.stop()


class KeptNode:
    """A Node process as the channel of one session after another (`runners.bundle.Channel`)."""

    clock_is_cpu = True

    def __init__(self) -> None:
        self._process: NodeProcess | None = None
        self._loads = 0

    def load(self, artefact: Path) -> BundleSession:
        if self._process is not None and self._loads >= NODE_LOADS:
            self.stop()
        if self._process is None:
            self._process, self._loads = NodeProcess(timeout=60.0), 0
        self._loads += 1
        return BundleSession(self, "Node", (artefact.resolve() / "index.js").as_uri())

    def ask(self, message: bytes) -> bytes:
        assert self._process is not None, "a session is asked while it is open"
        try:
            return self._process.ask(message)
        except CheckError:  # it is gone; what comes next gets a new one
            self.stop()
            raise

    def close(self) -> None:
        """A session's end, which the process outlives."""

    def stop(self) -> None:
        if self._process is not None:
            self._process.close()
        self._process = None


def _captured(sample: Sample) -> tuple[Graph, Truth]:
    """The graph, and the module's own eager answer as the truth."""
    graph = capture(sample.module, dict(sample.inputs), dynamic={})
    # On copies, since some functions write into their input; with gradients, as in training: without them torch's
    # transformers are fused, and answer 0 where a mask pads.
    returned = sample.module([tensor.clone() for tensor in sample.inputs.values()])
    answers: list[Any] = [leaf.detach().numpy() for leaf in pytree.tree_leaves(returned)]
    outputs = dict(zip(graph.outputs, answers, strict=True))
    inputs = {name: tensor.contiguous().numpy() for name, tensor in sample.inputs.items()}
    truth = truth_by_reference(graph, [Case("sample", inputs, outputs, True)])
    return graph, truth
