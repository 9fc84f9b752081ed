"""Elementwise nodes that one loop computes together: what stands between them is never in memory.

    before:  %1 = sigmoid(%x)   %2 = mul(%x, %1)   %3 = add(%2, row)        three kernels, each over all cells
    after:   %3 = chain0(%x, row)                                           one function, written at export

A chain ends with one node and has those before it whose results have its shape and are read in the chain alone. Nodes
that a pattern has taken (fusion.py) stay with it. assemble.py writes the function.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from ...exporter.graph import Array, Dim, DType, Graph, Node, Shape, Value
from ...exporter.graph.dims import never_negative
from ...exporter.ops import (
    Activation,
    Add,
    BatchNorm,
    Cast,
    Cos,
    Div,
    Equal,
    Less,
    LessEqual,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    LogicalXor,
    Maximum,
    Minimum,
    Mul,
    OpAttrs,
    Pow,
    PRelu,
    Sin,
    Sub,
    Where,
)
from .assemble import VECTOR, Chain, Constant, Reference, Step
from .dtypes import device_dtype
from .emitters import BOUNDS, constant_weights
from .fusion import Fusion, gathers, inner
from .ops.activation import function
from .ops.broadcast import Run, runs, strides
from .ops.elementwise import ARITHMETIC, UNARY, fills, power_kernel
from .ops.norm import factor_and_shift
from .writer import Writer

MOST_OPERANDS = 10
MOST_STEPS = 48

SHORT = 32
"""Cells: shorter rows are put together to longer ones where all are computed with the same constants."""

_PAIRS: dict[type[OpAttrs], str] = {
    Equal: "equal",
    Less: "less",
    LessEqual: "less_equal",
    LogicalAnd: "and",
    LogicalOr: "or",
    LogicalXor: "xor",
    LogicalNot: "not",
    Maximum: "maximum",
    Minimum: "minimum",
    **ARITHMETIC,
}

MOST_REPEATED = 1024
"""Cells that a constant may take when its rows are repeated: 4 kB of weights.bin."""

Source = Value | Array
"""An operand of a chain: a value, or constants that an emitter makes."""


class _Steps:
    """Collects the steps of nodes. References to steps are counted on from `FIRST` until it is known how many
    operands there are."""

    FIRST = 1 << 16

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.steps: list[Step] = []
        self.results: dict[Value, Reference] = {}
        self.functions = 0

    def step(self, name: str, *arguments: Reference) -> Reference:
        self.steps.append(Step(name, arguments))
        return self.FIRST + len(self.steps) - 1

    def function(self, name: str, x: Reference, p: float = 0.0, q: float = 0.0) -> Reference:
        """One of the functions in kernels/unary.h."""
        self.functions += 1
        return self.step(name, x, Constant.of(p), Constant.of(q))

    def read(self, value: Value) -> Reference:
        """What a node reads: a step, a number, or an operand."""
        if value in self.results:
            return self.results[value]
        bits = _only_bits(value.array()) if value.is_constant else None
        self.results[value] = self.operand(value) if bits is None else Constant(bits)
        return self.results[value]

    def operand(self, source: Source) -> Reference:
        self.sources.append(source)
        return len(self.sources) - 1

    def finished(self) -> tuple[Step, ...]:
        shift = self.FIRST - len(self.sources)

        def settled(argument: Reference) -> Reference:
            return argument - shift if isinstance(argument, int) and argument >= self.FIRST else argument

        return tuple(Step(step.function, tuple(map(settled, step.arguments))) for step in self.steps)


# -- the steps of each op --------------------------------------------------------------------------------------------


def _function_of(node: Node) -> tuple[str, float, float] | None:
    """The function of one operand that a node is, and its parameters."""
    if isinstance(node.op, Pow):
        kernel = power_kernel(node)
        return (kernel, 0.0, 0.0) if kernel else None
    if isinstance(node.op, Sin | Cos):
        return None  # in float64, cell by cell
    return (UNARY[type(node.op)], 0.0, 0.0) if type(node.op) in UNARY else function(node.op)


def _one(node: Node, steps: _Steps) -> Reference:
    found = _function_of(node)
    assert found is not None
    return steps.function(found[0], steps.read(node.inputs[0]), *found[1:])


def _pair(node: Node, steps: _Steps) -> Reference:
    result = steps.step(_PAIRS[type(node.op)], *map(steps.read, node.inputs))
    activation = node.op.activation if isinstance(node.op, Add | Sub | Mul | Div) else Activation.NONE
    return result if activation is Activation.NONE else steps.function("clamp_to", result, *BOUNDS[activation])


def _where(node: Node, steps: _Steps) -> Reference:
    condition, yes, no = map(steps.read, node.inputs)
    return steps.step("select", yes, no, condition)


def _prelu(node: Node, steps: _Steps) -> Reference:
    x, slope = map(steps.read, node.inputs)
    return steps.step("select", x, steps.step("mul", x, slope), steps.step("greater", x, Constant.of(0.0)))


def _as_float(node: Node, steps: _Steps) -> Reference:
    """Whole numbers are operands, which become float32 when they are loaded."""
    x = steps.read(node.inputs[0])
    return steps.step("and", x, Constant.of(1.0)) if node.inputs[0].type.dtype is DType.BOOL else x


def _batch_norm(node: Node, steps: _Steps) -> Reference:
    factor, shift = (steps.operand(cells) for cells in factor_and_shift(node))
    return steps.step("add", steps.step("mul", steps.read(node.inputs[0]), factor), shift)


def _writer_of(node: Node) -> Callable[[Node, _Steps], Reference] | None:
    """What writes the steps of a node; None when it cannot be in a chain."""
    op, dtypes = node.op, [value.type.dtype for value in node.inputs]
    floats = all(dtype is DType.FLOAT32 for dtype in dtypes)
    bools = all(dtype is DType.BOOL for dtype in dtypes)
    if isinstance(op, LogicalAnd | LogicalOr | LogicalXor | LogicalNot):
        return _pair if bools else None
    if isinstance(op, Where):
        return _where if dtypes == [DType.BOOL, DType.FLOAT32, DType.FLOAT32] else None
    if isinstance(op, Cast):
        return _as_float if not floats and node.output.type.dtype is DType.FLOAT32 else None
    if not floats:
        return None
    if isinstance(op, BatchNorm):
        return _batch_norm if constant_weights(node) is None else None
    if isinstance(op, PRelu):
        return _prelu
    if type(op) in _PAIRS:
        return _pair
    return _one if _function_of(node) else None


# -- which nodes -----------------------------------------------------------------------------------------------------


@gathers
def chains(graph: Graph, taken: Collection[Node]) -> Iterator[Fusion]:
    """The chains of a graph, from the last one."""
    left = {node: place for place, node in enumerate(graph.nodes) if node not in taken and _writer_of(node)}
    for node in reversed(graph.nodes):
        if node in left and node.output.type.dtype is DType.FLOAT32:
            members = _grown(graph, node, left)
            if (fusion := _fusion(members)) is not None:
                yield fusion
                for member in members:
                    del left[member]


def _grown(graph: Graph, last: Node, left: dict[Node, int]) -> list[Node]:
    """The node and those before it that can be computed with it, in the graph's order."""
    members, waiting = {last}, _producers(last, left)
    heapq.heapify(waiting)
    while waiting and len(members) < MOST_STEPS:
        place = -heapq.heappop(waiting)[0]
        node = graph.nodes[place]
        if node in members or not inner(graph, node.output, members):
            continue
        if _without_ones(node.output.type.shape) != _without_ones(last.output.type.shape):
            continue
        if len(_read(members | {node})) > MOST_OPERANDS:
            continue
        members.add(node)
        for producer in _producers(node, left):
            heapq.heappush(waiting, producer)
    return sorted(members, key=left.__getitem__)


def _producers(node: Node, left: dict[Node, int]) -> list[tuple[int]]:
    """Places, negative, for a heap that gives the last first."""
    return [(-left[value.producer],) for value in node.inputs if value.producer in left]


def _read(members: Collection[Node]) -> set[Value]:
    """What members read and do not compute; two more for a batch norm, which makes constants of its own."""
    made = {node.output for node in members}
    return {value for node in members for value in _operands(node) if value not in made}


def _calls(node: Node) -> int:
    """Kernel calls that a node alone takes."""
    return 2 if isinstance(node.op, BatchNorm) else 1


def _operands(node: Node) -> Sequence[Value]:
    if isinstance(node.op, BatchNorm):
        return node.inputs[:3]
    return node.inputs[:1] if _function_of(node) else node.inputs


def _without_ones(shape: Shape) -> Shape:
    """Without leading axes of one cell."""
    return shape[next((i for i, size in enumerate(shape) if size != 1), len(shape)) :]


def _fusion(members: Sequence[Node]) -> Fusion | None:
    """None when one kernel is what there was."""
    steps = _Steps()
    for node in members:
        write = _writer_of(node)
        assert write is not None
        steps.results[node.output] = write(node, steps)
    if sum(_calls(node) for node in members) < 2 or not steps.sources:
        return None
    last = members[-1].output
    sources, found = _longer_rows(steps.sources, _runs(steps.sources, last.type.shape))
    if len(found) > 1 and isinstance(found[-1].size, int) and found[-1].size < VECTOR and steps.functions:
        return None  # most of what is computed would not be stored
    return Fusion(frozenset(members), lambda writer: _emit(writer, last, steps.finished(), sources, found))


# -- its call --------------------------------------------------------------------------------------------------------


def _emit(writer: Writer, y: Value, steps: tuple[Step, ...], sources: Sequence[Source], found: list[Run]) -> None:
    operands = [writer.weights(s) if isinstance(s, np.ndarray) else writer.operand(s) for s in sources]
    kinds = tuple(device_dtype(s.type.dtype) if isinstance(s, Value) else DType.FLOAT32 for s in sources)
    axes = tuple(tuple(map(bool, run.steps)) for run in found)
    filled = all(never_negative(run.size - 1) for run in found)
    chain = Chain(kinds, steps, axes, found[-1].size % VECTOR == 0, filled)
    result = writer.result_over(y, *(s for s in sources if isinstance(s, Value) and fills(s, y)))
    widths = [1, *(kind.bytes for kind in kinds)]
    table = [entry * widths[i % len(widths)] for i, entry in enumerate(strides(found))]
    writer.call(writer.chain(chain), result, *operands, table)


def _runs(sources: Sequence[Source], y: Shape) -> list[Run]:
    found = runs([_shape(source) for source in sources], y)
    return found or [Run(1, (1,) * len(sources))]


def _longer_rows(sources: list[Source], found: list[Run]) -> tuple[list[Source], list[Run]]:
    """Short rows put together: constants of a row are repeated, so that vectors have more than one row's cells."""
    if len(found) < 2 or not isinstance(row := found[-1].size, int) or row >= SHORT:
        return sources, found
    outer, steps = found[-2], [*zip(found[-2].steps, found[-1].steps, strict=True)]
    repeated = [_rows_of(s, row) if step == (0, 1) else None for s, step in zip(sources, steps, strict=True)]
    if any(cells is None and a != b for cells, (a, b) in zip(repeated, steps, strict=True)):
        return sources, found
    cells = max((rows.size for rows in repeated if rows is not None), default=0)
    for count in range(-(-SHORT // row), 4 * SHORT):
        if cells * count > MOST_REPEATED:
            break
        if row * count % VECTOR == 0 and outer.size % count == 0:
            rest: list[Dim] = [outer.size // count, row * count]
            tiled = [s if c is None else np.tile(c, (1, count)) for s, c in zip(sources, repeated, strict=True)]
            return tiled, [*found[:-2], Run(rest[0], outer.steps), Run(rest[1], found[-1].steps)]
    return sources, found


def _rows_of(source: Source, row: int) -> Array | None:
    """The cells of a constant as rows."""
    cells = source if isinstance(source, np.ndarray) else source.array() if source.is_constant else None
    return cells.reshape(-1, row) if cells is not None and cells.dtype == np.float32 else None


def _shape(source: Source) -> Shape:
    return tuple(source.shape) if isinstance(source, np.ndarray) else source.type.shape


def _only_bits(cells: Array) -> bytes | None:
    """The bits in a lane where all cells are one number; a bool is all ones or zeros there."""
    if cells.size == 0:
        return None
    if cells.dtype == np.bool_:
        return (b"\xff" if cells.all() else b"\0") * 4 if cells.all() or not cells.any() else None
    bits = np.ascontiguousarray(cells, np.float32).reshape(-1).view(np.uint32)
    return bits[:1].tobytes() if bool((bits == bits[0]).all()) else None
