// The functions of vmath.h that are long enough to stand once.
#include "vmath.h"

f4 vexp(f4 x) { return exp_inline(x); }

f4 vtanh(f4 x) { return tanh_inline(x); }

f4 vexpm1(f4 x) {
    f4 near = MADD(x, MUL(x, x), exp_tail(x));
    f4 far = SUB(vexp(x), constant(1.0f));
    return wasm_v128_bitselect(near, far, wasm_f32x4_lt(vabs(x), constant(0.34f)));
}

f4 vlog(f4 x) {
    v128_t tiny = wasm_f32x4_lt(x, constant(1.17549435e-38f));
    f4 scaled = wasm_v128_bitselect(MUL(x, constant(8388608.0f)), x, tiny);
    v128_t exponent = wasm_i32x4_sub(wasm_u32x4_shr(scaled, 23), wasm_i32x4_splat(126));
    f4 e = wasm_f32x4_convert_i32x4(exponent);
    e = SUB(e, wasm_v128_and(tiny, constant(23.0f)));
    f4 m = wasm_v128_or(wasm_v128_and(scaled, wasm_i32x4_splat(0x007fffff)), constant(0.5f));
    v128_t low = wasm_f32x4_lt(m, constant(0.707106781186547524f));
    e = SUB(e, wasm_v128_and(low, constant(1.0f)));
    m = SUB(ADD(m, wasm_v128_and(low, m)), constant(1.0f));
    f4 z = MUL(m, m);
    f4 p = constant(7.0376836292E-2f);
    p = poly(m, p, -1.1514610310E-1f);
    p = poly(m, p, 1.1676998740E-1f);
    p = poly(m, p, -1.2420140846E-1f);
    p = poly(m, p, 1.4249322787E-1f);
    p = poly(m, p, -1.6668057665E-1f);
    p = poly(m, p, 2.0000714765E-1f);
    p = poly(m, p, -2.4999993993E-1f);
    p = poly(m, p, 3.3333331174E-1f);
    f4 y = MUL(MUL(p, m), z);
    y = MADD(y, e, constant(-2.12194440e-4f));
    y = SUB(y, MUL(z, constant(0.5f)));
    y = ADD(ADD(m, y), MUL(e, constant(0.693359375f)));
    y = wasm_v128_bitselect(x, y, wasm_f32x4_eq(x, constant(__builtin_inff())));
    y = wasm_v128_bitselect(constant(-__builtin_inff()), y, wasm_f32x4_eq(x, SPLAT(0.0f)));
    // negative and NaN → NaN
    return wasm_v128_bitselect(y, constant(__builtin_nanf("")), wasm_f32x4_ge(x, SPLAT(0.0f)));
}
