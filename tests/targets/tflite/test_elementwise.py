"""Arithmetic, activations and reductions, against numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from triport.exporter.graph import DType, Sym
from triport.exporter.ops import (
    Abs,
    Activation,
    Add,
    Cast,
    Clamp,
    Div,
    Elu,
    Erf,
    Exp,
    Gelu,
    HardSwish,
    Identity,
    LeakyRelu,
    Log,
    LogSoftmax,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Pow,
    PRelu,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceSum,
    Relu,
    Rsqrt,
    Sigmoid,
    Softmax,
    Sqrt,
    Sub,
    Tanh,
)
from triport.targets.tflite import summarize

BATCH = Sym.named("batch")


def of_torch(function: Any) -> Any:
    return lambda x: function(torch.from_numpy(x).double()).numpy()


UNARY: dict[str, tuple[Any, Any]] = {
    "abs": (Abs(), np.abs),
    "clamp_relu6": (Clamp(0.0, 6.0), lambda x: np.clip(x, 0, 6)),
    "clamp_unit": (Clamp(-1.0, 1.0), lambda x: np.clip(x, -1, 1)),
    "clamp_below": (Clamp(minimum=0.0), lambda x: np.maximum(x, 0)),
    "elu": (Elu(), of_torch(F.elu)),
    "erf": (Erf(), of_torch(torch.erf)),
    "exp": (Exp(), lambda x: np.exp(x.astype(np.float64))),
    "gelu": (Gelu(), of_torch(F.gelu)),
    "gelu_tanh": (Gelu(True), of_torch(lambda t: F.gelu(t, approximate="tanh"))),
    "hard_swish": (HardSwish(), of_torch(F.hardswish)),
    "leaky_relu": (LeakyRelu(0.2), of_torch(lambda t: F.leaky_relu(t, 0.2))),
    "neg": (Neg(), np.negative),
    "relu": (Relu(), lambda x: np.maximum(x, 0)),
    "sigmoid": (Sigmoid(), of_torch(torch.sigmoid)),
    "tanh": (Tanh(), of_torch(torch.tanh)),
}


@pytest.mark.parametrize("case", UNARY)
def test_function_of_one_tensor(bench: Any, sketch: Any, case: str) -> None:
    op, formula = UNARY[case]
    graph = sketch.output(sketch.op(op, sketch.input(BATCH, 5, 3)))
    bench.agree(graph, formula, scale=4.0)


@pytest.mark.parametrize(("op", "formula"), [(Log(), np.log), (Sqrt(), np.sqrt), (Rsqrt(), lambda x: x**-0.5)])
def test_function_of_positive_numbers(bench: Any, sketch: Any, op: Any, formula: Any) -> None:
    positive = sketch.op(Add(), sketch.op(Abs(), sketch.input(BATCH, 5, 3)), sketch.of(np.float32(0.1)))
    bench.agree(sketch.output(sketch.op(op, positive)), lambda x: formula(np.abs(x).astype(np.float64) + 0.1))


BINARY: dict[str, tuple[Any, Any]] = {
    "add": (Add(), np.add),
    "sub": (Sub(), np.subtract),
    "mul": (Mul(), np.multiply),
    "maximum": (Maximum(), np.maximum),
    "minimum": (Minimum(), np.minimum),
    "add_relu": (Add(Activation.RELU), lambda a, b: np.maximum(a + b, 0)),
    "sub_relu6": (Sub(Activation.RELU6), lambda a, b: np.clip(a - b, 0, 6)),
    "mul_relu": (Mul(Activation.RELU), lambda a, b: np.maximum(a * b, 0)),
}


@pytest.mark.parametrize("shape", [(4, 5), (5,), (1, 5), (4, 1), (), (1, 1)], ids=str)
@pytest.mark.parametrize("case", BINARY)
def test_function_of_two_that_broadcast(bench: Any, sketch: Any, case: str, shape: tuple[int, ...]) -> None:
    op, formula = BINARY[case]
    b = sketch.constant(*shape)
    graph = sketch.output(sketch.op(op, sketch.input(BATCH, 4, 5), b))
    bench.agree(graph, lambda x: formula(x, b.array()))


@pytest.mark.parametrize("case", BINARY)
def test_a_constant_may_come_first(bench: Any, sketch: Any, case: str) -> None:
    op, formula = BINARY[case]
    a = sketch.constant(5)
    graph = sketch.output(sketch.op(op, a, sketch.input(BATCH, 4, 5)))
    bench.agree(graph, lambda x: formula(a.array(), x))


@pytest.mark.parametrize("case", BINARY)
def test_five_axes_broadcast(bench: Any, sketch: Any, case: str) -> None:
    op, formula = BINARY[case]
    x, y = sketch.input(BATCH, 2, 1, 3, 4), sketch.input(BATCH, 1, 5, 3, 1, name="z")
    bench.agree(sketch.output(sketch.op(op, x, y), "out"), formula)


@pytest.mark.parametrize("op", [Add(), Sub(), Mul(), Maximum(), Minimum()], ids=lambda op: op.name)
def test_whole_numbers(bench: Any, sketch: Any, op: Any) -> None:
    formula = BINARY[op.name][1]
    x, y = sketch.input(BATCH, 4, dtype=DType.INT32), sketch.input(BATCH, 4, name="z", dtype=DType.INT64)
    y = sketch.op(Cast(DType.INT32), y)
    bench.agree(sketch.output(sketch.op(op, x, y), "out"), formula)


def test_division(bench: Any, sketch: Any) -> None:
    divisor = sketch.of(np.array([0.5, -3.0, 7.0], np.float32))
    graph = sketch.output(sketch.op(Div(Activation.RELU), sketch.input(BATCH, 4, 3), divisor))
    bench.agree(graph, lambda x: np.maximum(x / divisor.array(), 0))


@pytest.mark.parametrize(("exponent", "code"), [(2.0, "SQUARE"), (3.0, "POW"), (-1.0, "POW")])
def test_power_of_a_constant(bench: Any, sketch: Any, exponent: float, code: str) -> None:
    graph = sketch.output(sketch.op(Pow(), sketch.input(BATCH, 4), sketch.of(np.float32(exponent))))
    assert bench.codes(graph) == [code]
    bench.agree(graph, lambda x: x.astype(np.float64) ** exponent)


@pytest.mark.parametrize("shape", [(3,), (1, 1, 3), (4, 5, 3), (1, 4, 5, 3), (1,)], ids=str)
def test_prelu(bench: Any, sketch: Any, shape: tuple[int, ...]) -> None:
    slope = sketch.constant(*shape)
    graph = sketch.output(sketch.op(PRelu(), sketch.input(BATCH, 4, 5, 3), slope))
    bench.agree(graph, lambda x: np.where(x > 0, x, x * slope.array()))


def test_one_slope_is_stored_for_every_channel(bench: Any, sketch: Any) -> None:
    graph = sketch.output(sketch.op(PRelu(), sketch.input(BATCH, 4, 3), sketch.constant(1)))
    assert summarize(bench.write(graph)).parameters == 3


@pytest.mark.parametrize("axis", [-1, 2, 1])
@pytest.mark.parametrize(("op", "formula"), [(Softmax, torch.softmax), (LogSoftmax, torch.log_softmax)])
def test_softmax_along_any_axis(bench: Any, sketch: Any, op: Any, formula: Any, axis: int) -> None:
    graph = sketch.output(sketch.op(op(axis), sketch.input(BATCH, 3, 4)))
    bench.agree(graph, of_torch(lambda t: formula(t, axis)), scale=5.0)


REDUCTIONS: dict[str, tuple[Any, Any]] = {
    "mean": (ReduceMean, np.mean),
    "sum": (ReduceSum, np.sum),
    "max": (ReduceMax, np.max),
    "min": (ReduceMin, np.min),
}


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axes", [(1,), (1, 2), (3,), (2,), (1, 2, 3), (1, 3)], ids=str)
@pytest.mark.parametrize("case", REDUCTIONS)
def test_reduction(bench: Any, sketch: Any, case: str, axes: tuple[int, ...], keepdims: bool) -> None:
    op, formula = REDUCTIONS[case]
    graph = sketch.output(sketch.op(op(axes, keepdims), sketch.input(BATCH, 4, 5, 3)))
    bench.agree(graph, lambda x: formula(x.astype(np.float64), axis=axes, keepdims=keepdims))


def test_reduction_over_the_batch(bench: Any, sketch: Any) -> None:
    graph = sketch.output(sketch.op(ReduceSum((0,), False), sketch.input(BATCH, 4)))
    bench.agree(graph, lambda x: x.sum(0))


def test_cast_between_numbers(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH, 4)
    whole = sketch.op(Cast(DType.INT64), x)
    sketch.output(whole, "whole")
    graph = sketch.output(sketch.op(Cast(DType.FLOAT32), whole), "back")
    bench.agree(graph, lambda x: (x.astype(np.int32), np.trunc(x)), scale=10.0)


def test_an_input_may_be_an_output_under_another_name(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH, 4)
    sketch.output(sketch.op(Identity(), x), "same")
    sketch.output(sketch.op(Identity(), x), "again")
    graph = sketch.output(sketch.op(Relu(), x), "relu")
    bench.agree(graph, lambda x: (x, x, np.maximum(x, 0)))


def test_a_value_may_be_output_twice(bench: Any, sketch: Any) -> None:
    x = sketch.op(Relu(), sketch.input(BATCH, 4))
    y = sketch.op(Neg(), x)
    sketch.output(x, "first")
    sketch.output(sketch.op(Identity(), x), "second")
    sketch.output(sketch.op(Identity(), y), "third")
    graph = sketch.output(sketch.op(Identity(), y), "fourth")
    bench.agree(graph, lambda x: (np.maximum(x, 0), np.maximum(x, 0), np.minimum(-x, 0), np.minimum(-x, 0)))


def test_infinite_and_not_a_number_pass_through(bench: Any, sketch: Any) -> None:
    graph = sketch.output(sketch.op(Add(), sketch.input(3), sketch.of(np.float32(1.0))))
    got = bench.run(graph, {"x": np.array([math.inf, -math.inf, math.nan], np.float32)})["y"]
    assert np.isposinf(got[0]) and np.isneginf(got[1]) and np.isnan(got[2])
