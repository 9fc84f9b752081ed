"""Keeps recurrent calls whole while torch.export traces a module.

torch.export would follow every step of a sequence: its length would be fixed, and 300 steps take most of a minute.
Here `torch.lstm`, `gru`, `rnn_tanh` and `rnn_relu` are, for the time of an export, ops of our own that only know the
shapes of their results; `recurrent.py` turns them into nodes.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch

from ..errors import ModelError

NAMESPACE = "triport"
CALLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")

_ARGUMENTS = (
    "Tensor x, Tensor[] states, Tensor[] weights, bool biased, int layers, bool bidirectional, bool batch_first"
)


@contextlib.contextmanager
def whole_recurrent_calls() -> Iterator[None]:
    """While it lasts, recurrent calls are traced as one op each, and packed sequences are refused."""
    _define()
    swapped = {name: _named(name, functools.partial(_whole, name)) for name in CALLS}
    swapped["_pack_padded_sequence"] = _named("_pack_padded_sequence", _packed)
    before = [(place, name, getattr(place, name)) for place in (torch, torch._VF) for name in swapped]
    try:
        for place, name, _ in before:
            setattr(place, name, swapped[name])
        with warnings.catch_warnings():
            # nn.RNNBase keeps a list of its parameters, which tracing replaces for a while.
            warnings.filterwarnings("ignore", r"(?s)The tensor attributes? .*_flat_weights")
            yield
    finally:
        for place, name, function in before:
            setattr(place, name, function)
        _forget(swapped.values())


def _named(name: str, function: Callable[..., object]) -> Callable[..., object]:
    """A function of its own: torch's tracer of Python asks each of torch's for its name."""

    def call(*arguments: Any, **keywords: Any) -> object:
        return function(*arguments, **keywords)

    call.__name__ = name
    return call


def _forget(swapped: Collection[Callable[..., object]]) -> None:
    """torch's tracer of Python, which runs for torch.cond and its like, lists torch's functions once and for all."""
    rules = sys.modules.get("torch._dynamo.trace_rules")
    if rules is not None and rules.get_torch_obj_rule_map.cache_info().currsize:
        known = rules.get_torch_obj_rule_map()
        if any(function in known for function in swapped):
            rules.clear_lru_cache()


@functools.cache
def _define() -> None:
    """Declares the ops, once a process."""
    for name in CALLS:
        states = 2 if name == "lstm" else 1
        results = ", ".join(["Tensor"] * (1 + states))
        torch.library.define(f"{NAMESPACE}::{name}", f"({_ARGUMENTS}) -> ({results})")
        torch.library.register_fake(f"{NAMESPACE}::{name}", _shapes)


def _shapes(
    x: torch.Tensor,
    states: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    biased: bool,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[torch.Tensor, ...]:
    features = states[0].shape[-1] * (2 if bidirectional else 1)
    return (x.new_empty((*x.shape[:-1], features)), *(state.new_empty(state.shape) for state in states))


def _whole(name: str, x: torch.Tensor, states: Any, weights: Any, *settings: Any) -> Any:
    """A call in torch's own form: biased, layers, dropout, training, bidirectional, batch_first."""
    if isinstance(weights, torch.Tensor) or len(settings) != 6:
        return _packed()
    biased, layers, dropout, training, bidirectional, batch_first = settings
    if training and dropout:
        raise ModelError(
            "TP202", f"{name} drops cells at random, which no port does", help="call it with train=False when exporting"
        )
    listed = [states] if isinstance(states, torch.Tensor) else list(states)
    op = getattr(getattr(torch.ops, NAMESPACE), name)
    return op(x, listed, list(weights), biased, layers, bidirectional, batch_first)


def _packed(*_: object) -> Any:
    raise ModelError(
        "TP202",
        "packed sequences have no meaning here: their sizes depend on the data",
        help="pass the padded tensor to the recurrent layer and pick the step you need, or export at one length",
    )
