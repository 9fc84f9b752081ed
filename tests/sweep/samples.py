"""torch's own sample inputs: of every module in ``module_db`` and every ``nn.functional`` entry of ``op_db``.

Nobody here chose them. A sample is an eval-mode module whose inputs are the tensors among the sample's arguments;
everything else is closed over. Where a function takes weights (``conv2d(input, weight, bias)``), each sample stands
twice: with the weights as further inputs, and held by the module, as networks do.
"""

from __future__ import annotations

import inspect
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from sweep.keys import Key, Kind
from torch.nn.modules.lazy import LazyModuleMixin
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db
from torch.utils import _pytree as pytree

FUNCTIONS = "nn.functional."
DTYPES = (torch.float32, torch.int64, torch.complex64)
"""The first of these that an op takes is what its samples are made in."""

_PROJECTIONS = {f"{of}_proj_weight" for of in ("in", "out", "q", "k", "v")} | {"in_proj_bias", "out_proj_bias"}
_WEIGHTS = {"weight", "bias", "running_mean", "running_var", "bias_k", "bias_v"} | _PROJECTIONS
# Functions written in C++ have no Python signature; those with weights are these.
_SIGNATURES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "linear", "prelu"), ("input", "weight", "bias")),
    **{f"conv_transpose{rank}d": ("input", "weight", "bias") for rank in (1, 2, 3)},
    "bilinear": ("input1", "input2", "weight", "bias"),
    "scaled_dot_product_attention": ("query", "key", "value", "attn_mask"),
}


@dataclass
class Sample:
    """A module in eval mode, and the tensors to call it with, by input name."""

    module: torch.nn.Module
    inputs: dict[str, torch.Tensor]


class Call(torch.nn.Module):
    """Calls ``target`` with the tensors it is given put back into their places among the other arguments."""

    forward_takes_list = True

    def __init__(self, target: Callable[..., Any], leaves: Sequence[Any], spec: Any, names: dict[int, str]) -> None:
        super().__init__()
        self.target = target
        self.leaves: list[Any] = [None if place in names else leaf for place, leaf in enumerate(leaves)]
        self.spec = spec
        self.places = list(names)
        self.input_names = list(names.values())
        for place, leaf in enumerate(self.leaves):
            if isinstance(leaf, torch.Tensor):
                self.register_buffer(f"held_{place}", leaf)

    def forward(self, tensors: list[torch.Tensor]) -> Any:
        leaves = [getattr(self, f"held_{i}") if isinstance(x, torch.Tensor) else x for i, x in enumerate(self.leaves)]
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        return self.target(*args, **kwargs)


def all_keys() -> list[Key]:
    """Every sample there is, modules first, in torch's order."""
    return [Key(kind, name, i) for kind, name in _names() for i in range(len(_builders(kind, name)))]


def first_keys() -> list[Key]:
    """The first sample of each module and function."""
    return [Key(kind, name, 0) for kind, name in _names()]


def build(key: Key) -> Sample:
    """The sample, made anew: the same numbers each time."""
    builder = _builders(key.kind, key.name)[key.index]
    _seed(key.name)
    return builder()


def _names() -> Iterator[tuple[Kind, str]]:
    for info in module_db:
        yield Kind.MODULE, info.name
    for op in op_db:
        if op.name.startswith(FUNCTIONS):
            yield Kind.FUNCTION, _op_name(op)
            names = _op_signature(op)
            if "target" not in names and _WEIGHTS.intersection(names):  # the weights of a loss are no network's
                yield Kind.HELD, _op_name(op)


def _op_name(op: Any) -> str:
    return f"{op.name}:{op.variant_test_name}" if op.variant_test_name else str(op.name)


@lru_cache(maxsize=4)
def _builders(kind: Kind, name: str) -> list[Callable[[], Sample]]:
    """One builder a sample. The generators are exhausted here: one still open would toggle grad mode inside a trace."""
    _seed(name)
    if kind is Kind.MODULE:
        (info,) = (info for info in module_db if info.name == name)
        given = info.module_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=False, training=False)
        return [partial(_module_sample, info.module_cls, each) for each in list(given)]
    op: Any = next(op for op in op_db if _op_name(op) == name)
    dtype = next((dtype for dtype in DTYPES if dtype in op.dtypes), torch.float32)
    samples = list(op.sample_inputs("cpu", dtype, requires_grad=False))
    if kind is Kind.HELD:
        samples = [sample for sample in samples if _weights(op, sample)]
    return [partial(_function_sample, op, sample, held=kind is Kind.HELD) for sample in samples]


def _seed(name: str) -> None:
    """Every generator that torch's samples draw from, by a name."""
    seed = zlib.crc32(name.encode())
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def _module_sample(cls: type[torch.nn.Module], given: Any) -> Sample:
    module = cls(*given.constructor_input.args, **given.constructor_input.kwargs).eval()
    args, kwargs = tuple(given.forward_input.args), dict(given.forward_input.kwargs)
    if isinstance(module, LazyModuleMixin):
        with torch.no_grad():  # it gets its weights at the first call
            module(*args, **kwargs)
    return _sample(module, args, kwargs, _parameter_names(module.forward), hold=set())


def _function_sample(op: Any, sample: Any, *, held: bool) -> Sample:
    args, kwargs = (sample.input, *sample.args), dict(sample.kwargs)
    return _sample(op.op, args, kwargs, _op_signature(op), hold=_WEIGHTS if held else set())


def _sample(
    target: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    names: Sequence[str],
    hold: AbstractSet[str],
) -> Sample:
    paths, spec = pytree.tree_flatten_with_path((args, kwargs))
    leaves = [leaf for _, leaf in paths]
    taken: dict[int, str] = {}
    for place, (path, leaf) in enumerate(paths):
        if isinstance(leaf, torch.Tensor) and (name := _input_name(path, names)) not in hold:
            taken[place] = name
    inputs = {name: leaves[place].detach() for place, name in taken.items()}
    return Sample(Call(target, leaves, spec, taken).eval(), inputs)


def _input_name(path: Sequence[Any], names: Sequence[str]) -> str:
    """``input``, ``hx_0``: the parameter of the call, then the way into nested tuples and dicts."""
    top, *rest = path[1:]
    if isinstance(top, pytree.MappingKey):
        first = str(top.key)
    else:
        first = names[top.idx] if top.idx < len(names) else f"argument_{top.idx}"
    parts = [str(key.key) if isinstance(key, pytree.MappingKey) else str(key.idx) for key in rest]
    return "_".join([first, *parts])


def _op_signature(op: Any) -> Sequence[str]:
    short = op.name.removeprefix(FUNCTIONS)
    return _SIGNATURES.get(short) or _parameter_names(getattr(torch.nn.functional, short, None))


def _parameter_names(function: Callable[..., Any] | None) -> Sequence[str]:
    try:
        parameters = inspect.signature(function).parameters.values() if function else ()
    except ValueError:  # a builtin
        return ()
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _weights(op: Any, sample: Any) -> list[str]:
    """Names of the tensors of a sample that are weights."""
    names = _op_signature(op)
    positional = zip(names, (sample.input, *sample.args), strict=False)
    return [name for name, x in (*positional, *sample.kwargs.items()) if name in _WEIGHTS and torch.is_tensor(x)]
