"""A module and its graph run in step: a convolution that both make of the very same numbers is made once.

    module    conv(x, w)  →  relu  →  conv(…)  →  …
                 ↓ the same x and w, bit by bit?
    graph     conv(x, w)  →  relu  →  …

torch answers the same call with the same bits, so that a call need not be made again to know its answer. Everything
else the graph computes by itself, from the module's inputs to its own outputs, and a convolution that it would make of
other numbers as well. The graph follows from one convolution of the module to the next, so that no more is held than
the numbers of one layer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import index
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from ..errors import TriportError
from ..graph import Array, Graph, Value
from ..ops import Conv
from ..reference import run_tensors

_RANKS: dict[Any, int] = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}
"""{function: axes of its windows}"""

_OFTEN = 32
"""Products that each number of a call goes into, where comparing the numbers costs less than the call."""

_PLAIN = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)
"""Other kinds of tensors may answer torch's functions in their own way."""

_FAILURES = (
    *(TriportError, ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)


class _Call(NamedTuple):
    """A convolution; ``settings`` are stride, padding, dilation and groups."""

    function: Any
    operands: tuple[torch.Tensor | None, ...]
    settings: tuple[Any, ...]


def can_follow(graph: Graph) -> bool:
    """Whether a run in step can save anything."""
    return any(isinstance(node.op, Conv) for node in graph.nodes)


def run_in_step(
    graph: Graph, inputs: Mapping[str, Array], answer: Callable[[Mapping[str, Array]], dict[str, Array]]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """What the module answers, which ``answer`` runs in this thread, and what the graph does, by name.

    Raises what either raises.
    """
    follower = _Follower(graph, inputs)
    try:
        with follower:
            told = answer(inputs)
        return told, follower.outputs()
    finally:
        follower.close()


class _Follower(TorchFunctionMode):
    """While it is on, the graph is computed as far as the convolutions of this thread have come."""

    def __init__(self, graph: Graph, inputs: Mapping[str, Array]) -> None:
        super().__init__()
        self.graph = graph
        self.steps = run_tensors(graph, inputs)
        self.stops = iter(_stops(graph))
        self.done = 0
        self.wanted = set(graph.outputs.values())
        self.found: dict[Value, torch.Tensor] = {}
        self.failed: BaseException | None = None
        self.settings = len(_get_current_dispatch_mode_stack()), torch.get_default_dtype()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _RANKS and isinstance(result, torch.Tensor) and self._as_usual():
            self._follow(_known(func, args, kwargs or {}, result))
        return result

    def outputs(self) -> dict[str, Array]:
        """The graph's, after the rest of it has been computed; raises what stopped it."""
        self._advance(None, None)
        if self.failed is not None:
            raise self.failed
        return {name: self.found[value].contiguous().numpy() for name, value in self.graph.outputs.items()}

    def close(self) -> None:
        with torch.no_grad():  # which the steps have set too, and put back now
            self.steps.close()

    def _as_usual(self) -> bool:
        """Whether the module has set nothing that a convolution of its own, or the graph's computing, is subject to."""
        if torch.is_autocast_enabled("cpu") or torch.is_inference_mode_enabled() or _in_functorch():
            return False
        return (len(_get_current_dispatch_mode_stack()), torch.get_default_dtype()) == self.settings

    def _follow(self, known: tuple[_Call, torch.Tensor] | None) -> None:
        """Through the convolution that is next in the graph, and up to the one behind it."""
        if not self.done:
            self._advance(next(self.stops, None), None)
        self._advance(next(self.stops, None), known)

    def _advance(self, stop: int | None, known: tuple[_Call, torch.Tensor] | None) -> None:
        """Computes until ``stop`` values are known, the first of them by ``known``.

        What the graph raises is not the module's doing, and waits.
        """
        if self.failed is not None:
            return
        try:
            with torch.no_grad():
                if known is not None:
                    with _Recalling(*known):
                        self._step()
                while stop is None or self.done < stop:
                    self._step()
        except StopIteration:
            return
        except _FAILURES as error:
            self.failed = error

    def _step(self) -> None:
        value, tensor = next(self.steps)
        self.done += 1
        if value in self.wanted:
            self.found[value] = tensor


class _Recalling(TorchFunctionMode):
    """While it is on, a call whose result is known is not made."""

    def __init__(self, call: _Call, result: torch.Tensor) -> None:
        super().__init__()
        self.call = call
        self.result = result

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _RANKS and _same_call(self.call, _call(func, *args, **(kwargs or {}))):
            return self.result.detach().clone()  # the module may write to its own
        return func(*args, **(kwargs or {}))


def _stops(graph: Graph) -> Iterator[int]:
    """How many values are known before each convolution."""
    known = len(graph.inputs) + sum(value.is_constant for value in graph.outputs.values())
    for node in graph.nodes:
        if isinstance(node.op, Conv):
            yield known
        known += len(node.outputs)


def _in_functorch() -> bool:
    """Whether tensors stand for several, or for more than their numbers, as inside torch.vmap."""
    interpreter = getattr(torch._C._functorch, "peek_interpreter_stack", None)
    return interpreter is not None and interpreter() is not None


def _known(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: torch.Tensor
) -> tuple[_Call, torch.Tensor] | None:
    """A call and its result, where the call is one that can be compared and that is worth it."""
    with contextlib.suppress(Exception):  # torch takes more spellings than there are here
        call = _call(function, *args, **kwargs)
        tensors = [result, *(operand for operand in call.operands if operand is not None)]
        if all(type(tensor) in _PLAIN for tensor in tensors) and _worth(call, result):
            return call, result
    return None


def _call(
    function: Any,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> _Call:
    """A call with torch's own arguments."""
    each = (_each(numbers, _RANKS[function]) for numbers in (stride, padding, dilation))
    return _Call(function, (input, weight, bias), (*each, groups))


def _each(numbers: SupportsIndex | str | Sequence[SupportsIndex], rank: int) -> tuple[int | str, ...]:
    if isinstance(numbers, str):
        return (numbers,) * rank
    if isinstance(numbers, SupportsIndex):
        return (index(numbers),) * rank
    return tuple(map(index, numbers)) * (rank if len(numbers) == 1 else 1)


def _worth(call: _Call, result: torch.Tensor) -> bool:
    held = [operand for operand in call.operands if operand is not None]
    window = held[1][0].numel() if held[1].numel() else 0
    return result.numel() * window >= _OFTEN * (sum(operand.numel() for operand in held) + result.numel())


def _same_call(a: _Call, b: _Call) -> bool:
    if a.function is not b.function or a.settings != b.settings:
        return False
    return all(map(_same_bits, a.operands, b.operands))


def _same_bits(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    alike = a.dtype is b.dtype is torch.float32 and a.shape == b.shape and a.stride() == b.stride()
    if not alike or a.device != b.device or a.is_neg():
        return False
    try:
        mine, others = (x.detach().view(torch.int32).numpy() for x in (a, b))
    except RuntimeError:  # a tensor without memory of its own
        return False
    return np.array_equal(mine, others)  # 1.6 times as fast as torch.equal
