// Reductions over the middle axis of [outer, n, inner]  →  [outer, inner], and layer normalisation.
#include "simd.h"

// Sums run in float32 over blocks of this many terms; the blocks' results are summed in float64.
#define BLOCK 64

typedef enum { MAX, MIN } Kind;

INLINE f4 joined(Kind kind, f4 a, f4 b) { return kind == MAX ? wasm_f32x4_max(a, b) : wasm_f32x4_min(a, b); }

// Columns j..j+3 of [n, inner]
INLINE f4 column_end(Kind kind, const float *x, int n, int inner) {
    f4 best = LOAD(x);
    for (int k = 1; k < n; k++) best = joined(kind, best, LOAD(x + k * inner));
    return best;
}

INLINE float run_end(Kind kind, const float *x, int n) {
    f4 best = LOAD_SPLAT(x);
    for (int k = 0; k + 4 <= n; k += 4) best = joined(kind, best, LOAD(x + k));
    for (int k = n & ~3; k < n; k++) best = joined(kind, best, LOAD_SPLAT(x + k));
    return kind == MAX ? max_lanes(best) : -max_lanes(wasm_f32x4_neg(best));
}

INLINE void ends(Kind kind, float *y, const float *x, int outer, int n, int inner) {
    for (int i = 0; i < outer; i++, x += n * inner, y += inner) {
        if (inner == 1) *y = run_end(kind, x, n);
        else
            for (int j = 0; j < inner; j += 4) store_lanes(y + j, column_end(kind, x + j, n, inner), inner - j);
    }
}

// Four sums of `n` vectors that stand `step` floats apart
static f4 sums(const float *x, int n, int step, double divisor) {
    v128_t low = wasm_f64x2_splat(0), high = low, by = wasm_f64x2_splat(divisor);
    for (int k = 0; k < n;) {
        f4 part = SPLAT(0.0f);
        for (int end = smaller(n, k + BLOCK); k < end; k++) part = ADD(part, LOAD(x + k * step));
        low = wasm_f64x2_add(low, wasm_f64x2_promote_low_f32x4(part));
        high = wasm_f64x2_add(high, wasm_f64x2_promote_low_f32x4(wasm_i64x2_shuffle(part, part, 1, 1)));
    }
    low = wasm_f32x4_demote_f64x2_zero(wasm_f64x2_div(low, by));
    high = wasm_f32x4_demote_f64x2_zero(wasm_f64x2_div(high, by));
    return wasm_i64x2_shuffle(low, high, 0, 2);
}

static float run_sum(const float *x, int n, double divisor) {
    float total = sum_lanes(sums(x, n / 4, 4, divisor)), rest = 0;
    for (int k = n & ~3; k < n; k++) rest += x[k];
    return total + (float)(rest / divisor);
}

static void totals(float *y, const float *x, int outer, int n, int inner, double divisor) {
    for (int i = 0; i < outer; i++, x += n * inner, y += inner) {
        if (inner == 1) *y = run_sum(x, n, divisor);
        else
            for (int j = 0; j < inner; j += 4) store_lanes(y + j, sums(x + j, n, inner, divisor), inner - j);
    }
}

KERNEL(reduce_sum)(float *y, const float *x, int outer, int n, int inner) { totals(y, x, outer, n, inner, 1); }
KERNEL(reduce_mean)(float *y, const float *x, int outer, int n, int inner) { totals(y, x, outer, n, inner, n); }
KERNEL(reduce_max)(float *y, const float *x, int outer, int n, int inner) { ends(MAX, y, x, outer, n, inner); }
KERNEL(reduce_min)(float *y, const float *x, int outer, int n, int inner) { ends(MIN, y, x, outer, n, inner); }

KERNEL(reduce_prod)(float *y, const float *x, int outer, int n, int inner) {
    for (int i = 0; i < outer; i++, x += n * inner)
        for (int j = 0; j < inner; j++) {
            double product = 1;
            for (int k = 0; k < n; k++) product *= x[k * inner + j];
            *y++ = (float)product;
        }
}

#define REDUCE_I32(name, start, expression)                                             \
    KERNEL(name)(i32 *y, const i32 *x, int outer, int n, int inner) {                   \
        for (int i = 0; i < outer; i++, x += n * inner)                                 \
            for (int j = 0; j < inner; j++) {                                           \
                i32 a = (start);                                                        \
                for (int k = 0; k < n; k++) {                                           \
                    i32 b = x[k * inner + j];                                           \
                    a = (expression);                                                   \
                }                                                                       \
                *y++ = a;                                                               \
            }                                                                           \
    }

REDUCE_I32(reduce_sum_i32, 0, (i32)((uint32_t)a + (uint32_t)b))
REDUCE_I32(reduce_prod_i32, 1, (i32)((uint32_t)a * (uint32_t)b))
REDUCE_I32(reduce_max_i32, x[j], larger(a, b))
REDUCE_I32(reduce_min_i32, x[j], smaller(a, b))

static void norm(float *y, const float *x, const float *weight, const float *bias, int n, float epsilon) {
    float mean = run_sum(x, n, n);
    f4 middle = SPLAT(mean), squares = SPLAT(0.0f);
    int k = 0;
    for (; k + 4 <= n; k += 4) {
        f4 d = SUB(LOAD(x + k), middle);
        squares = MADD(squares, d, d);
    }
    float variance = sum_lanes(squares);
    for (; k < n; k++) variance += (x[k] - mean) * (x[k] - mean);
    f4 scale = SPLAT(1.0f / __builtin_sqrtf(variance / (float)n + epsilon));
    for (k = 0; k < n; k += 4) {
        f4 d = MUL(SUB(LOAD(x + k), middle), scale);
        store_lanes(y + k, MADD(LOAD(bias + k), d, LOAD(weight + k)), n - k);
    }
}

// x [rows, n]  →  (x - mean) / √(variance + epsilon) * weight + bias. y may be x.
KERNEL(layer_norm)(float *y, const float *x, const float *weight, const float *bias, int rows, int n, float epsilon) {
    for (; rows; rows--, x += n, y += n) norm(y, x, weight, bias, n, epsilon);
}

// The same of sum = a + b, which may be a, b or y.
KERNEL(add_layer_norm)(float *y, float *sum, const float *a, const float *b, const float *weight, const float *bias,
                       int rows, int n, float epsilon) {
    for (; rows; rows--, a += n, b += n, sum += n, y += n) {
        for (int k = 0; k < n; k += 4) store_lanes(sum + k, ADD(LOAD(a + k), LOAD(b + k)), n - k);
        norm(y, sum, weight, bias, n, epsilon);
    }
}
