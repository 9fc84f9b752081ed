"""The server port: model.onnx for ONNX Runtime and everything else that reads ONNX."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...exporter.graph import Graph, Node
from ...exporter.graph.stored import stored_forms
from ...exporter.ops import Layout
from ..emit import Refusal
from ..target import Capabilities
from . import ops as _ops  # noqa: F401  (importing it fills the table of emitters)
from .emitters import EMITTERS
from .names import shorten
from .opsets import ir_version_for, opset_for
from .stored import store_initializers
from .writer import OnnxWriter, write_model


class OnnxTarget:
    """Writes ONNX: channels first, nothing fused (ONNX Runtime fuses when it loads), the lowest opset that does."""

    name = "onnx"
    artefact = "model.onnx"
    capabilities = Capabilities(
        layout=Layout.CHANNELS_FIRST, fuses={}, lifts_1d=False, takes_matrices=True, clamps_codes=True
    )

    def refusal(self, node: Node) -> Refusal | None:
        """Why a node of a prepared graph cannot be spelled; None when it can."""
        return EMITTERS.refusal(node)

    def write(self, graph: Graph, path: Path, manifest: Mapping[str, Any]) -> None:
        """Writes a prepared graph; see `targets.target.Target.write`."""
        forms = stored_forms(graph.metadata)
        writer = OnnxWriter(opset_for(graph), graph.inputs, list(graph.outputs.values()), forms)
        writer.take_inputs()
        for node in graph.nodes:
            EMITTERS.emit(node, writer)
        writer.give_outputs()
        writer.initializers, expanding = store_initializers(writer.initializers, forms)
        writer.nodes[:0] = expanding
        writer.initializers = shorten(graph, writer.nodes, writer.initializers)
        metadata = {
            key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for key, value in manifest.items()
        }
        write_model(
            path,
            graph,
            writer,
            ir_version=ir_version_for(writer.opset),
            metadata=metadata,
            version=str(manifest.get("producer_version", "")),
        )
