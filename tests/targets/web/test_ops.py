"""Kernels of the browser port at sizes that are awkward for them, in Node, against the float64 reference.

The cases that all ports share stand in tests/cases; these are about tiles, panels, tails and strides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from triport.exporter import ops
from triport.exporter.graph import Array, Dim, DType, Graph, Sym, TensorType
from triport.exporter.ops import Activation, Layout, OpAttrs

LAST = Layout.CHANNELS_LAST
BATCH = Sym.named("batch")
RNG = np.random.default_rng(7)


@dataclass
class Case:
    """One op over free-batch inputs.

    shapes      shape of each input behind the batch; None for one that has no batch: a constant
    constants   what the op takes after its inputs
    """

    name: str
    op: OpAttrs
    shapes: tuple[tuple[int, ...], ...]
    constants: tuple[Array, ...] = ()
    low: float = -3.0
    high: float = 3.0
    batches: tuple[int, ...] = field(default=(1, 2, 7))

    def graph(self) -> Graph:
        graph = Graph(self.name)
        values = [graph.add_input(f"x{i}", TensorType(DType.FLOAT32, (BATCH, *s))) for i, s in enumerate(self.shapes)]
        values += [graph.add_constant(array, f"c{i}") for i, array in enumerate(self.constants)]
        graph.set_output("y", graph.add(self.op, *values))
        return graph

    def inputs(self, batch: int) -> Mapping[str, Array]:
        return {
            f"x{i}": RNG.uniform(self.low, self.high, (batch, *shape)).astype(np.float32)
            for i, shape in enumerate(self.shapes)
        }


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def conv(
    name: str,
    size: tuple[int, int, int],
    weight: tuple[int, int, int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    activation: Activation = Activation.NONE,
    bias: bool = True,
) -> Case:
    op = ops.Conv(stride, padding, dilation, groups, LAST, activation)
    constants = (floats(*weight), floats(weight[0])) if bias else (floats(*weight),)
    return Case(name, op, (size,), constants)


def transposed(
    name: str,
    size: tuple[int, int, int],
    weight: tuple[int, int, int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Case:
    op = ops.ConvTranspose(stride, padding, dilation, groups, LAST)
    return Case(name, op, (size,), (floats(*weight), floats(weight[0] * groups)))


SAME = ((1, 1), (1, 1))

CONVS = [
    conv("3x3", (9, 11, 5), (10, 3, 3, 5), padding=SAME),
    conv("one channel in, one out", (6, 5, 1), (1, 3, 3, 1), padding=SAME),
    conv(
        "stride 2, asymmetric padding, no bias",
        (8, 9, 3),
        (7, 3, 3, 3),
        stride=(2, 2),
        padding=((0, 1), (1, 2)),
        bias=False,
    ),
    conv("stride and dilation", (13, 12, 4), (9, 3, 2, 4), stride=(2, 1), dilation=(2, 3), padding=((2, 1), (0, 3))),
    conv("few channels, tiles and single pixels of a line", (7, 15, 2), (6, 5, 4, 2), padding=((2, 1), (3, 1))),
    conv("few channels, no tile fits", (9, 5, 2), (12, 3, 3, 2), padding=SAME),
    conv("few channels, dilated, stride 2", (9, 21, 3), (6, 3, 2, 3), stride=(1, 2), dilation=(3, 2), padding=SAME),
    conv("few channels in each group", (6, 11, 9), (6, 3, 3, 3), groups=3, padding=SAME),
    conv("more lines than are computed at once", (120, 48, 16), (10, 2, 3, 16), padding=((0, 1), (1, 1))),
    conv("fewer pixels than a tile", (3, 1, 9), (10, 2, 1, 9), padding=((1, 0), (0, 0))),
    conv("groups", (7, 7, 6), (9, 3, 3, 2), groups=3, padding=SAME, activation=Activation.RELU),
    conv("more channels than the row of zeros holds", (3, 3, 1030), (3, 2, 2, 1030), padding=((1, 0), (0, 1))),
    conv("window larger than the image", (2, 2, 3), (4, 5, 5, 3), padding=((2, 2), (2, 2))),
    conv("1x1 is a matrix product", (6, 7, 12), (20, 1, 1, 12), activation=Activation.RELU6),
    conv("1x1 with stride", (6, 7, 12), (20, 1, 1, 12), stride=(2, 2)),
    conv("depthwise", (8, 9, 21), (21, 3, 3, 1), groups=21, padding=SAME, activation=Activation.RELU6),
    conv(
        "depthwise, stride 2, dilated",
        (12, 11, 6),
        (6, 3, 5, 1),
        groups=6,
        stride=(2, 2),
        dilation=(2, 1),
        padding=((1, 2), (2, 0)),
    ),
    conv("depthwise, tiles and borders", (6, 13, 22), (22, 3, 3, 1), groups=22, padding=((2, 1), (0, 2))),
    conv("depthwise, a tile less than a line", (3, 5, 9), (9, 3, 3, 1), groups=9),
    conv("depthwise, stride 2, tiles", (5, 19, 17), (17, 3, 3, 1), groups=17, stride=(1, 2), padding=SAME),
    conv("depthwise, 5x5", (7, 12, 12), (12, 5, 5, 1), groups=12, padding=((2, 2), (2, 2))),
    conv("depthwise in the padding alone", (1, 1, 4), (4, 3, 3, 1), groups=4, padding=((2, 2), (2, 2))),
    conv("depthwise with a multiplier", (5, 5, 3), (6, 3, 3, 1), groups=3, padding=SAME),
    transposed("transposed, stride 2", (5, 4, 3), (10, 3, 3, 3), stride=(2, 2), padding=SAME),
    transposed(
        "transposed, stride 3, output padding", (4, 5, 6), (2, 2, 4, 6), stride=(3, 3), padding=((0, -1), (1, -2))
    ),
    transposed(
        "transposed, dilated, grouped",
        (5, 6, 4),
        (3, 3, 2, 4),
        stride=(2, 1),
        dilation=(2, 3),
        groups=2,
        padding=((1, 0), (2, 1)),
    ),
    transposed("transposed, wide", (3, 19, 2), (9, 1, 4, 2), stride=(1, 2)),
]


def pool(
    name: str, kind: type[ops.MaxPool] | type[ops.AveragePool], size: tuple[int, int, int], **options: object
) -> Case:
    settings = {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "layout": LAST}
    return Case(name, kind(**{**settings, **options}), (size,))  # type: ignore[arg-type]


POOLS = [
    pool("max 2x2", ops.MaxPool, (9, 8, 5)),
    pool("max 3x3, padded unevenly", ops.MaxPool, (7, 8, 3), kernel=(3, 3), padding=((0, 1), (1, 1)), stride=(2, 1)),
    pool("max, dilated", ops.MaxPool, (9, 9, 4), kernel=(3, 2), dilation=(2, 3), stride=(1, 1)),
    pool("average 2x3", ops.AveragePool, (8, 9, 6), kernel=(2, 3), stride=(2, 3)),
    pool(
        "max over lines in the padding", ops.MaxPool, (3, 4, 9), kernel=(3, 1), padding=((2, 2), (0, 0)), stride=(1, 1)
    ),
    pool("average, padding left out", ops.AveragePool, (7, 7, 3), kernel=(3, 3), padding=((1, 1), (0, 1))),
    pool(
        "average, padding counted",
        ops.AveragePool,
        (7, 7, 3),
        kernel=(3, 3),
        padding=((1, 1), (0, 1)),
        count_include_pad=True,
    ),
]

BINARY = [
    Case("add, same shape", ops.Add(), ((3, 5), (3, 5))),
    Case("add, clamped", ops.Add(Activation.RELU), ((3, 5), (3, 5))),
    Case("sub, a vector", ops.Sub(), ((3, 5),), (floats(5),)),
    Case("mul, a column", ops.Mul(), ((3, 5),), (floats(3, 1),)),
    Case("div, by a number", ops.Div(), ((3, 5),), (np.array(3.0, np.float32),)),
    Case("maximum, both stretched", ops.Maximum(), ((3, 1), (1, 5))),
    Case("minimum, alternate axes", ops.Minimum(), ((2, 1, 3, 1), (1, 4, 1, 5))),
    Case("mul, per channel of an image", ops.Mul(), ((4, 5, 6), (1, 1, 6))),
    Case("add, scalars per sample", ops.Add(), ((), ())),
    Case("pow, general", ops.Pow(), ((4, 5), (4, 5)), low=0.1),
    Case("pow, negative bases", ops.Pow(), ((4, 5),), (np.array([3.0, 2.0, -1.0, 0.0, -3.0], np.float32),)),
    Case("pow, square", ops.Pow(), ((4, 5),), (np.array(2.0, np.float32),)),
    Case("prelu", ops.PRelu(), ((3, 4, 5),), (floats(5),)),
]

LINEAR = [
    Case("linear", ops.Linear(), ((13,),), (floats(21, 13), floats(21))),
    Case("linear, wide, clamped", ops.Linear(Activation.RELU), ((40,),), (floats(70, 40), floats(70))),
    Case("linear without bias, one column", ops.Linear(), ((5,),), (floats(1, 5),)),
    Case("linear over a sequence", ops.Linear(), ((5, 9),), (floats(16, 9), floats(16))),
    Case("matmul", ops.MatMul(), ((3, 5, 7), (3, 7, 10))),
    Case("matmul, one matrix for all", ops.MatMul(), ((3, 5, 7),), (floats(7, 9),)),
    Case("matmul, heads stretched", ops.MatMul(), ((2, 1, 5, 7), (1, 3, 7, 4))),
]

NORMS = [
    Case("softmax", ops.Softmax(-1), ((3, 10),), low=-40, high=40),
    Case("softmax over an inner axis", ops.Softmax(1), ((5, 7),)),
    Case("softmax over the batch", ops.Softmax(0), ((5,),)),
    Case("log softmax", ops.LogSoftmax(-1), ((3, 10),), low=-40, high=40),
    Case("log softmax over an inner axis", ops.LogSoftmax(1), ((5, 6),)),
    Case("layer norm", ops.LayerNorm(1, 1e-5), ((4, 19),), (floats(19), floats(19))),
    Case("layer norm over two axes, no scale", ops.LayerNorm(2, 1e-3), ((4, 5, 6),)),
    Case(
        "batch norm", ops.BatchNorm(1e-3, 3), ((4, 5, 6),), (floats(6), floats(6), floats(6), np.abs(floats(6)) + 0.1)
    ),
    Case(
        "batch norm, channels first",
        ops.BatchNorm(1e-3, 1),
        ((3, 5),),
        (floats(3), floats(3), floats(3), np.abs(floats(3))),
    ),
]

REDUCE = [
    Case(f"{kind.name} over {axes}", kind(axes, keepdims), ((6, 5, 7),))
    for kind in (ops.ReduceMean, ops.ReduceSum, ops.ReduceMax, ops.ReduceMin)
    for axes, keepdims in (((1, 2), False), ((3,), True), ((1, 3), False), ((0,), True), ((0, 1, 2, 3), False))
]
LONG_MEAN = Case("mean of many", ops.ReduceMean((1,), False), ((20000, 5),), low=0.0, batches=(1,))

SHAPES = [
    Case("reshape", ops.Reshape((BATCH, 15)), ((3, 5),)),
    Case("transpose", ops.Transpose((0, 2, 1)), ((9, 6),)),
    Case("transpose to channels last", ops.Transpose((0, 2, 3, 1)), ((3, 5, 7),)),
    Case("transpose, batch moves", ops.Transpose((2, 0, 3, 1)), ((3, 5, 7),)),
    Case("transpose of an axis of one is free", ops.Transpose((0, 2, 1)), ((1, 9),)),
    Case("slice", ops.Slice((1, 2), (1, 0), (6, 7), (2, 3)), ((7, 8),)),
    Case("slice of the batch", ops.Slice((0,), (0,), (1,), (1,)), ((4,),)),
    Case("concat", ops.Concat(2), ((3, 2), (3, 5), (3, 1))),
    Case("concat of batches", ops.Concat(0), ((3,), (3,))),
    Case("pad", ops.Pad((0, 1, 0), (0, 2, 3), 1.5), ((3, 4),)),
]

RESIZE = [
    Case("nearest, twice", ops.Resize((8, 10), ops.ResizeMode.NEAREST, layout=LAST), ((4, 5, 3),)),
    Case("nearest, odd", ops.Resize((7, 3), ops.ResizeMode.NEAREST, layout=LAST), ((4, 5, 6),)),
    Case("bilinear, twice", ops.Resize((8, 10), ops.ResizeMode.BILINEAR, layout=LAST), ((4, 5, 3),)),
    Case("bilinear, smaller", ops.Resize((3, 4), ops.ResizeMode.BILINEAR, layout=LAST), ((7, 9, 5),)),
    Case("bilinear, corners", ops.Resize((7, 11), ops.ResizeMode.BILINEAR, True, LAST), ((4, 5, 3),)),
    Case("bilinear, corners, one cell", ops.Resize((1, 1), ops.ResizeMode.BILINEAR, True, LAST), ((4, 5, 3),)),
]

CASES = [*CONVS, *POOLS, *BINARY, *LINEAR, *NORMS, *REDUCE, LONG_MEAN, *SHAPES, *RESIZE]
Check = Callable[[Graph, list[Mapping[str, Array]]], None]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_op_answers_as_the_reference_does(case: Case, check_in_node: Check) -> None:
    check_in_node(case.graph(), [case.inputs(batch) for batch in case.batches])


def typed(dtype: DType, *shape: Dim) -> TensorType:
    return TensorType(dtype, (BATCH, *shape))


def test_embedding_reads_rows_by_int64_number(check_in_node: Check) -> None:
    graph = Graph("embedding")
    index = graph.add_input("index", typed(DType.INT64, 4))
    graph.set_output("y", graph.add(ops.Gather(0), graph.add_constant(floats(9, 5)), index))
    check_in_node(graph, [{"index": RNG.integers(0, 9, (batch, 4))} for batch in (1, 3)])


def test_gather_along_an_inner_axis(check_in_node: Check) -> None:
    graph = Graph("gather")
    x = graph.add_input("x", typed(DType.FLOAT32, 5, 3))
    picked = graph.add(ops.Gather(1), x, graph.add_constant(np.array([4, 0, 0], np.int64)))
    graph.set_output("y", picked)
    check_in_node(graph, [{"x": floats(2, 5, 3)}])


@pytest.mark.parametrize("source", [DType.FLOAT32, DType.INT32, DType.UINT8, DType.INT64])
@pytest.mark.parametrize("target", [DType.FLOAT32, DType.INT32, DType.BOOL])
def test_cast(source: DType, target: DType, check_in_node: Check) -> None:
    graph = Graph("cast")
    graph.set_output("y", graph.add(ops.Cast(target), graph.add_input("x", typed(source, 9))))
    check_in_node(graph, [{"x": RNG.uniform(0, 3, (2, 9)).astype(source.numpy)}])


@pytest.mark.parametrize("op", [ops.Add(), ops.Sub(), ops.Mul(), ops.Maximum(), ops.Minimum()], ids=lambda op: op.name)
def test_integer_arithmetic(op: OpAttrs, check_in_node: Check) -> None:
    graph = Graph("integers")
    operands = [graph.add_input(name, typed(DType.INT32, 7)) for name in ("a", "b")]
    graph.set_output("y", graph.add(op, *operands))
    check_in_node(graph, [{name: RNG.integers(-9, 9, (2, 7), np.int32) for name in ("a", "b")}])


def test_reduction_over_no_axes_is_the_tensor_itself(check_in_node: Check) -> None:
    case = Case("nothing", ops.ReduceSum((), False), ((3,),))
    check_in_node(case.graph(), [case.inputs(2)])


def test_a_negative_base_has_no_power_that_is_not_whole(check_in_node: Check) -> None:
    graph = Graph("powers")
    x, e = (graph.add_input(name, typed(DType.FLOAT32, 11)) for name in "xe")
    graph.set_output("y", graph.add(ops.Pow(), x, e))
    infinity = float("inf")
    base = [-1, -1, -1, -1, -1, -2, -0.5, -infinity, -infinity, -0.0, 1]
    exponent = [0.5, 1.5, 3, infinity, -infinity, 0.5, -1.5, 0.5, -3, 0.5, 0.5]
    check_in_node(graph, [{"x": np.array([base], np.float32), "e": np.array([exponent], np.float32)}])


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.BOOL])
def test_a_choice_between_rows_of_which_there_are_none(dtype: DType, check_in_node: Check) -> None:
    graph, length = Graph("where"), Sym.named("length")
    x = graph.add_input("x", typed(dtype, length, 3))
    rows = graph.add(ops.Slice((1,), (1,), (length,), (1,)), x)
    condition = graph.add_input("condition", TensorType(DType.BOOL, (BATCH, 1, 1)))
    graph.set_output("y", graph.add(ops.Where(), condition, rows, graph.add_constant(np.ones(3, dtype.numpy))))
    for size in (3, 1):
        x_cells = RNG.integers(0, 2, (2, size, 3)).astype(dtype.numpy)
        check_in_node(graph, [{"x": x_cells, "condition": np.array([[[True]], [[False]]])}])
