"""The TensorFlow.js port: what a graph model can spell, and how a prepared graph becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...exporter.errors import ModelError
from ...exporter.graph import Graph, Node
from ...exporter.ops import Activation, Conv, ConvTranspose, Layout, Linear
from ..emit import Refusal
from ..target import Capabilities
from . import ops as _ops  # noqa: F401  (importing it fills the table of emitters)
from .artefact import write_files
from .dtypes import dtype_refusal, value_refusal
from .emitters import EMITTERS
from .writer import Writer

_CLAMPS = frozenset({Activation.RELU, Activation.RELU6})

MAX_BYTES = 2**32 - 2**28
"""WebAssembly addresses 4 GiB; the rest is for what the model computes."""


class TfjsTarget:
    """Writes a graph model for ``tf.loadGraphModel``: model.json and the shards of its weights."""

    name = "tfjs"
    artefact = "tfjs"
    capabilities = Capabilities(
        layout=Layout.CHANNELS_LAST,
        fuses=dict.fromkeys((Conv, ConvTranspose, Linear), _CLAMPS),
        lifts_1d=True,
        most_expanded=MAX_BYTES,
        narrow_integers=True,
    )

    def refusal(self, node: Node) -> Refusal | None:
        """Why a node of a prepared graph cannot be spelled; None when it can."""
        return dtype_refusal(node) or EMITTERS.refusal(node)

    def write(self, graph: Graph, path: Path, manifest: Mapping[str, Any]) -> None:
        """Writes model.json and the shards into the folder ``path``; ModelError for inputs without a dtype there."""
        for value in (*graph.inputs, *graph.outputs.values()):
            refused = value_refusal(value)
            if refused is not None:
                raise ModelError(refused.code, refused.because, help=refused.help)
        write_files(Writer(graph).write_nodes(EMITTERS.emit), graph, path)
