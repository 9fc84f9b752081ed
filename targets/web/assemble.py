"""Writes the WebAssembly of elementwise chains: one loop that loads each operand once and stores only the last result.

What a chain computes of a vector is what the kernels compute, bit for bit: functions of one operand are the
instructions that the compiler made of kernels/lanes.c, copied into the loop; sums, products and comparisons are an
instruction each. A chain is called with the addresses of the result, of each operand and of a table. The table has for
each axis, outermost first, its size and the bytes from one index to the next in each operand (0: repeated). The result
is dense, and may stand over an operand that is.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...exporter.graph import DType
from .strip import Added, Reader, functions_of, instructions, locals_of, number

LANES = "lanes_"
"""What the names of the functions in kernels/lanes.c begin with."""

INSTRUCTIONS: Mapping[str, int] = {
    "equal": 0x41,
    "less": 0x43,
    "greater": 0x44,
    "less_equal": 0x45,
    "not": 0x4D,
    "and": 0x4E,
    "or": 0x50,
    "xor": 0x51,
    "select": 0x52,  # the first operand where the third has ones, else the second
    "add": 0xE4,
    "sub": 0xE5,
    "mul": 0xE6,
    "div": 0xE7,
    "minimum": 0xE8,
    "maximum": 0xE9,
}
"""SIMD instructions that steps may be; comparisons give lanes of ones or zeros."""

I32, V128 = 0x7F, 0x7B
"""Types of locals."""

VECTOR = 4
"""Cells that are computed at once."""

_GET, _SET, _TEE = 0x20, 0x21, 0x22
_IF, _ELSE, _LOOP, _END, _AGAIN = b"\x04\x40", b"\x05", b"\x03\x40", b"\x0b", b"\x0d\x00"
_ADD, _SHIFT_LEFT, _LESS, _GREATER, _EQUAL = b"\x6a", b"\x74", b"\x48", b"\x4a", b"\x46"
_ZERO, _RETURN = b"\x45", b"\x0f"
_SIMD = 0xFD
_LOAD, _LOAD_SPLAT, _LOAD_FOUR_BYTES, _LOAD_BYTE_SPLAT = 0, 9, 92, 7
_STORE, _STORE_ONE, _STORE_TWO, _CONST = 11, 90, 91, 12
_SPLAT = b"\xfd\x13"
_FOUR = b"\xfd\xfa\x01"  # f32x4.convert_i32x4_s
_WIDEN = {True: b"\xfd\x87\x01\xfd\xa7\x01", False: b"\xfd\x89\x01\xfd\xa9\x01"}  # the lowest bytes, signed and not

_AS_LANES: Mapping[DType, bytes] = {
    DType.FLOAT32: b"",
    DType.INT32: _FOUR,
    DType.INT8: _WIDEN[True] + _FOUR,
    DType.UINT8: _WIDEN[False] + _FOUR,
    DType.BOOL: b"\x41\x00\xfd\x0f\xfd\x24" + _WIDEN[True],  # i32.const 0, i8x16.splat, i8x16.ne
}
"""What makes lanes of an operand's cells once they are loaded: float32, or of bools ones where they are not 0."""


@dataclass(frozen=True)
class Constant:
    """A number in all lanes, by the bits of its float32: these tell zeros apart, and no NaN from itself."""

    bits: bytes

    @staticmethod
    def of(value: float) -> Constant:
        return Constant(struct.pack("<f", value))


Reference = int | Constant
"""What a step reads: an operand, counted from 0; a step before it, counted on from the operands; or a constant."""


@dataclass(frozen=True)
class Step:
    """One of `INSTRUCTIONS`, or a function of kernels/unary.h, which reads a vector and two parameters."""

    function: str
    arguments: tuple[Reference, ...]


@dataclass(frozen=True)
class Chain:
    """What a function computes: chains that are equal share one.

    kinds    what each operand is; whole numbers become float32
    steps    the last one's result is the chain's
    axes     for each axis, outermost first, whether each operand runs along it
    even     the innermost axis is a multiple of four, whatever the free dims are
    filled   no axis is empty, whatever the free dims are
    """

    kinds: tuple[DType, ...]
    steps: tuple[Step, ...]
    axes: tuple[tuple[bool, ...], ...]
    even: bool
    filled: bool


def assembled(chains: Mapping[Chain, str], module: bytes) -> dict[str, Added]:
    """{name: function} of the chains, for a module that has the functions of kernels/lanes.c."""
    if not chains:
        return {}
    lanes = {
        name.removeprefix(LANES): _Lanes.read(body)
        for name, (_, body) in functions_of(module).items()
        if name.startswith(LANES)
    }
    return {name: Added(len(chain.kinds) + 2, _Function(chain, lanes).body()) for chain, name in chains.items()}


@dataclass(frozen=True)
class _Lanes:
    """A function of kernels/lanes.c: parameters are locals 0, 1, 2, and those behind them have ``kinds``."""

    kinds: tuple[int, ...]
    code: tuple[tuple[int, int, bytes], ...]
    """Of each instruction the opcode, the local that it names, or 0, and its bytes."""

    @staticmethod
    def read(body: bytes) -> _Lanes:
        """ValueError when there is more than one way through the function: then it cannot stand in a loop as it is."""
        kinds, start = locals_of(body)
        code = []
        for found in instructions(body, start):
            if 0x02 <= found.opcode <= 0x0F and found.end < len(body):
                raise ValueError(f"instruction {found.opcode:#x} is not expected in {LANES}* functions")
            local = Reader(body, found.immediates).number() if found.opcode in (_GET, _SET, _TEE) else 0
            code.append((found.opcode, local, body[found.start : found.end]))
        return _Lanes(tuple(kinds), tuple(code[:-1]))

    def reads(self, parameter: int) -> bool:
        return any(opcode == _GET and local == parameter for opcode, local, _ in self.code)

    def writes(self, parameter: int) -> bool:
        return any(opcode in (_SET, _TEE) and local == parameter for opcode, local, _ in self.code)


@dataclass
class _Locals:
    """The locals of a function that has ``parameters`` i32."""

    parameters: int
    kinds: list[int] = field(default_factory=list)

    def new(self, kind: int) -> int:
        self.kinds.append(kind)
        return self.parameters + len(self.kinds) - 1

    def spelled(self) -> bytes:
        groups: list[list[int]] = []
        for kind in self.kinds:
            if groups and groups[-1][1] == kind:
                groups[-1][0] += 1
            else:
                groups.append([1, kind])
        return number(len(groups)) + b"".join(number(count) + bytes((kind,)) for count, kind in groups)


class _Function:
    """The code of one chain. Parameters are the result's address, the operands' and the table's."""

    def __init__(self, chain: Chain, lanes: Mapping[str, _Lanes]) -> None:
        self.chain = chain
        self.lanes = lanes
        self.operands = len(chain.kinds)
        self.table = self.operands + 1
        self.locals = _Locals(self.operands + 2)
        self.uses = Counter(argument for step in chain.steps for argument in step.arguments)
        self.constants: dict[bytes, int] = {}
        self.held: dict[int, int] = {}
        self.spare: dict[int, list[int]] = {}

    def body(self) -> bytes:
        """Locals and instructions."""
        loops = self._along(0, list(range(1, self.operands + 1)))
        before = b"".join(
            b"\x43" + bits + _SPLAT + _local(_SET, local) for bits, local in self.constants.items()
        )  # f32.const
        return self.locals.spelled() + self._unless_empty() + before + loops + _END

    def _unless_empty(self) -> bytes:
        """Returns at once where an axis has no cells: loops look at their counters behind the first turn."""
        if self.chain.filled:
            return b""
        return b"".join(self._entry(axis, 0) + _ZERO + _IF + _RETURN + _END for axis in range(len(self.chain.axes)))

    # -- loops -------------------------------------------------------------------------------------------------------

    def _along(self, axis: int, at: list[int]) -> bytes:
        """The loop over an axis and those in it; ``at``: the locals that say where each operand starts."""
        if axis == len(self.chain.axes) - 1:
            return self._innermost(at)
        left = self.locals.new(I32)
        moves = [any(runs[operand] for runs in self.chain.axes[axis + 1 :]) for operand in range(self.operands)]
        own = [self.locals.new(I32) if moving else outer for moving, outer in zip(moves, at, strict=True)]
        out = self._entry(axis, 0) + _local(_SET, left) + _LOOP
        for outer, inner in zip(at, own, strict=True):
            out += _local(_GET, outer) + _local(_SET, inner) if inner != outer else b""
        out += self._along(axis + 1, own)
        for operand, runs in enumerate(self.chain.axes[axis]):
            if runs:
                out += _local(_GET, at[operand]) + self._entry(axis, operand + 1) + _ADD + _local(_SET, at[operand])
        return out + _local(_GET, left) + _integer(-1) + _ADD + _local(_TEE, left) + _AGAIN + _END

    def _innermost(self, at: list[int]) -> bytes:
        runs, left = self.chain.axes[-1], self.locals.new(I32)
        self.held = {}
        out = self._entry(len(self.chain.axes) - 1, 0) + _local(_SET, left)
        for operand, along in enumerate(runs):
            if not along:
                self.held[operand] = self.locals.new(V128)
                out += self._loaded(operand, at[operand], splat=True) + _local(_SET, self.held[operand])
        last = self.operands + len(self.chain.steps) - 1
        out += _LOOP + self._stored(self._value(last, at), left)
        for operand, along in enumerate(runs):
            if along:
                out += _moved(at[operand], VECTOR * self.chain.kinds[operand].bytes)
        out += _moved(0, 4 * VECTOR)
        out += _moved(left, -VECTOR, _TEE) + _integer(0) + _GREATER + _AGAIN + _END
        if len(self.chain.axes) > 1 and not self.chain.even:  # back from the end of the last vector to that of the row
            out += _local(_GET, 0) + _local(_GET, left) + _integer(2) + _SHIFT_LEFT + _ADD + _local(_SET, 0)
        return out

    def _stored(self, value: bytes, left: int) -> bytes:
        """The result's vector, or of the last one what the row has of it."""
        if self.chain.even:
            return _local(_GET, 0) + value + _memory(_STORE)
        result = self.locals.new(V128)
        held = _local(_GET, 0) + _local(_GET, result)
        out = value + _local(_SET, result)
        out += _local(_GET, left) + _integer(VECTOR) + _LESS + _IF
        out += _local(_GET, left) + _integer(1) + _EQUAL + _IF + held + _memory(_STORE_ONE, lane=0) + _ELSE
        out += held + _memory(_STORE_TWO, lane=0)
        out += _local(_GET, left) + _integer(3) + _EQUAL + _IF + held + _memory(_STORE_ONE, 8, lane=2) + _END + _END
        return out + _ELSE + held + _memory(_STORE) + _END

    def _entry(self, axis: int, entry: int) -> bytes:
        """A number of the table."""
        return _local(_GET, self.table) + b"\x28\x02" + number(4 * (axis * (self.operands + 1) + entry))

    # -- values ------------------------------------------------------------------------------------------------------

    def _value(self, reference: Reference, at: list[int]) -> bytes:
        """Puts a vector on the stack; one that is read again stays in a local."""
        if isinstance(reference, Constant):
            return _local(_GET, self._constant(reference.bits))
        if reference in self.held:
            return _local(_GET, self.held[reference])
        if reference < self.operands:
            out = self._loaded(reference, at[reference])
        else:
            step = self.chain.steps[reference - self.operands]
            out = self._instruction(step, at) if step.function in INSTRUCTIONS else self._inlined(step, at)
        if self.uses[reference] > 1:
            self.held[reference] = self.locals.new(V128)
            out += _local(_TEE, self.held[reference])
        return out

    def _constant(self, bits: bytes) -> int:
        if bits not in self.constants:
            self.constants[bits] = self.locals.new(V128)
        return self.constants[bits]

    def _loaded(self, operand: int, at: int, *, splat: bool = False) -> bytes:
        """Four cells of an operand, or one four times."""
        kind = self.chain.kinds[operand]
        wide, narrow = (_LOAD_SPLAT, _LOAD_BYTE_SPLAT) if splat else (_LOAD, _LOAD_FOUR_BYTES)
        load = _memory(wide) if kind.bytes == 4 else _memory(narrow, align=0)
        return _local(_GET, at) + load + _AS_LANES[kind]

    def _instruction(self, step: Step, at: list[int]) -> bytes:
        operands = b"".join(self._value(argument, at) for argument in step.arguments)
        return operands + bytes((_SIMD,)) + number(INSTRUCTIONS[step.function])

    def _inlined(self, step: Step, at: list[int]) -> bytes:
        """A function's instructions with other locals; constants, which engines make anew for each vector, are held."""
        lanes = self.lanes[step.function]
        out, places = b"", {}
        for parameter, argument in enumerate(step.arguments):
            if not lanes.reads(parameter):
                continue
            value = self._value(argument, at)
            held = self._constant(argument.bits) if isinstance(argument, Constant) else self.held.get(argument)
            if held is not None and not lanes.writes(parameter):
                places[parameter] = held
                if value != _local(_GET, held):
                    out += value.removesuffix(_local(_TEE, held)) + _local(_SET, held)
            else:
                places[parameter] = self._spare(V128, parameter)
                out += value + _local(_SET, places[parameter])
        for local, kind in enumerate(lanes.kinds, 3):
            places[local] = self._spare(kind, local)
        for opcode, local, code in lanes.code:
            if opcode in (_GET, _SET, _TEE):
                out += _local(opcode, places[local])
            elif (bits := _repeated(opcode, code)) is not None:
                out += _local(_GET, self._constant(bits))
            else:
                out += code
        return out

    def _spare(self, kind: int, index: int) -> int:
        """A local for the code of one function at a time; its own ones are numbered."""
        spare = self.spare.setdefault(kind, [])
        while len(spare) <= index:
            spare.append(self.locals.new(kind))
        return spare[index]


def _local(opcode: int, local: int) -> bytes:
    return bytes((opcode,)) + number(local)


def _integer(value: int) -> bytes:
    """i32.const of a number from -64 to 63."""
    return bytes((0x41, value & 0x7F))


def _moved(local: int, by: int, opcode: int = _SET) -> bytes:
    return _local(_GET, local) + _integer(by) + _ADD + _local(opcode, local)


def _memory(opcode: int, offset: int = 0, *, align: int = 2, lane: int | None = None) -> bytes:
    """A SIMD load or store; ``align`` is the exponent of the alignment in bytes."""
    return bytes((_SIMD, opcode, align, offset)) + (b"" if lane is None else bytes((lane,)))


def _repeated(opcode: int, code: bytes) -> bytes | None:
    """The bits of a constant that is the same in four lanes."""
    bits = code[-4:]
    return bits if opcode == 256 * _SIMD + _CONST and code[-16:] == 4 * bits else None
