// Elementary functions on four float32 lanes, within about 1.5 units in the last place; NaN and infinities pass.
//
// exp, log, tanh: the polynomials of Cephes (S. Moshier, netlib.org/cephes, single precision). erf: N. Juffa's
// two-interval minimax form. Each is checked against float64 in tests/targets/web/test_kernels_elementwise.py.
// exp, tanh and erf stand here for loops that do little else, and once in vmath.c for the others.
#pragma once
#include "simd.h"

f4 vexp(f4 x);
f4 vexpm1(f4 x);
f4 vlog(f4 x);
f4 vtanh(f4 x);

INLINE f4 vabs(f4 x) { return wasm_f32x4_abs(x); }
INLINE f4 copy_sign(f4 magnitude, f4 sign) { return wasm_v128_bitselect(sign, magnitude, constant(-0.0f)); }
INLINE f4 poly(f4 x, f4 acc, float c) { return MADD(constant(c), acc, x); }
INLINE f4 pow2(v128_t n) { return wasm_i32x4_shl(wasm_i32x4_add(n, wasm_i32x4_splat(127)), 23); }

// exp(r) - 1 - r over r², for |r| ≤ ln2/2
INLINE f4 exp_tail(f4 r) {
    f4 p = constant(1.9875691500E-4f);
    p = poly(r, p, 1.3981999507E-3f);
    p = poly(r, p, 8.3334519073E-3f);
    p = poly(r, p, 4.1665795894E-2f);
    p = poly(r, p, 1.6666665459E-1f);
    return poly(r, p, 5.0000001201E-1f);
}

// exp(x) = y * 2^n with y near 1, for |x| < 2^21. Adding 1.5 * 2^23 rounds to a whole number, whose bits stand lowest.
INLINE f4 exp_parts(f4 x, v128_t *n) {
    f4 round = constant(12582912.0f), shifted = MADD(round, x, constant(1.44269504088896341f)), whole = SUB(shifted, round);
    f4 r = MADD(x, whole, constant(-0.693359375f));
    r = MADD(r, whole, constant(2.12194440e-4f));
    *n = wasm_i32x4_sub(shifted, round);
    return ADD(MADD(r, MUL(r, r), exp_tail(r)), constant(1.0f));
}

INLINE f4 exp_inline(f4 x) {
    v128_t n;
    f4 y = exp_parts(clamp(x, constant(-104.0f), constant(89.0f)), &n);
    v128_t half = wasm_i32x4_shr(n, 1);
    return MUL(MUL(y, pow2(half)), pow2(wasm_i32x4_sub(n, half)));
}

// For |x| < 87; anything, but NaN for NaN, beyond
INLINE f4 exp_near(f4 x) {
    v128_t n;
    f4 y = exp_parts(x, &n);
    return MUL(y, pow2(n));
}

INLINE f4 tanh_inline(f4 x) {
    f4 a = vabs(x), z = MUL(x, x);
    f4 p = constant(-5.70498872745E-3f);
    p = poly(z, p, 2.06390887954E-2f);
    p = poly(z, p, -5.37397155531E-2f);
    p = poly(z, p, 1.33314422036E-1f);
    p = poly(z, p, -3.33332819422E-1f);
    f4 near = MADD(x, MUL(p, z), x), limit = constant(10.0f);
    a = wasm_f32x4_pmin(a, limit);
    f4 far = SUB(constant(1.0f), DIV(constant(2.0f), ADD(exp_near(ADD(a, a)), constant(1.0f))));
    return wasm_v128_bitselect(near, copy_sign(far, x), wasm_f32x4_lt(a, constant(0.625f)));
}

INLINE f4 erf_inline(f4 x) {
    f4 t = wasm_f32x4_pmin(vabs(x), constant(4.0f)), s = MUL(t, t);
    f4 far = MADD(constant(3.83197126e-4f), constant(-1.72853470e-5f), t);
    far = MADD(MADD(constant(2.42546219e-2f), constant(-3.88396438e-3f), t), far, s);
    far = poly(t, far, -1.06777877e-1f);
    far = poly(t, far, -6.34846687e-1f);
    far = poly(t, far, -1.28717512e-1f);
    far = SUB(MUL(far, t), t);
    far = copy_sign(SUB(constant(1.0f), exp_near(far)), x);
    f4 near = constant(-5.96761703e-4f);
    near = poly(s, near, 4.99119423e-3f);
    near = poly(s, near, -2.67681349e-2f);
    near = poly(s, near, 1.12819925e-1f);
    near = poly(s, near, -3.76125336e-1f);
    near = poly(s, near, 1.28379166e-1f);
    near = MADD(x, near, x);
    return wasm_v128_bitselect(near, far, wasm_f32x4_le(t, constant(0.927734375f)));
}

// log(1 + x) for x ≥ 0: the rounding of 1 + x is put back.
INLINE f4 vlog1p(f4 x) {
    f4 one = constant(1.0f);
    f4 u = ADD(one, x);
    f4 y = SUB(vlog(u), DIV(SUB(SUB(u, one), x), u));
    return wasm_v128_bitselect(u, y, wasm_f32x4_eq(u, constant(__builtin_inff())));
}

INLINE f4 vsigmoid(f4 x) {
    return DIV(constant(1.0f), ADD(constant(1.0f), exp_inline(wasm_f32x4_neg(x))));
}

// log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), which neither overflows nor loses small values
INLINE f4 vsoftplus(f4 x) {
    f4 positive = wasm_f32x4_pmax(x, SPLAT(0.0f));
    return ADD(positive, vlog1p(vexp(wasm_f32x4_neg(vabs(x)))));
}
