// The inner tile that matrix products and convolutions share: up to ROWS rows times 8 output columns.
//
// Packed weights: panels of 8 columns, [panels][depth][8]; the last panel is filled up with zeros. The bias is filled
// up likewise, so that the tile never asks how many columns are real until it stores.
#pragma once
#include "simd.h"

#define ROWS 4  // more sums than these and their operands do not stay in the 16 vector registers of x86
#define PANEL 8

typedef struct { f4 left, right; } Acc;

INLINE void tile_start(Acc acc[], int rows, const float *bias) {
    f4 left = LOAD(bias), right = LOAD(bias + 4);
#pragma unroll
    for (int r = 0; r < rows; r++) acc[r].left = left, acc[r].right = right;
}

// acc[r] += Σ_k x[r][k] * w[k][0..7]
INLINE void tile_madd(Acc acc[], int rows, const float *const x[], const float *w, int depth) {
    for (int k = 0; k < depth; k++, w += PANEL) {
        f4 left = LOAD(w), right = LOAD(w + 4);
#pragma unroll
        for (int r = 0; r < rows; r++) {
            f4 value = LOAD_SPLAT(x[r] + k);
            acc[r].left = MADD(acc[r].left, value, left);
            acc[r].right = MADD(acc[r].right, value, right);
        }
    }
}

// Stores rows of fewer than 8 columns, which come as [rows][8]. In gemm.c.
void store_part(float *y, int stride, const float *whole, int rows, int columns);

// Writes `columns` (1 to 8) columns of each row, clamped to [lo, hi]; y has `stride` floats from row to row.
INLINE void tile_store(Acc acc[], int rows, float *y, int stride, int columns, f4 lo, f4 hi) {
    float whole[ROWS * PANEL], *to = columns == PANEL ? y : whole;
    int step = columns == PANEL ? stride : PANEL;
#pragma unroll
    for (int r = 0; r < rows; r++) {
        STORE(to + r * step, clamp(acc[r].left, lo, hi));
        STORE(to + r * step + 4, clamp(acc[r].right, lo, hi));
    }
    if (columns < PANEL) store_part(y, stride, whole, rows, columns);
}
