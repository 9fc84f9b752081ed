"""`capture`: export, convert, record golden samples, and prove that the graph says what the module said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..errors import ModelError
from ..graph import Array, DType, Graph, Sample
from ..graph.golden import plan_golden, within_budget
from ..reference import run_graph
from .convert import convert_program
from .program import Dynamic, Examples, export_program, normalize_inputs


def capture(
    module: torch.nn.Module, example_inputs: Examples, dynamic: Dynamic | None = None, *, name: str = "model"
) -> Graph:
    """The portable graph of a torch module, in eval mode.

    module           any nn.Module that torch.export can trace
    example_inputs   a tensor or array, a sequence of them in the order of forward, or {input name: tensor}; one sample
                     is enough, sizes along free dims do not matter
    dynamic          {input name: {axis: dim name}}; default: axis 0 of every input is ``batch``. {} fixes every size
    name             what the model is called in the artefacts

    The module's own eager outputs on the examples are recorded as golden samples, and the graph's reference is compared
    with them before it is returned.

    Raises ModelError when the module cannot be captured or the graph disagrees with it, UsageError when the examples
    do not fit.
    """
    was_training = module.training
    module.eval()
    try:
        inputs = normalize_inputs(module, example_inputs, dynamic)
        program = export_program(module, inputs)
        example = {n: tensor.cpu().numpy() for n, tensor in inputs.tensors.items()}
        graph = convert_program(program, module, inputs, list(_eager(module, example)))
        graph.name = name
        samples = plan_golden(example, {value.name: value.type for value in graph.inputs})
        for sample in samples:
            arrays = sample.inputs  # made and stored ones come in another order than forward takes them
            sample.outputs = _eager(module, {name: arrays[name] for name in example})
            _check_against(graph, sample)
        graph.samples = within_budget(samples, graph.parameter_bytes())
        return graph
    finally:
        module.train(was_training)


def _eager(module: torch.nn.Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The module's outputs by name: its own ``output_names``, dict keys, or ``output``, ``output_1`` …"""
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    arguments: list[Any] = [torch.from_numpy(np.array(array)).to(device) for array in inputs.values()]
    with torch.no_grad():
        returned = module(arguments) if getattr(module, "forward_takes_list", False) else module(*arguments)
    flat: list[tuple[str, object]] = []
    _flatten("", returned, flat)
    declared = list(getattr(module, "output_names", None) or ())
    outputs: dict[str, Array] = {}
    for position, (path, value) in enumerate(flat):
        if not isinstance(value, torch.Tensor):
            raise ModelError(
                "TP208",
                f"the model returns a {type(value).__name__} at {path or 'its top'}",
                help="return tensors, or tuples, lists and dicts of tensors",
            )
        name = declared[position] if len(declared) == len(flat) else path or "output"
        if name in inputs:  # a file names its inputs and outputs in one list
            name = f"{name}_out"
        outputs[name] = value.detach().cpu().numpy()
    return outputs


def _flatten(path: str, value: object, found: list[tuple[str, object]]) -> None:
    """Leaves in torch's pytree order, each with a readable name."""
    if isinstance(value, dict):
        for key, item in value.items():
            _flatten(f"{path}_{key}" if path else str(key), item, found)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _flatten(f"{path}_{index}" if path else f"output_{index}", item, found)
    else:
        found.append((path, value))


def _check_against(graph: Graph, sample: Sample) -> None:
    """ModelError when the reference does not answer what the module answered, within float32's own error."""
    exact = run_graph(graph, sample.inputs, dtype=DType.FLOAT64)
    plain = run_graph(graph, sample.inputs)
    for name, told in sample.outputs.items():
        if exact[name].shape != told.shape:
            raise _disagreement(graph, name, f"shape {list(exact[name].shape)} instead of {list(told.shape)}")
        if told.size == 0 or not np.issubdtype(told.dtype, np.floating):
            if not np.array_equal(exact[name], told):
                raise _disagreement(graph, name, "other integers")
            continue
        finite = np.isfinite(told) & np.isfinite(exact[name])
        if not np.array_equal(np.isfinite(told), np.isfinite(exact[name])):
            raise _disagreement(graph, name, "other cells are NaN or infinite")
        if not finite.any():
            continue
        judge = exact[name][finite].astype(np.float64)
        own = float(np.abs(plain[name][finite].astype(np.float64) - judge).max())
        bound = max(1e-5 * float(judge.max() - judge.min()), 1e-6 * float(np.abs(judge).max()), 4 * own)
        worst = float(np.abs(told[finite].astype(np.float64) - judge).max())
        if worst > bound:
            raise _disagreement(graph, name, f"a difference of {worst:.3g}, accepted is {bound:.3g}")


def _disagreement(graph: Graph, output: str, problem: str) -> ModelError:
    return ModelError(
        "TP211",
        f'the captured graph does not answer what the module answered at output "{output}": {problem}',
        because=f"{len(graph.nodes)} nodes were captured and one of them means something else in torch",
        help="this is a defect of triport: please report it with the module",
    )
