// What every kernel file shares: vector names, the multiply-add that the relaxed build may fuse, partial stores.
//
// Tensors are dense and row-major; images are [batch, height, width, channels]. Activations stand at any 4-byte
// boundary; the planner keeps SLACK readable bytes behind each of them, so that a vector load may run over the end.
#pragma once
#include <wasm_simd128.h>
#include <stdint.h>

#define KERNEL(name) __attribute__((export_name(#name))) void name
#define CHECKED_KERNEL(name) __attribute__((export_name(#name))) int name
#define INLINE static inline __attribute__((always_inline))

typedef v128_t f4;
typedef int32_t i32;

#ifdef __wasm_relaxed_simd__
#define MADD(acc, a, b) wasm_f32x4_relaxed_madd((a), (b), (acc))
#else
#define MADD(acc, a, b) wasm_f32x4_add((acc), wasm_f32x4_mul((a), (b)))
#endif

#define LOAD(p) wasm_v128_load(p)
#define STORE(p, v) wasm_v128_store((p), (v))
#define SPLAT(x) wasm_f32x4_splat(x)
#define LOAD_SPLAT(p) wasm_v128_load32_splat(p)
#define ADD(a, b) wasm_f32x4_add((a), (b))
#define SUB(a, b) wasm_f32x4_sub((a), (b))
#define MUL(a, b) wasm_f32x4_mul((a), (b))
#define DIV(a, b) wasm_f32x4_div((a), (b))

// A constant in four lanes. The compiler does not see which: it would write all 16 bytes, 18 of WebAssembly, into the
// loop, where engines put them together anew for each vector; this is 7 in front of it.
// Where CONSTANTS_IN_CODE is defined, they are written out (lanes.c), for those who take the code apart.
INLINE f4 constant(float value) {
#ifndef CONSTANTS_IN_CODE
    __asm__("" : "+r"(value));
#endif
    return SPLAT(value);
}

// min(max(x, lo), hi) that lets NaN through: pmin/pmax return the first operand unless the comparison holds.
INLINE f4 clamp(f4 x, f4 lo, f4 hi) { return wasm_f32x4_pmin(wasm_f32x4_pmax(x, lo), hi); }

// Stores the first `count` (1 to 4) lanes.
INLINE void store_lanes(float *p, f4 v, int count) {
    if (count >= 4) { STORE(p, v); return; }
    p[0] = wasm_f32x4_extract_lane(v, 0);
    if (count > 1) p[1] = wasm_f32x4_extract_lane(v, 1);
    if (count > 2) p[2] = wasm_f32x4_extract_lane(v, 2);
}

INLINE float sum_lanes(f4 v) {
    return (wasm_f32x4_extract_lane(v, 0) + wasm_f32x4_extract_lane(v, 2)) +
           (wasm_f32x4_extract_lane(v, 1) + wasm_f32x4_extract_lane(v, 3));
}

// The larger one; NaN if either is NaN.
INLINE float max_of(float a, float b) { return wasm_f32x4_extract_lane(wasm_f32x4_max(SPLAT(a), SPLAT(b)), 0); }

INLINE float max_lanes(f4 v) {
    f4 m = wasm_f32x4_max(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    m = wasm_f32x4_max(m, wasm_i32x4_shuffle(m, m, 1, 0, 3, 2));
    return wasm_f32x4_extract_lane(m, 0);
}

INLINE int smaller(int a, int b) { return a < b ? a : b; }
INLINE int larger(int a, int b) { return a > b ? a : b; }
