// Elementwise functions of two tensors with broadcasting: y[i] = f(a[i'], b[i'']).
#include "broadcast.h"

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

// Of integers: cut off towards zero, and 0 where b is 0 (the processor would trap there, and at -2^31 / -1).
static i32 quotient_of(i32 a, i32 b) { return b == 0 ? 0 : b == -1 ? (i32)(0u - (uint32_t)a) : a / b; }

static i32 rest_of(i32 a, i32 b) { return b == 0 || b == -1 ? 0 : a % b; }

static i32 power_of(i32 a, i32 b) {
    if (b < 0) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
    uint32_t result = 1, square = (uint32_t)a;
    for (; b; b >>= 1, square *= square)
        if (b & 1) result *= square;
    return (i32)result;
}

// C's fmod, exact: in each round at least half of what is left goes, and the difference is a float again.
static float fmod_of(float a, float b) {
    double left = __builtin_fabs((double)a), size = __builtin_fabs((double)b);
    if (!(left < __builtin_inf()) || !(size > 0)) return __builtin_nanf("");
    if (size == __builtin_inf()) return a;
    while (left >= size) {
        double step = size;
        while (step * 65536 <= left) step *= 65536;
        while (step * 2 <= left) step *= 2;
        left -= step;
    }
    return __builtin_copysignf((float)left, a);
}

// The angle of (x, y): the polynomial of Cephes's atanf on [0, tan(π/8)], in float64
static float angle_of(float y, float x) {
    double h = __builtin_fabs((double)y), w = __builtin_fabs((double)x), pi = 3.14159265358979324;
    if (h != h || w != w) return __builtin_nanf("");
    double low = h < w ? h : w, high = h < w ? w : h;
    double ratio = high == 0 ? 0 : low == high ? 1 : low / high;
    int folded = ratio > 0.41421356237309503;
    double t = folded ? (ratio - 1) / (ratio + 1) : ratio, z = t * t;
    double angle = (((8.05374449538e-2 * z - 1.38776856032e-1) * z + 1.99777106478e-1) * z - 3.33329491539e-1) * z * t + t;
    if (folded) angle += pi / 4;
    if (h > w) angle = pi / 2 - angle;
    if (__builtin_signbit(x)) angle = pi - angle;
    return __builtin_copysignf((float)angle, y);
}

#define CELL_BY_CELL(name, type, function)                                                                      \
    KERNEL(name)(type *y, const type *x0, const type *x1, const Broadcast *g) {                                 \
        for (int i = 0, a_at, b_at; row_at(g, i, &a_at, &b_at); i++, y += g->inner)                             \
            for (int k = 0; k < g->inner; k++) y[k] = function(x0[a_at + k * g->a_step], x1[b_at + k * g->b_step]); \
    }

CELL_BY_CELL(div_i32, i32, quotient_of)
CELL_BY_CELL(fmod_i32, i32, rest_of)
CELL_BY_CELL(pow_i32, i32, power_of)
CELL_BY_CELL(fmod, float, fmod_of)
CELL_BY_CELL(atan2, float, angle_of)

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
    if (x < 0 && size != infinity && !whole) return __builtin_nanf("");
    if (size == 1) result = 1;
    else if (size == 0 || size == infinity) result = (size == 0) == (y > 0) ? 0 : infinity;
    else if (y == infinity || y == -infinity) result = (size > 1) == (y > 0) ? infinity : 0;
    else result = (float)exp2_of((double)y * log2_of(size));
    return odd && __builtin_signbit(x) ? -result : result;
}

CELL_BY_CELL(pow, float, power)
