from __future__ import annotations

import numpy as np
import pytest
from passes.build import Builder, leaves_alone

from triport.exporter.graph import DType, Graph, Quantization, TensorType, Value
from triport.exporter.graph.verify import verify
from triport.exporter.ops import Add, Dequantize, HardSwish, Lookup, Quantize, QuantizedMul
from triport.exporter.passes.dead_code import remove_dead_code
from triport.exporter.passes.hard_swish_as_product import hard_swish_as_product
from triport.exporter.reference import run_graph

CODES = np.arange(-128, 128, dtype=np.int8)[np.newaxis]


def _q(scale: float, zero_point: int) -> Quantization:
    return Quantization(float(np.float32(scale)), zero_point)


def _codes(of: Quantization) -> tuple[Builder, Value]:
    b = Builder()
    return b, b.graph.add_input("x", TensorType(DType.INT8, CODES.shape, of))


def _swish(of: Quantization, to: Quantization) -> Graph:
    b, x = _codes(of)
    return b.done(b.add(Quantize(to), b.add(HardSwish(), b.add(Dequantize(of), x))))


@pytest.mark.parametrize(("steps", "zero_point"), [(40, -12), (76, 70), (31, -97), (128, 0), (7, 127)])
def test_every_code_of_the_product_is_that_of_the_function(steps: int, zero_point: int) -> None:
    graph = _swish(_q(3 / steps, zero_point), _q(2.739 / steps, -118))
    before = run_graph(graph, {"x": CODES})["y"]
    assert hard_swish_as_product(graph) is True
    verify(graph)
    remove_dead_code(graph)
    assert [type(node.op) for node in graph.nodes] == [Lookup, QuantizedMul]
    np.testing.assert_array_equal(run_graph(graph, {"x": CODES})["y"], before)
    assert hard_swish_as_product(graph) is False


@pytest.mark.parametrize(
    ("of", "to"),
    [
        (_q(3 / 40.5, -12), _q(0.05, -118)),
        (_q(3 / 40, -89), _q(0.05, -118)),
        (_q(0.5, 0), _q(1 / 12, -118)),
    ],
    ids=["3 is no code", "-3 is below the codes", "ties"],
)
def test_hard_swish_stays_where_codes_do_not_multiply_to_it(of: Quantization, to: Quantization) -> None:
    leaves_alone(hard_swish_as_product, _swish(of, to))


def test_hard_swish_that_others_read_stays() -> None:
    of = _q(3 / 40, -12)
    b, x = _codes(of)
    y = b.add(HardSwish(), b.add(Dequantize(of), x))
    leaves_alone(hard_swish_as_product, b.done(b.add(Quantize(Quantization(0.0625, 3)), y), b.add(Add(), y, 1.0)))
