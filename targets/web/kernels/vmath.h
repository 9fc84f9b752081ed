// Elementary functions on four float32 lanes, within about 1.5 units in the last place; NaN and infinities pass.
//
// exp, log, tanh: the polynomials of Cephes (S. Moshier, netlib.org/cephes, single precision). erf: N. Juffa's
// two-interval minimax form. Each is checked against float64 in tests/targets/web/test_kernels_elementwise.py.
// The long ones stand once, in vmath.c: a vector constant takes 18 bytes of WebAssembly wherever it is inlined.
#pragma once
#include "simd.h"

f4 vexp(f4 x);
f4 vexpm1(f4 x);
f4 vlog(f4 x);
f4 vtanh(f4 x);
f4 verf(f4 x);

INLINE f4 vabs(f4 x) { return wasm_f32x4_abs(x); }
INLINE f4 copy_sign(f4 magnitude, f4 sign) { return wasm_v128_bitselect(sign, magnitude, SPLAT(-0.0f)); }

// log(1 + x) for x ≥ 0: the rounding of 1 + x is put back.
INLINE f4 vlog1p(f4 x) {
    f4 one = SPLAT(1.0f);
    f4 u = ADD(one, x);
    f4 y = SUB(vlog(u), DIV(SUB(SUB(u, one), x), u));
    return wasm_v128_bitselect(u, y, wasm_f32x4_eq(u, SPLAT(__builtin_inff())));
}

INLINE f4 vsigmoid(f4 x) {
    return DIV(SPLAT(1.0f), ADD(SPLAT(1.0f), vexp(wasm_f32x4_neg(x))));
}

// log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), which neither overflows nor loses small values
INLINE f4 vsoftplus(f4 x) {
    f4 positive = wasm_f32x4_pmax(x, SPLAT(0.0f));
    return ADD(positive, vlog1p(vexp(wasm_f32x4_neg(vabs(x)))));
}
