"""A graph in ONNX Runtime, in memory: the fastest engine at hand for calibrating and for measuring accuracy.

Quantized graphs run here with the integers that they have on every port, so what is measured here holds there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..exporter.errors import EnvironmentError_, ModelError
from ..exporter.graph import Array, Graph, Value
from ..targets.onnx.target import OnnxTarget
from ..targets.prepare import prepare

_ERRORS_ONLY = 3


class Engine:
    """A loaded graph.

    raises   EnvironmentError_ without ONNX Runtime, ModelError for a graph that ONNX cannot express
    """

    def __init__(self, graph: Graph) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EnvironmentError_(
                "TP310", "calibration runs in ONNX Runtime, which is not installed", help="pip install onnxruntime"
            ) from error
        target = OnnxTarget()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        with tempfile.TemporaryDirectory(prefix="triport-engine-") as folder:
            path = Path(folder) / "model.onnx"
            target.write(prepare(graph, target), path, {})
            try:
                session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            except Exception as error:  # its errors descend from nothing more exact
                reason = str(error).splitlines()[0]
                raise ModelError("TP504", "ONNX Runtime refuses the model", because=reason) from error
        self._session: Any = session
        self._outputs = [output.name for output in session.get_outputs()]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""
        return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))


def showing(graph: Graph, values: Mapping[str, str]) -> Graph:
    """A copy whose outputs are inner values: {output name: value name}."""
    shown = graph.copy()
    named = {value.name: value for node in shown.nodes for value in (*node.inputs, *node.outputs)}
    named |= {value.name: value for value in shown.inputs}
    shown.outputs.clear()
    for output, name in values.items():
        shown.set_output(output, named[name])
    return shown


def find(graph: Graph, name: str) -> Value:
    """The value of that name."""
    for value in (*graph.inputs, *(v for node in graph.nodes for v in (*node.inputs, *node.outputs))):
        if value.name == name:
            return value
    raise KeyError(name)
