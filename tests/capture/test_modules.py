"""Inputs, outputs, weights, names and free dims of whole modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture.eager import Function, Function2, assert_same_answers, captured, ops, sample
from torch import nn

from triport.exporter.capture import capture
from triport.exporter.errors import ModelError, TriportError, UsageError

# -- inputs and outputs ------------------------------------------------------------------------------------------------


class TrainingNorm(nn.Module):
    """Keeps a running mean even in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, self.norm.running_mean, self.norm.running_var, training=True)


class Branches(nn.Module):
    """Two inputs, one of integers, and outputs in a dict with a tuple inside."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.dense = nn.Embedding(7, 4), nn.Linear(4, 3)

    def forward(self, ids: torch.Tensor, x: torch.Tensor) -> dict[str, Any]:
        h = self.embed(ids).mean(1) + x
        return {"scores": self.dense(h), "parts": (h, [h.sum(1), ids + 1])}


def test_nested_outputs_have_readable_names_and_keep_their_order() -> None:
    graph = captured(
        Branches(), torch.tensor([[1, 6, 0]]), sample(1, 4), dynamic={"ids": {0: "batch"}, "x": {0: "batch"}}
    )
    assert list(graph.outputs) == ["scores", "parts_0", "parts_1_0", "parts_1_1"]
    assert [value.name for value in graph.inputs] == ["ids", "x"]


class Pair(NamedTuple):
    mean: torch.Tensor
    spread: torch.Tensor


def test_fields_of_a_named_tuple_name_the_outputs() -> None:
    graph = captured(Function(lambda x: Pair(x.mean(1), x.amax(1) - x.amin(1))), sample(1, 5))
    assert list(graph.outputs) == ["mean", "spread"]


def test_a_tuple_gives_numbered_outputs_and_the_same_tensor_twice_is_two() -> None:
    def function(x: torch.Tensor) -> Any:
        y = x * 2
        return y, x, y

    graph = captured(Function(function), sample(1, 5))
    assert list(graph.outputs) == ["output_0", "output_1", "output_2"]


def test_a_constant_may_be_returned() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table: torch.Tensor
            self.register_buffer("table", torch.arange(3.0))

        def forward(self, x: torch.Tensor) -> Any:
            return x + self.table, self.table

    captured(Table(), sample(1, 3))


def test_inputs_by_name_may_leave_out_an_optional_one_in_between() -> None:
    class Optional(nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None, scale: torch.Tensor | None = None) -> Any:
            x = x if mask is None else x + mask
            return x if scale is None else x * scale

    module = Optional()
    graph = capture(module, {"scale": sample(2, 3, seed=1), "x": sample(2, 3)})
    assert [value.name for value in graph.inputs] == ["x", "scale"]
    assert ops(graph) == ["mul"]
    assert ops(captured(module, sample(2, 3), sample(2, 3, seed=1))) == ["add"]


def test_an_input_nobody_reads_stays_an_input() -> None:
    graph = captured(Function2(lambda x, y: x * 2), sample(2, 3), sample(2, 3))
    assert [value.name for value in graph.inputs] == ["x", "y"]


def test_arrays_are_examples_too() -> None:
    graph = capture(Function(torch.relu), np.ones((1, 3), np.float32))
    assert [str(value.type) for value in graph.inputs] == ["float32[batch, 3]"]


# -- weights -----------------------------------------------------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self, one_parameter: bool) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(50, 8), nn.Linear(8, 50, bias=False)
        self.head.weight = self.embed.weight if one_parameter else nn.Parameter(self.embed.weight.detach())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.embed(ids))
        return scores


@pytest.mark.parametrize("one_parameter", [True, False], ids=["one parameter", "two of one memory"])
def test_tied_weights_are_in_the_graph_once(one_parameter: bool) -> None:
    graph = captured(Tied(one_parameter), torch.tensor([[3, 4]]))
    assert graph.parameter_bytes() == 50 * 8 * 4
    assert len({id(value.array()) for value in graph.constants()}) == 1


def test_a_layer_called_twice_has_one_weight_and_two_names() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.dense(torch.relu(self.dense(x)))
            return y

    graph = captured(Twice(), sample(1, 4))
    assert graph.parameter_bytes() == (16 + 4) * 4
    assert [node.name for node in graph.nodes] == ["dense", "relu", "dense/linear"]


def test_weights_are_copied() -> None:
    """Training on must not change a graph that was captured before."""
    module = nn.Linear(3, 2)
    graph = capture(module, sample(1, 3))
    before = [value.array().copy() for value in graph.constants()]
    with torch.no_grad():
        module.weight.add_(1)
    for value, array in zip(graph.constants(), before, strict=True):
        np.testing.assert_array_equal(value.array(), array)


def test_modes_of_layers_are_what_they_were() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3))
    module.train()
    module[2].eval()
    capture(module, sample(2, 3))
    assert [part.training for part in module] == [True, True, False]


def test_statistics_of_a_norm_are_buffers_and_become_constants() -> None:
    graph = captured(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), sample(1, 3, 4, 4))
    assert {value.name for value in graph.constants()} == {"0.weight", "0.bias", "0.running_mean", "0.running_var"}


# -- where nodes come from ---------------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.conv(x)) + 1  # the line that the test looks for


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, 3, 1), nn.ModuleList([Block(), Block()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return x.flatten(1)


def test_nodes_carry_the_layer_and_the_users_line() -> None:
    graph = captured(Net(), sample(1, 3, 2, 2))
    with open(__file__, encoding="utf-8") as source:
        line = next(n for n, text in enumerate(source, 1) if text.endswith("# the line that the test looks for\n"))
    where = {node.name: node.source for node in graph.nodes}
    assert where["stem"].layer == "stem" and where["stem"].location.startswith("test_modules.py:")
    for index in (0, 1):
        assert where[f"blocks.{index}.conv"].layer == f"blocks.{index}.conv"
        for name in (f"blocks.{index}.conv", f"blocks.{index}", f"blocks.{index}/add"):
            assert where[name].location == f"test_modules.py:{line}"


# -- free dims ---------------------------------------------------------------------------------------------------------


def test_dims_beyond_the_batch_stay_free() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Upsample(scale_factor=2), nn.MaxPool2d(2))
    others = [[sample(n, 3, h, w)] for n, h, w in ((1, 9, 4), (3, 5, 12))]
    graph = captured(net, sample(1, 3, 6, 6), dynamic={"input": {0: "n", 2: "h", 3: "w"}}, others=others)
    assert graph.free_names() == ("n", "h", "w")
    assert str(graph.outputs["output"].type) == "float32[n, 4, (h+1)//(2), (w+1)//(2)]"


def test_equal_example_sizes_do_not_tie_free_dims() -> None:
    graph = captured(
        Function(lambda x: x.sum(1)), sample(2, 2), dynamic={"x": {0: "batch", 1: "time"}}, others=[[sample(3, 5)]]
    )
    assert graph.free_names() == ("batch", "time")


SIZES: list[Callable[[torch.Tensor], Any]] = [
    lambda x: x.reshape(x.shape[0] * x.shape[1], x.shape[2]),
    lambda x: x.reshape(-1, x.shape[1] // 2, 2, x.shape[2]) if x.shape[1] % 2 == 0 else x,
    lambda x: x[:, : x.shape[1] - 1] + x[:, 1:],
    lambda x: x[:, :-2],
    lambda x: x.flatten(0, 1).reshape(x.shape[0], x.shape[1], 3),
    lambda x: torch.cat([x, x], 1).mean(1),
    lambda x: F.pad(x, (0, 0, 1, 2)),
    lambda x: x.transpose(1, 2).reshape(x.shape[0], -1),
]


@pytest.mark.parametrize("function", [SIZES[i] for i in (0, 2, 3, 4, 5, 6, 7)])
def test_arithmetic_on_free_sizes(function: Callable[[torch.Tensor], Any]) -> None:
    captured(
        Function(function),
        sample(2, 4, 3),
        dynamic={"x": {0: "batch", 1: "time"}},
        others=[[sample(1, 6, 3)], [sample(3, 5, 3)]],
    )


def test_a_batch_of_one_is_example_enough() -> None:
    graph = captured(Function(lambda x: x.reshape(x.shape[0], -1) * 2), sample(1, 3, 4))
    assert graph.free_names() == ("batch",)


def test_every_size_may_be_fixed() -> None:
    graph = captured(Function(lambda x: x.reshape(2, -1)), sample(2, 3, 4), dynamic={})
    assert graph.free_names() == ()


def test_a_sample_is_recorded_and_the_second_differs() -> None:
    module = nn.Linear(3, 2)
    graph = capture(module, sample(1, 3))
    first, second = graph.samples
    assert not np.array_equal(first.inputs["input"], second.inputs["input"])
    for golden in graph.samples:
        assert_same_answers(graph, module, [torch.from_numpy(golden.inputs["input"])])


# -- refusals ----------------------------------------------------------------------------------------------------------


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:  # here
            return x
        return -x


class Unknowns(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Unknown()

    def forward(self, x: torch.Tensor) -> Any:
        return torch.linalg.det(self.inner(x)).lgamma() + x.sum((1, 2)).digamma()


class Unknown(nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return torch.special.bessel_j0(x)


class Fails(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise IndexError("no such thing")


class ComparesTypes(nn.Module):
    """Runs in eager mode; tracing hands it another class of tensor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if type(x) is not torch.Tensor:
            raise TypeError("only plain tensors")
        return x * 2


def _refusal(module: nn.Module, *examples: Any, dynamic: Any = None) -> TriportError:
    with pytest.raises(TriportError) as refused:
        capture(module, list(examples), dynamic)
    assert refused.value.help, "every refusal says what to do"
    return refused.value


REFUSED: dict[str, tuple[str, Callable[[], TriportError]]] = {
    "a number returned": ("TP208", lambda: _refusal(Function(lambda x: (x, 3)), sample(1, 3))),
    "none returned": ("TP208", lambda: _refusal(Function(lambda x: None), sample(1, 3))),
    "nothing returned": ("TP208", lambda: _refusal(Function(lambda x: ()), sample(1, 3))),
    "complex inside": ("TP202", lambda: _refusal(Function(lambda x: torch.fft.hfft(x)), sample(1, 3))),
    "a list as example": ("TP003", lambda: _refusal(nn.Linear(3, 2), [1.0, 2.0])),
    "branch on data": ("TP206", lambda: _refusal(Branching(), sample(1, 3))),
    "shape from data": ("TP206", lambda: _refusal(Function(lambda x: x[x.to(torch.bool)].relu()), sample(1, 3))),
    "unknown ops": ("TP202", lambda: _refusal(Unknowns(), sample(1, 3, 3))),
    "wrong shape": ("TP213", lambda: _refusal(nn.Linear(3, 2), sample(1, 4))),
    "own error": ("TP213", lambda: _refusal(Fails(), sample(1, 4))),
    "only while tracing": ("TP207", lambda: _refusal(ComparesTypes(), sample(1, 4))),
    "traced with another shape": (
        "TP207",
        lambda: _refusal(
            Function(lambda x: F.multilabel_margin_loss(x, x.long(), reduction="none")), sample(4), dynamic={}
        ),
    ),
    "missing input": ("TP004", lambda: _refusal(Function2(torch.add), sample(1, 4))),
    "batches differ": ("TP002", lambda: _refusal(Function2(lambda x, y: (x, y)), sample(2, 4), sample(3, 4))),
    "fixed size": ("TP205", lambda: _refusal(Function(lambda x: x + torch.ones(2, 1)), sample(2, 4))),
    "dims tied": (
        "TP205",
        lambda: _refusal(Function(lambda x: x + x.mT), sample(2, 3, 3), dynamic={"x": {1: "h", 2: "w"}}),
    ),
    "active dropout": ("TP202", lambda: _refusal(Function(F.dropout), sample(1, 4))),
    "statistics of the batch": ("TP204", lambda: _refusal(TrainingNorm(), sample(2, 3))),
    "free number": (
        "TP203",
        lambda: _refusal(Function(lambda x: x * (x.shape[1] / 3)), sample(2, 3), dynamic={"x": {1: "time"}}),
    ),
    "cond": (
        "TP202",
        lambda: _refusal(
            Function(lambda x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,))), sample(2, 3), dynamic={}
        ),
    ),
}


@pytest.mark.parametrize("which", REFUSED)
def test_refusals_are_typed_and_say_what_to_do(which: str) -> None:
    code, refuse = REFUSED[which]
    error = refuse()
    assert error.code == code
    assert isinstance(error, UsageError if code < "TP100" else ModelError)


def test_all_unknown_ops_are_listed_with_layer_and_line() -> None:
    error = _refusal(Unknowns(), sample(1, 3, 3))
    text = str(error)
    for op, layer in (("bessel_j0", 'layer "inner"'), ("lgamma", "test_modules.py:"), ("digamma", "test_modules.py:")):
        (line,) = (line for line in text.splitlines() if op in line and line.startswith("  - "))
        assert layer in line
    assert "and 3 more" in error.message


def test_a_branch_on_data_is_refused_at_its_line() -> None:
    with open(__file__, encoding="utf-8") as source:
        line = next(n for n, text in enumerate(source, 1) if text.endswith("# here\n"))
    assert _refusal(Branching(), sample(1, 3)).at == f"test_modules.py:{line}"


def test_a_model_that_overflows_float32_is_captured_as_what_it_is() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.fill_(1e25)
    (sample, *_) = capture(module, {"input": torch.ones(2, 3)}).samples
    assert np.isinf(sample.outputs["output"]).all()


# -- further examples --------------------------------------------------------------------------------------------------


class ManyRows(nn.Module):
    """Takes another way for many rows, which tracing does not see."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if torch.compiler.is_compiling() or x.shape[0] < 5 else x


def test_further_examples_are_recorded_at_their_own_sizes() -> None:
    free = {"input": {0: "batch", 1: "length"}}
    sizes = [(2, 3), (5, 3), (1, 8)]
    first, *others = [sample(*size) for size in sizes]
    graph = capture(nn.Softmax(-1), [first], free, more_examples=[[x] for x in others])
    assert [s.inputs["input"].shape for s in graph.samples] == [*sizes, (2, 3)]
    for golden, x in zip(graph.samples, [first, *others], strict=False):
        np.testing.assert_array_equal(golden.inputs["input"], x.numpy())
        np.testing.assert_array_equal(golden.outputs["output"], x.softmax(-1).numpy())


def test_further_examples_stay_whatever_they_take() -> None:
    graph = capture(nn.Softmax(-1), [sample(1, 3)], more_examples=[[sample(n, 3)] for n in (1000, 2000)])
    assert [s.outputs["output"].shape[0] for s in graph.samples] == [1, 1000, 2000]


def test_the_graph_is_compared_with_the_module_on_further_examples() -> None:
    capture(ManyRows(), [sample(1, 3)], more_examples=[[sample(4, 3)]])
    with pytest.raises(ModelError, match="does not answer what the module answered"):
        capture(ManyRows(), [sample(1, 3)], more_examples=[[sample(5, 3)]])


def test_a_further_example_of_another_fixed_size_is_refused() -> None:
    with pytest.raises(UsageError, match=r"expected float32\[batch, 3\], got float32\[2, 4\]"):
        capture(nn.Softmax(-1), [sample(2, 3)], more_examples=[[sample(2, 4)]])


# -- checks of the model's own -----------------------------------------------------------------------------------------


class ChecksItsLengths(nn.Module):
    """An assertion on values reads them with .item(), which nothing else needs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lengths = (x > -3).sum(1)
        check: Any = torch._check  # pytest's own assert is no plain one
        check(lengths.max().item() <= x.shape[1])
        return x * (torch.arange(x.shape[1]) < lengths[:, None])


def test_what_only_a_check_of_the_model_computes_is_left_out() -> None:
    graph = captured(ChecksItsLengths(), sample(2, 5), dynamic={"x": {0: "batch", 1: "length"}})
    assert sorted(graph.free_names()) == ["batch", "length"]
    assert not any("max" in op for op in ops(graph))
