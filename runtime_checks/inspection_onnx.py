"""What an ONNX file says of itself. The file is skimmed as protobuf, so weights are stepped over and never loaded."""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..exporter.errors import FormatError
from .inspection import Summary, TensorSummary, counted, described, scheme_text

# onnx.proto: TensorProto.DataType
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
}  # fmt: skip
_BITS = {"4": 4, "8": 8, "16": 16, "32": 32, "64": 64, "128": 128}
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear", "QGemm", "MatMulNBits", "ConvInteger", "MatMulInteger")

_Field = tuple[int, int | memoryview]
"""Field number, and its number or its bytes."""


@dataclass
class _Graph:
    name: str
    ops: list[str]
    inputs: list[TensorSummary]
    outputs: list[TensorSummary]
    weights: dict[str, tuple[str, int]]


def inspect_onnx(path: Path) -> Summary:
    """Summary of an .onnx file; FormatError TP423 when it is not one."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise FormatError("TP423", f"{path} is empty")
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return _summary(path, view)
    except (ValueError, TypeError, IndexError) as error:
        raise FormatError("TP423", f"{path} is not an ONNX model", because=str(error)) from error


def needs_onnx(path: Path) -> dict[str, str]:
    """Opset and IR version."""
    return inspect_onnx(path).needs


def _summary(path: Path, view: memoryview) -> Summary:
    ir_version, producer = 0, ""
    opsets: dict[str, int] = {}
    told: dict[str, str] = {}
    graph: _Graph | None = None
    for number, value in _fields(view):
        match number, value:
            case 1, int():
                ir_version = value
            case 2 | 3, memoryview():
                producer = f"{producer} {_text(value)}".strip()
            case 7, memoryview():
                graph = _graph(value)
            case 14, memoryview():
                entry = dict(_fields(value))
                told[_text(entry.get(1, memoryview(b"")))] = _text(entry.get(2, memoryview(b"")))
            case 8, memoryview():
                parts = dict(_fields(value))
                version = parts.get(2, 0)
                opsets[_text(parts.get(1, memoryview(b"")))] = version if isinstance(version, int) else 0
    if graph is None or not ir_version:
        raise ValueError("it has no graph or no IR version")
    needs = {"ir_version": str(ir_version)}
    needs |= {f"opset {domain}" if domain else "opset": str(opset) for domain, opset in sorted(opsets.items())}
    quantized = sum(op.startswith(_QUANTIZED) for op in graph.ops)
    sizes = [(count, count * _bits(dtype) // 8) for dtype, count in graph.weights.values()]
    beside = path.with_name(path.name + ".data")
    return Summary(
        kind="ONNX",
        path=str(path),
        name=graph.name,
        producer=producer,
        bytes=path.stat().st_size + (beside.stat().st_size if beside.is_file() else 0),
        parameters=sum(count for dtype, count in graph.weights.values() if dtype != "int64"),
        weight_bytes=sum(size for _, size in sizes),
        inputs=_with_codes([tensor for tensor in graph.inputs if tensor.name not in graph.weights], told, "inputs"),
        outputs=_with_codes(graph.outputs, told, "outputs"),
        ops=counted(graph.ops),
        quantization=", ".join(filter(None, (_scheme(told), f"{quantized} quantizing ops" if quantized else "")))
        or "none",
        needs=needs,
    )


def _scheme(told: dict[str, str]) -> str:
    """The scheme that a file of triport's tells in its metadata."""
    try:
        return scheme_text(json.loads(told.get("quantization", "null")))
    except ValueError:  # metadata of somebody else's
        return ""


def _with_codes(tensors: list[TensorSummary], told: dict[str, str], side: str) -> list[TensorSummary]:
    """The same, with the scales that a file of triport's tells in its metadata."""
    try:
        known = {entry["name"]: described(entry).quantization for entry in json.loads(told.get(side, "[]"))}
    except (ValueError, TypeError, KeyError):  # metadata of somebody else's
        return tensors
    return [replace(tensor, quantization=known.get(tensor.name, "")) for tensor in tensors]


def _graph(view: memoryview) -> _Graph:
    graph = _Graph("", [], [], [], {})
    for number, value in _fields(view):
        if isinstance(value, int):
            continue
        match number:
            case 1:
                graph.ops.append(_op(value))
            case 2:
                graph.name = _text(value)
            case 5:
                name, dtype, count = _initializer(value)
                graph.weights[name] = dtype, count
            case 11:
                graph.inputs.append(_value_info(value))
            case 12:
                graph.outputs.append(_value_info(value))
    return graph


def _op(view: memoryview) -> str:
    return next((_text(value) for number, value in _fields(view) if number == 4), "?")


def _initializer(view: memoryview) -> tuple[str, str, int]:
    """Name, dtype and number of elements."""
    name, dtype = "", "?"
    dims: list[int] = []
    for number, value in _fields(view):
        match number, value:
            case 1, int():
                dims.append(value)
            case 1, memoryview():  # packed
                dims += _varints(value)
            case 2, int():
                dtype = _DTYPES.get(value, "?")
            case 8, memoryview():
                name = _text(value)
    return name, dtype, math.prod(dims)


def _value_info(view: memoryview) -> TensorSummary:
    """ValueInfoProto: name 1, type 2 → tensor_type 1 → elem_type 1, shape 2 → dim 1 → dim_value 1 or dim_param 2"""
    name, dtype = "", "?"
    shape: list[int | str] = []
    for number, value in _fields(view):
        if number == 1:
            name = _text(value)
        if number != 2 or isinstance(value, int):
            continue
        for _, tensor in ((n, v) for n, v in _fields(value) if n == 1 and isinstance(v, memoryview)):
            for part, content in _fields(tensor):
                if part == 1 and isinstance(content, int):
                    dtype = _DTYPES.get(content, "?")
                elif part == 2 and isinstance(content, memoryview):
                    shape = [_dim(dim) for n, dim in _fields(content) if n == 1 and isinstance(dim, memoryview)]
    return TensorSummary(name, dtype, shape)


def _dim(view: memoryview) -> int | str:
    for number, value in _fields(view):
        if number == 1 and isinstance(value, int):
            return value
        if number == 2:
            return _text(value)
    return "?"


def _fields(view: memoryview) -> Iterator[_Field]:
    """The fields of a protobuf message; ValueError when it is none."""
    position = 0
    while position < len(view):
        key, position = _varint(view, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _varint(view, position)
            yield number, value
            continue
        if kind == 2:
            length, position = _varint(view, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"byte {position}: no field begins here")
        if number == 0 or position + length > len(view):
            raise ValueError(f"byte {position}: a field of {length} bytes does not fit")
        yield number, view[position : position + length]
        position += length


def _varints(view: memoryview) -> list[int]:
    numbers: list[int] = []
    position = 0
    while position < len(view):
        number, position = _varint(view, position)
        numbers.append(number)
    return numbers


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(view):
            raise ValueError("it ends in mid-number")
        byte = view[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    raise ValueError(f"byte {position}: a number has more than 64 bits")


def _text(value: int | memoryview) -> str:
    if isinstance(value, int):
        raise ValueError("a text is a number")
    return bytes(value).decode()


def _bits(dtype: str) -> int:
    digits = dtype.removeprefix("b").lstrip("abcdefghijklmnopqrstuvwxyz")
    return 8 if dtype == "bool" or digits.startswith("8") else _BITS.get(digits, 0)
