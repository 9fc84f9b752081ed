"""The table that ``model.summary()`` prints."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from .structure import flatten_shapes

if TYPE_CHECKING:
    from .model import Model


def summarize(model: Model, print_fn: Callable[[str], object] | None = None, line_length: int | None = None) -> None:
    """Writes a table of the layers, their output shapes and parameters to stdout, or hands it to ``print_fn``."""
    text = summary_text(model, line_length)
    if print_fn is None:
        sys.stdout.write(text + "\n")
    else:
        print_fn(text)


def summary_text(model: Model, line_length: int | None = None) -> str:
    """The table as text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f'Model: "{model.name}"', title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("Layer (type)")
    table.add_column("Output shape")
    table.add_column("Parameters", justify="right")
    shapes = output_shapes(model)
    for layer in model.layers:
        parameters = f"{layer.count_params():,}" if layer.built else "not built"
        table.add_row(f"{layer.name} ({type(layer).__name__})", shapes.get(id(layer), "?"), parameters)
    console = Console(width=line_length or 100, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(table)
    weights = model.weights
    trained = sum(weight.numel() for weight in model.trainable_weights)
    total, size = sum(w.numel() for w in weights), sum(w.numel() * w.element_size() for w in weights)
    return (
        f"{capture.get()}Total parameters: {total:,} ({_bytes(size)})\n"
        f"Trainable: {trained:,}   Not trainable: {total - trained:,}"
    )


def output_shapes(model: Model) -> dict[int, str]:
    """By a layer's ``id``: its output's shape in this model, as text."""
    shapes: dict[int, str] = {}
    if not model.built:
        return shapes
    for layer in model.layers:
        if layer.built_shape is not None:
            result = layer.compute_output_shape(layer.built_shape)
            shapes[id(layer)] = ", ".join(str(shape) for shape in flatten_shapes(result))
    return shapes


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


__all__ = ["output_shapes", "summarize", "summary_text"]
