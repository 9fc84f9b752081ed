"""What a port is to the rest of the house: a layout, what it fuses, what it spells, and a writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..exporter.graph import Graph, Node
from ..exporter.ops import Activation, Layout, OpAttrs
from .emit import Refusal


@dataclass(frozen=True)
class Capabilities:
    """What a port can spell; the passes that prepare a graph read nothing else of it.

    layout            where the channels of conv, pool and resize stand
    fuses             op class → activations its kernel applies to its own result
    lifts_1d          conv, pool and resize over one spatial axis are written over two, the first of size 1
    most_bytes        what weights may take; None: any size
    most_expanded     … once those stored in few bits are float32 again; None: any size
    narrow_integers   int64 is int32 on the device
    tabulates         a function of single codes is fastest as a table of all 256
    takes_matrices    a linear layer over codes multiplies matrices only, and reshapes whatever has more axes
    clamps_codes      codes are clamped and multiplied faster than they are dequantized
    """

    layout: Layout
    fuses: Mapping[type[OpAttrs], frozenset[Activation]]
    lifts_1d: bool
    most_bytes: int | None = None
    most_expanded: int | None = None
    narrow_integers: bool = False
    tabulates: bool = False
    takes_matrices: bool = False
    clamps_codes: bool = False


class Target(Protocol):
    """One port.

    name       what ``--to`` calls it
    artefact   file or folder it writes, relative to the export folder
    """

    name: str
    artefact: str
    capabilities: Capabilities

    def refusal(self, node: Node) -> Refusal | None:
        """Why a node of a prepared graph cannot be spelled; None when it can."""

    def write(self, graph: Graph, path: Path, manifest: Mapping[str, Any]) -> None:
        """Writes a prepared graph to ``path`` (a file or a new folder, beside its final place).

        graph      legalised: every node spelled, outputs named (`Graph.outputs` keys are the values' names)
        manifest   what triport.json will hold about the model, for targets that carry it in the artefact
        """
