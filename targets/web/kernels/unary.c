// Elementwise functions of one tensor: y[i] = f(x[i]; p, q). y may be x.
#include "vmath.h"

// One kernel: `v` is the vector of inputs, `p` and `q` the splatted parameters. The last vector stores only real lanes.
#define UNARY(name, expression)                                                      \
    KERNEL(name)(float *y, const float *x, int count, float p_, float q_) {          \
        f4 p = SPLAT(p_), q = SPLAT(q_);                                             \
        (void)p, (void)q;                                                            \
        for (int i = 0; i < count; i += 4) {                                         \
            f4 v = LOAD(x + i);                                                      \
            store_lanes(y + i, (expression), count - i);                             \
        }                                                                            \
    }

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

UNARY(clamp_to, clamp(v, p, q))  // relu, relu6, clip
UNARY(scale_shift, ADD(MUL(v, p), q))
UNARY(sigmoid, vsigmoid(v))
UNARY(tanh, tanh_inline(v))
UNARY(exp, exp_inline(v))
UNARY(expm1, vexpm1(v))
UNARY(log, vlog(v))
UNARY(log1p, SELECT(wasm_f32x4_eq(v, constant(-1.0f)), constant(-__builtin_inff()), vlog1p(v)))
UNARY(sqrt, wasm_f32x4_sqrt(v))
UNARY(rsqrt, DIV(ONE, wasm_f32x4_sqrt(v)))
UNARY(reciprocal, DIV(ONE, v))
UNARY(neg, wasm_f32x4_neg(v))
UNARY(abs, vabs(v))
UNARY(square, MUL(v, v))
UNARY(cube, MUL(MUL(v, v), v))
UNARY(floor, wasm_f32x4_floor(v))
UNARY(ceil, wasm_f32x4_ceil(v))
UNARY(round, wasm_f32x4_nearest(v))
UNARY(trunc, wasm_f32x4_trunc(v))
UNARY(sign, sign_of(v))
UNARY(erf, erf_inline(v))
UNARY(gelu, gelu_inline(v))
UNARY(gelu_tanh, DIV(v, ADD(ONE, exp_inline(gelu_exponent(v)))))
UNARY(silu, DIV(v, ADD(ONE, exp_inline(wasm_f32x4_neg(v)))))
UNARY(hard_swish, DIV(MUL(v, clamp(ADD(v, constant(3.0f)), ZERO, constant(6.0f))), constant(6.0f)))
UNARY(hard_sigmoid, DIV(clamp(ADD(v, constant(3.0f)), ZERO, constant(6.0f)), constant(6.0f)))
UNARY(elu, SELECT(POSITIVE(v), v, MUL(p, vexpm1(v))))
UNARY(selu, MUL(constant(1.0507009873554805f), SELECT(POSITIVE(v), v, MUL(constant(1.6732632423543772f), vexpm1(v)))))
UNARY(softplus, vsoftplus(v))
UNARY(softsign, DIV(v, ADD(ONE, vabs(v))))
UNARY(mish, mish_inline(v))
UNARY(leaky_relu, SELECT(POSITIVE(v), v, MUL(v, p)))

// Sine and cosine in float64: the angle less the nearest multiple of π/2, then the polynomials of fdlibm.
static double wave(float x, int quarter) {
    double n = __builtin_rint((double)x * 0.63661977236758134);
    double r = ((x - n * 1.5707963267341256) - n * 6.0771005063039597e-11) - n * 2.0222662487959506e-21, z = r * r;
    quarter += (int)((int64_t)n & 3);
    double sine = r + r * z * (-1.66666666666666324e-01 + z * (8.33333333332248946e-03 + z * (-1.98412698298579493e-04 +
                  z * (2.75573137070700676e-06 + z * (-2.50507602534068634e-08 + z * 1.58969099521155010e-10)))));
    double cosine = 1 - z / 2 + z * z * (4.16666666666666019e-02 + z * (-1.38888888888741096e-03 +
                    z * (2.48015872894767294e-05 + z * (-2.75573143513906633e-07 + z * 2.08757232129817483e-09))));
    double result = quarter & 1 ? cosine : sine;
    return quarter & 2 ? -result : result;
}

#define WAVE(name, quarter)                                                         \
    KERNEL(name)(float *y, const float *x, int count, float p, float q) {           \
        (void)p, (void)q;                                                           \
        for (int i = 0; i < count; i++) y[i] = (float)wave(x[i], quarter);          \
    }

WAVE(sin, 0)
WAVE(cos, 1)
