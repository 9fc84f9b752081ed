// The elementwise functions of one tensor: `v` is a vector of cells, `p` and `q` are the parameters in four lanes.
#pragma once
#include "vmath.h"

#define ZERO SPLAT(0.0f)
#define ONE constant(1.0f)
#define SELECT(condition, yes, no) wasm_v128_bitselect((yes), (no), (condition))
#define POSITIVE(v) wasm_f32x4_gt((v), ZERO)

INLINE f4 sign_of(f4 v) {
    f4 sign = SUB(wasm_v128_and(POSITIVE(v), ONE), wasm_v128_and(wasm_f32x4_lt(v, ZERO), ONE));
    return SELECT(wasm_f32x4_eq(v, v), sign, v);
}

// -2 sqrt(2/π) (v + 0.044715 v³): (1 + tanh(u)) / 2 is 1 / (1 + exp(-2 u))
INLINE f4 gelu_exponent(f4 v) {
    return MUL(constant(-1.59576912160573071f), MADD(v, constant(0.044715f), MUL(v, MUL(v, v))));
}

// erf(v/√2) = v P(v²) / Q(v²), within 5e-8, and 1 beyond the range of the fit: errors of gelu are within 2.6e-7 |v|.
INLINE f4 gelu_inline(f4 v) {
    f4 limit = constant(5.5861436f), x = clamp(v, wasm_f32x4_neg(limit), limit), z = MUL(x, x);
    f4 p = constant(2.170106824e-10f);
    p = poly(z, p, -4.400782258e-08f);
    p = poly(z, p, 6.688564532e-06f);
    p = poly(z, p, 3.615294104e-04f);
    p = poly(z, p, 9.153040969e-03f);
    p = poly(z, p, 7.389133324e-02f);
    p = poly(z, p, 7.978842651e-01f);
    f4 q = constant(6.569292600e-05f);
    q = poly(z, q, 1.891510445e-03f);
    q = poly(z, q, 2.968852408e-02f);
    q = poly(z, q, 2.592732310e-01f);
    q = poly(z, q, 1.0f);
    f4 erf = clamp(DIV(MUL(x, p), q), constant(-1.0f), ONE), half = MUL(v, constant(0.5f));
    return MADD(half, half, erf);
}

// v tanh(log(1 + e)) = v n / (n + 2) with e = exp(v), n = e (e + 2); the quotient is 1 from e = exp(20) on.
INLINE f4 mish_inline(f4 v) {
    f4 e = exp_inline(wasm_f32x4_pmin(v, constant(20.0f))), two = constant(2.0f), n = MUL(e, ADD(e, two));
    return MUL(v, DIV(n, ADD(n, two)));
}

// clamp_to: relu, relu6, clip
#define UNARY_FUNCTIONS(F) \
    F(clamp_to, clamp(v, p, q)) \
    F(scale_shift, ADD(MUL(v, p), q)) \
    F(sigmoid, vsigmoid(v)) \
    F(tanh, tanh_inline(v)) \
    F(exp, exp_inline(v)) \
    F(expm1, vexpm1(v)) \
    F(log, vlog(v)) \
    F(log1p, SELECT(wasm_f32x4_eq(v, constant(-1.0f)), constant(-__builtin_inff()), vlog1p(v))) \
    F(sqrt, wasm_f32x4_sqrt(v)) \
    F(rsqrt, DIV(ONE, wasm_f32x4_sqrt(v))) \
    F(reciprocal, DIV(ONE, v)) \
    F(neg, wasm_f32x4_neg(v)) \
    F(abs, vabs(v)) \
    F(square, MUL(v, v)) \
    F(cube, MUL(MUL(v, v), v)) \
    F(floor, wasm_f32x4_floor(v)) \
    F(ceil, wasm_f32x4_ceil(v)) \
    F(round, wasm_f32x4_nearest(v)) \
    F(trunc, wasm_f32x4_trunc(v)) \
    F(sign, sign_of(v)) \
    F(erf, erf_inline(v)) \
    F(gelu, gelu_inline(v)) \
    F(gelu_tanh, DIV(v, ADD(ONE, exp_inline(gelu_exponent(v))))) \
    F(silu, DIV(v, ADD(ONE, exp_inline(wasm_f32x4_neg(v))))) \
    F(hard_swish, DIV(MUL(v, clamp(ADD(v, constant(3.0f)), ZERO, constant(6.0f))), constant(6.0f))) \
    F(hard_sigmoid, DIV(clamp(ADD(v, constant(3.0f)), ZERO, constant(6.0f)), constant(6.0f))) \
    F(elu, SELECT(POSITIVE(v), v, MUL(p, vexpm1(v)))) \
    F(selu, MUL(constant(1.0507009873554805f), SELECT(POSITIVE(v), v, MUL(constant(1.6732632423543772f), vexpm1(v))))) \
    F(softplus, vsoftplus(v)) \
    F(softsign, DIV(v, ADD(ONE, vabs(v)))) \
    F(mish, mish_inline(v)) \
    F(leaky_relu, SELECT(POSITIVE(v), v, MUL(v, p)))
