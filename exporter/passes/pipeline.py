"""The order of the passes that make a portable graph fit for one target."""

from __future__ import annotations

from collections.abc import Mapping

from ..graph import Graph
from ..ops import Activation, Layout, OpAttrs
from . import decompose_arithmetic as _decompose_arithmetic  # noqa: F401  (importing it registers decompositions)
from . import decompose_windows as _decompose_windows  # noqa: F401  (as above)
from .assign_layout import assign_layout
from .base import Pass, Spells
from .cancel_transposes import cancel_transposes, settle
from .dead_code import remove_dead_code
from .decompose import decompose
from .fold_constants import fold_constants
from .fold_norm_into_linear import fold_norm_into_linear
from .fold_scale_into_linear import fold_scale_into_linear
from .fold_transpose_into_linear import fold_transpose_into_linear
from .fold_transpose_into_matmul import fold_transpose_into_matmul
from .fuse_activation import fuse_activation
from .fuse_batch_norm import fuse_batch_norm
from .fuse_crop import fuse_crop
from .fuse_pad import fuse_pad
from .hard_swish_as_product import hard_swish_as_product
from .last_state import last_state
from .lift_1d import lift_1d
from .linear_on_rows import linear_on_rows
from .merge_axes import merge_axes
from .merge_constants import merge_constants
from .name_outputs import name_outputs
from .pad_for_constant_rows import pad_for_constant_rows
from .place_transposes import place_transposes
from .simplify_reshape import simplify_reshape
from .split_3d import split_3d
from .split_activation import split_activation
from .split_before_slices import split_before_slices
from .split_linear import split_linear
from .tabulate import tabulate
from .unfold_conv import unfold_conv


def passes_for(
    layout: Layout,
    fuses: Mapping[type[OpAttrs], frozenset[Activation]],
    lifts_1d: bool,
    spells: Spells,
    tabulates: bool = False,
    takes_matrices: bool = False,
    clamps_codes: bool = False,
) -> list[Pass]:
    """What a graph goes through on its way to a target, in order.

    Tables and products of codes are made while the ops are those that a plan chose scales for. Pads are taken in
    first, while they stand next to the window op, since a transpose that moves down comes between.
    Transposes are cancelled before fusing, so that layers that each bring their own stand next to one another, and
    again once the target's layout is assigned. Decomposing comes after the layout, on which a target's word on a node
    may depend. Axes are merged at the end: simplifying reshapes brings those of an op that needs fewer back.
    """
    passes: list[Pass] = [
        remove_dead_code,
        fold_constants,
        *([tabulate] if tabulates else []),
        *([hard_swish_as_product] if clamps_codes else []),
        split_activation(fuses),
        pad_for_constant_rows,
        fuse_pad,
        fold_transpose_into_matmul,
        cancel_transposes,
        last_state,
        simplify_reshape,
        fuse_batch_norm,
        assign_layout(layout),
        cancel_transposes,
        fuse_pad,
        fuse_crop,
        fold_transpose_into_linear,
        fold_transpose_into_matmul,
        fold_norm_into_linear(spells),
        simplify_reshape,
        split_linear,
        fold_scale_into_linear,
        split_before_slices,
        place_transposes,
    ]
    if lifts_1d:
        passes += [lift_1d, split_3d]
    return [
        *passes,
        unfold_conv(spells),
        decompose(spells),
        fold_constants,
        settle,
        simplify_reshape,
        merge_axes(spells),
        *([linear_on_rows] if takes_matrices else []),
        fold_constants,
        fuse_activation(fuses),
        merge_constants,
        remove_dead_code,
        name_outputs,
    ]


def legalise(
    graph: Graph,
    *,
    layout: Layout,
    fuses: Mapping[type[OpAttrs], frozenset[Activation]],
    lifts_1d: bool,
    spells: Spells,
    tabulates: bool = False,
    takes_matrices: bool = False,
    clamps_codes: bool = False,
) -> Graph:
    """A copy of ``graph`` that a target can write, as far as its passes reach; the original is left alone."""
    prepared = graph.copy()
    for apply in passes_for(layout, fuses, lifts_1d, spells, tabulates, takes_matrices, clamps_codes):
        apply(prepared)
    return prepared
