"""Equal numbers in an order that is defined.

torch leaves it open which of them topk and sort put first, and it changes with the size and the machine. Ports put the
one first that came first, and so the module's answers are asked for in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..graph import Array, Graph
from ..ops import TopK
from .agreement import alike

NOTICE = (
    "equal numbers are put in order in the example: the one that came first comes first here, "
    "where torch leaves it open (topk, sort)"
)


def puts_in_order(graph: Graph) -> bool:
    """Whether ties could show in a graph's answers."""
    return any(isinstance(node.op, TopK) for node in graph.nodes)


def tie_notices(told: Mapping[str, torch.Tensor], settled: Mapping[str, Array]) -> list[str]:
    """What is said where the module's own answer is another than the one with ties settled."""
    same = all(alike(tensor.detach().cpu().numpy(), settled[name]) for name, tensor in told.items())
    return [] if same else [NOTICE]


class FirstOfEqualsFirst(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is on, topk, sort, argsort and kthvalue keep equal numbers in the order that they came in."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _SETTLED.get(func, func)(*args, **(kwargs or {}))


def _sort(x: torch.Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
    return torch.ops.aten.sort.stable(x, stable=True, dim=dim, descending=descending)


def _topk(x: torch.Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    return tuple(part.narrow(dim, 0, k) if x.ndim else part for part in _sort(x, dim, largest))


def _kthvalue(x: torch.Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    if not x.ndim:
        return torch.ops.aten.kthvalue.default(x, k, dim, keepdim)
    parts = [part.narrow(dim, k - 1, 1) for part in _sort(x, dim)]
    return tuple(part if keepdim else part.squeeze(dim) for part in parts)


_SETTLED: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.topk.default: _topk,
    torch.ops.aten.sort.default: _sort,
    torch.ops.aten.sort.stable: _sort,
    torch.ops.aten.argsort.default: lambda *args, **kwargs: _sort(*args, **kwargs)[1],
    torch.ops.aten.argsort.stable: lambda *args, **kwargs: _sort(*args, **kwargs)[1],
    torch.ops.aten.kthvalue.default: _kthvalue,
}
