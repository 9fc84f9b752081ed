"""Gives free dims a size, for runtimes that want every size fixed.

before:  %x float32[batch, 784]    %y = reshape(%x, [batch, 28, 28, 1])
after:   %x float32[1, 784]        %y = reshape(%x, [1, 28, 28, 1])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ..errors import UsageError
from ..graph import Graph, Sample, Sym, TensorType
from ..graph.conditions import CONDITIONS, Condition, check_conditions, conditions_of, record_conditions
from ..graph.dims import substitute_dim
from ..graph.limits import LIMITS, check_limits, limits_of, record_limits
from ..ops import OpAttrs


def fix_sizes(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph with these free dims fixed; the original is left alone.

    sizes   {name of a free dim: its size}

    A golden sample of another size stays as its first rows where that makes it fit, and is left out otherwise.
    UsageError TP001 for a name that is not free, TP002 for sizes that the graph does not take.
    """
    for name, size in sizes.items():
        if name not in graph.free_names():
            known = ", ".join(graph.free_names()) or "none"
            raise UsageError("TP001", f'{graph.name} has no free dim "{name}"', help=f"its free dims: {known}")
        if size < 1:
            raise UsageError("TP002", f'"{name}" cannot be {size}', help="sizes are 1 or more")
    check_limits(graph, sizes)
    check_conditions(graph, sizes)
    fixed = graph.copy()
    for value in list(fixed.inputs):
        wanted = value.type.with_shape(_substituted(value.type.shape, sizes))
        if wanted != value.type:
            fixed.replace(value, fixed.retype_input(value, wanted))
    for node in fixed.nodes:
        fixed.set_op(node, _op(node.op, sizes))
    fixed.samples = [kept for sample in graph.samples if (kept := _fitting(sample, fixed)) is not None]
    limits = {name: limit for name, limit in limits_of(graph).items() if name not in sizes}
    conditions = [
        Condition(substitute_dim(c.left, sizes), c.relation, substitute_dim(c.right, sizes), c.words)
        for c in conditions_of(graph)
    ]
    fixed.metadata = {key: facts for key, facts in graph.metadata.items() if key not in (LIMITS, CONDITIONS)}
    record_limits(fixed, limits)
    record_conditions(fixed, [condition for condition in conditions if condition.names])
    return fixed


def _op(op: OpAttrs, sizes: Mapping[str, int]) -> OpAttrs:
    return replace(op, **{of.name: _substituted(getattr(op, of.name), sizes) for of in fields(op) if of.init})


def _substituted(attribute: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(attribute, Sym):
        return substitute_dim(attribute, sizes)
    if isinstance(attribute, tuple):
        return tuple(_substituted(part, sizes) for part in attribute)
    return attribute


def _fitting(sample: Sample, fixed: Graph) -> Sample | None:
    """The sample, or its first rows, where they have the sizes that are fixed now; None where neither does."""
    given = {value.name: value.type for value in fixed.inputs}
    made = {name: value.type for name, value in fixed.outputs.items()}
    # The cells of a recipe depend on their place alone: the first rows are a recipe too.
    recipes = {
        name: replace(made_by, shape=_first(made_by.shape, given[name])) for name, made_by in sample.recipes.items()
    }
    inputs = {name: x[: _first(x.shape, given[name])[0]] if x.ndim else x for name, x in sample.stored_inputs.items()}
    outputs = {name: y[: _first(y.shape, made[name])[0]] if y.ndim else y for name, y in sample.outputs.items()}
    shapes = {name: recipe.shape for name, recipe in recipes.items()} | {name: x.shape for name, x in inputs.items()}
    fits = all(_fits(shape, given[name]) for name, shape in shapes.items())
    fits = fits and all(_fits(y.shape, made[name]) for name, y in outputs.items())
    return Sample(inputs, outputs, recipes) if fits else None


def _first(shape: tuple[int, ...], wanted: TensorType) -> tuple[int, ...]:
    """The shape with as many rows as are wanted, if it has so many and they are fixed."""
    rows = wanted.shape[0] if wanted.shape else None
    return (min(rows, shape[0]), *shape[1:]) if isinstance(rows, int) and shape else shape


def _fits(shape: tuple[int, ...], wanted: TensorType) -> bool:
    return len(shape) == wanted.rank and all(
        size == dim or isinstance(dim, Sym) for size, dim in zip(shape, wanted.shape, strict=True)
    )
