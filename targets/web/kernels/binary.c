// Elementwise functions of two tensors with broadcasting: y[i] = f(a[i'], b[i'']).
#include "simd.h"

typedef struct {
    i32 rank, inner;     // number of outer axes, and the length of the innermost run
    i32 a_step, b_step;  // 1: the operand runs along the innermost axis, 0: it is one value there
    struct { i32 size, a_stride, b_stride; } axes[];
} Broadcast;

// Where row `i` of the output reads its operands; returns false after the last row.
static int row_at(const Broadcast *g, int i, int *a_at, int *b_at) {
    *a_at = *b_at = 0;
    for (int axis = g->rank - 1; axis >= 0; axis--) {
        int index = i % g->axes[axis].size;
        i /= g->axes[axis].size;
        *a_at += index * g->axes[axis].a_stride;
        *b_at += index * g->axes[axis].b_stride;
    }
    return i == 0;
}

// `a` and `b` are vectors of operands in the expression. The type is float or i32: both have four lanes.
#define BINARY(name, type, expression, ...)                                                      \
    KERNEL(name)(type *y, const type *x0, const type *x1, const Broadcast *g, ##__VA_ARGS__) {   \
        for (int i = 0, a_at, b_at; row_at(g, i, &a_at, &b_at); i++, y += g->inner) {            \
            const type *p = x0 + a_at, *q = x1 + b_at;                                           \
            for (int k = 0; k < g->inner; k += 4) {                                              \
                v128_t a = g->a_step ? LOAD(p + k) : LOAD_SPLAT(p);                              \
                v128_t b = g->b_step ? LOAD(q + k) : LOAD_SPLAT(q);                              \
                store_lanes((float *)y + k, (expression), g->inner - k);                         \
            }                                                                                    \
        }                                                                                        \
    }

// With the clamp that a fused activation leaves
#define ARITHMETIC(name, expression) BINARY(name, float, clamp((expression), SPLAT(lo), SPLAT(hi)), float lo, float hi)

ARITHMETIC(add, ADD(a, b))
ARITHMETIC(sub, SUB(a, b))
ARITHMETIC(mul, MUL(a, b))
ARITHMETIC(div, DIV(a, b))
BINARY(maximum, float, wasm_f32x4_max(a, b))
BINARY(minimum, float, wasm_f32x4_min(a, b))
BINARY(prelu, float, wasm_v128_bitselect(a, MUL(a, b), wasm_f32x4_gt(a, SPLAT(0.0f))))
BINARY(add_i32, i32, wasm_i32x4_add(a, b))
BINARY(sub_i32, i32, wasm_i32x4_sub(a, b))
BINARY(mul_i32, i32, wasm_i32x4_mul(a, b))
BINARY(maximum_i32, i32, wasm_i32x4_max(a, b))
BINARY(minimum_i32, i32, wasm_i32x4_min(a, b))

// 2^(y * log2 x) in float64, so that one rounding to float32 remains.
static double log2_of(double x) {
    union { double value; uint64_t bits; } u = {x};
    int exponent = (int)(u.bits >> 52) - 1022;
    u.bits = (u.bits & 0xfffffffffffffULL) | 0x3fe0000000000000ULL;
    if (u.value < 0.70710678118654752) u.value *= 2, exponent--;
    double s = (u.value - 1) / (u.value + 1), z = s * s, sum = 0;
    for (int k = 17; k >= 1; k -= 2) sum = sum * z + 1.0 / k;
    return exponent + sum * s * 2.8853900817779268;
}

static double exp2_of(double x) {
    if (x > 1000) return __builtin_inf();
    if (x < -1000) return 0;
    double n = __builtin_rint(x), r = (x - n) * 0.69314718055994531, sum = 1;
    for (int k = 11; k >= 1; k--) sum = sum * r / k + 1;
    union { uint64_t bits; double value; } u = {(uint64_t)((int64_t)n + 1023) << 52};
    return sum * u.value;
}

// C's powf: pow(x, 0) = pow(1, y) = 1; a negative base wants a whole exponent, else NaN.
static float power(float x, float y) {
    if (y == 0 || x == 1) return 1;
    if (x != x || y != y) return x + y;
    float size = __builtin_fabsf(x), infinity = __builtin_inff();
    int whole = y == __builtin_truncf(y), odd = whole && __builtin_fabsf(y) < 16777216.0f && ((i32)y & 1);
    float result;
    if (size == 1) result = 1;
    else if (size == 0 || size == infinity) result = (size == 0) == (y > 0) ? 0 : infinity;
    else if (y == infinity || y == -infinity) result = (size > 1) == (y > 0) ? infinity : 0;
    else if (x < 0 && !whole) return __builtin_nanf("");
    else result = (float)exp2_of((double)y * log2_of(size));
    return odd && __builtin_signbit(x) ? -result : result;
}

KERNEL(pow)(float *y, const float *x0, const float *x1, const Broadcast *g) {
    for (int i = 0, a_at, b_at; row_at(g, i, &a_at, &b_at); i++, y += g->inner)
        for (int k = 0; k < g->inner; k++) y[k] = power(x0[a_at + k * g->a_step], x1[b_at + k * g->b_step]);
}
