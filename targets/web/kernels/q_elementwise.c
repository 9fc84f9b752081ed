// Codes cell by cell: to and from float32, tables, sums and products with broadcasting.
#include "broadcast.h"
#include "quantized.h"

// y = clamp(round_half_even(x * inverse) + zero_point); lo and hi: the bounds less the zero point
KERNEL(quantize)(i8 *y, const float *x, int count, float inverse, int zero_point, float lo, float hi) {
    Codes c = codes(lo, hi, zero_point);
    f4 factor = SPLAT(inverse);
    for (int i = 0; i < count; i += 8) {
        v128_t left = rounded(MUL(LOAD(x + i), factor), &c), right = rounded(MUL(LOAD(x + i + 4), factor), &c);
        store_codes(y + i, narrowed(left, right, &c), count - i);
    }
}

// y = (x - zero_point) * scale
KERNEL(dequantize)(float *y, const i8 *x, int count, float scale, int zero_point) {
    v128_t zero = wasm_i16x8_splat(zero_point);
    f4 step = SPLAT(scale);
    for (int i = 0; i < count; i += 8) {
        v128_t wide = wasm_i16x8_sub(WIDEN(x + i), zero);
        store_lanes(y + i, MUL(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(wide)), step), count - i);
        if (count - i <= 4) break;
        store_lanes(y + i + 4, MUL(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(wide)), step), count - i - 4);
    }
}

// y = table[x], the table in the order of the codes' bytes: 0 … 127, -128 … -1. y may be x.
KERNEL(lookup)(uint8_t *y, const uint8_t *x, int count, const uint8_t *table) {
    for (int i = 0; i < count; i++) y[i] = table[x[i]];
}

KERNEL(lookup_f32)(float *y, const uint8_t *x, int count, const float *table) {
    for (int i = 0; i < count; i++) y[i] = table[x[i]];
}

// `a` and `b` are 8 centred operands; `left` and `right` what becomes of them, as int32.
#define Q_BINARY(name, weights, left, right)                                                                  \
    KERNEL(name)(i8 *y, const i8 *x0, const i8 *x1, const Broadcast *g, int a_zero, int b_zero, weights       \
                 float factor, int zero_point, float lo, float hi) {                                          \
        Codes c = codes(lo, hi, zero_point);                                                                  \
        f4 step = SPLAT(factor);                                                                              \
        v128_t a_centre = wasm_i16x8_splat(a_zero), b_centre = wasm_i16x8_splat(b_zero);                      \
        for (int i = 0, a_at, b_at; row_at(g, i, &a_at, &b_at); i++, y += g->inner) {                         \
            const i8 *p = x0 + a_at, *q = x1 + b_at;                                                          \
            for (int k = 0; k < g->inner; k += 8) {                                                           \
                v128_t a = wasm_i16x8_sub(g->a_step ? WIDEN(p + k) : wasm_i16x8_splat(*p), a_centre);         \
                v128_t b = wasm_i16x8_sub(g->b_step ? WIDEN(q + k) : wasm_i16x8_splat(*q), b_centre);         \
                store_codes(y + k, narrowed(requantized((left), step, &c), requantized((right), step, &c), &c), \
                            g->inner - k);                                                                    \
            }                                                                                                 \
        }                                                                                                     \
    }

// `weights` are two int16: of a, and in the upper half of b
#define WEIGHTS int weights,
#define WEIGHTED(...) DOT(wasm_i16x8_shuffle(a, b, __VA_ARGS__), wasm_i32x4_splat(weights))
Q_BINARY(q_add, WEIGHTS, WEIGHTED(0, 8, 1, 9, 2, 10, 3, 11), WEIGHTED(4, 12, 5, 13, 6, 14, 7, 15))
Q_BINARY(q_mul, , wasm_i32x4_extmul_low_i16x8(a, b), wasm_i32x4_extmul_high_i16x8(a, b))
