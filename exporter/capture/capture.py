"""`capture`: export, convert, record golden samples, and prove that the graph says what the module said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch.export import ExportedProgram

from ..errors import ModelError, UsageError
from ..graph import Array, Graph, Sample
from ..graph.bind import bind_sizes
from ..graph.conditions import allows
from ..graph.dims import dim_names
from ..graph.golden import plan_golden, within_budget
from ..labels import Labels
from ..passes.dead_code import remove_dead_code
from ..passes.input_layout import Turned, check_input_layout, to_first, to_last, turn_inputs
from ..preprocessing import Declared
from .agreement import Answer, check_against, check_sizes, check_traced
from .answers import first_answer, fused_notices, in_eval_mode, in_plain_floats, plain_answer
from .archive import load_program
from .convert import PORTABLE, Conversion, dtype_name
from .fallback import without_compositions
from .flat import FlatModule, unwrapped
from .free_sizes import Counted, merged, rounded, step_notices, steps_needed
from .in_step import can_follow, run_in_step
from .inputs import Dynamic, Examples, Inputs, normalize_inputs
from .least import limit_from_below
from .mutation import without_writes
from .precision import conversion_notices, float32_weights
from .program import TRACING, export_program
from .reach import limit_from_above
from .regions import without_regions
from .saved import SavedModule, example_inputs, saved_notices
from .silence import silent
from .state import state_of
from .ties import puts_in_order, tie_notices

Program = tuple[ExportedProgram, list[str]]
"""A program, and what a user should know about how it came about."""


def capture(
    module: torch.nn.Module,
    example_inputs: Examples,
    dynamic: Dynamic | None = None,
    *,
    name: str = "model",
    more_examples: Sequence[Examples] = (),
    input_layout: str | None = None,
    labels: Labels | None = None,
    preprocessing: Declared | None = None,
) -> Graph:
    """The portable graph of a torch module, in eval mode.

    module           any nn.Module that torch.export can trace
    example_inputs   a tensor or array, a sequence of them in the order of forward, or {input name: tensor}; one sample
                     is enough, sizes along free dims do not matter. Tuples, lists, dicts and dataclasses of tensors are
                     flattened (``opts_bias``); None, numbers, flags and texts are fixed in the graph
    dynamic          {input name: {axis: dim name}}; default: axis 0 of every input is ``batch``. {} fixes every size
    name             what the model is called in the artefacts
    more_examples    further examples, with other sizes along the free dims for instance: the graph is compared with the
                     module on them too, they are recorded like the first, and every export checks its ports on them
    input_layout     "nhwc": the graph takes images as [N, H, W, C]; examples and ``dynamic`` are still as the module
                     takes them. A phone and a browser then need not turn the image
    labels           names of the classes, for the only output that has so many, or {output name: names}
    preprocessing    ``tp.Preprocessing(...)``: how a picture becomes the image that the module takes; or {input: that}

    The module's own eager outputs on the examples are recorded as golden samples, and the graph's reference is compared
    with them before it is returned. What a user should know about the capture (dtypes that were converted, sizes that
    were restricted) stands in the graph's ``notices``. docs/capture.md says what can be captured.

    Raises ModelError when the module cannot be captured or the graph disagrees with it, UsageError when the examples
    do not fit.
    """
    turns = check_input_layout(input_layout)
    plain = unwrapped(module)
    with in_eval_mode(plain):
        inputs = normalize_inputs(plain, example_inputs, dynamic)
        more = [normalize_inputs(plain, further, dynamic) for further in more_examples]
        flat = FlatModule(plain, inputs)
        graph = _captured(flat, inputs, lambda: export_program(flat, inputs), name, more, turns=turns)
    return graph.describe(labels, preprocessing)


def capture_saved(path: str | Path, *, name: str = "", input_layout: str | None = None) -> Graph:
    """The portable graph of a saved torch.export program (.pt2), proven against the program itself in eager mode.

    name           what the model is called in the artefacts; default: the file's
    input_layout   as `capture` takes it

    Raises FormatError when the file is corrupt or could run code, ModelError as `capture` does.
    """
    turns = check_input_layout(input_layout)
    program = load_program(path)
    inputs = example_inputs(program)
    flat = FlatModule(SavedModule(program), inputs)
    told = saved_notices(program, inputs)
    return _captured(flat, inputs, lambda: (program, told), name or Path(path).stem, turns=turns)


def _captured(
    flat: FlatModule,
    inputs: Inputs,
    export: Callable[[], Program],
    name: str,
    more: Sequence[Inputs] = (),
    *,
    turns: bool = False,
) -> Graph:
    """The graph of what ``export`` gives, with golden samples, compared with the module.

    turns   whether the graph takes images in channels last; samples are then made so, and turned back for the module
    """
    for each in (inputs, *more):
        _check_dtypes(flat, each)
    with TRACING:
        before = state_of(flat.body)
        seen, own = first_answer(flat, inputs)
        like_later = before.is_like(state_of(flat.body))
        del before  # which keeps what the module has dropped
    _check_outputs(own)
    with TRACING, float32_weights(flat.body.body if isinstance(flat.body, SavedModule) else flat.body) as weights:
        program, notices = export()
        check_traced(program, own, inputs)
        sizes: Counted = steps_needed(program, inputs)
        with silent():
            plain_program = without_compositions(without_writes(without_regions(program)))
        conversion, captured, sizes = _converted(plain_program, flat, inputs, list(own), sizes)
        notices += step_notices(sizes)
        captured.name = name
        remove_dead_code(captured)
        turned = turn_inputs(captured) if turns else Turned(captured, {})
        graph = turned.graph
        in_float32, in_order = bool(weights or conversion.converted), puts_in_order(graph)

        def answer(arrays: Mapping[str, Array]) -> dict[str, Array]:
            return plain_answer(flat, to_first(dict(arrays), turned.inputs), in_float32=in_float32, in_order=in_order)

        plain = in_plain_floats(flat, seen, own, in_float32=in_float32, in_order=in_order)
        fused = [] if in_float32 else fused_notices(flat, own, plain)
        told = conversion_notices(weights, conversion.converted, own, plain)
        notices = [*inputs.notices, *_missing(flat), *notices, *conversion.notices, *told, *fused]
        notices += tie_notices(own, plain) if in_order and not in_float32 and not fused else []
        notices += limit_from_above(graph)
        given = bind_sizes(graph, to_last(_arrays(inputs), turned.inputs))
        notices += limit_from_below(graph, given, conversion.context.at_least)
        samples = _golden(turned, inputs, more)
        known = samples[0] if not turned.inputs and samples[0].is_like(seen) else None
        graph.samples = _answered(graph, samples, answer, known, plain, like_later=like_later)
        notices += check_sizes(graph, samples[0], answer)
    if notices:
        graph.metadata["notices"] = [*notices, *graph.notices]
    return graph


def _answered(
    graph: Graph,
    samples: list[Sample],
    answer: Answer,
    known: Sample | None,
    plain: Mapping[str, Array],
    *,
    like_later: bool,
) -> list[Sample]:
    """The samples to record, with what the module answers; the graph is compared with it on all but one.

    samples      the example's own, further ones of the user's, and one with other numbers; not answered yet
    known        the sample that ``plain`` is the answer to, if any
    like_later   the module was before that answer what it was after it, as far as `State` sees

    Where the example's own sample is made up like the other one, it is enough that the graph answers the other one, in
    step with the module. Else it answers the example; and the other too, if tracing has seen the example's numbers.
    """
    first, *further, other = samples
    first.outputs = dict(plain) if first is known else answer(first.inputs)
    other.outputs = first.outputs  # as large as what it will answer
    for sample in further:
        sample.outputs = answer(sample.inputs)
        check_against(graph, sample, answer)
    kept = within_budget(samples, graph.parameter_bytes(), at_least=1 + len(further))
    traced = not first.recipes
    made_up_alike = first.recipes.keys() == other.recipes.keys() and other in kept
    if first is known and like_later and made_up_alike and can_follow(graph):
        other.outputs, found = run_in_step(graph, other.inputs, answer)
        check_against(graph, other, answer, found)
        return kept
    check_against(graph, first, answer)
    if traced or other in kept:
        other.outputs = answer(other.inputs)
    if traced:
        check_against(graph, other, answer)
    return kept


def _converted(
    program: ExportedProgram, flat: FlatModule, inputs: Inputs, outputs: list[str], counted: Counted
) -> tuple[Conversion, Graph, Counted]:
    """The conversion and its graph; where sizes do not work out, once more with sizes that divide without remainder."""
    try:
        conversion = Conversion(program, flat.body, inputs, counted)
        return conversion, conversion.run(outputs), counted
    except ModelError as error:
        wider = merged(counted, rounded(program, inputs), inputs.sizes)
        if error.code not in _ABOUT_SIZES or wider == counted:
            raise
        try:
            conversion = Conversion(program, flat.body, inputs, wider)
            return conversion, conversion.run(outputs), wider
        except ModelError:
            raise error from None


_ABOUT_SIZES = ("TP201", "TP203", "TP205")


def _golden(turned: Turned, inputs: Inputs, more: Sequence[Inputs]) -> list[Sample]:
    """The samples to record, as the graph takes its inputs."""
    graph = turned.graph
    types = {value.name: value.type for value in graph.inputs}
    example = to_last(_arrays(inputs), turned.inputs)
    samples = plan_golden(example, types, largest_batch=_rows(graph, bind_sizes(graph, example)))
    samples[1:1] = [_whole_sample(graph, to_last(_arrays(further), turned.inputs)) for further in more]
    return samples


def _rows(graph: Graph, sizes: Mapping[str, int]) -> int:
    """How many cells samples have along the axes that come first: 2, or as many more as the graph asks for."""
    firsts = {name for value in graph.inputs if value.type.rank for name in dim_names(value.type.shape[0])}
    given = {name: size for name, size in sizes.items() if name in firsts}
    most = max([2, *given.values()])
    cut = ({**sizes, **{name: min(rows, size) for name, size in given.items()}} for rows in range(2, most))
    return next((rows for rows, tried in enumerate(cut, 2) if allows(graph, tried)), most)


def _arrays(inputs: Inputs) -> dict[str, Array]:
    return {name: tensor.cpu().numpy() for name, tensor in inputs.tensors.items()}


def _whole_sample(graph: Graph, example: dict[str, Array]) -> Sample:
    """A further example of the user's as a golden sample, not cut; UsageError when it does not fit the graph."""
    bind_sizes(graph, example)
    return plan_golden(example)[0]


def _missing(flat: FlatModule) -> list[str]:
    if not flat.missing:
        return []
    return [f"no outputs of the graph, because the model returns None there: {', '.join(flat.missing)}"]


def _check_dtypes(flat: FlatModule, inputs: Inputs) -> None:
    """ModelError for weights, UsageError for examples in a dtype that no port has and that does not become float32."""
    body = flat.body
    for name, tensor in [*body.named_parameters(), *body.named_buffers()]:
        if torch.nn.parameter.is_lazy(tensor):
            continue
        if tensor.is_meta:
            raise ModelError(
                "TP209",
                f'the weight "{name}" holds no numbers: it lies on the device "meta"',
                help='give the module its memory and weights first: module.to_empty(device="cpu"), load_state_dict(…)',
            )
        held = dtype_name(tensor, plain=True) in PORTABLE or tensor.is_complex()
        if not held or tensor.layout is not torch.strided:
            kind = dtype_name(tensor) if tensor.layout is torch.strided else "sparse"
            raise ModelError(
                "TP209",
                f'the weight "{name}" is {kind}, which no port has',
                because="ports hold dense tensors of float32, integers and booleans",
                help=_ADVICE.get(kind, "convert it before capturing, or compute it from a float32 weight"),
            )
    for name, tensor in inputs.given.items():
        if dtype_name(tensor, plain=True) not in PORTABLE:
            raise UsageError(
                "TP003",
                f"example input {name!r} is {dtype_name(tensor)}, which no port has",
                because="inputs are float32, int8, uint8, int16, int32, int64 or bool",
                help=_ADVICE.get(dtype_name(tensor), f"pass {name}.to(torch.int32), and cast in the model"),
            )


_COMPLEX = "take real and imaginary parts as two real tensors (torch.view_as_real) and write the products out"
_ADVICE = {
    "complex64": _COMPLEX,
    "complex128": _COMPLEX,
    "sparse": "module.weight = torch.nn.Parameter(module.weight.to_dense())",
}


def _check_outputs(own: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in own.items():
        if dtype_name(tensor, plain=True) not in PORTABLE:
            advice = "return output.abs(), or torch.view_as_real(output)" if tensor.is_complex() else "cast it: .int()"
            raise ModelError("TP209", f'output "{name}" has dtype {dtype_name(tensor)}, which no port has', help=advice)
