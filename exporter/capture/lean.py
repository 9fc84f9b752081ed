"""Tracing without what nobody here reads: a third of what torch.export takes.

Python code for the graph    torch writes it out five times on the way to a program; only the last is ever looked at
stacks of inputs             torch formats one for each weight, and takes them off again at the end
steps of shape rules         `quick_shapes.py`
collecting garbage           a graph is full of cycles that are in use

Each is a setting of torch or of Python; where a torch lacks one, it traces as always.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import torch.fx
from torch.fx.experimental import proxy_tensor

from .flat import FlatModule

_SETTING = "do_not_emit_stack_traces"
_MANY = 100_000
"""Objects made before Python looks for garbage, instead of 700."""


@contextlib.contextmanager
def lean(module: FlatModule) -> Iterator[None]:
    """While it lasts, torch.export of the module leaves that out."""
    lazy = _found("torch.fx._lazy_graph_module", "_use_lazy_graph_module")
    quick = _found(f"{__package__}.quick_shapes", "quick_shapes")
    with _seldom_collecting(), lazy(True), _no_stacks_of_inputs(module), quick():
        yield


def _found(module: str, name: str) -> Callable[..., contextlib.AbstractContextManager[object]]:
    """A setting, by way of parts of torch that it may rename; one that does nothing where they are not there."""
    try:
        setting: Callable[..., contextlib.AbstractContextManager[object]] = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return contextlib.nullcontext
    return setting


@contextlib.contextmanager
def _seldom_collecting() -> Iterator[None]:
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(before[0], _MANY), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def _no_stacks_of_inputs(module: FlatModule) -> Iterator[None]:
    """torch makes its inputs first and then calls the module: until then it is told to record no stacks."""
    config: Any = torch.fx.config
    if getattr(config, _SETTING, True):
        yield
        return

    def called() -> None:
        setattr(config, _SETTING, False)
        mode = proxy_tensor.get_proxy_mode()
        if mode is not None:
            mode.tracer.record_stack_traces = True

    setattr(config, _SETTING, True)
    module.called = called
    try:
        yield
    finally:
        module.called = None
        setattr(config, _SETTING, False)
