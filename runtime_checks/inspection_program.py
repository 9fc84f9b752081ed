"""What a saved torch.export program (.pt2) says of itself, in the words of `inspect`."""

from __future__ import annotations

from pathlib import Path

from ..exporter.given_model import require_torch
from .inspection import Summary, typed


def inspect_program(path: Path) -> Summary:
    """Summary of a .pt2 file; FormatError when it is corrupt or could run code. It is not converted, so that this says
    nothing of what a port can take: `check` does."""
    require_torch(path)
    from ..exporter.capture.described import describe_program

    found = describe_program(path)
    return Summary(
        kind="torch program",
        path=str(path),
        name=path.stem,
        producer="torch.export",
        bytes=path.stat().st_size,
        parameters=found.parameters,
        weight_bytes=found.weight_bytes,
        inputs=[typed(name, dtype, shape) for name, (dtype, shape) in found.inputs.items()],
        outputs=[typed(name, dtype, shape) for name, (dtype, shape) in found.outputs.items()],
        ops=dict(sorted(found.ops.items(), key=lambda item: (-item[1], item[0]))),
        quantization="none",
        needs={},
        limits={name: [limit.least, limit.most] for name, limit in found.limits.items()},
        notices=found.notices,
    )
