"""Lets images come in as [N, H, W, C] where the model takes [N, C, H, W].

before:  %y = conv2d(%x [N, C, H, W], w)
after:   %1 = transpose(%x [N, H, W, C], to first)    %y = conv2d(%1, w)

Ports that compute in channels last cancel the transpose with the one before the layer. Sequences that feed a
convolution over one axis and volumes are turned alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from ..graph import Array, Graph, Sample, Value
from ..graph.golden import STORED_BYTES
from ..ops import Concat, Layout, Pad, Slice, Transpose
from ..ops.base import to_channels_first, to_channels_last
from .assign_layout import SPATIAL

NHWC = "nhwc"
"""The input layout that can be asked for."""

METADATA_KEY = "input_layout"
"""Where a graph says that its images were turned."""

WHOLE_BYTES = 1 << 22
"""A golden sample whose image no rule makes any more is stored if it has at most so many bytes."""

_LETTERS = {3: "L", 4: "HW", 5: "DHW"}

_SAME_AXES = (Concat, Pad, Slice)
"""Ops whose result is of another size, with every axis where it was."""


@dataclass(frozen=True)
class Turned:
    """A graph that takes its images in channels last.

    inputs   {input name: its rank}, of those that are turned
    """

    graph: Graph
    inputs: dict[str, int]


def check_input_layout(wanted: str | None) -> bool:
    """Whether channels last is asked for; UsageError TP001 for a layout that is not known."""
    if wanted is None or wanted == NHWC:
        return wanted is not None
    raise UsageError(
        "TP001",
        f'input_layout is "{NHWC}" or left out, got {wanted!r}',
        help=f'input_layout="{NHWC}" takes images as [batch, height, width, channels]; leave it out to keep them',
    )


def layout_of(graph: Graph, value: Value) -> str | None:
    """``NHWC``, ``NCHW``, ``NLC`` … as the first spatial op that reads the value says; None when none does."""
    letters = _LETTERS.get(value.type.rank)
    if letters is None:
        return None
    seen = {value}
    waiting = [(value, tuple(range(value.type.rank)))]  # a value, and the axis of ours that each of its axes is
    while waiting:
        read, axes = waiting.pop(0)
        for node in read.users:
            if isinstance(node.op, SPATIAL):
                first = node.op.layout is Layout.CHANNELS_FIRST
                order = f"NC{letters}" if first else f"N{letters}C"
                return _ordered(order, axes)
            turned = tuple(axes[axis] for axis in node.op.perm) if isinstance(node.op, Transpose) else axes
            for output in node.outputs:
                same = isinstance(node.op, Transpose) or output.type.shape == read.type.shape
                if same and output not in seen:
                    seen.add(output)
                    waiting.append((output, turned))
    return None


def output_layout_of(graph: Graph, value: Value) -> str | None:
    """``NHWC``, ``NCHW`` … as the last spatial op before an output says, or the input that it is; None without one."""
    letters = _LETTERS.get(value.type.rank)
    if letters is None:
        return None
    seen = {value}
    waiting = [(value, tuple(range(value.type.rank)))]  # a value, and the axis of ours that each of its axes is
    while waiting:
        made, axes = waiting.pop(0)
        node = made.producer
        if node is None:
            order = None if made.is_constant else layout_of(graph, made)
        else:
            order = f"N{letters}C" if getattr(node.op, "layout", None) is Layout.CHANNELS_LAST else f"NC{letters}"
        if order and (node is None or isinstance(node.op, SPATIAL)):
            return _ordered(order, axes)
        for operand in node.inputs if node else ():
            turned = axes
            if node and isinstance(node.op, Transpose):
                turned = tuple(axes[node.op.perm.index(axis)] for axis in range(len(axes)))
            elif operand.type.shape != made.type.shape and not (node and isinstance(node.op, _SAME_AXES)):
                continue
            if operand.type.rank == len(axes) and operand not in seen:
                seen.add(operand)
                waiting.append((operand, turned))
    return None


def _ordered(order: str, axes: tuple[int, ...]) -> str:
    """The letters of a value's axes as ours, which ``axes`` says which of them is."""
    return "".join(letter for _, letter in sorted(zip(axes, order, strict=True)))


def turn_inputs(graph: Graph) -> Turned:
    """The graph with every image in channels last; the original is left alone.

    Its notices tell which inputs are no images, which outputs are images that stay in channels first, and whether
    golden samples were lost.

    UsageError TP007 when no input is an image in channels first.
    """
    other = graph.copy()
    layouts = {value.name: layout_of(other, value) for value in other.inputs}
    inputs: dict[str, int] = {}
    for value in list(other.inputs):
        if layouts[value.name] == f"NC{_LETTERS.get(value.type.rank)}":
            inputs[value.name] = value.type.rank
            _turn(other, value)
    if not inputs:
        known = ", ".join(f'"{value.name}" {value.type}' for value in graph.inputs)
        last = any((layout or "").endswith("C") for layout in layouts.values())
        because = "its images are in channels last already" if last else "no convolution, pool or resize reads one"
        raise UsageError(
            "TP007",
            f"{graph.name} has no image in channels first to take as {NHWC.upper()}; its inputs: {known or 'none'}",
            because=because,
            help="leave out --input-layout (input_layout=)",
        )
    other.metadata[METADATA_KEY] = NHWC
    other.samples = _turned_samples(graph.samples, inputs)
    notices = [_untouched(value) for value in other.inputs if layouts[value.name] is None]
    notices += [_stays(name, value) for name, value in other.outputs.items() if _is_channels_first(other, value)]
    if graph.samples and not other.samples:
        notices.append(_LOST)
    if notices:
        other.metadata["notices"] = [*graph.notices, *notices]
    return Turned(other, inputs)


_LOST = (
    "golden samples that were recorded in channels first are too large to be stored turned: capture the module with "
    f'input_layout="{NHWC}" to have some'
)


def _untouched(value: Value) -> str:
    return f'input "{value.name}" is taken as it is: no convolution, pool or resize reads it as an image'


def _is_channels_first(graph: Graph, value: Value) -> bool:
    layout = output_layout_of(graph, value)
    return layout is not None and layout.startswith("NC")


def _stays(name: str, value: Value) -> str:
    return (
        f'output "{name}" is {value.type} in channels first, as the model gives it: {NHWC.upper()} is for inputs. '
        "Permute it in the model to have it in channels last"
    )


def to_first(arrays: dict[str, Array], inputs: dict[str, int]) -> dict[str, Array]:
    """Arrays as the user's module takes them, from those that the turned graph takes."""
    return {n: x.transpose(to_channels_first(inputs[n])) if n in inputs else x for n, x in arrays.items()}


def to_last(arrays: dict[str, Array], inputs: dict[str, int]) -> dict[str, Array]:
    """Arrays as the turned graph takes them, from those that the user's module takes."""
    return {n: x.transpose(to_channels_last(inputs[n])).copy() if n in inputs else x for n, x in arrays.items()}


def _turn(graph: Graph, value: Value) -> None:
    rank = value.type.rank
    shape = tuple(value.type.shape[axis] for axis in to_channels_last(rank))
    given = graph.retype_input(value, value.type.with_shape(shape))
    graph.replace(value, graph.add(Transpose(to_channels_first(rank)), given, name=f"{given.name}/transpose"))


def _turned_samples(samples: list[Sample], inputs: dict[str, int]) -> list[Sample]:
    """What the module answered still holds; an image that a recipe made in channels first has to be stored."""
    kept: list[Sample] = []
    for sample in samples:
        arrays = to_last(sample.inputs, inputs)
        recipes = {name: recipe for name, recipe in sample.recipes.items() if name not in inputs}
        turned = Sample(arrays, sample.outputs, recipes)
        made = sample.recipes.keys() & inputs.keys()
        limit = STORED_BYTES if kept else WHOLE_BYTES
        if not made or sum(arrays[name].nbytes for name in made) <= limit:
            kept.append(turned)
    return kept
