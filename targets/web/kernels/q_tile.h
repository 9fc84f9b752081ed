// What the tiles of quantized products share: up to Q_ROWS rows times 8 columns of sums, and how they become codes.
//
// Packed weights: panels of 8 columns, [panels][taps][pairs][8][2], of each column the weights of a pair of cells: int8,
// or int16 where they are activations (`wide`). The last panel is filled up with zeros, and so are bias and factor.
#pragma once
#include "quantized.h"

#define Q_ROWS 4  // more sums and their operands do not stay in the registers of x86
#define Q_PANEL 8

typedef struct { v128_t left, right; } Sums;

INLINE void start(Sums sum[], int rows, const i32 *bias) {
    v128_t left = LOAD(bias), right = LOAD(bias + 4);
#pragma unroll
    for (int r = 0; r < rows; r++) sum[r].left = left, sum[r].right = right;
}

// sum[r] += the pair at x[r] · the weights of the 8 columns at w
INLINE void add_pair(Sums sum[], int rows, const i16 *const x[], const i8 *w, int wide) {
    v128_t left = wide ? LOAD(w) : WIDEN(w), right = wide ? LOAD(w + 16) : WIDEN(w + 8);
#pragma unroll
    for (int r = 0; r < rows; r++) {
        v128_t pair = LOAD_SPLAT(x[r]);
        sum[r].left = PLUS(sum[r].left, DOT(pair, left));
        sum[r].right = PLUS(sum[r].right, DOT(pair, right));
    }
}

// Writes `columns` (1 to 8) codes of each row.
INLINE void store_sums(const Sums sum[], int rows, i8 *y, int stride, int columns, const float *factor, const Codes *c) {
    f4 left = LOAD(factor), right = LOAD(factor + 4);
#pragma unroll
    for (int r = 0; r < rows; r += 2) {
        int next = smaller(r + 1, rows - 1);
        v128_t both = narrowed_pair(requantized(sum[r].left, left, c), requantized(sum[r].right, right, c),
                                    requantized(sum[next].left, left, c), requantized(sum[next].right, right, c), c);
        store_codes(y + r * stride, both, columns);
        if (next > r) store_codes(y + next * stride, wasm_i64x2_shuffle(both, both, 1, 1), columns);
    }
}
