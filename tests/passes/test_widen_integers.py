"""Small integers are computed in int32 where a target's kernel does not take them."""

from __future__ import annotations

import pytest
from passes.build import Builder, fires, labels, leaves_alone

from triport.exporter.graph import DType, Graph, Node
from triport.exporter.ops import Add, Cast, Less, Mul, OpAttrs
from triport.exporter.passes.decompose import decompose

_EIGHT_BITS = (DType.INT8, DType.UINT8)


def _graph(op: OpAttrs, dtype: DType) -> Graph:
    b = Builder()
    return b.done(b.add(op, b.input(4, dtype=dtype), b.input(4, name="z", dtype=dtype), name="layer"))


def _spells(node: Node) -> bool:
    return isinstance(node.op, Cast) or node.inputs[0].type.dtype not in _EIGHT_BITS


@pytest.mark.parametrize("dtype", _EIGHT_BITS)
def test_a_sum_of_small_integers_is_cast_there_and_back(dtype: DType) -> None:
    after = fires(decompose(_spells), _graph(Add(), dtype))
    assert labels(after) == ["cast", "cast", "add", "cast"] and after.nodes[-1].name == "layer"


def test_a_comparison_stays_a_bool() -> None:
    after = fires(decompose(_spells), _graph(Less(), DType.UINT8))
    assert labels(after) == ["cast", "cast", "less"] and after.nodes[-1].name == "layer"


def test_wide_integers_stay() -> None:
    leaves_alone(decompose(lambda node: not isinstance(node.op, Mul)), _graph(Mul(), DType.INT32))


def test_without_casts_nothing_is_widened() -> None:
    leaves_alone(decompose(lambda node: False), _graph(Mul(), DType.INT8))
