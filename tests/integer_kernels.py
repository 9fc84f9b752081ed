"""How the runtimes' kernels add and multiply codes, from their sources: whole numbers and float32, step by step.

Each takes two int8 arrays and gives int8. What they have in common is the formula of the graph's ops (`add`, `mul`);
where they part is what quantize/arithmetic.py keeps results away from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from triport.exporter.graph import Array, Quantization
from triport.exporter.ops.quantized import multiplier, sum_multiplier, whole_weights

Numbers = Any  # arrays of one numeric dtype, which the arithmetic below keeps
Operands = tuple[Quantization, Quantization]
Sum = Callable[[Array, Array, Operands, Quantization, int], Array]
Product = Callable[[Array, Array, Quantization, Quantization, Quantization], Array]


def _stored(steps: Numbers, zero_point: int) -> Array:
    """Whole steps → codes."""
    return np.clip(np.asarray(steps, np.float64) + zero_point, -128, 127).astype(np.int8)


def _whole(codes: Array) -> Numbers:
    return codes.astype(np.int64)


def formula_sum(a: Array, b: Array, of: Operands, to: Quantization, sign: int) -> Array:
    """One float32 product of the weighted sum, rounded half to even: the reference, the browser."""
    weights = whole_weights(*of)
    assert weights is not None
    total = weights[0] * (_whole(a) - of[0].zero_point) + sign * weights[1] * (_whole(b) - of[1].zero_point)
    return _stored(np.rint(total.astype(np.float32) * sum_multiplier(of, to)), to.zero_point)


def xnnpack_sum(a: Array, b: Array, of: Operands, to: Quantization, sign: int) -> Array:
    """qs8-vadd: multipliers of 21 bits, rounded half up by a shift."""
    return _fixed_point_sum(a, b, of, to, sign, bits=20)


def neon_sum(a: Array, b: Array, of: Operands, to: Quantization, sign: int) -> Array:
    """ONNX Runtime on ARM (qladd.cpp): multipliers of 22 bits, rounded half away from zero.

    A negative scale leads it to `scalar_sum`.
    """
    if sign < 0:
        return scalar_sum(a, b, of, to, sign)
    return _fixed_point_sum(a, b, of, to, sign, bits=21)


def _fixed_point_sum(a: Array, b: Array, of: Operands, to: Quantization, sign: int, *, bits: int) -> Array:
    """The greater ratio has all the bits; the other is counted in the same units."""
    ratios = [float(np.float32(q.scale) / np.float32(to.scale)) for q in of]
    shift = bits - int(np.floor(np.log2(max(ratios))))
    left, right = (int(np.rint(ratio * 2.0**shift)) for ratio in ratios)
    total = left * (_whole(a) - of[0].zero_point) + sign * right * (_whole(b) - of[1].zero_point)
    away = (total < 0) if bits == 21 else 0
    return _stored((total - away + (1 << (shift - 1))) >> shift, to.zero_point)


def vector_sum(a: Array, b: Array, of: Operands, to: Quantization, sign: int) -> Array:
    """ONNX Runtime on x86 (qladd.cpp), on uint8: the zero points are gathered in one float32 number."""
    ratio_a = np.float32(of[0].scale) / np.float32(to.scale)
    ratio_b = np.float32(sign * of[1].scale) / np.float32(to.scale)
    zero_a, zero_b = (np.float32(q.zero_point + 128) for q in of)
    fixed = np.float32(to.zero_point + 128) - (ratio_a * zero_a + ratio_b * zero_b)
    left, right = ((_whole(x) + 128).astype(np.float32) for x in (a, b))
    return _stored(np.rint(fixed + left * ratio_a + right * ratio_b) - 128, 0)


def scalar_sum(a: Array, b: Array, of: Operands, to: Quantization, sign: int) -> Array:
    """ONNX Runtime elsewhere (qladd.cpp): real numbers, a division, the zero point added before rounding."""
    left = np.float32(of[0].scale) * (_whole(a) - of[0].zero_point).astype(np.float32)
    right = np.float32(sign * of[1].scale) * (_whole(b) - of[1].zero_point).astype(np.float32)
    steps = np.clip((left + right) / np.float32(to.scale), -128 - to.zero_point, 127 - to.zero_point)
    return _stored(np.rint(steps + np.float32(to.zero_point + 128)) - 128, 0)


def formula_product(a: Array, b: Array, of_a: Quantization, of_b: Quantization, to: Quantization) -> Array:
    """One float32 product, rounded half to even."""
    product = (_whole(a) - of_a.zero_point) * (_whole(b) - of_b.zero_point)
    return _stored(np.rint(product.astype(np.float32) * multiplier(of_a.scale, of_b.scale, to.scale)), to.zero_point)


def vector_product(a: Array, b: Array, of_a: Quantization, of_b: Quantization, to: Quantization) -> Array:
    """ONNX Runtime on x86 and ARM (qlmul.cpp), on uint8: the zero point is added before rounding."""
    product = ((_whole(a) - of_a.zero_point) * (_whole(b) - of_b.zero_point)).astype(np.float32)
    steps = product * multiplier(of_a.scale, of_b.scale, to.scale) + np.float32(to.zero_point + 128)
    return _stored(np.rint(steps) - 128, 0)


def fused_product(a: Array, b: Array, of_a: Quantization, of_b: Quantization, to: Quantization) -> Array:
    """The same where a compiler makes one instruction of the product and the sum: rounded once."""
    product = ((_whole(a) - of_a.zero_point) * (_whole(b) - of_b.zero_point)).astype(np.float64)
    steps = product * float(multiplier(of_a.scale, of_b.scale, to.scale)) + (to.zero_point + 128)
    return _stored(np.rint(steps.astype(np.float32)) - 128, 0)


def xnnpack_neon_product(a: Array, b: Array, of_a: Quantization, of_b: Quantization, to: Quantization) -> Array:
    """XNNPACK on ARM (qs8-vmul rndnu): the 24 bits of the float32 factor as a whole number, rounded half up."""
    product = (_whole(a) - of_a.zero_point) * (_whole(b) - of_b.zero_point)
    bits = int(multiplier(of_a.scale, of_b.scale, to.scale).view(np.uint32))
    factor = ((bits & 0x007FFFFF) | 0x00800000) << 7
    shift = 127 + 31 - 32 - (bits >> 23)
    after = max(shift, 1)
    doubled_high = (2 * (product << (after - shift)) * factor) >> 32
    return _stored((doubled_high + (1 << (after - 1))) >> after, to.zero_point)


def scalar_product(a: Array, b: Array, of_a: Quantization, of_b: Quantization, to: Quantization) -> Array:
    """ONNX Runtime elsewhere (qlmul.cpp): real numbers, and a division."""
    left = np.float32(of_a.scale) * (_whole(a) - of_a.zero_point).astype(np.float32)
    right = np.float32(of_b.scale) * (_whole(b) - of_b.zero_point).astype(np.float32)
    steps = np.clip(left * right / np.float32(to.scale), -128 - to.zero_point, 127 - to.zero_point)
    return _stored(np.rint(steps + np.float32(to.zero_point + 128)) - 128, 0)


SUMS: dict[str, Sum] = {"xnnpack": xnnpack_sum, "neon": neon_sum, "x86": vector_sum, "scalar": scalar_sum}
PRODUCTS: dict[str, Product] = {
    "vector": vector_product,
    "fused": fused_product,
    "scalar": scalar_product,
    "xnnpack neon": xnnpack_neon_product,
}
