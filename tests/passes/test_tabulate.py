from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from passes.build import Builder, fires, labels, leaves_alone

from triport.exporter.graph import DType, Graph, Quantization, TensorType, Value
from triport.exporter.ops import (
    Add,
    Dequantize,
    Elu,
    Gelu,
    LeakyRelu,
    Lookup,
    Maximum,
    Mul,
    OpAttrs,
    Quantize,
    Sigmoid,
    Tanh,
    Transpose,
)
from triport.exporter.passes.cellwise import FUNCTIONS
from triport.exporter.passes.dead_code import remove_dead_code
from triport.exporter.passes.tabulate import tabulate
from triport.exporter.reference import run_graph
from triport.exporter.reference.registry import compute

OF, TO = Quantization(0.046875, -7), Quantization(0.0234375, 12)
CODES = np.arange(-128, 128, dtype=np.int8)[np.newaxis]


def _codes(b: Builder, *shape: int, name: str = "x") -> Value:
    return b.graph.add_input(name, TensorType(DType.INT8, (1, *shape), OF))


def _tabulated(chain: Callable[[Builder, Value], Value]) -> Graph:
    """A graph over all codes, after the pass, with the codes that it gave before."""
    b = Builder()
    y = b.add(Quantize(TO), chain(b, b.add(Dequantize(OF), _codes(b, 256))))
    before = run_graph(b.done(y), {"x": CODES})
    after = fires(tabulate, b.graph)
    remove_dead_code(after)
    np.testing.assert_array_equal(run_graph(after, {"x": CODES})["y"], before["y"])
    return after


@pytest.mark.parametrize(
    "chain",
    [
        lambda b, x: x,
        lambda b, x: b.add(Mul(), x, b.add(Sigmoid(), x)),
        lambda b, x: b.add(Add(), b.add(Tanh(), b.add(Mul(), x, 0.37)), 1.1),
    ],
    ids=["change of scale", "silu in two ops", "numbers between"],
)
def test_what_counts_on_one_tensor_becomes_its_table(chain: Callable[[Builder, Value], Value]) -> None:
    after = _tabulated(chain)
    assert labels(after) == ["lookup"]
    assert after.outputs["y"].quantization == TO


def test_two_nodes_that_dequantize_the_same_codes_are_one_tensor() -> None:
    def twice(b: Builder, x: Value) -> Value:
        assert x.producer is not None
        return b.add(Mul(), x, b.add(Sigmoid(), b.add(Dequantize(OF), x.producer.inputs[0])))

    assert labels(_tabulated(twice)) == ["lookup"]


def test_other_readers_keep_the_ops() -> None:
    b = Builder()
    y = b.add(Tanh(), b.add(Dequantize(OF), _codes(b, 256)))
    after = fires(tabulate, b.done(b.add(Quantize(TO), y), y))
    assert sorted(labels(after)) == ["dequantize", "lookup", "tanh"]
    assert isinstance(after.nodes[-1].op, Lookup)


def test_two_tensors_stay() -> None:
    b = Builder()
    x, z = (b.add(Dequantize(OF), _codes(b, 5, name=name)) for name in "xz")
    leaves_alone(tabulate, b.done(b.add(Quantize(TO), b.add(Maximum(), x, z))))


def test_numbers_that_differ_from_cell_to_cell_stay() -> None:
    b = Builder()
    y = b.add(Mul(), b.add(Dequantize(OF), _codes(b, 4, 5)), b.constant(5))
    leaves_alone(tabulate, b.done(b.add(Quantize(TO), y)))


def test_ops_that_move_cells_stay() -> None:
    b = Builder()
    y = b.add(Transpose((0, 2, 1)), b.add(Dequantize(OF), _codes(b, 4, 5)))
    leaves_alone(tabulate, b.done(b.add(Quantize(TO), y)))


def test_a_number_that_adds_an_axis_stays() -> None:
    b = Builder()
    y = b.add(Mul(), b.add(Dequantize(OF), _codes(b, 4)), b.constant(1, 1, 1))
    leaves_alone(tabulate, b.done(b.add(Quantize(TO), y)))


def test_floats_stay() -> None:
    b = Builder()
    leaves_alone(tabulate, b.done(b.add(Quantize(TO), b.add(Tanh(), b.input(5)))))


def _made(op: type[OpAttrs]) -> OpAttrs:
    return {LeakyRelu: LeakyRelu(0.2), Elu: Elu(0.7), Gelu: Gelu()}[op] if op in (LeakyRelu, Elu, Gelu) else op()


@pytest.mark.parametrize("op", [*map(_made, FUNCTIONS), Gelu(True)], ids=str)
def test_functions_are_those_of_the_reference(op: OpAttrs) -> None:
    x = np.concatenate([np.linspace(-9, 9, 181), np.linspace(-1, 1, 41)])
    operands = [x, x[::-1] + 0.013][: len(op.operands)]
    (expected,) = compute(op, [torch.from_numpy(operand.copy()) for operand in operands], {})
    with np.errstate(all="ignore"):
        got = FUNCTIONS[type(op)](op, *operands)
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-12, atol=1e-14)
