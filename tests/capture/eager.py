"""Capturing a module or function and comparing the graph with torch itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from triport.exporter.capture import capture
from triport.exporter.capture.flat import FlatModule
from triport.exporter.capture.inputs import normalize_inputs
from triport.exporter.capture.program import export_program
from triport.exporter.graph import Array, Graph
from triport.exporter.graph.verify import verify
from triport.exporter.reference import run_graph


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


class Function2(Function):
    """A function of two tensors as a module."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:  # type: ignore[override]
        return self.function(x, y)


def sample(*shape: int, seed: int = 0) -> torch.Tensor:
    """Uniform in [-2, 2]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 4 - 2


def captured(
    module: nn.Module,
    *examples: torch.Tensor,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    others: Sequence[Sequence[torch.Tensor]] = (),
) -> Graph:
    """The graph, which answers as the module on the examples at batch 1, 2 and 5 and on other examples."""
    torch.manual_seed(0)
    graph = capture(module, list(examples), dynamic)
    verify(graph)
    sized = [[_at_batch(x, n) for x in examples] for n in (1, 2, 5)] if dynamic is None else [list(examples)]
    for arguments in [*sized, *others]:
        assert_same_answers(graph, module, arguments)
    return graph


def exported(
    module: nn.Module, *examples: torch.Tensor, dynamic: Mapping[str, Mapping[int, str]] | None = None
) -> torch.export.ExportedProgram:
    """The program that a capture converts."""
    inputs = normalize_inputs(module, list(examples), dynamic)
    return export_program(FlatModule(module, inputs).eval(), inputs)[0]


def assert_same_answers(graph: Graph, module: nn.Module, arguments: Sequence[torch.Tensor]) -> None:
    """Dtypes and shapes are equal, floats to a few float32 roundings, integers exactly."""
    was_training = module.training
    with torch.no_grad():
        returned = module.eval()(*(x.clone() for x in arguments))
    module.train(was_training)
    told = [x.numpy() for x in torch.utils._pytree.tree_leaves(returned)]
    inputs: dict[str, Array] = {v.name: x.numpy() for v, x in zip(graph.inputs, arguments, strict=True)}
    got = run_graph(graph, inputs)
    assert len(got) == len(told)
    for expected, (name, found) in zip(told, got.items(), strict=True):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), name
        if np.issubdtype(expected.dtype, np.floating):
            np.testing.assert_allclose(found.astype(np.float64), expected, rtol=1e-5, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(found, expected, err_msg=name)


def _at_batch(x: torch.Tensor, batch: int) -> torch.Tensor:
    return torch.cat([x + i for i in range(batch)])[:batch] if x.dim() else x


def ops(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]
