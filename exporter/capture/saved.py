"""A loaded torch.export program as a module with named inputs, so that it is captured like any other."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, TensorArgument
from torch.utils import _pytree as pytree

from ..errors import ModelError
from .inputs import MINIMUM_FREE_SIZE, Inputs, flat_inputs


class SavedModule(torch.nn.Module):
    """Runs a saved program on flat tensors.

    input_names   the program's own names of its tensor inputs, in order
    """

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.program = program
        self.body = program.module(check_guards=False)
        self.input_names = [name for name, _ in user_tensors(program)]

    def forward(self, *tensors: torch.Tensor) -> Any:
        given = iter(tensors)
        flat = [next(given) if isinstance(arg, TensorArgument) else arg.value for arg in _user_arguments(self.program)]
        arguments, keywords = pytree.tree_unflatten(flat, self.program.call_spec.in_spec)
        return self.body(*arguments, **keywords)


def example_inputs(program: ExportedProgram) -> Inputs:
    """The examples that the program was saved with, or random ones, and names for its free dims.

    The file does not keep the names: the first axis is called ``batch``, another axis ``<input>_<axis>``.
    """
    examples = _saved_examples(program)
    names: dict[str, str] = {}
    tensors: dict[str, torch.Tensor] = {}
    dynamic: dict[str, dict[int, str]] = {}
    for position, (name, fake) in enumerate(user_tensors(program)):
        free: dict[int, str] = {}
        sizes: list[Any] = list(fake.shape)  # typed as ints, though free ones are SymInts
        for axis, size in enumerate(sizes):
            if isinstance(size, torch.SymInt) and size.node.expr.is_Symbol:
                wanted = "batch" if axis == 0 else f"{name}_{axis}"
                if wanted in names.values() and names.get(str(size)) != wanted:
                    wanted = f"{name}_{axis}"
                free[axis] = names.setdefault(str(size), wanted)
        dynamic[name] = free
        tensors[name] = examples[position] if examples else _random(fake)
    return flat_inputs(tensors, dynamic)


def saved_notices(program: ExportedProgram, inputs: Inputs) -> list[str]:
    """What torch.export fixed when the program was saved: the length of sequences that a recurrent layer runs over."""
    told: dict[str, None] = {}
    for node in program.graph.nodes:
        target = str(node.target)
        found = re.match(r"aten\.(lstm|gru|rnn_tanh|rnn_relu)\.input", target)
        if found is None:
            continue
        shape = node.args[0].meta["val"].shape
        length = shape[1 if node.args[-1] else 0]
        if isinstance(length, int):
            layer = _layer(node)
            told[
                f"{layer or found[1]} was saved with a sequence length of {length}: torch.export fixes it in recurrent "
                "layers. To keep it free, capture the module itself: tp.capture(module, example_inputs, dynamic=…)"
            ] = None
    return list(told)


def _layer(node: torch.fx.Node) -> str:
    paths = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
    return f'layer "{paths[-1]}"' if paths and paths[-1] else ""


def user_tensors(program: ExportedProgram) -> list[tuple[str, torch.Tensor]]:
    """Name and shape (a fake tensor) of each tensor input, in order."""
    fakes = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    found = []
    for argument in _user_arguments(program):
        if isinstance(argument, TensorArgument):
            fake = fakes[argument.name]
            assert isinstance(fake, torch.Tensor), "a tensor argument has a tensor for its value"
            found.append((argument.name, fake))
    if not found:
        raise ModelError("TP208", "the saved program has no tensor input", help="a model computes from its inputs")
    return found


def _user_arguments(program: ExportedProgram) -> list[Any]:
    specs = program.graph_signature.input_specs
    return [spec.arg for spec in specs if spec.kind is InputKind.USER_INPUT]


def _saved_examples(program: ExportedProgram) -> list[torch.Tensor]:
    """The tensors among the saved examples; empty when there are none or they are of another number."""
    if program.example_inputs is None:
        return []
    tensors = [leaf for leaf in pytree.tree_leaves(program.example_inputs) if isinstance(leaf, torch.Tensor)]
    return tensors if len(tensors) == len(user_tensors(program)) else []


def _random(fake: torch.Tensor) -> torch.Tensor:
    sizes: list[Any] = list(fake.shape)
    shape = [MINIMUM_FREE_SIZE if isinstance(size, torch.SymInt) else int(size) for size in sizes]
    generator = torch.Generator().manual_seed(0)
    if fake.dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(fake.dtype)
    return torch.randint(0, 2, shape, generator=generator).to(fake.dtype)
