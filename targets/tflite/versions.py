"""Operator versions: the lowest that expresses an operator, so that old runtimes load the file.

A runtime refuses an operator whose version it does not know, and a version only says which features of the operator
the file needs. The rules are those of the converter's ``versioning/op_version.cc``; the first runtime that knows a
version is in its ``runtime_version.cc``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .flatfile import TensorQuantization
from .schema import schema

_FLOAT32: int = schema.TensorType.FLOAT32
_FLOAT16: int = schema.TensorType.FLOAT16
_INT4: int = schema.TensorType.INT4
_INT8: int = schema.TensorType.INT8
_INT16: int = schema.TensorType.INT16
_INT32: int = schema.TensorType.INT32
_BOOL: int = schema.TensorType.BOOL
_UINT8: int = schema.TensorType.UINT8


class Operand(Protocol):
    """What a rule reads of a tensor."""

    @property
    def type(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def quantization(self) -> TensorQuantization | None: ...


Operands = Sequence[Operand]
Rule = Callable[[Operands, Any], int]


def operator_version(code: str, inputs: Operands, outputs: Operands, options: Any) -> int:
    """The lowest version of builtin ``code`` that expresses this use of it."""
    if code == "MUL":
        return _mul(*inputs, *outputs)
    rule = _RULES.get(code)
    if rule is not None:
        return rule(inputs, options)
    return 2 if code in _INT8_SINCE_2 and inputs[0].type == _INT8 else 1


_INT8_SINCE_2 = frozenset(
    {
        "ADD", "ARG_MAX", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "DEPTH_TO_SPACE", "EXP", "LOG",
        "LOGISTIC", "LOG_SOFTMAX", "MAX_POOL_2D", "MEAN", "MIRROR_PAD", "PACK", "REDUCE_MAX", "REDUCE_MIN",
        "RELU", "RELU6", "RSQRT", "SOFTMAX", "SPACE_TO_DEPTH", "SPLIT_V", "SQRT", "SQUARED_DIFFERENCE", "SUM", "TANH",
        "GELU", "GATHER",
    }
)  # fmt: skip


def _mul(a: Operand, b: Operand, y: Operand) -> int:
    """Version 3 rescales by 1 and more."""
    if a.quantization and b.quantization and y.quantization:
        return 3 if a.quantization.scale[0] * b.quantization.scale[0] >= y.quantization.scale[0] else 2
    return 2 if a.type == _INT8 else 1


def _conv(inputs: Operands, options: Any) -> int:
    x, weight = inputs[:2]
    if x.shape[-1] != weight.shape[-1]:
        return 6  # grouped
    return _weighted(x, weight)


def _depthwise(inputs: Operands, options: Any) -> int:
    x, weight = inputs[:2]
    dilated = (options.dilationHFactor, options.dilationWFactor) != (1, 1)
    return max(_weighted(x, weight), 2 if dilated else 1)


def _weighted(x: Operand, weight: Operand) -> int:
    return 3 if x.type == weight.type == _INT8 else 1


def _fully_connected(inputs: Operands, options: Any) -> int:
    if len(inputs) == 2:
        return 6
    if options.keepNumDims:
        return 5
    return 4 if inputs[0].type == inputs[1].type == _INT8 else 1


def _transpose(inputs: Operands, options: Any) -> int:
    return _by_rank_and_type(inputs[0], {5: 4, 6: 6})


def _slice(inputs: Operands, options: Any) -> int:
    x = inputs[0]
    return 5 if len(x.shape) > 4 else 2 if x.type == _INT8 else 1


def _strided_slice(inputs: Operands, options: Any) -> int:
    return _by_rank_and_type(inputs[0], {5: 4})


def _by_rank_and_type(x: Operand, since: dict[int, int]) -> int:
    for rank, version in sorted(since.items(), reverse=True):
        if len(x.shape) >= rank:
            return version
    return 3 if x.type == _BOOL else 2 if x.type == _INT8 else 1


def _pad(inputs: Operands, options: Any) -> int:
    x = inputs[0]
    if x.type == _BOOL:
        return 5
    return 4 if len(x.shape) > 4 else 2 if x.type == _INT8 else 1


def _broadcasts_over_4(inputs: Operands) -> bool:
    return inputs[0].shape != inputs[1].shape and max(len(x.shape) for x in inputs) > 4


def _sub_or_extremum(inputs: Operands, options: Any) -> int:
    return 3 if _broadcasts_over_4(inputs) else 2 if inputs[0].type == _INT8 else 1


def _div(inputs: Operands, options: Any) -> int:
    return 2 if _broadcasts_over_4(inputs) else 1


def _resize_bilinear(inputs: Operands, options: Any) -> int:
    return 3 if options.halfPixelCenters else 2 if inputs[0].type == _INT8 else 1


def _resize_nearest(inputs: Operands, options: Any) -> int:
    special = options.halfPixelCenters or options.alignCorners
    return 3 if special else 2 if inputs[0].type == _INT8 else 1


def _abs(inputs: Operands, options: Any) -> int:
    return {_INT32: 5, _INT8: 2}.get(inputs[0].type, 1)


def _broadcast_to(inputs: Operands, options: Any) -> int:
    return 3 if inputs[0].type == _INT8 else 2


def _reverse(inputs: Operands, options: Any) -> int:
    return 2 if inputs[0].type == _BOOL else 1


def _gather(inputs: Operands, options: Any) -> int:
    if options.batchDims:
        return 5
    return {_BOOL: 3, _INT8: 2}.get(inputs[0].type, 1)


def _cast(inputs: Operands, options: Any) -> int:
    return 3 if _INT8 in (options.inDataType, options.outDataType) else 1


def _tile(inputs: Operands, options: Any) -> int:
    return 3 if inputs[0].type == _INT8 else 1


def _fill(inputs: Operands, options: Any) -> int:
    return {_BOOL: 2, _INT8: 3}.get(inputs[1].type, 1)


def _floor_div(inputs: Operands, options: Any) -> int:
    return 2 if inputs[0].type == _FLOAT32 else 1


def _select(inputs: Operands, options: Any) -> int:
    return 2 if max(len(x.shape) for x in inputs) > 4 else 1


def _sign(inputs: Operands, options: Any) -> int:
    return 2 if inputs[0].type == _INT32 else 1


def _dequantize(inputs: Operands, options: Any) -> int:
    x = inputs[0]
    if x.type == _INT8:
        return 5 if x.quantization is not None and x.quantization.axis is not None else 2
    return {_FLOAT16: 3, _INT4: 6}.get(x.type, 1)


_RULES: dict[str, Rule] = {
    "ABS": _abs,
    "BROADCAST_TO": _broadcast_to,
    "CAST": _cast,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEQUANTIZE": _dequantize,
    "DIV": _div,
    "FILL": _fill,
    "FLOOR_DIV": _floor_div,
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "MAXIMUM": _sub_or_extremum,
    "MINIMUM": _sub_or_extremum,
    "PAD": _pad,
    "PADV2": _pad,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SELECT_V2": _select,
    "SIGN": _sign,
    "REVERSE_V2": _reverse,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _sub_or_extremum,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
}
