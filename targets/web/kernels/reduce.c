// Reductions over the middle axis of [outer, n, inner]  →  [outer, inner], and layer normalisation.
#include "simd.h"

// Sums run in blocks of this many terms, whose results are summed in turn: the error grows with √(n / BLOCK), not √n.
#define BLOCK 64

typedef enum { SUM, MEAN, MAX, MIN } Kind;

INLINE f4 joined(Kind kind, f4 a, f4 b) {
    return kind == MAX ? wasm_f32x4_max(a, b) : kind == MIN ? wasm_f32x4_min(a, b) : ADD(a, b);
}

INLINE f4 start_of(Kind kind) {
    return SPLAT(kind == MAX ? -__builtin_inff() : kind == MIN ? __builtin_inff() : 0.0f);
}

INLINE float joined_lanes(Kind kind, f4 v) {
    if (kind == SUM || kind == MEAN) return sum_lanes(v);
    return kind == MAX ? max_lanes(v) : -max_lanes(wasm_f32x4_neg(v));
}

// Columns j..j+3 of [n, inner]
INLINE f4 column(Kind kind, const float *x, int n, int inner) {
    f4 total = start_of(kind);
    for (int first = 0; first < n; first += BLOCK) {
        f4 part = start_of(kind);
        int end = smaller(n, first + BLOCK);
        for (int k = first; k < end; k++) part = joined(kind, part, LOAD(x + k * inner));
        total = joined(kind, total, part);
    }
    return kind == MEAN ? DIV(total, SPLAT((float)n)) : total;
}

INLINE float run(Kind kind, const float *x, int n) {
    f4 total = start_of(kind);
    int k = 0;
    while (k + 4 <= n) {
        f4 part = start_of(kind);
        int end = smaller(n, k + 4 * BLOCK);
        for (; k + 4 <= end; k += 4) part = joined(kind, part, LOAD(x + k));
        total = joined(kind, total, part);
    }
    for (; k < n; k++) total = joined(kind, total, wasm_f32x4_replace_lane(start_of(kind), 0, x[k]));
    float result = joined_lanes(kind, total);
    return kind == MEAN ? result / (float)n : result;
}

INLINE void reduce(Kind kind, float *y, const float *x, int outer, int n, int inner) {
    for (int i = 0; i < outer; i++, x += n * inner, y += inner) {
        if (inner == 1) *y = run(kind, x, n);
        else
            for (int j = 0; j < inner; j += 4) store_lanes(y + j, column(kind, x + j, n, inner), inner - j);
    }
}

KERNEL(reduce_sum)(float *y, const float *x, int outer, int n, int inner) { reduce(SUM, y, x, outer, n, inner); }
KERNEL(reduce_mean)(float *y, const float *x, int outer, int n, int inner) { reduce(MEAN, y, x, outer, n, inner); }
KERNEL(reduce_max)(float *y, const float *x, int outer, int n, int inner) { reduce(MAX, y, x, outer, n, inner); }
KERNEL(reduce_min)(float *y, const float *x, int outer, int n, int inner) { reduce(MIN, y, x, outer, n, inner); }

// x [rows, n]  →  (x - mean) / √(variance + epsilon) * weight + bias. y may be x.
KERNEL(layer_norm)(float *y, const float *x, const float *weight, const float *bias, int rows, int n, float epsilon) {
    for (int i = 0; i < rows; i++, x += n, y += n) {
        float mean = run(SUM, x, n) / (float)n;
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
}
