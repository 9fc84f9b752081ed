"""Leaves in a WebAssembly module only what a plan calls: no compiler is needed on the machine that exports.

Functions that no kept export reaches become one `unreachable` instruction (4 bytes), so that no index changes; their
exports go. The decoder knows the instructions of the MVP, saturating truncation, bulk memory and (relaxed) SIMD:
https://webassembly.github.io/spec/core/binary/instructions.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

HEADER = b"\0asm\1\0\0\0"
IMPORT, EXPORT, START, ELEMENT, CODE = 2, 7, 8, 9, 10
FUNCTION = 0
EMPTY_BODY = bytes((3, 0, 0x00, 0x0B))
"""Size 3: no locals, unreachable, end."""

_BLOCKS = frozenset({0x02, 0x03, 0x04})
_ONE_INDEX = frozenset({0x0C, 0x0D, *range(0x20, 0x27), 0xD0, 0xD2})
_MEMORY_ACCESSES = range(0x28, 0x3F)
_SIMD_MEMORY = frozenset({*range(12), 92, 93})
_SIMD_SIXTEEN_BYTES = frozenset({12, 13})
_SIMD_LANE = frozenset(range(21, 35))
_SIMD_MEMORY_LANE = frozenset(range(84, 92))
_BULK_INDICES = {8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}


@dataclass(frozen=True)
class Export:
    """One export: its name, what kind of thing it is (0: function), and that thing's index."""

    name: str
    kind: int
    index: int


class Reader:
    """Bytes read from the front."""

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end

    def done(self) -> bool:
        return self.position >= self.end

    def byte(self) -> int:
        self.position += 1
        return self.data[self.position - 1]

    def number(self) -> int:
        """A LEB128 number; signed ones come out unsigned, which is enough to step over them."""
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    def take(self, count: int) -> bytes:
        self.position += count
        return self.data[self.position - count : self.position]


def strip(module: bytes, keep: Collection[str]) -> bytes:
    """The module with only the function exports in ``keep``, and the functions they reach; other exports stay.

    ValueError when the module has no such export, or holds an instruction that is not known here.
    """
    sections = list(_sections(module))
    exports = [export for number, body in sections if number == EXPORT for export in _exports(body)]
    missing = set(keep) - {export.name for export in exports if export.kind == FUNCTION}
    if missing:
        raise ValueError(f"the module has no kernel {', '.join(sorted(missing))}")
    if any(number in (IMPORT, START, ELEMENT) for number, _ in sections):
        raise ValueError("imports, a start function or a table of functions are not expected here")
    kept = [export for export in exports if export.kind != FUNCTION or export.name in keep]
    out = bytearray(HEADER)
    for number, body in sections:
        if number == EXPORT:
            body = _number(len(kept)) + b"".join(_spelled(export) for export in kept)
        elif number == CODE:
            body = _stripped_code(body, [export.index for export in kept if export.kind == FUNCTION])
        out += bytes((number,)) + _number(len(body)) + body
    return bytes(out)


def _stripped_code(body: bytes, roots: list[int]) -> bytes:
    reader = Reader(body)
    functions = [reader.take(reader.number()) for _ in range(reader.number())]
    reached: set[int] = set()
    waiting = list(roots)
    while waiting:
        index = waiting.pop()
        if index not in reached:
            reached.add(index)
            waiting.extend(_calls(functions[index]))
    bodies = (_number(len(f)) + f if i in reached else EMPTY_BODY for i, f in enumerate(functions))
    return _number(len(functions)) + b"".join(bodies)


def _calls(function: bytes) -> Iterator[int]:
    """The functions that a body calls."""
    reader = Reader(function)
    for _ in range(reader.number()):  # groups of locals: count, type
        reader.number()
        reader.byte()
    while not reader.done():
        opcode = reader.byte()
        if opcode == 0x10:
            yield reader.number()
        else:
            _skip_immediates(opcode, reader)


def _skip_immediates(opcode: int, reader: Reader) -> None:
    if opcode in _BLOCKS or opcode in _ONE_INDEX or opcode in (0x3F, 0x40, 0x41, 0x42):
        reader.number()
    elif opcode in _MEMORY_ACCESSES:
        reader.number()
        reader.number()
    elif opcode == 0x0E:  # br_table
        for _ in range(reader.number() + 1):
            reader.number()
    elif opcode == 0x43:
        reader.take(4)
    elif opcode == 0x44:
        reader.take(8)
    elif opcode == 0xFC:
        for _ in range(_BULK_INDICES.get(reader.number(), 0)):
            reader.number()
    elif opcode == 0xFD:
        _skip_simd(reader.number(), reader)
    elif opcode not in (0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B) and not 0x45 <= opcode <= 0xC4:
        raise ValueError(f"instruction {opcode:#x} is not known here")


def _skip_simd(opcode: int, reader: Reader) -> None:
    if opcode in _SIMD_MEMORY or opcode in _SIMD_MEMORY_LANE:
        reader.number()
        reader.number()
        if opcode in _SIMD_MEMORY_LANE:
            reader.byte()
    elif opcode in _SIMD_SIXTEEN_BYTES:
        reader.take(16)
    elif opcode in _SIMD_LANE:
        reader.byte()


def _sections(module: bytes) -> Iterator[tuple[int, bytes]]:
    if module[: len(HEADER)] != HEADER:
        raise ValueError("not a WebAssembly module of version 1")
    reader = Reader(module, len(HEADER))
    while not reader.done():
        yield reader.byte(), reader.take(reader.number())


def _exports(body: bytes) -> Iterator[Export]:
    reader = Reader(body)
    for _ in range(reader.number()):
        name = reader.take(reader.number()).decode()
        yield Export(name, reader.byte(), reader.number())


def _spelled(export: Export) -> bytes:
    name = export.name.encode()
    return _number(len(name)) + name + bytes((export.kind,)) + _number(export.index)


def _number(value: int) -> bytes:
    """LEB128, unsigned."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
