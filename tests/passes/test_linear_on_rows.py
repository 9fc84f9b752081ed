from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from passes.build import BATCH, Builder, count, fires, leaves_alone
from torch import nn

import triport as tp
from triport.exporter.graph import DType, Quantization, TensorType, Value
from triport.exporter.ops import (
    Dequantize,
    Mul,
    Quantize,
    QuantizedAdd,
    QuantizedLinear,
    QuantizedSoftmax,
    ReduceSum,
    Reshape,
    Sub,
)
from triport.exporter.passes.dead_code import remove_dead_code
from triport.exporter.passes.linear_on_rows import linear_on_rows

X, Y = Quantization(0.0625, -7), Quantization(0.5, 12)
ROWS = (5, 8)


def _codes(b: Builder, *shape: int, name: str = "x") -> Value:
    return b.graph.add_input(name, TensorType(DType.INT8, (BATCH, *shape), X))


def _linear(b: Builder, x: Value, outputs: int = 8, to: Quantization = X) -> Value:
    weight = b.random.integers(-127, 128, (outputs, 8)).astype(np.int8)
    scales, bias = np.full(outputs, 0.004, np.float32), b.random.integers(-999, 999, outputs).astype(np.int32)
    parameters = [b.graph.add_constant(array) for array in (weight, scales, bias)]
    of = x.quantization
    assert of is not None
    return b.add(QuantizedLinear(of=of, to=to), x, *parameters)


def _normalized(b: Builder, x: Value) -> Value:
    """Floats row by row between codes, with numbers for each cell of a row."""
    real = b.add(Dequantize(X), x)
    less = b.add(Sub(), real, b.add(Mul(), b.add(ReduceSum((2,), True), real), 0.125))
    return b.add(Quantize(X), b.add(Mul(), less, b.constant(1, 1, 8)))


def _heads(b: Builder, x: Value) -> Value:
    return b.add(Reshape((BATCH, 5, 2, 4)), x)


def test_what_treats_rows_alike_between_layers_computes_on_matrices() -> None:
    b = Builder()
    x = b.add(Reshape((BATCH, *ROWS)), _codes(b, 40))
    total = b.add(QuantizedAdd(X, of=(X, X)), _normalized(b, _linear(b, x)), x)
    y = _heads(b, _linear(b, total))
    after = fires(linear_on_rows, b.done(y))
    remove_dead_code(after)
    assert count(after, Reshape) == 2
    assert {node.output.type.rank for node in after.nodes if not isinstance(node.op, Reshape)} == {2}


def test_layers_of_one_tensor_and_a_softmax_go_along_and_outputs_keep_their_shape() -> None:
    b = Builder()
    x = _codes(b, *ROWS)
    table = b.graph.add_constant(np.rint(np.exp(-np.arange(256) / 16) * 4096).astype(np.float32))
    shares = b.add(QuantizedSoftmax(2, X, Y), _linear(b, x), table)
    outputs = [shares, _heads(b, _linear(b, x)), _heads(b, _linear(b, x))]
    before = [value.type.shape for value in outputs]
    after = fires(linear_on_rows, b.done(*outputs))
    assert [value.type.shape for value in after.outputs.values()] == before


@pytest.mark.parametrize("case", ["one layer", "layers apart", "numbers for each row", "matrices"])
def test_stretches_that_save_no_reshapes_are_left_alone(case: str) -> None:
    b = Builder()
    x = _codes(b, 8) if case == "matrices" else _codes(b, *ROWS)
    y = _linear(b, x)
    if case == "layers apart":
        y = _linear(b, b.add(Reshape((BATCH, *ROWS)), b.add(Reshape((BATCH, 4, 10)), y)))
    elif case == "numbers for each row":
        places = b.graph.add_constant(np.zeros(ROWS, np.int8), quantization=replace(X))
        y = b.add(QuantizedAdd(X, of=(X, X)), y, places)
    elif case == "matrices":
        y = _linear(b, y)
    leaves_alone(linear_on_rows, b.done(y))


class FourAxes(nn.Module):
    """A constant of three axes beside rows of four, and the greatest of each row."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.shift = nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x) + self.shift
        answer: torch.Tensor = self.last(h * h.amax(-1, keepdim=True).sigmoid())
        return answer


def test_a_constant_of_fewer_axes_becomes_a_row_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph = tp.capture(FourAxes().eval(), torch.randn(2, 3, 7, 6), dynamic={"x": {0: "batch"}})
    samples = np.random.default_rng(0).normal(size=(64, 3, 7, 6)).astype(np.float32)
    quantized = tp.quantize(graph, "int8", calibration={"x": samples})
    assert tp.export(quantized, tmp_path, to=["onnx"]).status.value == "verified"
