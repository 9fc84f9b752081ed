"""Collects ONNX nodes and initialisers, and writes the model without a second copy of its weights.

protobuf would hold the weights once as Python bytes and once more in the serialised model. Here the message is written
field by field: the small part by protobuf, each initialiser's raw data straight from its array.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper

from ...exporter.graph import Array, DType, Graph, TensorType, Value
from ...exporter.graph.graph import Node
from ...exporter.graph.stored import StoredForm

MICROSOFT = "com.microsoft"
"""The domain of ops that are ONNX Runtime's own."""

MAX_INLINE_BYTES = 2_000_000_000
"""Above this, initialisers go to a file of their own: protobuf messages end at 2 GiB."""

_DTYPES = {
    DType.FLOAT32: TensorProto.FLOAT,
    DType.FLOAT16: TensorProto.FLOAT16,
    DType.FLOAT64: TensorProto.DOUBLE,
    DType.INT8: TensorProto.INT8,
    DType.UINT8: TensorProto.UINT8,
    DType.INT16: TensorProto.INT16,
    DType.INT32: TensorProto.INT32,
    DType.INT64: TensorProto.INT64,
    DType.BOOL: TensorProto.BOOL,
}


def onnx_dtype(dtype: DType) -> int:
    """ONNX's number of a dtype."""
    return int(_DTYPES[dtype])


def as_stored(codes: Array) -> Array:
    """int8 codes as ONNX files of ours hold them: uint8, 128 higher.

    ONNX Runtime multiplies uint8 with uint8 exactly on every processor. Its kernels for int8 are slower, and for uint8
    with int8 it adds pairs of products in 16 bits on x86 without VNNI, where they saturate.
    """
    assert codes.dtype == np.int8
    return np.asarray(codes.view(np.uint8) ^ 0x80)


def _is_int8_codes(value: Value) -> bool:
    return value.quantization is not None and value.type.dtype is DType.INT8


class OnnxWriter:
    """What emitters write to.

    Quantized values are uint8 inside the file (`as_stored`) and int8 at its inputs and outputs.

    opset     the opset of the file: some ops take attributes below one and inputs from there on
    inputs    the graph's inputs, whose sizes the free dims are read from
    outputs   the graph's outputs
    forms     in which weights may be stored
    sizes     {dim: name of the int64 tensor [1] that holds it}, for dims that are computed already
    """

    def __init__(
        self,
        opset: int,
        inputs: Sequence[Value] = (),
        outputs: Sequence[Value] = (),
        forms: tuple[StoredForm, ...] = (),
    ) -> None:
        self.opset = opset
        self.forms = forms
        self.inputs = inputs
        self.outputs = outputs
        self._at_border = {value for value in (*inputs, *outputs) if _is_int8_codes(value)}
        self.sizes: dict[str, str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self._node_names: set[str] = set()
        self.initializers: dict[str, Array] = {}
        self._alike: dict[tuple[str, tuple[int, ...], int], list[str]] = {}

    def node(
        self,
        op_type: str,
        node: Node,
        inputs: Sequence[Value | str] | None = None,
        *,
        output: str | None = None,
        **attributes: Any,
    ) -> str:
        """Adds an ONNX node for a node of the graph; returns the name of its first output.

        inputs   default: the node's own; "" leaves an optional input out
        output   default: all of the node's own; another name for an inner step, which has one output
        """
        names = [self.name(value) for value in (node.inputs if inputs is None else inputs)]
        results = [output] if output else [self.name(value) for value in node.outputs]
        kept = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(op_type, names, results, name=self._free(output or node.name), **kept))
        return results[0]

    def inner_node(
        self, op_type: str, node: Node, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Any]
    ) -> None:
        """An inner step with several outputs."""
        self.nodes.append(helper.make_node(op_type, inputs, outputs, name=self._free(outputs[0]), **attributes))

    def _free(self, wanted: str) -> str:
        """A name for an ONNX node: ONNX Runtime refuses two of one name, and an output may be called like a node."""
        name, count = wanted, 0
        while name in self._node_names:
            count += 1
            name = f"{wanted}_{count}"
        self._node_names.add(name)
        return name

    def name(self, value: Value | str) -> str:
        """The name of a value; a constant becomes an initialiser."""
        if isinstance(value, str):
            return value
        if value.is_constant:
            return self.initializer(value.name, as_stored(value.array()) if _is_int8_codes(value) else value.array())
        return f"{value.name}/uint8" if value in self._at_border else value.name

    def take_inputs(self) -> None:
        """Turns int8 codes at the inputs into what the nodes work on."""
        for value in self.inputs:
            if value in self._at_border:
                self._move_codes(value.name, DType.INT8, self.name(value), DType.UINT8)

    def give_outputs(self) -> None:
        """Turns what the nodes made into int8 codes at the outputs."""
        for value in self.outputs:
            if value in self._at_border:
                self._move_codes(self.name(value), DType.UINT8, value.name, DType.INT8)

    def _move_codes(self, source: str, old: DType, result: str, new: DType) -> None:
        """The same codes, 128 higher or lower, through whole floats: ONNX Runtime has vectorised kernels for both."""
        one = self.initializer("border/one", np.asarray(1.0, np.float32))
        zeros = {
            dtype: self.initializer(f"border/zero/{dtype.value}", np.asarray(zero, dtype.numpy))
            for dtype, zero in ((DType.INT8, 0), (DType.UINT8, 128))
        }
        between = f"{result}/float"
        for op_type, x, y, dtype in (
            ("DequantizeLinear", source, between, old),
            ("QuantizeLinear", between, result, new),
        ):
            operands = [x, one, zeros[dtype]]
            self.nodes.append(helper.make_node(op_type, operands, [y], name=self._free(y)))

    def constant(self, node: Node, role: str, array: Array) -> str:
        """An initialiser that the spelling needs and the graph does not have: shapes, axes, sizes."""
        return self.initializer(f"{node.name}/{role}", array)

    def initializer(self, wanted: str, array: Array) -> str:
        """The name of an initialiser with these cells: one that is there already, else a new one called ``wanted``."""
        flat = _bytes_of(array)
        ends = np.concatenate([flat[:256], flat[-256:]])
        alike = self._alike.setdefault((array.dtype.str, array.shape, zlib.crc32(ends.tobytes())), [])
        for name in alike:
            if np.array_equal(_bytes_of(self.initializers[name]), flat):
                return name
        name, count = wanted, 0
        while name in self.initializers:
            count += 1
            name = f"{wanted}_{count}"
        self.initializers[name] = array
        alike.append(name)
        return name

    def cell(self, node: Node, role: str, number: float) -> str:
        """An initialiser of shape []: a number, or a code, as the cells of the node's output hold it."""
        array = np.asarray(number, node.output.type.dtype.numpy)
        return self.constant(node, role, array if node.output.quantization is None else as_stored(array))

    def ints(self, node: Node, role: str, numbers: Sequence[int]) -> str:
        """An int64 initialiser."""
        return self.constant(node, role, np.asarray(numbers, np.int64))


def _bytes_of(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def write_model(
    path: Path, graph: Graph, writer: OnnxWriter, *, ir_version: int, metadata: dict[str, str], version: str
) -> None:
    """Writes the model file, and beside it ``<name>.data`` when the weights exceed `MAX_INLINE_BYTES`."""
    body = helper.make_graph(
        writer.nodes,
        graph.name,
        [_info(value.name, value.type) for value in graph.inputs],
        [_info(name, value.type) for name, value in graph.outputs.items()],
    )
    model = onnx.ModelProto(ir_version=ir_version, producer_name="triport", producer_version=version)
    model.opset_import.append(helper.make_opsetid("", writer.opset))
    if any(node.domain == MICROSOFT for node in writer.nodes):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    for key in sorted(metadata):
        model.metadata_props.add(key=key, value=metadata[key])
    total = sum(array.nbytes for array in writer.initializers.values())
    external = path.with_name(path.name + ".data") if total > MAX_INLINE_BYTES else None
    with path.open("wb") as file:
        file.write(model.SerializeToString(deterministic=True))
        if external is None:
            _write_graph(file, body.SerializeToString(deterministic=True), writer.initializers)
        else:
            tensors = list(_external(external, writer.initializers))
            for tensor in tensors:
                body.initializer.append(tensor)
            _write_field(file, 7, body.SerializeToString(deterministic=True))


def _info(name: str, type: TensorType) -> onnx.ValueInfoProto:
    shape = [dim if isinstance(dim, int) else str(dim) for dim in type.shape]
    return helper.make_tensor_value_info(name, onnx_dtype(type.dtype), shape)


def _header(name: str, array: Array) -> onnx.TensorProto:
    return onnx.TensorProto(name=name, dims=array.shape, data_type=onnx_dtype(DType.of(array)))


def _write_graph(file: BinaryIO, body: bytes, initializers: dict[str, Array]) -> None:
    """ModelProto.graph (field 7) = the body followed by one GraphProto.initializer (field 5) each.

    TensorProto.raw_data is field 9; the wire format does not care for the order of fields.
    """
    headers = []
    for name, array in initializers.items():
        head = _header(name, array).SerializeToString(deterministic=True) + _tag(9) + _varint(array.nbytes)
        headers.append(_tag(5) + _varint(len(head) + array.nbytes) + head)
    total = len(body) + sum(map(len, headers)) + sum(array.nbytes for array in initializers.values())
    file.write(_tag(7) + _varint(total) + body)
    for head, array in zip(headers, initializers.values(), strict=True):
        file.write(head)
        file.write(_little_endian(array))


def _external(path: Path, initializers: dict[str, Array]) -> Iterator[onnx.TensorProto]:
    """Writes the arrays to a file of their own, 4 KiB aligned so that they can be mapped, and yields references."""
    with path.open("wb") as file:
        for name, array in initializers.items():
            offset = -(-file.tell() // 4096) * 4096
            file.write(b"\0" * (offset - file.tell()))
            file.write(_little_endian(array))
            tensor = _header(name, array)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", path.name), ("offset", str(offset)), ("length", str(array.nbytes))):
                tensor.external_data.add(key=key, value=value)
            yield tensor


def _little_endian(array: Array) -> memoryview | bytes:
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return data.reshape(-1).view(np.uint8).data if data.nbytes else b""


def _write_field(file: BinaryIO, number: int, content: bytes) -> None:
    file.write(_tag(number) + _varint(len(content)))
    file.write(content)


def _tag(field: int) -> bytes:
    """The key of a length-delimited field (wire type 2)."""
    return _varint(field << 3 | 2)


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first, the high bit set on all but the last."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
