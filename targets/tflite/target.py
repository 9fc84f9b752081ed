"""The TFLite port: what it can spell, and how a prepared graph becomes a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...exporter.errors import ModelError
from ...exporter.graph import DType, Graph, Node, Value
from ...exporter.ops import Activation, Add, Conv, ConvTranspose, Div, Layout, Linear, Mul, Sub
from ..emit import Refusal
from ..target import Capabilities
from . import ops as _ops  # noqa: F401  (importing it fills the table of emitters)
from .flatfile import MAX_BYTES, write
from .registry import EMITTERS
from .schema import TENSOR_TYPES, device_dtype
from .writer import Writer

_CLAMPS = frozenset({Activation.RELU, Activation.RELU6})
_INT32 = np.iinfo(np.int32)


class TFLiteTarget:
    """Writes ``model.tflite`` for LiteRT and older TensorFlow Lite runtimes."""

    name = "tflite"
    artefact = "model.tflite"
    emitters = EMITTERS
    capabilities = Capabilities(
        layout=Layout.CHANNELS_LAST,
        fuses=dict.fromkeys((Conv, ConvTranspose, Linear, Add, Sub, Mul, Div), _CLAMPS),
        lifts_1d=True,
        most_bytes=MAX_BYTES,
        narrow_integers=True,
    )

    def refusal(self, node: Node) -> Refusal | None:
        """Why a node of a prepared graph cannot be spelled; None when it can."""
        for value in (*node.inputs, *node.outputs):
            refusal = _unknown_on_device(value)
            if refusal is not None:
                return refusal
        return EMITTERS.refusal(node)

    def write(self, graph: Graph, path: Path, manifest: Mapping[str, Any]) -> None:
        """Writes a prepared graph to the file ``path``; ModelError when it would not fit into the format."""
        _check_size(graph)
        writer = Writer(graph)
        for node in graph.nodes:
            EMITTERS.emit(node, writer)
        model = writer.finish(manifest)
        with open(path, "wb") as file:
            write(model, file)


def _unknown_on_device(value: Value) -> Refusal | None:
    dtype = value.type.dtype
    if device_dtype(dtype) not in TENSOR_TYPES:
        return Refusal(
            f"{value.name} is {dtype.value}, which TFLite kernels do not compute with",
            "cast it to float32 in the model" if dtype.is_float else "cast it to int32 in the model",
            "TP105",
        )
    if dtype is DType.INT64 and value.is_constant:
        array = value.array()
        if array.size and not (_INT32.min <= int(array.min()) and int(array.max()) <= _INT32.max):
            return Refusal(
                f"{value.name} is int64, which becomes int32 on the device, and holds numbers beyond that",
                "use smaller indices or constants",
                "TP105",
            )
    return None


def _check_size(graph: Graph) -> None:
    needed = graph.stored_bytes()
    if needed > MAX_BYTES:
        raise ModelError(
            "TP106",
            f"the weights take {needed / 1e9:.2f} GB; a .tflite file holds 2.1 GB",
            because="its format addresses the file with 31 bits",
            help="quantize the model (triport quantize), or export it to onnx",
        )
