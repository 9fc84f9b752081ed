// Softmax and log-softmax over the middle axis of [outer, n, inner]. y may be x. A NaN is not looked for among the
// largest: it makes the sum one.
#include "vmath.h"

// Lanes past the end hold `fill`.
INLINE f4 load_filled(const float *p, int count, float fill) {
    const v128_t lane = wasm_i32x4_make(0, 1, 2, 3);
    return wasm_v128_bitselect(LOAD(p), SPLAT(fill), wasm_i32x4_lt(lane, wasm_i32x4_splat(count)));
}

INLINE void row(float *y, const float *x, int n, int logarithm) {
    const float lowest = -__builtin_inff();
    int whole = n & ~3, rest = n & 3;
    f4 last = load_filled(x + whole, rest, lowest), top = last, sum = SPLAT(0.0f);
    for (int k = 0; k < whole; k += 4) top = wasm_f32x4_pmax(top, LOAD(x + k));
    f4 shift = SPLAT(max_lanes(top));
    for (int k = 0; k < whole; k += 4) {
        f4 shifted = SUB(LOAD(x + k), shift), e = logarithm ? vexp(shifted) : exp_inline(shifted);
        sum = ADD(sum, e);
        if (!logarithm) STORE(y + k, e);
    }
    last = SUB(last, shift);
    f4 e = rest ? vexp(last) : SPLAT(0.0f);
    f4 total = SPLAT(sum_lanes(ADD(sum, e)));
    f4 level = logarithm ? vlog(total) : DIV(SPLAT(1.0f), total);
    for (int k = 0; k < whole; k += 4)
        STORE(y + k, logarithm ? SUB(SUB(LOAD(x + k), shift), level) : MUL(LOAD(y + k), level));
    if (rest) store_lanes(y + whole, logarithm ? SUB(last, level) : MUL(e, level), rest);
}

// Four neighbours on the inner axis at once.
INLINE void columns(float *y, const float *x, int n, int inner, int lanes, int logarithm) {
    f4 top = SPLAT(-__builtin_inff()), sum = SPLAT(0.0f);
    for (int k = 0; k < n; k++) top = wasm_f32x4_pmax(top, LOAD(x + k * inner));
    for (int k = 0; k < n; k++) {
        f4 e = vexp(SUB(LOAD(x + k * inner), top));
        sum = ADD(sum, e);
        if (!logarithm) store_lanes(y + k * inner, e, lanes);
    }
    f4 level = logarithm ? vlog(sum) : DIV(SPLAT(1.0f), sum);
    for (int k = 0; k < n; k++) {
        f4 value = logarithm ? SUB(SUB(LOAD(x + k * inner), top), level) : MUL(LOAD(y + k * inner), level);
        store_lanes(y + k * inner, value, lanes);
    }
}

INLINE void each(float *y, const float *x, int outer, int n, int inner, int logarithm) {
    for (int i = 0; i < outer; i++, y += n * inner, x += n * inner) {
        if (inner == 1) row(y, x, n, logarithm);
        else
            for (int j = 0; j < inner; j += 4) columns(y + j, x + j, n, inner, smaller(4, inner - j), logarithm);
    }
}

KERNEL(softmax)(float *y, const float *x, int outer, int n, int inner) { each(y, x, outer, n, inner, 0); }
KERNEL(log_softmax)(float *y, const float *x, int outer, int n, int inner) { each(y, x, outer, n, inner, 1); }
