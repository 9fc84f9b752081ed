"""The browser port around a runtime from npm: what may go in, and the folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ...exporter.errors import ModelError
from ...exporter.graph import Graph, Node, Sym, TensorType
from ...exporter.passes.fix_sizes import fix_sizes
from ..emit import Refusal
from ..target import Capabilities, Target
from ..web.plan import canonical_json
from .files import write_pages
from .packings import Packing

MAX_BYTES = 2**31 - 1
"""Neither a .onnx nor a .tflite file of one piece holds more; a page has 4 GiB."""


class PackedTarget:
    """Writes ``web/`` with the file of another target and a wrapper that runs it in a runtime from npm."""

    name = "web"
    artefact = "web"

    def __init__(self, packing: Packing) -> None:
        self.packing = packing
        module, attribute = packing.target
        self.inner: Target = getattr(import_module(module, __package__), attribute)()
        # Pages give and get integers of 32 bits, whatever the file holds.
        self.capabilities: Capabilities = replace(self.inner.capabilities, narrow_integers=True, most_bytes=MAX_BYTES)

    def refusal(self, node: Node) -> Refusal | None:
        """Why a node of a prepared graph cannot be spelled; None when it can."""
        refused = self.inner.refusal(node)
        return refused and replace(
            refused, help=f"{refused.help}; or leave --web-runtime out: our own kernels may have it"
        )

    def check(self, graph: Graph) -> None:
        """ModelError TP105 or TP104 for an input or output that the runtime does not take; asked before any work."""
        given = [(f'input "{value.name}"', value.type) for value in graph.inputs]
        made = [(f'output "{name}"', value.type) for name, value in graph.outputs.items()]
        for what, type in (*given, *made):
            if type.dtype not in self.packing.dtypes:
                known = ", ".join(sorted(dtype.value for dtype in self.packing.dtypes))
                raise ModelError(
                    "TP105",
                    f"{what} is {type}, and {self.packing.title} takes {known} there",
                    help="cast it in the model, or pack another runtime: --web-runtime ort, or none for our own",
                )
        if self.packing.one_row and graph.free_names():
            self._check_rows([*given, *made], graph.free_names())

    def write(self, graph: Graph, path: Path, manifest: Mapping[str, Any]) -> None:
        """Writes the folder ``path``."""
        path.mkdir(parents=True, exist_ok=True)
        free = graph.free_names()
        fixed = fix_sizes(graph, dict.fromkeys(free, 1)) if self.packing.one_row and free else graph
        self.inner.write(fixed, path / self.packing.model if self.packing.model else path, manifest)
        model_files = sorted(file.name for file in path.iterdir())
        write_pages(graph, self.packing, model_files, path)
        if manifest:
            (path / "triport.json").write_bytes(canonical_json(dict(manifest)))

    def _check_rows(self, tensors: list[tuple[str, TensorType]], free: tuple[str, ...]) -> None:
        batch = tensors[0][1].shape[0] if tensors[0][1].shape else None
        for what, type in tensors:
            others = [dim for dim in type.shape[1:] if isinstance(dim, Sym)]
            if type.shape and type.shape[0] == batch and isinstance(batch, Sym) and len(free) == 1 and not others:
                continue
            raise ModelError(
                "TP104",
                f"{what} is {type}, and {self.packing.title} wants every size but the batch fixed",
                because="it runs one row after the other, so that the first axis of every input and output, and nothing"
                f" else, may be free; free here: {', '.join(free)}",
                help="capture the model with these sizes fixed: leave them out of dynamic=; or --web-runtime ort",
            )
