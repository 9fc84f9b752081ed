"""Samples in batches, what is seen of every value, and memory that does not grow with the samples."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_graphs import convnet, perceptron

from triport.exporter.graph import Array, DType, Graph, TensorType
from triport.exporter.ops import Relu
from triport.exporter.reference import run_graph
from triport.quantize.calibrate import ROWS, batches_of, observe
from triport.quantize.canonical import canonical
from triport.quantize.engine import showing
from triport.quantize.forms import decide
from triport.quantize.solve import coded_values

IMAGES = np.random.default_rng(0).normal(0, 1, (21, 1, 8, 8)).astype(np.float32)


def sizes(graph: Graph, calibration: Any, samples: int | None = None) -> list[int]:
    (name,) = (value.name for value in graph.inputs)
    return [len(batch[name]) for batch in batches_of(graph, calibration, samples)]


def test_samples_come_in_batches_to_the_last_one() -> None:
    assert sizes(convnet(), {"image": IMAGES}) == [8, 8, 5]
    assert sizes(convnet(), IMAGES) == [8, 8, 5]
    assert sizes(convnet(), [{"image": IMAGES[:3]}, {"image": IMAGES[3:14]}]) == [3, 8, 3]
    assert sizes(convnet(), (image[np.newaxis] for image in IMAGES[:3])) == [1, 1, 1]


@pytest.mark.parametrize(("samples", "wanted"), [(1, [1]), (8, [8]), (9, [8, 1]), (500, [8, 8, 5])])
def test_no_more_samples_than_were_asked_for(samples: int, wanted: list[int]) -> None:
    assert sizes(convnet(), {"image": IMAGES}, samples) == wanted


def test_a_batch_of_fixed_size_is_kept() -> None:
    graph = Graph("fixed")
    graph.set_output("y", graph.add(Relu(), graph.add_input("x", TensorType(DType.FLOAT32, (6, 4)))))
    rows = np.ones((21, 4), np.float32)
    assert sizes(graph, rows) == [6, 6, 6]
    assert sizes(graph, [rows[:7], rows[7:14]]) == [6, 6]


def test_float64_samples_are_narrowed() -> None:
    (batch,) = batches_of(perceptron(), np.ones((3, 4)))
    assert batch["x"].dtype == np.float32


def test_what_was_seen_is_what_the_reference_computes() -> None:
    graph = canonical(convnet())
    values = [value for value in coded_values(graph, decide(graph)) if not value.is_constant]
    seen = observe(graph, values, batches_of(graph, {"image": IMAGES}))
    everything = run_graph(showing(graph, {value.name: value.name for value in values}), {"image": IMAGES})
    assert seen.keys() == everything.keys()
    for name, array in everything.items():
        assert seen[name].low == pytest.approx(float(array.min()), abs=1e-5), name
        assert seen[name].high == pytest.approx(float(array.max()), abs=1e-5), name
        assert seen[name].batches == 3
        assert seen[name].histogram.counts.sum() == array.size


def test_memory_does_not_grow_with_the_samples() -> None:
    graph = canonical(convnet())
    values = [value for value in coded_values(graph, decide(graph)) if not value.is_constant]

    def stream(count: int) -> Iterator[dict[str, Array]]:
        for seed in range(count):
            yield {"image": np.random.default_rng(seed).normal(0, 1, (ROWS, 1, 8, 8)).astype(np.float32)}

    def peak(count: int) -> int:
        tracemalloc.start()
        observe(graph, values, batches_of(graph, stream(count)))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(1)  # what is loaded once
    batch = ROWS * 64 * 4
    assert peak(200) - peak(20) < 20 * batch  # 180 more batches
