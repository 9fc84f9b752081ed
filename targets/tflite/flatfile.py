"""From a model in memory to the bytes of a .tflite file, without a second copy of the weights.

A FlatBuffer is usually built back to front with every array inside the builder, which costs twice the weights. Here
the builder makes only the tables; each `Buffer.data` offset is patched afterwards to point behind them, where the
arrays follow one by one. Offsets in a FlatBuffer only need to lead forward within the file, so this is an ordinary one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from ...exporter.graph import Array
from .schema import FILE_IDENTIFIER, Builder, schema

ALIGNMENT = 16
"""Bytes to which the schema aligns the start of an array (``force_align: 16``)."""

MAX_BYTES = 2**31 - 2**16
"""FlatBuffers address 2 GiB; the rest is for what follows the last array."""

SCHEMA_VERSION = 3

SIGNATURE_KEY = "serving_default"


@dataclass(frozen=True)
class TensorQuantization:
    """real = (integer - zero_point) * scale: one pair for all (axis None), or one a slice of ``axis``."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None


@dataclass
class Tensor:
    """One tensor of the subgraph.

    shape       with a stand-in size where a dimension is free
    signature   the same with -1 there; None when every size is known
    type        number in the schema's TensorType
    buffer      index into the model's buffers; 0 for tensors that are computed
    """

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...] | None
    type: int
    buffer: int = 0
    quantization: TensorQuantization | None = None


@dataclass
class Operator:
    """One operator: builtin name and version, tensor indices, and its options as the bindings' object."""

    code: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any = None


@dataclass
class Subgraph:
    """Operators that a control-flow operator such as WHILE runs; inputs and outputs are tensors of its own list."""

    name: str
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)


@dataclass
class Model:
    """What a .tflite file holds. ``buffers[0]`` is the empty one; metadata maps names to indices of buffers.

    subgraphs   those behind the main one: ``subgraphs[0]`` has index 1 in the file
    """

    description: str
    inputs: list[tuple[str, int]] = field(default_factory=list)
    outputs: list[tuple[str, int]] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    subgraphs: list[Subgraph] = field(default_factory=list)
    buffers: list[Array] = field(default_factory=lambda: [np.zeros(0, np.uint8)])
    metadata: dict[str, int] = field(default_factory=dict)


@dataclass
class _Written:
    """What stands in the file already, and where: tables may lead to the same vector, and vectors to the same table.

    vectors          dtype and bytes → offset
    options          name of their table, and fields → offset
    """

    vectors: dict[tuple[str, bytes], int] = field(default_factory=dict)
    quantizations: dict[TensorQuantization, int] = field(default_factory=dict)
    options: dict[tuple[str, str], int] = field(default_factory=dict)


def write(model: Model, file: BinaryIO) -> None:
    """Writes the model; arrays go from where they lie straight to the file."""
    builder, head = _tables(model)
    slots = _data_slots(head)
    position = len(head)
    places: list[int] = []
    for index, array in enumerate(model.buffers):
        if not array.nbytes:
            places.append(0)
            continue
        start = -(-(position + 4) // ALIGNMENT) * ALIGNMENT
        slot = slots[index]
        struct.pack_into("<I", head, slot, start - 4 - slot)
        places.append(start)
        position = start + array.nbytes
    file.write(head)
    position = len(head)
    for array, start in zip(model.buffers, places, strict=True):
        if start:
            file.write(b"\0" * (start - 4 - position) + struct.pack("<I", array.nbytes))
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            position = start + array.nbytes
    del builder  # `head` is a view of its memory


def _tables(model: Model) -> tuple[Any, memoryview]:
    """The finished tables, with every non-empty buffer pointing at a placeholder."""
    builder = Builder(256 * (len(model.tensors) + len(model.operators) + 16))
    placeholder = builder.CreateByteVector(b"")
    buffers = [_buffer(builder, array, placeholder) for array in model.buffers]
    codes = sorted({(op.code, op.version) for op in all_operators(model)})
    code_index = {code: index for index, code in enumerate(codes)}
    code_tables = [_operator_code(builder, *code) for code in codes]
    main = Subgraph(
        "main",
        [index for _, index in model.inputs],
        [index for _, index in model.outputs],
        model.tensors,
        model.operators,
    )
    written = _Written()
    subgraphs = [_subgraph(builder, subgraph, code_index, written) for subgraph in (main, *model.subgraphs)]
    signature = _signature(builder, model)
    metadata = [_metadata(builder, name, buffer) for name, buffer in model.metadata.items()]
    description = builder.CreateString(model.description)
    fields = {
        "OperatorCodes": _tables_vector(builder, code_tables),
        "Subgraphs": _tables_vector(builder, subgraphs),
        "Buffers": _tables_vector(builder, buffers),
        "Metadata": _tables_vector(builder, metadata) if metadata else None,
        "SignatureDefs": _tables_vector(builder, [signature]),
    }
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, SCHEMA_VERSION)
    schema.ModelAddDescription(builder, description)
    for name, offset in fields.items():
        if offset is not None:
            getattr(schema, f"ModelAdd{name}")(builder, offset)
    builder.Finish(schema.ModelEnd(builder), FILE_IDENTIFIER)
    return builder, memoryview(builder.Bytes)[builder.Head() :]


def _data_slots(head: memoryview) -> list[int]:
    """Where in the file each buffer's ``data`` offset stands; 0 for a buffer without one."""
    model = schema.Model.GetRootAs(head, 0)
    slots: list[int] = []
    for index in range(model.BuffersLength()):
        table = model.Buffers(index)._tab
        slot = int(table.Offset(4))
        slots.append(table.Pos + slot if slot else 0)
    return slots


def _buffer(builder: Any, array: Array, placeholder: int) -> int:
    schema.BufferStart(builder)
    if array.nbytes:
        schema.BufferAddData(builder, placeholder)
    return int(schema.BufferEnd(builder))


def _operator_code(builder: Any, code: str, version: int) -> int:
    number = int(getattr(schema.BuiltinOperator, code))
    schema.OperatorCodeStart(builder)
    # Runtimes from before 2.4 read the 8-bit field only; a code that does not fit says so with this placeholder.
    old = min(number, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    schema.OperatorCodeAddDeprecatedBuiltinCode(builder, old)
    schema.OperatorCodeAddVersion(builder, version)
    schema.OperatorCodeAddBuiltinCode(builder, number)
    return int(schema.OperatorCodeEnd(builder))


def all_operators(model: Model) -> Iterator[Operator]:
    """The operators of every subgraph."""
    yield from model.operators
    for subgraph in model.subgraphs:
        yield from subgraph.operators


def _subgraph(builder: Any, subgraph: Subgraph, code_index: dict[tuple[str, int], int], written: _Written) -> int:
    tensors = _tables_vector(builder, [_tensor(builder, tensor, written) for tensor in subgraph.tensors])
    operators = [_operator(builder, op, code_index[op.code, op.version], written) for op in subgraph.operators]
    operators_vector = _tables_vector(builder, operators)
    inputs, outputs = (
        int(builder.CreateNumpyVector(np.asarray(tensors, "<i4"))) for tensors in (subgraph.inputs, subgraph.outputs)
    )
    name = builder.CreateString(subgraph.name)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    schema.SubGraphAddInputs(builder, inputs)
    schema.SubGraphAddOutputs(builder, outputs)
    schema.SubGraphAddOperators(builder, operators_vector)
    schema.SubGraphAddName(builder, name)
    return int(schema.SubGraphEnd(builder))


def _tensor(builder: Any, tensor: Tensor, written: _Written) -> int:
    name = builder.CreateString(tensor.name)
    shape = _vector(builder, np.asarray(tensor.shape, "<i4"), written)
    signature = None if tensor.signature is None else _vector(builder, np.asarray(tensor.signature, "<i4"), written)
    quantization = None if tensor.quantization is None else _quantization(builder, tensor.quantization, written)
    schema.TensorStart(builder)
    schema.TensorAddShape(builder, shape)
    schema.TensorAddType(builder, tensor.type)
    schema.TensorAddBuffer(builder, tensor.buffer)
    schema.TensorAddName(builder, name)
    if quantization is not None:
        schema.TensorAddQuantization(builder, quantization)
    if signature is not None:
        schema.TensorAddShapeSignature(builder, signature)
    if not tensor.shape:
        schema.TensorAddHasRank(builder, True)  # other shapes say so themselves
    return int(schema.TensorEnd(builder))


def _quantization(builder: Any, quantization: TensorQuantization, written: _Written) -> int:
    if quantization not in written.quantizations:
        scale = _vector(builder, np.asarray(quantization.scale, "<f4"), written)
        zero_point = _vector(builder, np.asarray(quantization.zero_point, "<i8"), written)
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddScale(builder, scale)
        schema.QuantizationParametersAddZeroPoint(builder, zero_point)
        schema.QuantizationParametersAddQuantizedDimension(builder, quantization.axis or 0)
        written.quantizations[quantization] = int(schema.QuantizationParametersEnd(builder))
    return written.quantizations[quantization]


def _vector(builder: Any, array: Array, written: _Written) -> int:
    """The vector of these numbers, written once: most tensors have the shape or the zero points of another."""
    key = array.dtype.str, array.tobytes()
    if key not in written.vectors:
        written.vectors[key] = int(builder.CreateNumpyVector(array))
    return written.vectors[key]


def _options(builder: Any, options: Any, written: _Written) -> int:
    """The table of an operator's options; most operators have those of another."""
    fields = {name: np.asarray(value).tolist() for name, value in vars(options).items()}
    key = type(options).__name__, repr(fields)
    if key not in written.options:
        written.options[key] = int(options.Pack(builder))
    return written.options[key]


def _operator(builder: Any, operator: Operator, code: int, written: _Written) -> int:
    inputs = _vector(builder, np.asarray(operator.inputs, "<i4"), written)
    outputs = _vector(builder, np.asarray(operator.outputs, "<i4"), written)
    options = None if operator.options is None else _options(builder, operator.options, written)
    schema.OperatorStart(builder)
    schema.OperatorAddOpcodeIndex(builder, code)
    schema.OperatorAddInputs(builder, inputs)
    schema.OperatorAddOutputs(builder, outputs)
    if options is not None:
        union = type(operator.options).__name__.removesuffix("T")
        schema.OperatorAddBuiltinOptionsType(builder, getattr(schema.BuiltinOptions, union))
        schema.OperatorAddBuiltinOptions(builder, options)
    return int(schema.OperatorEnd(builder))


def _signature(builder: Any, model: Model) -> int:
    inputs = _tables_vector(builder, [_tensor_map(builder, *pair) for pair in model.inputs])
    outputs = _tables_vector(builder, [_tensor_map(builder, *pair) for pair in model.outputs])
    key = builder.CreateString(SIGNATURE_KEY)
    schema.SignatureDefStart(builder)
    schema.SignatureDefAddInputs(builder, inputs)
    schema.SignatureDefAddOutputs(builder, outputs)
    schema.SignatureDefAddSignatureKey(builder, key)
    return int(schema.SignatureDefEnd(builder))


def _tensor_map(builder: Any, name: str, tensor: int) -> int:
    text = builder.CreateString(name)
    schema.TensorMapStart(builder)
    schema.TensorMapAddName(builder, text)
    schema.TensorMapAddTensorIndex(builder, tensor)
    return int(schema.TensorMapEnd(builder))


def _metadata(builder: Any, name: str, buffer: int) -> int:
    text = builder.CreateString(name)
    schema.MetadataStart(builder)
    schema.MetadataAddName(builder, text)
    schema.MetadataAddBuffer(builder, buffer)
    return int(schema.MetadataEnd(builder))


def _tables_vector(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
