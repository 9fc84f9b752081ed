"""Messages to JavaScript hosts: a JSON header and raw arrays behind it, in one piece of bytes.

    4 bytes   length of the header, little-endian
    header    JSON, UTF-8; header["arrays"] = [{name, dtype, shape, offset, bytes}], offsets from the end of the header
    payload   the arrays' bytes, little-endian, each starting at a multiple of 8

js/frames.mjs is the other half.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...exporter.graph import Array

_ALIGNMENT = 8


def encode(header: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> bytes:
    """The bytes of one message."""
    parts: list[bytes] = []
    table: list[dict[str, Any]] = []
    offset = 0
    for name, array in (arrays or {}).items():
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        table.append(
            {
                "name": name,
                "dtype": array.dtype.name,
                "shape": list(array.shape),
                "offset": offset,
                "bytes": len(data),
            }
        )
        padding = -len(data) % _ALIGNMENT
        parts += [data, b"\0" * padding]
        offset += len(data) + padding
    text = json.dumps({**header, "arrays": table, "payload": offset}).encode()
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def decode(message: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of one message; the arrays are copies."""
    length = int.from_bytes(message[:4], "little")
    header: dict[str, Any] = json.loads(message[4 : 4 + length])
    payload = memoryview(message)[4 + length :]
    arrays: dict[str, Array] = {}
    for entry in header.pop("arrays", []):
        data = payload[entry["offset"] : entry["offset"] + entry["bytes"]]
        dtype = np.dtype(entry["dtype"]).newbyteorder("<")
        array = np.frombuffer(data, dtype).reshape(entry["shape"])
        arrays[entry["name"]] = array.astype(dtype.newbyteorder("="))
    return header, arrays


def header_length(prefix: bytes) -> int:
    """Length of the header that follows the first four bytes."""
    return int.from_bytes(prefix, "little")


def payload_length(header: bytes) -> int:
    """Length of the payload that follows a header."""
    return int(json.loads(header).get("payload", 0))
