"""A graph in ONNX Runtime, in memory: the fastest engine at hand for calibrating and for measuring accuracy.

Quantized graphs run here with the integers that they have on every port, so what is measured here holds there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..exporter.errors import EnvironmentError_, ModelError
from ..exporter.graph import Array, Graph, TensorType, Value
from ..exporter.graph.types import CODES
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
        self._given = {value.name: value.type for value in graph.inputs}
        self._answered = {name: value.type for name, value in graph.outputs.items()}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""
        return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))

    def answers(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The same of real numbers: what is codes at the graph's border becomes such, and real numbers again."""
        results = self.run({name: as_codes(array, self._given[name]) for name, array in inputs.items()})
        return {name: as_reals(array, self._answered[name]) for name, array in results.items()}


def as_codes(array: Array, type: TensorType) -> Array:
    """Real numbers as the codes that an input of this type takes; as they are where it takes real numbers."""
    to = type.quantization
    if to is None:
        return array
    steps = np.rint(array.astype(np.float32) * (np.float32(1) / np.float32(to.scale))) + to.zero_point
    codes: Array = np.clip(steps, CODES[type.dtype], CODES[type.dtype] + 255).astype(type.dtype.numpy)
    return codes


def as_reals(array: Array, type: TensorType) -> Array:
    """What codes of this type stand for; real numbers as they are."""
    of = type.quantization
    if of is None:
        return array
    reals: Array = (array.astype(np.float32) - np.float32(of.zero_point)) * np.float32(of.scale)
    return reals


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
