// The functions of vmath.h that are long enough to stand once.
#include "vmath.h"

INLINE f4 poly(f4 x, f4 acc, float c) { return MADD(SPLAT(c), acc, x); }

// exp(r) - 1 - r over r², for |r| ≤ ln2/2
INLINE f4 exp_tail(f4 r) {
    f4 p = SPLAT(1.9875691500E-4f);
    p = poly(r, p, 1.3981999507E-3f);
    p = poly(r, p, 8.3334519073E-3f);
    p = poly(r, p, 4.1665795894E-2f);
    p = poly(r, p, 1.6666665459E-1f);
    return poly(r, p, 5.0000001201E-1f);
}

INLINE f4 pow2(v128_t n) { return wasm_i32x4_shl(wasm_i32x4_add(n, wasm_i32x4_splat(127)), 23); }

f4 vexp(f4 x) {
    f4 c = clamp(x, SPLAT(-104.0f), SPLAT(89.0f));
    f4 n = wasm_f32x4_nearest(MUL(c, SPLAT(1.44269504088896341f)));
    f4 r = SUB(c, MUL(n, SPLAT(0.693359375f)));
    r = ADD(r, MUL(n, SPLAT(2.12194440e-4f)));
    f4 y = ADD(MADD(r, MUL(r, r), exp_tail(r)), SPLAT(1.0f));
    v128_t whole = wasm_i32x4_trunc_sat_f32x4(n);
    v128_t half = wasm_i32x4_shr(whole, 1);
    return MUL(MUL(y, pow2(half)), pow2(wasm_i32x4_sub(whole, half)));
}

f4 vexpm1(f4 x) {
    f4 near = MADD(x, MUL(x, x), exp_tail(x));
    f4 far = SUB(vexp(x), SPLAT(1.0f));
    return wasm_v128_bitselect(near, far, wasm_f32x4_lt(vabs(x), SPLAT(0.34f)));
}

f4 vlog(f4 x) {
    v128_t tiny = wasm_f32x4_lt(x, SPLAT(1.17549435e-38f));
    f4 scaled = wasm_v128_bitselect(MUL(x, SPLAT(8388608.0f)), x, tiny);
    v128_t exponent = wasm_i32x4_sub(wasm_u32x4_shr(scaled, 23), wasm_i32x4_splat(126));
    f4 e = wasm_f32x4_convert_i32x4(exponent);
    e = SUB(e, wasm_v128_and(tiny, SPLAT(23.0f)));
    f4 m = wasm_v128_or(wasm_v128_and(scaled, wasm_i32x4_splat(0x007fffff)), SPLAT(0.5f));
    v128_t low = wasm_f32x4_lt(m, SPLAT(0.707106781186547524f));
    e = SUB(e, wasm_v128_and(low, SPLAT(1.0f)));
    m = SUB(ADD(m, wasm_v128_and(low, m)), SPLAT(1.0f));
    f4 z = MUL(m, m);
    f4 p = SPLAT(7.0376836292E-2f);
    p = poly(m, p, -1.1514610310E-1f);
    p = poly(m, p, 1.1676998740E-1f);
    p = poly(m, p, -1.2420140846E-1f);
    p = poly(m, p, 1.4249322787E-1f);
    p = poly(m, p, -1.6668057665E-1f);
    p = poly(m, p, 2.0000714765E-1f);
    p = poly(m, p, -2.4999993993E-1f);
    p = poly(m, p, 3.3333331174E-1f);
    f4 y = MUL(MUL(p, m), z);
    y = MADD(y, e, SPLAT(-2.12194440e-4f));
    y = SUB(y, MUL(z, SPLAT(0.5f)));
    y = ADD(ADD(m, y), MUL(e, SPLAT(0.693359375f)));
    y = wasm_v128_bitselect(x, y, wasm_f32x4_eq(x, SPLAT(__builtin_inff())));
    y = wasm_v128_bitselect(SPLAT(-__builtin_inff()), y, wasm_f32x4_eq(x, SPLAT(0.0f)));
    // negative and NaN → NaN
    return wasm_v128_bitselect(y, SPLAT(__builtin_nanf("")), wasm_f32x4_ge(x, SPLAT(0.0f)));
}

f4 vtanh(f4 x) {
    f4 a = vabs(x);
    f4 z = MUL(x, x);
    f4 p = SPLAT(-5.70498872745E-3f);
    p = poly(z, p, 2.06390887954E-2f);
    p = poly(z, p, -5.37397155531E-2f);
    p = poly(z, p, 1.33314422036E-1f);
    p = poly(z, p, -3.33332819422E-1f);
    f4 near = MADD(x, MUL(p, z), x);
    f4 far = SUB(SPLAT(1.0f), DIV(SPLAT(2.0f), ADD(vexp(ADD(a, a)), SPLAT(1.0f))));
    return wasm_v128_bitselect(near, copy_sign(far, x), wasm_f32x4_lt(a, SPLAT(0.625f)));
}

f4 verf(f4 x) {
    f4 t = vabs(x);
    f4 s = MUL(x, x);
    f4 far = MADD(SPLAT(3.83197126e-4f), SPLAT(-1.72853470e-5f), t);
    far = MADD(MADD(SPLAT(2.42546219e-2f), SPLAT(-3.88396438e-3f), t), far, s);
    far = poly(t, far, -1.06777877e-1f);
    far = poly(t, far, -6.34846687e-1f);
    far = poly(t, far, -1.28717512e-1f);
    far = SUB(MUL(far, t), t);
    far = copy_sign(SUB(SPLAT(1.0f), vexp(far)), x);
    far = wasm_v128_bitselect(copy_sign(SPLAT(1.0f), x), far, wasm_f32x4_gt(t, SPLAT(4.0f)));
    f4 near = SPLAT(-5.96761703e-4f);
    near = poly(s, near, 4.99119423e-3f);
    near = poly(s, near, -2.67681349e-2f);
    near = poly(s, near, 1.12819925e-1f);
    near = poly(s, near, -3.76125336e-1f);
    near = poly(s, near, 1.28379166e-1f);
    near = MADD(x, near, x);
    return wasm_v128_bitselect(near, far, wasm_f32x4_le(t, SPLAT(0.927734375f)));
}
