"""Leaves in a WebAssembly module only what a plan calls, and adds what was written for it: no compiler is needed on the
machine that exports.

Functions that no kept export reaches go, and with them the types and globals that only they used; the indices of the
others are written anew, in the fewest bytes. Custom sections (names, tool versions) go, and the table that linkers
leave empty. The decoder knows the
instructions of the MVP, saturating truncation, bulk memory and (relaxed) SIMD:
https://webassembly.github.io/spec/core/binary/instructions.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

HEADER = b"\0asm\1\0\0\0"
CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, GLOBAL, EXPORT, START, ELEMENT, CODE = 0, 1, 2, 3, 4, 6, 7, 8, 9, 10
"""Numbers of sections."""

_BLOCKS = frozenset({0x02, 0x03, 0x04})
_ONE_INDEX = frozenset({0x0C, 0x0D, *range(0x20, 0x23), 0x25, 0x26, 0xD0})
_MEMORY_ACCESSES = range(0x28, 0x3F)
_SIMD_MEMORY = frozenset({*range(12), 92, 93})
_SIMD_SIXTEEN_BYTES = frozenset({12, 13})
_SIMD_LANE = frozenset(range(21, 35))
_SIMD_MEMORY_LANE = frozenset(range(84, 92))
_BULK_INDICES = {8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}


class Kind(IntEnum):
    """What an index counts; the first two as exports spell them."""

    FUNCTION = 0
    GLOBAL = 3
    TYPE = -1


_INDEXED = {0x10: Kind.FUNCTION, 0xD2: Kind.FUNCTION, 0x23: Kind.GLOBAL, 0x24: Kind.GLOBAL}
"""Instructions whose index may change."""


@dataclass(frozen=True)
class Reference:
    """An index in a function's bytes from ``start`` to ``end``."""

    kind: Kind
    index: int
    start: int
    end: int


@dataclass(frozen=True)
class Instruction:
    """One instruction of a function's bytes: ``immediates`` is where what follows its opcode starts.

    opcode   for instructions of two numbers 256 times the first, and the second
    """

    opcode: int
    start: int
    immediates: int
    end: int


@dataclass(frozen=True)
class Added:
    """A function that is exported besides: how many i32 it takes, and its locals and instructions.

    Functions that it calls have the indices of the module as it was.
    """

    parameters: int
    body: bytes


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


NOTHING: Mapping[str, Added] = {}


def strip(module: bytes, keep: Collection[str], added: Mapping[str, Added] = NOTHING) -> bytes:
    """The module with only the function exports in ``keep``, what is added, and what they reach; other exports stay.

    ValueError when the module has no such export, or holds an instruction or section that is not known here.
    """
    sections = dict(sections_of(module))
    exports = list(_exports(sections[EXPORT]))
    missing = set(keep) - {export.name for export in exports if export.kind == Kind.FUNCTION} - added.keys()
    if missing:
        raise ValueError(f"the module has no kernel {', '.join(sorted(missing))}")
    if sections.keys() & {IMPORT, START, ELEMENT}:
        raise ValueError("imports, a start function or a table of functions are not expected here")
    kept = [export for export in exports if export.kind != Kind.FUNCTION or export.name in keep]
    return _Stripped(sections, kept, added).module()


def functions_of(module: bytes) -> dict[str, tuple[int, bytes]]:
    """{name: index, and locals and instructions} of the functions that a module exports."""
    sections = dict(sections_of(module))
    bodies = list(_bodies(sections[CODE]))
    exports = [export for export in _exports(sections[EXPORT]) if export.kind == Kind.FUNCTION]
    return {export.name: (export.index, bodies[export.index]) for export in exports}


class _Stripped:
    """A module's sections, and the new index of each function, global and type that the kept exports reach."""

    def __init__(self, sections: Mapping[int, bytes], kept: list[Export], added: Mapping[str, Added]) -> None:
        self.sections = sections
        self.kept = kept
        self.types = list(_types(sections[TYPE]))
        self.globals = list(_globals(sections.get(GLOBAL, b"\0")))
        types_of = Reader(sections[FUNCTION])
        self.type_of = [types_of.number() for _ in range(types_of.number())]
        self.bodies = list(_bodies(sections[CODE]))
        for name, function in added.items():
            self._add(name, function)
        reached = self._reached()
        self.new = {kind: {old: new for new, old in enumerate(sorted(reached[kind]))} for kind in Kind}

    def _add(self, name: str, function: Added) -> None:
        signature = b"\x60" + number(function.parameters) + bytes((0x7F,)) * function.parameters + b"\0"
        if signature not in self.types:
            self.types.append(signature)
        self.kept.append(Export(name, Kind.FUNCTION, len(self.bodies)))
        self.type_of.append(self.types.index(signature))
        self.bodies.append(function.body)

    def _reached(self) -> dict[Kind, set[int]]:
        reached: dict[Kind, set[int]] = {kind: set() for kind in Kind}
        for export in self.kept:
            if export.kind == Kind.GLOBAL:
                reached[Kind.GLOBAL].add(export.index)
        waiting = [export.index for export in self.kept if export.kind == Kind.FUNCTION]
        while waiting:
            index = waiting.pop()
            if index in reached[Kind.FUNCTION]:
                continue
            reached[Kind.FUNCTION].add(index)
            reached[Kind.TYPE].add(self.type_of[index])
            for found in _references(self.bodies[index]):
                if found.kind is Kind.FUNCTION:
                    waiting.append(found.index)
                else:
                    reached[found.kind].add(found.index)
        return reached

    def module(self) -> bytes:
        functions = self.new[Kind.FUNCTION]
        bodies = [self._renumbered(self.bodies[old]) for old in functions]
        written = {
            TYPE: [self.types[old] for old in self.new[Kind.TYPE]],
            FUNCTION: [number(self.new[Kind.TYPE][self.type_of[old]]) for old in functions],
            GLOBAL: [self.globals[old] for old in self.new[Kind.GLOBAL]],
            EXPORT: [self._spelled(export) for export in self.kept],
            CODE: [number(len(body)) + body for body in bodies],
        }
        out = bytearray(HEADER)
        for section, body in self.sections.items():
            if section in (CUSTOM, TABLE) or written.get(section) == []:
                continue
            if section in written:
                body = number(len(written[section])) + b"".join(written[section])
            out += bytes((section,)) + number(len(body)) + body
        return bytes(out)

    def _renumbered(self, body: bytes) -> bytes:
        out = bytearray()
        done = 0
        for found in _references(body):
            out += body[done : found.start] + number(self.new[found.kind][found.index])
            done = found.end
        return bytes(out + body[done:])

    def _spelled(self, export: Export) -> bytes:
        name = export.name.encode()
        kinds = {kind.value: self.new[kind] for kind in (Kind.FUNCTION, Kind.GLOBAL)}
        index = kinds[export.kind][export.index] if export.kind in kinds else export.index
        return number(len(name)) + name + bytes((export.kind,)) + number(index)


def instructions(body: bytes, start: int) -> Iterator[Instruction]:
    """The instructions of a function's bytes from ``start``, behind its locals, on."""
    reader = Reader(body, start)
    while not reader.done():
        start = reader.position
        opcode = reader.byte()
        immediates = reader.position
        if opcode in _INDEXED or (opcode in _BLOCKS and not body[immediates] & 0x40):
            reader.number()
        else:
            _skip_immediates(opcode, reader)
        if opcode in (0xFC, 0xFD):
            second = Reader(body, immediates)
            opcode = 256 * opcode + second.number()
            immediates = second.position
        yield Instruction(opcode, start, immediates, reader.position)


def locals_of(body: bytes) -> tuple[list[int], int]:
    """The types of a function's locals, and where its instructions start."""
    reader = Reader(body)
    kinds: list[int] = []
    for _ in range(reader.number()):
        count = reader.number()
        kinds += [reader.byte()] * count
    return kinds, reader.position


def _references(body: bytes) -> Iterator[Reference]:
    """The indices in a function's body that may change, in their order."""
    for found in instructions(body, locals_of(body)[1]):
        kind = _INDEXED.get(found.opcode)
        if found.opcode in _BLOCKS and not body[found.immediates] & 0x40:
            kind = Kind.TYPE  # else no result, or a value type: negative, one byte
        if kind is not None:
            yield Reference(kind, Reader(body, found.immediates).number(), found.immediates, found.end)


def _bodies(body: bytes) -> Iterator[bytes]:
    """Functions: locals and instructions of each."""
    reader = Reader(body)
    for _ in range(reader.number()):
        yield reader.take(reader.number())


def _types(body: bytes) -> Iterator[bytes]:
    """Function types: 0x60, then parameters and results, each a count and a byte for each."""
    reader = Reader(body)
    for _ in range(reader.number()):
        start = reader.position
        reader.byte()
        for _ in range(2):
            reader.take(reader.number())
        yield body[start : reader.position]


def _globals(body: bytes) -> Iterator[bytes]:
    """Globals: type, whether they change, and constant instructions up to the end."""
    reader = Reader(body)
    for _ in range(reader.number()):
        start = reader.position
        reader.take(2)
        while (opcode := reader.byte()) != 0x0B:
            _skip_immediates(opcode, reader)
        yield body[start : reader.position]


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


def sections_of(module: bytes) -> Iterator[tuple[int, bytes]]:
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


def number(value: int) -> bytes:
    """LEB128, unsigned."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
