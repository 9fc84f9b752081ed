"""Reading a FlatBuffer without trusting it: every offset is checked before it is followed.

The flatbuffers library for Python checks nothing: a negative offset reads from the end of the file, a wrong length
walks off it. Here each read is bounded by the file, and the whole of them by a budget, because tables may be shared: a
small file whose million offsets all lead to one large table must not keep a reader busy for hours.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from ...exporter.errors import FormatError

_UOFFSET = struct.Struct("<I")
_SOFFSET = struct.Struct("<i")
_VOFFSET = struct.Struct("<H")


def damaged(problem: str) -> FormatError:
    return FormatError(
        "TP411", f"the .tflite file is damaged: {problem}", help="copy the file again, or export the model again"
    )


class FlatBuffer:
    """The bytes of a file. ``data`` is anything with a length that struct can read: bytes, memoryview, mmap."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.size = len(data)
        self._budget = 8 * self.size + 65536

    def number(self, kind: struct.Struct, position: int) -> Any:
        """The number at ``position``."""
        if position < 0 or position + kind.size > self.size:
            raise damaged(f"an offset leads to byte {position} of {self.size}")
        return kind.unpack_from(self.data, position)[0]

    def spend(self, steps: int) -> None:
        """Counts work against the budget."""
        self._budget -= steps
        if self._budget < 0:
            raise damaged("its tables refer to the same bytes over and over")

    def follow(self, position: int) -> int:
        """Where the offset stored at ``position`` leads."""
        return position + int(self.number(_UOFFSET, position))

    def root(self) -> Table:
        return Table(self, self.follow(0))


class Table:
    """A table: fields by the slots that the schema numbers from 0."""

    def __init__(self, buffer: FlatBuffer, position: int) -> None:
        buffer.spend(1)
        self.buffer = buffer
        self.position = position
        self._vtable = position - int(buffer.number(_SOFFSET, position))
        self._vtable_size = int(buffer.number(_VOFFSET, self._vtable))
        if self._vtable_size < 4 or self._vtable + self._vtable_size > buffer.size:
            raise damaged(f"the table at byte {position} has no valid list of fields")

    def _field(self, slot: int) -> int:
        """Position of the field's value; 0 when it is left out."""
        entry = 4 + 2 * slot
        if entry + 2 > self._vtable_size:
            return 0
        offset = int(self.buffer.number(_VOFFSET, self._vtable + entry))
        return self.position + offset if offset else 0

    def number(self, slot: int, format: str, default: int = 0) -> int:
        """An integer field; ``format`` is struct's letter."""
        position = self._field(slot)
        return int(self.buffer.number(struct.Struct("<" + format), position)) if position else default

    def table(self, slot: int) -> Table | None:
        position = self._field(slot)
        return Table(self.buffer, self.buffer.follow(position)) if position else None

    def vector(self, slot: int, item_size: int) -> tuple[int, int] | None:
        """(position of the first item, number of items), all of them within the file; None when left out."""
        field = self._field(slot)
        if not field:
            return None
        start = self.buffer.follow(field)
        count = int(self.buffer.number(_UOFFSET, start))
        if start + 4 + count * item_size > self.buffer.size:
            raise damaged(f"an array of {count} items at byte {start} does not fit into {self.buffer.size} bytes")
        return start + 4, count

    def numbers(self, slot: int, format: str) -> tuple[Any, ...] | None:
        """All items of an array of numbers; None when left out."""
        kind = struct.Struct("<" + format)
        found = self.vector(slot, kind.size)
        if found is None:
            return None
        start, count = found
        self.buffer.spend(count)
        return struct.unpack_from(f"<{count}{format}", self.buffer.data, start)

    def tables(self, slot: int) -> Sequence[Table]:
        """All items of an array of tables."""
        found = self.vector(slot, 4)
        if found is None:
            return ()
        start, count = found
        return [Table(self.buffer, self.buffer.follow(start + 4 * index)) for index in range(count)]

    def text(self, slot: int) -> str:
        """A string; bytes that are not UTF-8 are replaced."""
        found = self.vector(slot, 1)
        if found is None:
            return ""
        start, count = found
        self.buffer.spend(count)
        return bytes(self.buffer.data[start : start + count]).decode("utf-8", "replace")
