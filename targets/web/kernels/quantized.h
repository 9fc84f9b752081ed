// Arithmetic on int8 codes, exact: sums are int32, and a sum becomes a code by one float32 product and one rounding,
//     code = clamp(round_half_even(float32(sum) * factor) + zero_point)
// Codes are centred (less their zero point) and widened to int16 before they are multiplied: two products of int16 and
// their sum are one instruction, i32x4.dot_i16x8_s, and padding is 0.
#pragma once
#include "simd.h"

typedef int8_t i8;
typedef int16_t i16;

#define WIDEN(p) wasm_i16x8_load8x8(p)  // 8 codes as int16
#define DOT(a, b) wasm_i32x4_dot_i16x8((a), (b))
#define PLUS(a, b) wasm_i32x4_add((a), (b))

// What a kernel stores: codes from `lo` on, given less the zero point, up to `hi`.
typedef struct { f4 lo; v128_t shift, hi; } Codes;

// 1.5 * 2^23: a float32 added to it is rounded to a whole number, half to even, which stands in the low bits.
#define WHOLE 12582912.0f
#define WHOLE_BITS 0x4b400000

// lo and hi: the least and the greatest code, less the zero point
INLINE Codes codes(float lo, float hi, int zero_point) {
    return (Codes){SPLAT(lo), wasm_i32x4_splat(WHOLE_BITS - zero_point), wasm_i8x16_splat((int)hi + zero_point)};
}

// Codes of real values counted in steps, as int32 lanes that may be too large: the bits of large floats grow with them,
// so that `narrowed` saturates. `lo` is whole, so clamping there may come before rounding; NaN becomes `lo`.
INLINE v128_t rounded(f4 steps, const Codes *c) {
    return wasm_i32x4_sub(ADD(wasm_f32x4_pmax(c->lo, steps), SPLAT(WHOLE)), c->shift);
}

INLINE v128_t requantized(v128_t sum, f4 factor, const Codes *c) {
    return rounded(MUL(wasm_f32x4_convert_i32x4(sum), factor), c);
}

// Two times eight codes from four vectors of `rounded`
INLINE v128_t narrowed_pair(v128_t a, v128_t b, v128_t p, v128_t q, const Codes *c) {
    return wasm_i8x16_min(wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(a, b), wasm_i16x8_narrow_i32x4(p, q)), c->hi);
}

// Eight codes, in the lower half
INLINE v128_t narrowed(v128_t a, v128_t b, const Codes *c) { return narrowed_pair(a, b, a, b, c); }

// Stores the first `count` (1 to 8) of 8 codes.
INLINE void store_codes(i8 *y, v128_t v, int count) {
    if (count >= 8) { wasm_v128_store64_lane(y, v, 0); return; }
    if (count & 4) { wasm_v128_store32_lane(y, v, 0); y += 4, v = wasm_i64x2_shr(v, 32); }
    if (count & 2) { wasm_v128_store16_lane(y, v, 0); y += 2, v = wasm_i64x2_shr(v, 16); }
    if (count & 1) wasm_v128_store8_lane(y, v, 0);
}

// x [count] codes  →  y int16, centred. Writes up to 7 cells over the end.
void widen(i16 *y, const i8 *x, int count, int zero_point);

// Geometry of a convolution or a depthwise one. A band of the result is computed at a time, from `padded_w` columns of
// as many rows as it looks at, widened into `cells` + 8 int16 of scratch; what lies in the padding is 0 there.
typedef struct {
    i32 batch, in_h, in_w, in_c, out_h, out_w, out_c;
    i32 kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left, groups;
    i32 padded_w, cells, zero_in, zero_out;
} QConv;

// Rows of the result whose band fits into the scratch, at least one
int band_of(const QConv *g);

// The rows of x that `count` rows of the result from `first` on look at  →  y [rows, padded_w, in_c]
void widen_band(i16 *y, const i8 *x, const QConv *g, int first, int count);
