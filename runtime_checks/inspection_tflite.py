"""What a TFLite file says of itself, in the words of `inspect`."""

from __future__ import annotations

from pathlib import Path

from ..targets.tflite.reader import TensorSummary as TFLiteTensor
from ..targets.tflite.reader import summarize
from .inspection import Summary, TensorSummary


def inspect_tflite(path: Path) -> Summary:
    """Summary of a .tflite file; FormatError when it is damaged."""
    found = summarize(path)
    ops: dict[str, int] = {}
    for operator in sorted(found.operators, key=lambda operator: (-operator.count, operator.name)):
        name = operator.name if operator.version == 1 else f"{operator.name} v{operator.version}"
        ops[name] = operator.count
    return Summary(
        kind="TFLite",
        path=str(path),
        name=found.description,
        producer="",
        bytes=found.file_bytes,
        parameters=found.parameters,
        weight_bytes=found.parameter_bytes,
        inputs=[_tensor(tensor) for tensor in found.inputs],
        outputs=[_tensor(tensor) for tensor in found.outputs],
        ops=ops,
        quantization=f"{found.quantized_tensors} tensors" if found.quantized_tensors else "none",
        needs={"runtime": found.runtime},
    )


def needs_tflite(path: Path) -> dict[str, str]:
    """The oldest runtime that loads it."""
    return {"runtime": summarize(path).runtime}


def _tensor(tensor: TFLiteTensor) -> TensorSummary:
    quantization = ""
    if tensor.quantization:
        scale, zero_point = tensor.quantization.scale, tensor.quantization.zero_point
        pairs = zip(scale, zero_point, strict=False)
        quantization = "".join(f"scale {s:.6g}, zero point {z}" for s, z in list(pairs)[:1])
        quantization += f" and {len(scale) - 1} more along axis {tensor.quantization.axis}" if len(scale) > 1 else ""
    return TensorSummary(tensor.name, tensor.dtype, ["?" if size < 0 else size for size in tensor.shape], quantization)
