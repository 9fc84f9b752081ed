"""What a saved torch.export program (.pt2) says of itself, without converting it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from ..errors import TriportError
from ..graph import Dim
from ..graph.limits import Limit
from .archive import load_program
from .convert import _is_plumbing, dtype_name
from .flat import named_leaves
from .free_sizes import learned
from .limits import guarded_sizes
from .mutation import user_outputs
from .saved import example_inputs, saved_notices, user_tensors
from .sympy_dims import DimNames


@dataclass(frozen=True)
class ProgramFacts:
    """A saved program.

    inputs, outputs   {name: (dtype, shape)}; free dims have the names that a capture gives them
    ops               {ATen op: how often it is called}
    parameters        numbers in weights and constants; int64 constants are indices and do not count
    limits            how far free dims may go
    notices           what torch.export fixed when the program was saved
    """

    inputs: dict[str, tuple[str, list[Dim | str]]]
    outputs: dict[str, tuple[str, list[Dim | str]]]
    ops: dict[str, int]
    parameters: int
    weight_bytes: int
    limits: dict[str, Limit]
    notices: list[str]


def describe_program(path: str | Path) -> ProgramFacts:
    """What a .pt2 file holds; raises FormatError when it is corrupt or could run code."""
    program = load_program(path)
    inputs = example_inputs(program)
    dims = learned(program, inputs)
    returned = pytree.tree_unflatten(user_outputs(program), program.call_spec.out_spec)
    leaves = [(name, node.meta["val"]) for name, node in named_leaves("", returned) if isinstance(node, torch.fx.Node)]
    weights = _weights(program)
    return ProgramFacts(
        inputs={name: _facts(fake, dims) for name, fake in user_tensors(program)},
        outputs={name or "output": _facts(fake, dims) for name, fake in leaves if isinstance(fake, torch.Tensor)},
        ops=dict(Counter(filter(None, map(_op, program.graph.nodes)))),
        parameters=sum(tensor.numel() for tensor in weights if tensor.dtype != torch.int64),
        weight_bytes=sum(tensor.nbytes for tensor in weights),
        limits=dict(guarded_sizes(program, dims, inputs.sizes).limits),
        notices=saved_notices(program, inputs),
    )


def _facts(fake: torch.Tensor, dims: DimNames) -> tuple[str, list[Dim | str]]:
    return dtype_name(fake), [_dim(size, dims) for size in fake.shape]


def _dim(size: Any, dims: DimNames) -> Dim | str:
    try:
        return dims.dim(size)
    except TriportError:  # a size that no graph has, which a capture would refuse: as torch spells it
        return str(size)


def _op(node: torch.fx.Node) -> str:
    """``aten.conv2d``; "" for assertions, for arithmetic on sizes, and for picking one of several results."""
    if node.op != "call_function" or _is_plumbing(node) or isinstance(node.meta.get("val"), torch.SymInt | int):
        return ""
    return str(node.target).rpartition(".")[0]


def _weights(program: ExportedProgram) -> list[torch.Tensor]:
    """Each tensor that the file carries, once."""
    held: Mapping[str, Any] = {**program.constants, **program.state_dict}
    tensors = [tensor for tensor in held.values() if isinstance(tensor, torch.Tensor)]
    return list({(t.data_ptr(), t.shape, t.dtype): t for t in tensors}.values())
