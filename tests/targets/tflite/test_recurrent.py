"""Which recurrent layers are unrolled, which are looped over, and what a loop carries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from triport.exporter.graph import Graph, Sym
from triport.exporter.ops import Lstm
from triport.targets.tflite.ops.recurrent import UNROLLED_BYTES, UNROLLED_STEPS

BATCH, TIME = Sym.named("batch"), Sym.named("time")


def _layer(sketch: Any, steps: Any, units: int, output: int = 0) -> Graph:
    """A layer over two features; ``output`` 0 gives the whole sequence, 1 the last state."""
    x = sketch.input(steps, BATCH, 2)
    rows = 4 * units
    weights = [sketch.of(sketch.rng.normal(scale=units**-0.5, size=(rows, n)).astype(np.float32)) for n in (2, units)]
    node = sketch.graph.add_node(Lstm(), [x, *weights, sketch.constant(2, rows)], name="layer")
    graph: Graph = sketch.output(node.outputs[output])
    return graph


def _formula(graph: Graph, output: int) -> Any:
    _, weight, hidden_weight, bias = graph.nodes[0].inputs
    layer = torch.nn.LSTM(2, hidden_weight.type.static_shape()[1])
    values = [weight.array(), hidden_weight.array(), *bias.array()]
    for parameter, value in zip(layer.parameters(), values, strict=True):
        parameter.data = torch.from_numpy(value.copy())

    def run(x: Any) -> Any:
        with torch.no_grad():
            y, (state, _) = layer(torch.from_numpy(x))
        return (y if output == 0 else state[0]).numpy()

    return run


def test_few_steps_of_a_small_layer_are_unrolled(bench: Any, sketch: Any) -> None:
    codes = bench.codes(_layer(sketch, UNROLLED_STEPS, 8))
    assert "WHILE" not in codes and codes.count("FULLY_CONNECTED") == UNROLLED_STEPS


@pytest.mark.parametrize("steps", [UNROLLED_STEPS + 1, TIME], ids=str)
def test_many_steps_are_looped_over(bench: Any, sketch: Any, steps: Any) -> None:
    assert "WHILE" in bench.codes(_layer(sketch, steps, 8))


def test_a_layer_whose_unrolled_weights_would_fill_the_cache_is_looped_over(bench: Any, sketch: Any) -> None:
    units, steps = 64, 32
    assert units * 4 * units * 4 * steps == UNROLLED_BYTES
    assert "WHILE" not in bench.codes(_layer(sketch, steps, units))
    assert "WHILE" in bench.codes(_layer(type(sketch)("longer"), steps + 1, units))


@pytest.mark.parametrize("output", [0, 1], ids=["sequence", "state"])
def test_a_loop_carries_the_sequence_only_where_somebody_reads_it(bench: Any, sketch: Any, output: int) -> None:
    graph = _layer(sketch, UNROLLED_STEPS + 1, 8, output)
    loaded = bench.load(graph)
    (loop,) = (op for op in loaded.interpreter._get_ops_details() if op["op_name"] == "WHILE")
    assert len(loop["outputs"]) == 3 + 2 + (output == 0)
    bench.agree(graph, _formula(graph, output))
