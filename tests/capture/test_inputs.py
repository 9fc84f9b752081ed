"""What may go into a capture and come out of a module: containers, constants, names, and modules in other clothes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from capture.eager import Function, Function2, captured, ops, sample
from torch import nn

import triport
from triport.exporter.capture import capture
from triport.exporter.errors import ModelError, UsageError
from triport.exporter.graph import Graph
from triport.exporter.reference import run_graph


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


@dataclass
class Batch:
    ids: torch.Tensor
    mask: torch.Tensor | None = None


class Nested(nn.Module):
    def forward(self, x: Any, pair: Any, options: Any, batch: Any) -> torch.Tensor:
        total: torch.Tensor = x + pair.left * pair.right + options["bias"][0] + batch.ids
        return total if batch.mask is None else total * batch.mask


class Takes(nn.Module):
    def forward(self, x: torch.Tensor, *rest: torch.Tensor, flag: bool = False, **named: torch.Tensor) -> Any:
        y = x + sum(rest) if rest else x
        y = y * 2 if flag else y
        return {name: y * tensor for name, tensor in named.items()} if named else y


def inputs_of(graph: Graph) -> list[str]:
    return [f"{value.name} {value.type}" for value in graph.inputs]


def test_containers_of_tensors_are_flattened_and_named_by_their_place() -> None:
    parts = [sample(1, 4, seed=seed) for seed in range(5)]
    graph = capture(Nested(), (parts[0], Pair(*parts[1:3]), {"bias": [parts[3]]}, Batch(parts[4])))
    assert [value.name for value in graph.inputs] == ["x", "pair_left", "pair_right", "options_bias_0", "batch_ids"]
    assert graph.free_names() == ("batch",)
    x, left, right, bias, ids = (sample(3, 4, seed=10 + seed).numpy() for seed in range(5))
    answer = run_graph(
        graph, dict(zip([value.name for value in graph.inputs], [x, left, right, bias, ids], strict=True))
    )
    np.testing.assert_allclose(answer["output"].astype(np.float32), x + left * right + bias + ids, rtol=1e-6)


def test_arguments_beyond_the_named_ones() -> None:
    graph = capture(Takes(), [sample(1, 3), sample(1, 3, seed=1), sample(1, 3, seed=2)])
    assert [value.name for value in graph.inputs] == ["x", "rest_0", "rest_1"]
    graph = capture(Takes(), {"x": sample(1, 3), "flag": True, "scale": sample(1, 3, seed=1)})
    assert [value.name for value in graph.inputs] == ["x", "scale"]
    assert list(graph.outputs) == ["scale_out"]
    assert graph.notices == ("fixed in the graph, because they are no tensors: flag=True",)


def test_numbers_are_fixed_and_said_and_a_tensor_of_no_axes_is_an_input() -> None:
    module = Function2(lambda x, y: x * y)
    graph = capture(module, [sample(1, 3), 2.5])
    assert inputs_of(graph) == ["x float32[batch, 3]"]
    assert "y=2.5" in graph.notices[0] and "as a tensor" in graph.notices[0]
    assert inputs_of(captured(module, sample(1, 3), torch.tensor(2.5))) == ["x float32[batch, 3]", "y float32[]"]


def test_none_is_no_input_and_no_output() -> None:
    def function(x: torch.Tensor, y: torch.Tensor | None) -> Any:
        return {"loss": None, "logits": x if y is None else x + y}

    graph = capture(Function2(function), [sample(1, 3), None])
    assert (inputs_of(graph), list(graph.outputs)) == (["x float32[batch, 3]"], ["logits"])
    assert graph.notices == ("no outputs of the graph, because the model returns None there: loss",)


def test_a_dataclass_may_be_returned() -> None:
    graph = capture(Function(lambda x: Batch(x * 2)), sample(1, 3))
    assert list(graph.outputs) == ["ids"]


def test_outputs_of_one_name_are_told_apart() -> None:
    graph = capture(Function(lambda x: {"a": {"b": x + 1}, "a_b": x + 2, "x": x}), sample(1, 3))
    assert list(graph.outputs) == ["a_b", "a_b_2", "x_out"]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # inside torch.compile
def test_a_module_is_found_in_its_wrappings() -> None:
    plain = nn.Linear(3, 2)
    wrapped: list[Any] = [torch.compile(plain), nn.DataParallel(plain)]
    for module in wrapped:
        graph = capture(module, sample(1, 3))
        assert [node.name for node in graph.nodes] == ["linear"]
        assert {value.name for value in graph.constants()} == {"weight", "bias"}


WRONG: dict[str, tuple[Any, str]] = {
    "a function": (torch.relu, "got a builtin"),
    "a class": (nn.Linear, "is a class"),
    "weights": (nn.Linear(2, 2).state_dict(), "an OrderedDict holds weights"),
    "a number": (3, "got an int"),
}


@pytest.mark.parametrize("which", WRONG)
def test_what_is_no_module_is_refused_by_what_it_is(which: str) -> None:
    module, text = WRONG[which]
    with pytest.raises(UsageError, match=text) as refused:
        capture(module, sample(1, 2))
    assert refused.value.help


@pytest.mark.parametrize(
    ("examples", "code"),
    [
        (None, "TP003"),
        ([[1.0, 2.0]], "TP003"),
        ([object()], "TP003"),
        (np.array(["a"]), "TP003"),
        ([sample(1, 2), sample(1, 2)], "TP004"),
        ({"y": sample(1, 2)}, "TP004"),
        ({"x": sample(1, 2, seed=1).to(torch.complex64)}, "TP003"),
    ],
)
def test_examples_that_fit_nothing_are_refused(examples: Any, code: str) -> None:
    with pytest.raises(UsageError) as refused:
        capture(Function(torch.relu), examples)
    assert refused.value.code == code


@pytest.mark.parametrize("axes", [{0: "n"}, {-2: "n"}, ["n", None], {0: torch.export.Dim("n")}])
def test_free_axes_in_every_way_of_writing_them(axes: Any) -> None:
    assert inputs_of(capture(Function(torch.relu), sample(2, 3), {"x": axes})) == ["x float32[n, 3]"]


@pytest.mark.parametrize("dynamic", [["n"], {"y": {0: "n"}}, {"x": {2: "n"}}, {"x": {0: "n m"}}, {"x": "n"}])
def test_free_axes_that_do_not_exist_are_refused(dynamic: Any) -> None:
    with pytest.raises(UsageError):
        capture(Function(torch.relu), sample(2, 3), dynamic)


def test_regions_without_gradients_and_transforms_are_plain_computation() -> None:
    class Regions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                y = self.dense(x)
                with torch.no_grad():
                    y = torch.relu(y)
            total: torch.Tensor = torch.vmap(lambda row: row * 2)(y) + x
            return total

    assert set(ops(captured(Regions(), sample(1, 3)))) <= {"add", "linear", "mat_mul", "mul", "relu"}


def test_a_call_that_fails_and_is_caught_is_not_in_the_graph() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        try:
            return x.view(2, 2)
        except RuntimeError:
            return x * 2

    assert ops(captured(Function(function), sample(1, 5))) == ["mul"]


def test_a_buffer_that_repeats_its_cells_is_left_alone() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("shift", torch.tensor([0.5]).expand(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.get_buffer("shift")

    graph = capture(Shifted(), torch.zeros(2, 4))
    np.testing.assert_array_equal(graph.run({"x": np.ones((1, 4), np.float32)})["output"], [[1.5] * 4])


def test_buffers_that_a_model_replaces_are_put_back() -> None:
    class Replaces(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count: torch.Tensor
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count = self.count + 1
            return x * 2

    module = Replaces()
    before = module.count
    capture(module, sample(1, 3))
    assert module.count is before
    assert float(module.count) == 0


def test_a_model_that_counts_its_calls_in_python_is_told_so() -> None:
    class Counts(nn.Module):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return x * self.calls

    with pytest.raises(ModelError) as refused:
        capture(Counts(), sample(1, 3))
    assert refused.value.code == "TP212"
    assert "each time it is called" in refused.value.message


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_of_one_that_means_something_else_is_refused(batch: int) -> None:
    with pytest.raises(ModelError, match='dimension "batch" cannot be free') as refused:
        capture(Function(lambda x: x.squeeze() * 2), sample(batch, 3))
    assert refused.value.code == "TP205"


def test_another_size_of_one_that_means_something_else_is_said() -> None:
    graph = capture(Function(lambda x: x * 2 if x.shape[1] == 1 else x), sample(2, 3), {"x": {0: "batch", 1: "time"}})
    assert graph.notices == ('the graph answers "time" = 1 otherwise than the module does: pass 2 or more',)


class Edges(nn.Module):
    """A layer of a graph network: each node takes in what its neighbours say."""

    def __init__(self) -> None:
        super().__init__()
        self.said = nn.Linear(4, 4)

    def forward(self, nodes: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(nodes).index_add(0, edges[1], self.said(nodes)[edges[0]])


def test_integers_that_are_places_along_a_free_axis_keep_its_size(tmp_path: Path) -> None:
    """Fewer nodes than the example's would leave its edges without ends."""
    edges = torch.tensor([[0, 4, 2, 2, 1, 3, 4], [1, 0, 4, 3, 3, 2, 1]])
    dynamic = {"nodes": {0: "nodes"}, "edges": {1: "edges"}}
    graph = capture(Edges(), {"nodes": sample(5, 4), "edges": edges}, dynamic)
    assert [s.inputs["nodes"].shape for s in graph.samples] == [(5, 4), (5, 4)]
    report = triport.export(graph, tmp_path, to=["onnx", "tflite", "web"])
    assert [runtime.status.value for _, runtime in report.rows() if runtime] == ["verified"] * 3
