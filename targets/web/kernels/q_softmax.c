// Softmax of codes over the middle axis of [outer, n, inner], from a table of whole numbers: a sum of them is exact in
// float32 below 2^24, whatever the order, and what follows is one division.
#include "quantized.h"

// The shares of four neighbours on the axis; lanes past the end hold 0.
INLINE f4 shares(const i8 *x, int top, int inner, int count, const float *table, float sum) {
    float e[4] = {0, 0, 0, 0};
    for (int i = 0; i < smaller(4, count); i++) e[i] = table[top - x[i * inner]];
    return DIV(LOAD(e), SPLAT(sum));
}

INLINE int largest(const i8 *x, int n, int inner) {
    int top = -128;
    for (int k = 0; k < n; k++) top = larger(top, x[k * inner]);
    return top;
}

INLINE float total(const i8 *x, int top, int n, int inner, const float *table) {
    float sum = 0;
    for (int k = 0; k < n; k++) sum += table[top - x[k * inner]];
    return sum;
}

// table float32 [256]: e by the distance from the largest code. y may be x.
KERNEL(q_softmax)(i8 *y, const i8 *x, int outer, int n, int inner, const float *table, float inverse, int zero_point,
                  float lo, float hi) {
    Codes c = codes(lo, hi, zero_point);
    f4 factor = SPLAT(inverse);
    for (int i = 0; i < outer; i++, y += n * inner, x += n * inner)
        for (int j = 0; j < inner; j++) {
            int top = largest(x + j, n, inner);
            float sum = total(x + j, top, n, inner, table);
            for (int k = 0; k < n; k += 4) {
                f4 share = shares(x + j + k * inner, top, inner, n - k, table, sum);
                v128_t code = rounded(MUL(share, factor), &c);
                i8 four[16];
                STORE(four, narrowed(code, code, &c));
                for (int l = 0; l < smaller(4, n - k); l++) y[j + (k + l) * inner] = four[l];
            }
        }
}

// The same without the last step
KERNEL(q_softmax_f32)(float *y, const i8 *x, int outer, int n, int inner, const float *table) {
    for (int i = 0; i < outer; i++, y += n * inner, x += n * inner)
        for (int j = 0; j < inner; j++) {
            int top = largest(x + j, n, inner);
            float sum = total(x + j, top, n, inner, table);
            for (int k = 0; k < n; k += 4) {
                float four[4];
                STORE(four, shares(x + j + k * inner, top, inner, n - k, table, sum));
                for (int l = 0; l < smaller(4, n - k); l++) y[j + (k + l) * inner] = four[l];
            }
        }
}
