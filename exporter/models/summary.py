"""The table that ``model.summary()`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .structure import flatten_shapes

if TYPE_CHECKING:
    from .functional import Model


def summarize(model: Model, print_fn: Any = None, line_length: int | None = None) -> None:
    """Prints each layer with its output's shape and parameters, then the totals; ``print_fn`` takes the text instead."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f'Model: "{model.name}"', title_justify="left")
    for heading, justify in (("Layer (type)", "left"), ("Output shape", "left"), ("Parameters", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    shapes = output_shapes(model)
    for layer in model.layers:
        parameters = f"{layer.count_params():,}" if layer.built else "not built"
        table.add_row(f"{layer.name} ({type(layer).__name__})", shapes.get(id(layer), "?"), parameters)
    console = Console(width=line_length, record=print_fn is not None, quiet=print_fn is not None)
    trained = sum(weight.numel() for weight in model.trainable_weights)
    weights = model.weights
    total, size = sum(w.numel() for w in weights), sum(w.numel() * w.element_size() for w in weights)
    lines = [
        f"Total parameters: {total:,} ({_bytes(size)})",
        f"Trainable: {trained:,}   Not trainable: {total - trained:,}",
    ]
    if print_fn is None:
        console.print(table)
        print("\n".join(lines))
        return
    with console.capture() as capture:
        Console(width=line_length or 100, file=console.file)
        console.quiet = False
        console.print(table)
    print_fn(capture.get() + "\n".join(lines))


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


__all__ = ["output_shapes", "summarize"]
