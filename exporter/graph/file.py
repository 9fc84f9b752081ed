"""Graphs in files: ``model.triport``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import FormatError
from .atomic import atomic_write
from .codec import check_version, graph_from_document, graph_to_document
from .container import Contents, Place, TensorTable, check_data, read_container, tensor_view, write_container
from .graph import Graph
from .json_checks import Json, integer, items, parse_json, text


@dataclass(frozen=True)
class Header:
    """What a file says of itself before any tensor is read.

    document     the parsed JSON of the graph; docs/format.md names its keys
    places       {tensor name: dtype, shape, and bytes of the data section}
    file_bytes   size of the whole file
    """

    document: dict[str, Json]
    places: dict[str, Place]
    file_bytes: int


def save_graph(graph: Graph, path: str | Path) -> None:
    """Writes a graph with its samples, metadata and extra tensors; the file appears whole or not at all.

    The same graph gives the same bytes. Raises UsageError when metadata or a name has no form in a file, and
    EnvironmentError_ when the folder or the disk refuses.
    """
    tensors = TensorTable()
    document = graph_to_document(graph, tensors)
    with atomic_write(path) as file:
        write_container(file, document, tensors.tensors)


def load_graph(path: str | Path, *, check_sums: bool = True) -> Graph:
    """The graph in a file. Arrays are read-only views of the mapped file, so loading takes no memory for them.

    check_sums   False leaves out the one pass over the data that finds damaged weights

    Raises UsageError when there is no such file, EnvironmentError_ when it cannot be read, and FormatError, which
    names what is wrong, when it is damaged, was tampered with or is of another version.
    """
    contents = read_container(path)
    try:
        document, sums = _checked_document(contents)
        data = contents.map_data()
        if check_sums:
            check_data(contents, data, sums)
        return graph_from_document(document, {name: tensor_view(data, p) for name, p in contents.places.items()})
    except FormatError as error:
        if str(contents.path) in error.message:
            raise
        raise FormatError(
            error.code, f"{contents.path}: {error.message}", because=error.because, help=error.help
        ) from error


def read_header(path: str | Path) -> Header:
    """What a file says of itself, without building the graph or touching a tensor; raises like `load_graph`."""
    contents = read_container(path)
    document, _ = _checked_document(contents)
    return Header(document, contents.places, Path(path).stat().st_size)


def _checked_document(contents: Contents) -> tuple[dict[str, Json], dict[str, int]]:
    """The parsed document and the tensors' checksums, after version and header checksum were compared."""
    document = check_version(parse_json(contents.document, "graph"))
    if "checksum" in document:
        written = text(document["checksum"], "graph.checksum")
        if not re.fullmatch("[0-9a-f]{8}", written) or contents.header_sum != int(written, 16):
            raise FormatError(
                "TP407",
                f"{contents.path}: the header is damaged: its CRC-32 is not {written[:8]}, which was written",
                help="copy or download the file again",
            )
    if "crc32" not in document:
        return document, {}
    names = sorted(contents.places)
    sums = [integer(item, "graph.crc32") for item in items(document["crc32"], "graph.crc32", len(names))]
    return document, dict(zip(names, sums, strict=True))
