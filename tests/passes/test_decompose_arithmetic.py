from __future__ import annotations

import numpy as np
import pytest
from passes.build import Builder

from triport.exporter.graph import Array, DType, Graph, Node
from triport.exporter.ops import (
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atan2,
    Atanh,
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    Cosh,
    Expm1,
    FloorDivide,
    Fmod,
    Greater,
    GreaterEqual,
    Log1p,
    Neg,
    NotEqual,
    OpAttrs,
    Remainder,
    Sign,
    Sinh,
    Tan,
    Trunc,
    Where,
)
from triport.exporter.passes.decompose import can_decompose, decompose
from triport.exporter.reference import run_graph

_WIDE = np.linspace(-9, 9, 61, dtype=np.float32)
_UNIT = np.linspace(-1, 1, 61, dtype=np.float32)
_INTEGERS = np.arange(-30, 31, dtype=np.int32)
_BITS = np.random.default_rng(0).integers(-(2**31), 2**31, 61).astype(np.int32)
_BOOLS = _INTEGERS % 3 == 0

CASES: list[tuple[OpAttrs, tuple[Array, ...]]] = [
    *((op, (_WIDE,)) for op in (Neg(), Abs(), Trunc(), Tan(), Cosh(), Sinh(), Asinh(), Expm1(), Atan())),
    *((op, (_UNIT,)) for op in (Asin(), Acos())),
    (Sign(), (_INTEGERS,)),
    (Acosh(), (_WIDE + 10,)),
    (Atanh(), (_UNIT * np.float32(0.99),)),
    (Log1p(), (_WIDE[_WIDE > -1],)),
    (Log1p(), (_UNIT * np.float32(1e-5),)),
    (Expm1(), (_UNIT * np.float32(1e-5),)),
    *((op, (_WIDE, _WIDE[::-1])) for op in (Atan2(), NotEqual(), Greater(), GreaterEqual())),
    *(
        (op, (_WIDE, np.where(_BOOLS, np.float32(-2.3), np.float32(1.7))))
        for op in (Remainder(), Fmod(), FloorDivide())
    ),
    *((op, (_INTEGERS, np.where(_BOOLS, -4, 7).astype(np.int32))) for op in (Remainder(), Fmod(), FloorDivide())),
    *((op, (_BITS, _BITS[::-1])) for op in (BitwiseAnd(), BitwiseOr())),
    (Where(), (_BOOLS, _INTEGERS > 0, _INTEGERS < 9)),
    (Where(), (_BOOLS, _INTEGERS.astype(np.int8), _INTEGERS[::-1].astype(np.int8))),
]


def _graph(op: OpAttrs, arrays: tuple[Array, ...]) -> Graph:
    b = Builder()
    values = [
        b.input(*array.shape[1:], name=f"x{i}", dtype=DType.of(array)) for i, array in enumerate(_batched(arrays))
    ]
    return b.done(b.add(op, *values, name="layer"))


def _batched(arrays: tuple[Array, ...]) -> list[Array]:
    return [np.ascontiguousarray(array)[None] for array in arrays]


@pytest.mark.parametrize(("op", "arrays"), CASES, ids=lambda value: repr(value) if isinstance(value, OpAttrs) else "")
def test_what_stands_for_an_op_computes_the_same(op: OpAttrs, arrays: tuple[Array, ...]) -> None:
    before = _graph(op, arrays)
    after = before.copy()
    # A target spells every op but this one; a choice only between tensors that are neither bool nor int8.
    stays = DType.INT32, DType.FLOAT32
    assert decompose(lambda node: type(node.op) is not type(op) or _chooses(node, stays))(after)
    inputs = {f"x{i}": array for i, array in enumerate(_batched(arrays))}
    want, got = (run_graph(graph, inputs)["y"] for graph in (before, after))
    assert after.nodes[-1].name == "layer"
    assert got.dtype == want.dtype
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
    else:
        numbers, expected = got.astype(np.float64), want.astype(np.float64)
        np.testing.assert_allclose(numbers, expected, rtol=2e-6, atol=1e-6 * float(np.ptp(expected)))


def _chooses(node: Node, dtypes: tuple[DType, ...]) -> bool:
    return isinstance(node.op, Where) and node.output.type.dtype in dtypes


def test_ops_that_are_each_written_with_the_other_end_where_neither_is_spelled() -> None:
    graph = _graph(Remainder(), (_WIDE, _WIDE + 20))
    assert decompose(lambda node: not isinstance(node.op, Remainder | Fmod))(graph)
    assert Remainder in {type(node.op) for node in graph.nodes}


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_choice_between_numbers_that_int32_does_not_hold_stays(dtype: type[np.generic]) -> None:
    graph = _graph(Where(), (_BOOLS, _INTEGERS.astype(dtype), _INTEGERS[::-1].astype(dtype)))
    assert not decompose(lambda node: False)(graph)


def test_bits_that_no_sum_stands_for_stay() -> None:
    assert not can_decompose(BitwiseXor)
