"""`capture`: export, convert, record golden samples, and prove that the graph says what the module said."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.export import ExportedProgram

from ..errors import ModelError, TriportError, UsageError
from ..graph import Array, DType, Graph, Sample
from ..graph.bind import bind_sizes
from ..graph.golden import plan_golden, within_budget
from ..passes.dead_code import remove_dead_code
from ..passes.input_layout import Turned, check_input_layout, to_first, to_last, turn_inputs
from ..reference import run_graph
from .archive import load_program
from .convert import PORTABLE, convert_program, dtype_name
from .fallback import without_compositions
from .mutation import without_writes
from .program import Dynamic, Examples, Inputs, call, device_of, export_program, normalize_inputs, user_line
from .saved import SavedModule, example_inputs


def capture(
    module: torch.nn.Module,
    example_inputs: Examples,
    dynamic: Dynamic | None = None,
    *,
    name: str = "model",
    more_examples: Sequence[Examples] = (),
    input_layout: str | None = None,
) -> Graph:
    """The portable graph of a torch module, in eval mode.

    module           any nn.Module that torch.export can trace
    example_inputs   a tensor or array, a sequence of them in the order of forward, or {input name: tensor}; one sample
                     is enough, sizes along free dims do not matter
    dynamic          {input name: {axis: dim name}}; default: axis 0 of every input is ``batch``. {} fixes every size
    name             what the model is called in the artefacts
    more_examples    further examples, with other sizes along the free dims for instance: the graph is compared with the
                     module on them too, they are recorded like the first, and every export checks its ports on them
    input_layout     "nhwc": the graph takes images as [N, H, W, C]; examples and ``dynamic`` are still as the module
                     takes them. A phone and a browser then need not turn the image

    The module's own eager outputs on the examples are recorded as golden samples, and the graph's reference is compared
    with them before it is returned.

    Raises ModelError when the module cannot be captured or the graph disagrees with it, UsageError when the examples
    do not fit.
    """
    turns = check_input_layout(input_layout)
    with _in_eval_mode(module):
        inputs = normalize_inputs(module, example_inputs, dynamic)
        more = [normalize_inputs(module, further, dynamic) for further in more_examples]
        for each in (inputs, *more):
            _check_dtypes(module, each)
        return _captured(module, inputs, lambda: export_program(module, inputs), name, more, turns=turns)


def capture_saved(path: str | Path, *, name: str = "", input_layout: str | None = None) -> Graph:
    """The portable graph of a saved torch.export program (.pt2), proven against the program itself in eager mode.

    name           what the model is called in the artefacts; default: the file's
    input_layout   as `capture` takes it

    Raises FormatError when the file is corrupt or could run code, ModelError as `capture` does.
    """
    turns = check_input_layout(input_layout)
    program = load_program(path)
    module = SavedModule(program)
    inputs = example_inputs(program)
    _check_dtypes(module, inputs)
    return _captured(module, inputs, lambda: program, name or Path(path).stem, turns=turns)


def _captured(
    module: torch.nn.Module,
    inputs: Inputs,
    export: Callable[[], ExportedProgram],
    name: str,
    more: Sequence[Inputs] = (),
    *,
    turns: bool = False,
) -> Graph:
    """The graph of what ``export`` gives, with golden samples, compared with the module.

    turns   whether the graph takes images in channels last; samples are then made so, and turned back for the module
    """
    example = _arrays(inputs)
    output_names = list(_answer(module, example))
    graph = convert_program(without_compositions(without_writes(export())), module, inputs, output_names)
    graph.name = name
    remove_dead_code(graph)
    turned = turn_inputs(graph) if turns else Turned(graph, {})
    graph = turned.graph
    samples = plan_golden(to_last(example, turned.inputs), {value.name: value.type for value in graph.inputs})
    samples[1:1] = [_whole_sample(graph, to_last(_arrays(further), turned.inputs)) for further in more]
    for sample in samples:
        arrays = to_first(sample.inputs, turned.inputs)  # made and stored ones come in another order than forward's
        sample.outputs = _answer(module, {name: arrays[name] for name in example})
        _check_against(graph, sample)
    graph.samples = within_budget(samples, graph.parameter_bytes(), at_least=1 + len(more))
    return graph


def _arrays(inputs: Inputs) -> dict[str, Array]:
    return {name: tensor.cpu().numpy() for name, tensor in inputs.tensors.items()}


def _whole_sample(graph: Graph, example: dict[str, Array]) -> Sample:
    """A further example of the user's as a golden sample, not cut; UsageError when it does not fit the graph."""
    bind_sizes(graph, example)
    return plan_golden(example)[0]


@contextlib.contextmanager
def _in_eval_mode(module: torch.nn.Module) -> Iterator[None]:
    """Eval mode for a while; afterwards modes and buffers are what they were."""
    modes = {part: part.training for part in module.modules()}
    buffers = {buffer: buffer.detach().clone() for buffer in module.buffers()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
        with torch.no_grad():
            for buffer, before in buffers.items():
                buffer.copy_(before)


def _check_dtypes(module: torch.nn.Module, inputs: Inputs) -> None:
    """ModelError for weights in a dtype that no port has, UsageError for examples of another float than the weights."""
    weights = dict(module.named_parameters()) | dict(module.named_buffers())
    for name, tensor in weights.items():
        dtype = dtype_name(tensor)
        if dtype not in PORTABLE:
            raise ModelError(
                "TP209", f'the weight "{name}" has dtype {dtype}, which no port has', help="use module.float() first"
            )
    floats = {tensor.dtype for tensor in module.parameters() if tensor.dtype.is_floating_point}
    for name, tensor in inputs.tensors.items():
        wanted = str(next(iter(floats), torch.float32)).removeprefix("torch.")
        if dtype_name(tensor) not in PORTABLE or (
            len(floats) == 1 and tensor.is_floating_point() and tensor.dtype not in floats
        ):
            raise UsageError(
                "TP003",
                f"example input {name!r} is {dtype_name(tensor)}, the model computes in {wanted}",
                help=f'pass {name}.astype("{wanted}"), or {name}.to(torch.{wanted}) for a tensor',
            )


def _answer(module: torch.nn.Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The module's outputs by name: its own ``output_names``, dict keys, or ``output``, ``output_1`` …"""
    device = device_of(module)
    arguments, keywords = call(module, {n: torch.from_numpy(np.array(x)).to(device) for n, x in inputs.items()})
    try:
        with torch.no_grad():
            returned = module(*arguments, **keywords)
    except TriportError:
        raise
    except Exception as error:
        shapes = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in inputs.items())
        raise ModelError(
            "TP213",
            f"the model itself fails on the example inputs: {type(error).__name__}: {error}",
            at=user_line(error) or None,
            because=f"it was called with {shapes}",
            help="call the model on these examples before capturing it",
        ) from error
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
        if dtype_name(value) not in PORTABLE:
            raise ModelError(
                "TP209",
                f'output "{name}" has dtype {dtype_name(value)}, which no port has',
                help="return it in another dtype, such as output.float()",
            )
        if name in inputs:  # a file names its inputs and outputs in one list
            name = f"{name}_out"
        outputs[name] = value.detach().cpu().numpy()
    if not flat:
        raise ModelError("TP208", "the model returns nothing", help="return a tensor")
    return outputs


def _flatten(path: str, value: object, found: list[tuple[str, object]]) -> None:
    """Leaves in torch's pytree order, each with a readable name."""
    if isinstance(value, dict):
        for key, item in value.items():
            _flatten(f"{path}_{key}" if path else str(key), item, found)
    elif isinstance(value, list | tuple):
        names = getattr(value, "_fields", None) or [f"output_{i}" if not path else str(i) for i in range(len(value))]
        for name, item in zip(names, value, strict=True):
            _flatten(f"{path}_{name}" if path else name, item, found)
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
        # What overflows float32 in the graph too is the model's own doing: `export` says in which layer.
        expected = np.isfinite(exact[name]) & np.isfinite(plain[name])
        finite = np.isfinite(told) & expected
        if not np.array_equal(np.isfinite(told), expected):
            raise _disagreement(graph, name, "other cells are NaN or infinite")
        if not finite.any():
            continue
        judge = exact[name][finite].astype(np.float64)
        own = float(np.abs(plain[name][finite].astype(np.float64) - judge).max())
        # One value alone, or a constant, spans nothing; what it is a part of is then its own size.
        span, magnitude = float(judge.max() - judge.min()), float(np.abs(judge).max())
        bound = max(1e-5 * (span or magnitude), 1e-6 * magnitude, 4 * own)
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
