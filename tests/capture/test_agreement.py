"""What is accepted as the same answer, with float32's own error in the way."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

import triport as tp
from triport.exporter.capture.agreement import SURE, check_against, check_sizes
from triport.exporter.errors import ModelError
from triport.exporter.graph import Array, DType, Graph, Sample, Sym, TensorType
from triport.exporter.ops import Relu

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
BOUND = 1e-5  # of a range of 1


def _relu() -> Graph:
    graph = Graph()
    graph.set_output("y", graph.add(Relu(), graph.add_input("x", TensorType(DType.FLOAT32, (3, 4)))))
    return graph


def _answer(inputs: Mapping[str, Array], error: float = 0.0) -> dict[str, Array]:
    told = np.maximum(inputs["x"], 0)
    told[2, 1] += np.float32(error)
    return {"y": told}


def _sample(error: float) -> Sample:
    return Sample({"x": X}, _answer({"x": X}, error))


@pytest.mark.parametrize("part", [0.0, 0.9 * SURE, 1.1 * SURE, 0.9])
def test_an_answer_within_the_bound_is_accepted(part: float) -> None:
    check_against(_relu(), _sample(part * BOUND), _answer)


@pytest.mark.parametrize("error", [1.1 * BOUND, 1.0, np.nan, np.inf])
def test_an_answer_beyond_the_bound_is_refused(error: float) -> None:
    with pytest.raises(ModelError) as caught:
        check_against(_relu(), _sample(error), lambda inputs: _answer(inputs, error))
    assert caught.value.code == "TP211"


def test_another_shape_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        check_against(_relu(), Sample({"x": X}, {"y": X[:2]}), lambda inputs: {"y": X[:2]})
    assert caught.value.code == "TP211"


def _free_relu() -> tuple[Graph, Sample]:
    graph, shape = Graph(), (Sym.named("batch"), Sym.named("length"))
    graph.set_output("y", graph.add(Relu(), graph.add_input("x", TensorType(DType.FLOAT32, shape))))
    return graph, Sample({"x": X})


def test_graph_and_module_are_compared_at_another_size_of_each_free_dim() -> None:
    graph, sample = _free_relu()
    seen: list[tuple[int, ...]] = []

    def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        seen.append(inputs["x"].shape)
        return {"y": np.maximum(inputs["x"], 0)}

    assert check_sizes(graph, sample, answer) == []
    assert seen == [(1, 3), (3, 1)]


@pytest.mark.parametrize(("batch", "code", "words"), [(3, "TP211", '"length" = 3'), (1, "TP205", "at a size of 1")])
def test_a_module_that_answers_otherwise_at_another_size_is_refused(batch: int, code: str, words: str) -> None:
    graph, sample = _free_relu()

    def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        rows, length = inputs["x"].shape
        otherwise = length == 3 if batch == 3 else rows == 1
        return {"y": np.maximum(inputs["x"], 0) + otherwise}

    with pytest.raises(ModelError, match=words) as refused:
        check_sizes(graph, sample, answer)
    assert refused.value.code == code


def test_sizes_that_the_module_does_not_take_are_not_compared() -> None:
    graph, sample = _free_relu()

    def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        if inputs["x"].shape != (3, 4):
            raise ModelError("TP213", "the model itself fails")
        return {"y": np.maximum(inputs["x"], 0)}

    assert check_sizes(graph, sample, answer) == []


def test_a_large_sample_is_made_up_and_a_second_one_recorded_where_it_fits() -> None:
    small = tp.capture(torch.nn.Linear(4, 2), torch.zeros(1, 4))
    image = tp.capture(torch.nn.AdaptiveAvgPool2d(1), torch.zeros(1, 3, 64, 64))
    whole = tp.capture(torch.nn.ReLU(), torch.zeros(1, 3, 64, 64))
    assert [len(graph.samples) for graph in (small, image, whole)] == [2, 2, 1]
    for sample in (*small.samples, *image.samples):
        answer = small if sample in small.samples else image
        for name, told in sample.outputs.items():
            assert np.abs(told.astype(np.float64) - answer.run(sample.inputs)[name].astype(np.float64)).max() <= 1e-6
