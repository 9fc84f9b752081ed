// Softmax of codes over the middle axis of [outer, n, inner], from a table of whole numbers: a sum of them is exact in
// float32 below 2^24, whatever the order, and what follows is one division.
#include "quantized.h"

// The table's numbers for one run of cells, into e; returns their sum. Up to 7 cells behind them become 0.
static f4 powers(float *e, const i8 *x, int n, int inner, const float *table) {
    int top = -128;
    for (int k = 0; k < n; k++) top = larger(top, x[k * inner]);
    for (int k = 0; k < n; k++) e[k] = table[top - x[k * inner]];
    STORE(e + n, SPLAT(0.0f));
    STORE(e + n + 4, SPLAT(0.0f));
    f4 sum = SPLAT(0.0f);
    for (int k = 0; k < n; k += 4) sum = ADD(sum, LOAD(e + k));
    return SPLAT(sum_lanes(sum));
}

// table float32 [256]: e by the distance from the largest code; e: scratch for n + 8 float32. y may be x.
KERNEL(q_softmax)(i8 *y, const i8 *x, int outer, int n, int inner, const float *table, float *e, float inverse,
                  int zero_point, float lo, float hi) {
    Codes c = codes(lo, hi, zero_point);
    f4 factor = SPLAT(inverse);
    for (int i = 0; i < outer; i++, y += n * inner, x += n * inner)
        for (int j = 0; j < inner; j++) {
            f4 sum = powers(e, x + j, n, inner, table);
            for (int k = 0; k < n; k += 8) {
                v128_t left = rounded(MUL(DIV(LOAD(e + k), sum), factor), &c);
                v128_t right = rounded(MUL(DIV(LOAD(e + k + 4), sum), factor), &c);
                i8 eight[16], *to = inner == 1 ? y + k : eight;
                store_codes(to, narrowed(left, right, &c), smaller(8, n - k));
                if (inner > 1)
                    for (int l = 0; l < smaller(8, n - k); l++) y[j + (k + l) * inner] = eight[l];
            }
        }
}

// The same without the last step
KERNEL(q_softmax_f32)(float *y, const i8 *x, int outer, int n, int inner, const float *table, float *e) {
    for (int i = 0; i < outer; i++, y += n * inner, x += n * inner)
        for (int j = 0; j < inner; j++) {
            f4 sum = powers(e, x + j, n, inner, table);
            for (int k = 0; k < n; k += 4) STORE(e + k, DIV(LOAD(e + k), sum));
            for (int k = 0; k < n; k++) y[j + k * inner] = e[k];
        }
}
