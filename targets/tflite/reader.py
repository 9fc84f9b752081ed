"""What is in a .tflite file, from whatever converter: a summary for people and machines, without running anything.

The weights are not read, only where they lie. A file that is not sound gives a FormatError, never a crash.
"""

from __future__ import annotations

import mmap
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...exporter.errors import EnvironmentError_, FormatError
from .flatbuffer import FlatBuffer, Table, damaged
from .runtimes import first_runtime, minimum_runtime
from .schema import FILE_IDENTIFIER, operator_names, tensor_type_names

_BITS = {
    "bool": 8, "int2": 2, "int4": 4, "uint4": 4, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "float16": 16,
    "bfloat16": 16, "int32": 32, "uint32": 32, "float32": 32, "int64": 64, "uint64": 64, "float64": 64,
    "complex64": 64, "complex128": 128,
}  # fmt: skip
_COUNTED_AS_SHAPES = frozenset({"int32", "int64", "uint32", "bool"})
_MAX_RANK = 64


@dataclass(frozen=True)
class Quantized:
    """real = (integer - zero_point) * scale; ``axis`` is None when one pair holds for the whole tensor."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None


@dataclass(frozen=True)
class TensorSummary:
    """One tensor; -1 in the shape is a size that may be chosen when the model is loaded."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    quantization: Quantized | None
    constant_bytes: int
    buffer: int


@dataclass(frozen=True)
class OperatorSummary:
    """One kind of operator, how often it occurs, and the first runtime release that has it in this version."""

    name: str
    version: int
    count: int
    since: str | None


@dataclass(frozen=True)
class Summary:
    """What is in a .tflite file.

    parameters       elements of the stored weights, each buffer counted once; shapes and axes are not weights
    parameter_bytes  their size
    weights          dtype → elements
    runtime          the first release that loads it, as far as its operators are known here
    """

    description: str
    schema_version: int
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    operators: tuple[OperatorSummary, ...]
    tensors: int
    quantized_tensors: int
    parameters: int
    parameter_bytes: int
    weights: dict[str, int]
    file_bytes: int
    runtime: str
    signatures: tuple[str, ...]
    metadata: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def summarize(path: Path) -> Summary:
    """The summary of the file at ``path``.

    FormatError when it is no .tflite file or a damaged one, EnvironmentError_ when the system does not let it be read.
    """
    try:
        with open(path, "rb") as file:
            if file.seek(0, 2) < 8:
                raise _no_tflite(path)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return summarize_bytes(data, str(path))
    except OSError as error:
        raise EnvironmentError_("TP340", f"{path} cannot be read: {error.strerror or error}") from error


def summarize_bytes(data: Any, name: str = "model") -> Summary:
    """`summarize` of a file that is in memory or mapped."""
    if len(data) < 8 or bytes(data[4:8]) != FILE_IDENTIFIER:
        raise _no_tflite(name)
    model = FlatBuffer(data).root()
    buffers = [_buffer_bytes(table) for table in model.tables(4)]
    codes = [_operator_code(table) for table in model.tables(1)]
    subgraphs = model.tables(2)
    if not subgraphs:
        raise damaged("it has no subgraph")
    tensors = [[_tensor(table, buffers) for table in subgraph.tables(0)] for subgraph in subgraphs]
    used: Counter[tuple[str, int]] = Counter()
    for subgraph, own in zip(subgraphs, tensors, strict=True):
        for operator in subgraph.tables(3):
            used[_operator(operator, codes, len(own))] += 1
    everything = [tensor for own in tensors for tensor in own]
    stored = {t.buffer: t for t in everything if t.constant_bytes and not _is_shape(t)}
    weights: Counter[str] = Counter()
    for tensor in stored.values():
        weights[tensor.dtype] += tensor.constant_bytes * 8 // _BITS.get(tensor.dtype, 8)
    return Summary(
        description=model.text(3),
        schema_version=model.number(0, "I"),
        inputs=_ends(subgraphs[0], 1, tensors[0]),
        outputs=_ends(subgraphs[0], 2, tensors[0]),
        operators=tuple(OperatorSummary(*code, count, first_runtime(*code)) for code, count in sorted(used.items())),
        tensors=len(everything),
        quantized_tensors=sum(tensor.quantization is not None for tensor in everything),
        parameters=sum(weights.values()),
        parameter_bytes=sum(tensor.constant_bytes for tensor in stored.values()),
        weights=dict(sorted(weights.items())),
        file_bytes=len(data),
        runtime=minimum_runtime(used),
        signatures=tuple(table.text(2) for table in model.tables(7)),
        metadata=tuple(_metadata_name(table, len(buffers)) for table in model.tables(6)),
    )


def _no_tflite(name: object) -> FormatError:
    return FormatError("TP410", f"{name} is not a .tflite file", help="check that the download or copy is complete")


def _buffer_bytes(table: Table) -> int:
    """Bytes a buffer holds, whether in the tables or behind them (files beyond 2 GB)."""
    inside = table.vector(0, 1)
    if inside is not None:
        return inside[1]
    offset, size = table.number(1, "Q"), table.number(2, "Q")
    if offset > 1 and offset + size > table.buffer.size:
        raise damaged(f"a buffer reaches from byte {offset} to {offset + size} of {table.buffer.size}")
    return size if offset > 1 else 0


def _operator_code(table: Table) -> tuple[str, int]:
    # Files from before 2020 have the 8-bit field only; newer ones keep a placeholder in it.
    number = max(table.number(0, "b"), table.number(3, "i"))
    name = _operator_names().get(number)
    if name is None:
        return f"UNKNOWN_{number}", table.number(2, "i", 1)
    if name == "CUSTOM":
        name = f"CUSTOM:{table.text(1)}"
    return name, table.number(2, "i", 1)


def _tensor(table: Table, buffers: list[int]) -> TensorSummary:
    shape = table.numbers(0, "i") or ()
    signature = table.numbers(7, "i") or shape
    if len(shape) > _MAX_RANK or len(signature) != len(shape):
        raise damaged(
            f"the shape {shape[:8]} of tensor {table.text(3)[:80]!r} contradicts its signature {signature[:8]}"
        )
    number = table.number(1, "b")
    dtype = _tensor_type_names().get(number, f"type {number}")
    buffer = table.number(2, "I")
    if buffer >= len(buffers):
        raise damaged(f"tensor {table.text(3)[:80]!r} refers to buffer {buffer} of {len(buffers)}")
    tensor = TensorSummary(table.text(3), dtype, signature, _quantization(table), buffers[buffer], buffer)
    if tensor.constant_bytes and dtype in _BITS and table.table(6) is None:
        elements = 1
        for size in shape:
            elements *= size
        if (elements * _BITS[dtype] + 7) // 8 != tensor.constant_bytes:
            raise damaged(f"tensor {tensor.name[:80]!r} of shape {shape[:8]} has {tensor.constant_bytes} bytes of data")
    return tensor


def _quantization(table: Table) -> Quantized | None:
    parameters = table.table(4)
    if parameters is None:
        return None
    scale, zero_point = parameters.numbers(2, "f"), parameters.numbers(3, "q")
    if not scale:
        return None
    return Quantized(scale, zero_point or (), parameters.number(6, "i") if len(scale) > 1 else None)


def _operator(table: Table, codes: list[tuple[str, int]], tensors: int) -> tuple[str, int]:
    code = table.number(0, "I")
    if code >= len(codes):
        raise damaged(f"an operator has code {code} of {len(codes)}")
    for slot in (1, 2):
        for index in table.numbers(slot, "i") or ():
            if not -1 <= index < tensors:
                raise damaged(f"an operator ({codes[code][0]}) refers to tensor {index} of {tensors}")
    return codes[code]


def _ends(subgraph: Table, slot: int, tensors: list[TensorSummary]) -> tuple[TensorSummary, ...]:
    indices = subgraph.numbers(slot, "i") or ()
    if not all(0 <= index < len(tensors) for index in indices):
        raise damaged("an input or output of the model is no tensor of it")
    return tuple(tensors[index] for index in indices)


def _metadata_name(table: Table, buffers: int) -> str:
    if table.number(1, "I") >= buffers:
        raise damaged("a metadata entry refers to a buffer that does not exist")
    return table.text(0)


def _is_shape(tensor: TensorSummary) -> bool:
    return tensor.dtype in _COUNTED_AS_SHAPES and tensor.quantization is None


@cache
def _operator_names() -> dict[int, str]:
    return operator_names()


@cache
def _tensor_type_names() -> dict[int, str]:
    return tensor_type_names()
