"""The model under construction: emitters ask it for tensors and hand it operators."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...exporter.graph import Array, Dim, DType, Graph, Node, Quantization, TensorType, Value, evaluate_dim
from ...exporter.graph.dims import dim_names
from ...exporter.graph.stored import Stored, stored_form_of, stored_forms
from ...exporter.ops import BorderMode, BorderPad
from .flatfile import Model, Operator, Subgraph, Tensor, TensorQuantization, all_operators
from .runtimes import minimum_runtime
from .schema import TENSOR_TYPES, device_dtype
from .stored import write_stored
from .versions import operator_version

LEAST_NAMED = 64
"""Cells of a constant that keeps its name though it is no parameter of the model."""

OPTIONAL = -1
"""Stands where an operator's optional input is left out."""

_LEFT_OUT = Tensor("", (), None, TENSOR_TYPES[DType.FLOAT32])


class Writer:
    """Collects tensors, operators and buffers; `model` is what becomes the file."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.model = Model(description=f"{graph.name}, written by triport")
        self._sizes = stand_in_sizes(graph)
        self._tensor_of: dict[Value, int] = {}
        self._buffer_of: dict[tuple[int, int], list[int]] = {}
        self._constant_of: dict[tuple[int, tuple[int, ...], int], int] = {}
        self._names = {value.name for value in graph.inputs}
        self._names.update(value.name for node in graph.nodes for value in node.outputs)
        self._expanded_of: dict[tuple[tuple[int, ...], bytes], int] = {}
        self._forms = stored_forms(graph.metadata)
        self._copies: dict[str, int] = {}
        self._renamed: set[int] = set()
        self.computed_dims: dict[str, int] = {}
        """Sizes computed at run time so far: text of the dim → int32 tensor [1] (see sizes.py)."""
        for value in graph.inputs:
            self.model.inputs.append((value.name, self.tensor(value)))

    # -- tensors ---------------------------------------------------------------------------------------------------

    def tensor(self, value: Value) -> int:
        """The tensor of a value of the graph; made when first asked for."""
        if value not in self._tensor_of:
            if value.constant is not None:
                index = self.constant(value.constant, value.name, tensor_quantization(value.quantization))
            else:
                index = self._add(value.name, value.type)
            self._tensor_of[value] = index
        return self._tensor_of[value]

    def tensors(self, values: Sequence[Value]) -> list[int]:
        return [self.tensor(value) for value in values]

    def rename(self, of: Value, value: Value) -> bool:
        """Lets ``value`` be the tensor of ``of``, under the name of ``value``; False when another value is already."""
        index = self.tensor(of)
        if index in self._renamed:
            return False
        self._renamed.add(index)
        self._tensor_of[value] = index
        self.model.tensors[index].name = value.name
        return True

    def temporary(self, node: Node, role: str, type: TensorType) -> int:
        """A tensor inside a node that takes several operators."""
        return self._add(self._fresh(f"{node.name}/{role}"), type)

    def constant(self, array: Array, name: str, quantization: TensorQuantization | None = None) -> int:
        """A tensor that holds ``array``; int64 is stored as int32. Arrays with the same bytes share one buffer.

        Weights that were rounded to few bits are stored in these, and expanded by the operators that this writes.
        """
        stored = stored_form_of(array, self._forms) if quantization is None else None
        if stored is not None:
            return self._expanded(array, stored, name)
        array = on_device(array)
        type = TENSOR_TYPES[DType.of(array)]
        buffer = self.buffer(array)
        key = (type, array.shape, buffer)
        if quantization is None and key in self._constant_of:
            return self._constant_of[key]
        index = len(self.model.tensors)
        self.model.tensors.append(Tensor(self._fresh(name), array.shape, None, type, buffer, quantization))
        if quantization is None:
            self._constant_of[key] = index
        return index

    def _expanded(self, array: Array, stored: Stored, name: str) -> int:
        """`write_stored`, once for an array."""
        key = (array.shape, hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).digest())
        if key not in self._expanded_of:
            self._expanded_of[key] = write_stored(self, stored, name)
        return self._expanded_of[key]

    def packed(
        self, array: Array, shape: tuple[int, ...], type: int, name: str, quantization: TensorQuantization | None
    ) -> int:
        """A constant of this type and shape whose bytes are those of ``array``."""
        self.model.tensors.append(Tensor(self._fresh(name), shape, None, type, self.buffer(array), quantization))
        return len(self.model.tensors) - 1

    def float_tensor(self, shape: tuple[int, ...], name: str) -> int:
        """A float32 tensor that operators compute."""
        return self._add(self._fresh(name), TensorType(DType.FLOAT32, shape))

    def scalar(self, number: float) -> int:
        """A float32 constant of shape []."""
        return self.constant(np.array(number, np.float32), "scalar")

    def int32s(self, numbers: Sequence[int], name: str) -> int:
        """An int32 constant: axes, a shape, paddings."""
        return self.constant(np.asarray(numbers, np.int32), name)

    def buffer(self, array: Array) -> int:
        """The buffer with these bytes, found again when the same bytes come a second time."""
        if not array.nbytes:
            return 0
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        ends = np.concatenate([flat[:256], flat[-256:]])
        alike = self._buffer_of.setdefault((flat.size, zlib.crc32(ends.tobytes())), [])
        for index in alike:
            if np.array_equal(self.model.buffers[index], flat):
                return index
        alike.append(len(self.model.buffers))
        self.model.buffers.append(flat)
        return alike[-1]

    def shape_of(self, tensor: int) -> tuple[int, ...]:
        """Shape of a tensor with stand-ins for the free sizes."""
        return self.model.tensors[tensor].shape

    # -- operators -------------------------------------------------------------------------------------------------

    def operator(self, code: str, inputs: Sequence[int], output: int, options: Any = None) -> int:
        """Appends builtin ``code`` in the lowest version that expresses it; returns ``output``."""
        self.operators(code, inputs, [output], options)
        return output

    def operators(self, code: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None) -> None:
        """`operator` for a builtin with several outputs."""
        operands = [_LEFT_OUT if index == OPTIONAL else self.model.tensors[index] for index in inputs]
        version = operator_version(code, operands, [self.model.tensors[index] for index in outputs], options)
        self.model.operators.append(Operator(code, version, tuple(inputs), tuple(outputs), options))

    def step(
        self, code: str, inputs: Sequence[int], node: Node, role: str, type: TensorType, options: Any = None
    ) -> int:
        """`operator` into a new temporary, which it returns."""
        return self.operator(code, inputs, self.temporary(node, role, type), options)

    @contextlib.contextmanager
    def subgraph(self, name: str) -> Iterator[tuple[Subgraph, int]]:
        """While it lasts, tensors and operators go into a new subgraph; yields it and its index in the file."""
        outer = self.model.tensors, self.model.operators, self._tensor_of, self._constant_of, self.computed_dims
        expanded, self._expanded_of = self._expanded_of, {}
        inner = Subgraph(name)
        self.model.subgraphs.append(inner)
        self.model.tensors, self.model.operators = inner.tensors, inner.operators
        self._tensor_of, self._constant_of, self.computed_dims = {}, {}, {}
        try:
            yield inner, len(self.model.subgraphs)
        finally:
            self.model.tensors, self.model.operators, self._tensor_of, self._constant_of, self.computed_dims = outer
            self._expanded_of = expanded

    # -- the end ---------------------------------------------------------------------------------------------------

    def finish(self, manifest: Mapping[str, Any]) -> Model:
        """Names the outputs and adds the metadata."""
        for name, value in self.graph.outputs.items():
            self.model.outputs.append((name, self.tensor(value)))
        self._number_tensors()
        runtime = minimum_runtime((op.code, op.version) for op in all_operators(self.model))
        self._metadata("min_runtime_version", runtime.encode().ljust(16, b"\0"))
        if manifest:
            text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            self._metadata("triport", text.encode())
        return self.model

    def _number_tensors(self) -> None:
        """Short names for what nobody looks up: words for inner steps, axes and shapes take more bytes than those do.

        The values and parameters of the graph keep their names, and so do large constants.
        """
        values = {v.name for node in self.graph.nodes for v in (*node.inputs, *node.outputs)} | {*self.graph.outputs}
        kept = values | {value.name for value in self.graph.inputs}
        numbers = (name for number in itertools.count() if (name := f"_{number}") not in kept)
        for tensors in (self.model.tensors, *(subgraph.tensors for subgraph in self.model.subgraphs)):
            for tensor in tensors:
                small = not tensor.buffer or math.prod(tensor.shape) < LEAST_NAMED
                if small and tensor.name not in kept:
                    tensor.name = next(numbers)

    def _metadata(self, name: str, content: bytes) -> None:
        self.model.metadata[name] = len(self.model.buffers)
        self.model.buffers.append(np.frombuffer(content, np.uint8))

    def _add(self, name: str, type: TensorType) -> int:
        shape = type.evaluate(self._sizes)
        free = bool(type.free_names)
        signature = tuple(dim if isinstance(dim, int) else -1 for dim in type.shape) if free else None
        tensor_type = TENSOR_TYPES[device_dtype(type.dtype)]
        quantization = tensor_quantization(type.quantization)
        self.model.tensors.append(Tensor(name, shape, signature, tensor_type, quantization=quantization))
        return len(self.model.tensors) - 1

    def _fresh(self, wanted: str) -> str:
        """A name no value of the graph has: a profile and a first divergence name tensors."""
        name = wanted
        while name in self._names:
            self._copies[wanted] = self._copies.get(wanted, 0) + 1
            name = f"{wanted}_{self._copies[wanted]}"
        self._names.add(name)
        return name


def tensor_quantization(quantization: Quantization | None) -> TensorQuantization | None:
    """One scale and zero point for a whole tensor, as the file states them."""
    if quantization is None:
        return None
    return TensorQuantization((quantization.scale,), (quantization.zero_point,))


def on_device(array: Array) -> Array:
    """The array in the dtype the device has; the caller has seen to it that int64 numbers fit int32."""
    return array.astype(np.int32) if array.dtype == np.int64 else array


def stand_in_sizes(graph: Graph) -> dict[str, int]:
    """Sizes for the free dims that make every op of the graph possible: 1 where that does, else a power of two."""
    sizes = {name: 1 for value in graph.inputs for name in value.type.free_names}
    shapes = [v.type.shape for v in graph.inputs] + [v.type.shape for node in graph.nodes for v in node.outputs]
    shapes += [_beyond_the_mirror(node) for node in graph.nodes]
    symbolic: dict[str, Dim] = {str(dim): dim for shape in shapes for dim in shape if not isinstance(dim, int)}
    for _ in range(16):
        too_small = [dim for dim in symbolic.values() if evaluate_dim(dim, sizes) < 1]
        if not too_small:
            break
        for name in {name for dim in too_small for name in dim_names(dim)}:
            sizes[name] *= 2
    return sizes


def _beyond_the_mirror(node: Node) -> tuple[Dim, ...]:
    """What a border leaves over of each axis that it mirrors: one cell at least, which is not repeated."""
    op = node.op
    if not isinstance(op, BorderPad) or op.mode is not BorderMode.REFLECT:
        return ()
    return tuple(
        size - max(before, after)
        for size, before, after in zip(node.inputs[0].type.shape, op.before, op.after, strict=True)
    )
