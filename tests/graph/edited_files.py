"""Taking a file apart, changing one thing, and putting it together again."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from triport.exporter.graph.container import CHECKSUM_START

Edit = Callable[[dict[str, Any], dict[str, Any]], None]
"""Changes the graph's document and the table of tensors in place."""


def edited(whole: bytes, path: Path, edit: Edit, *, data: Callable[[bytes], bytes] = bytes) -> Path:
    """A file's bytes written to ``path`` with one thing changed and the header's checksum right again."""
    length = int.from_bytes(whole[:8], "little")
    table = json.loads(whole[8 : 8 + length])
    document = json.loads(table["__metadata__"]["triport"])
    edit(document, table)
    if "__metadata__" in table and "triport" in table["__metadata__"]:
        if "checksum" in document:
            document["checksum"] = "00000000"
        table["__metadata__"]["triport"] = _compact(document)
    header = sealed(_compact(table).encode())
    path.write_bytes(len(header).to_bytes(8, "little") + header + data(whole[8 + length :]))
    return path


def sealed(header: bytes) -> bytes:
    """The header padded and with its checksum filled in, where it has one."""
    header += b" " * (-len(header) % 8)
    start = len(CHECKSUM_START)
    if not header.startswith(CHECKSUM_START):
        return header
    header = header[:start] + b"00000000" + header[start + 8 :]
    return header[:start] + f"{zlib.crc32(header):08x}".encode() + header[start + 8 :]


def _compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), sort_keys=False, ensure_ascii=False)


def put(*trail_and_value: Any) -> Edit:
    """The edit that sets one place in the document: ``put("nodes", 0, "op", "fly")``."""
    return lambda document, table: place(document, trail_and_value[:-1], trail_and_value[-1])


def put_in_table(*trail_and_value: Any) -> Edit:
    """The edit that sets one place in the table of tensors."""
    return lambda document, table: place(table, trail_and_value[:-1], trail_and_value[-1])


def place(data: Any, trail: tuple[Any, ...], value: Any) -> None:
    """Sets ``data[a][b][c] = value`` for the trail (a, b, c); a last key of ``+`` appends to a list."""
    for key in trail[:-1]:
        data = data[key]
    if trail[-1] == "+":
        data.append(value)
    else:
        data[trail[-1]] = value
