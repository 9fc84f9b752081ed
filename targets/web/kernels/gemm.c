// y[M, N] = clamp(x[M, K] · w + bias, lo, hi) over packed panels; and matrix products of two activations.
#include "gemm.h"
#include "tile.h"

#define CACHE_FLOATS 65536  // rows of x that stay in the second-level cache while all panels pass over them
#define WIDE 4              // panels side by side when there is a single row: enough sums in flight to hide latency

__attribute__((noinline)) void store_part(float *y, int stride, const float *whole, int rows, int columns) {
    for (; rows; rows--, y += stride, whole += PANEL)
        for (int c = 0; c < columns; c += 4) store_lanes(y + c, LOAD(whole + c), columns - c);
}

INLINE void tile(int rows, float *y, const float *x, const float *w, const float *bias, int depth, int columns,
                 int x_stride, int y_stride, f4 lo, f4 hi) {
    Acc acc[ROWS];
    const float *xs[ROWS];
#pragma unroll
    for (int r = 0; r < rows; r++) xs[r] = x + r * x_stride;
    tile_start(acc, rows, bias);
    tile_madd(acc, rows, xs, w, depth);
    tile_store(acc, rows, y, y_stride, columns, lo, hi);
}

static void row_times_panels(float *y, const float *x, const float *w, const float *bias, int depth, int n, f4 lo,
                             f4 hi) {
    int column = 0;
    for (; column + WIDE * PANEL <= n; column += WIDE * PANEL, w += WIDE * PANEL * depth) {
        Acc acc[WIDE];
#pragma unroll
        for (int p = 0; p < WIDE; p++) tile_start(&acc[p], 1, bias + column + p * PANEL);
        for (int k = 0; k < depth; k++) {
            f4 value = LOAD_SPLAT(x + k);
#pragma unroll
            for (int p = 0; p < WIDE; p++) {
                const float *at = w + (p * depth + k) * PANEL;
                acc[p].left = MADD(acc[p].left, value, LOAD(at));
                acc[p].right = MADD(acc[p].right, value, LOAD(at + 4));
            }
        }
#pragma unroll
        for (int p = 0; p < WIDE; p++) tile_store(&acc[p], 1, y + column + p * PANEL, 0, PANEL, lo, hi);
    }
    for (; column < n; column += PANEL, w += PANEL * depth)
        tile(1, y + column, x, w, bias + column, depth, smaller(PANEL, n - column), 0, 0, lo, hi);
}

void matrix_product(float *y, const float *x, const float *w, const float *bias, int m, int n, int depth, float low,
                    float high) {
    f4 lo = SPLAT(low), hi = SPLAT(high);
    if (m < ROWS) {
        for (; m; m--, x += depth, y += n) row_times_panels(y, x, w, bias, depth, n, lo, hi);
        return;
    }
    int block = larger(ROWS, CACHE_FLOATS / larger(1, depth) / ROWS * ROWS);
    for (int first = 0; first < m; first += block) {
        int end = smaller(m, first + block);
        for (int column = 0; column < n; column += PANEL)
            for (int row = first; row < end; row += ROWS) {
                int at = smaller(row, m - ROWS);  // the last tile may compute rows again
                tile(ROWS, y + at * n + column, x + at * depth, w + column * depth, bias + column, depth,
                     smaller(PANEL, n - column), depth, n, lo, hi);
            }
    }
}

// x [M, K] · w panels [ceil(N/8)][K][8] + bias [ceil(N/8)*8]  →  y [M, N]
KERNEL(gemm)(float *y, const float *x, const float *w, const float *bias, int m, int n, int depth, float lo, float hi) {
    matrix_product(y, x, w, bias, m, n, depth, lo, hi);
}

typedef struct {
    i32 rank, m, n, depth;  // rank: number of batch axes
    i32 b_row, b_column;    // strides of b in elements: [K, N] has (N, 1), a transposed one (1, K)
    struct { i32 size, a_stride, b_stride; } axes[];
} Matmul;

static void pack(float *panels, const float *b, const Matmul *g) {
    for (int column = 0; column < g->n; column += PANEL)
        for (int k = 0; k < g->depth; k++, panels += PANEL)
            for (int j = 0; j < PANEL; j++)
                panels[j] = column + j < g->n ? b[k * g->b_row + (column + j) * g->b_column] : 0.0f;
}

// a [.., M, K] · b [.., K, N]  →  y [.., M, N]; batch axes broadcast by strides of 0.
// scratch: (K + 1) * ceil(N/8) * 8 floats, for the panels of one matrix and a row of zeros.
KERNEL(matmul)(float *y, const float *a, const float *b, float *scratch, const Matmul *g) {
    int padded = (g->n + PANEL - 1) / PANEL * PANEL, count = 1, packed = -1;
    float *zeros = scratch, *panels = scratch + padded, infinity = __builtin_inff();
    for (int j = 0; j < padded; j++) zeros[j] = 0.0f;
    for (int axis = 0; axis < g->rank; axis++) count *= g->axes[axis].size;
    for (int i = 0; i < count; i++) {
        int rest = i, a_at = 0, b_at = 0;
        for (int axis = g->rank - 1; axis >= 0; axis--) {
            int index = rest % g->axes[axis].size;
            rest /= g->axes[axis].size;
            a_at += index * g->axes[axis].a_stride;
            b_at += index * g->axes[axis].b_stride;
        }
        if (b_at != packed) pack(panels, b + b_at, g), packed = b_at;
        matrix_product(y + i * g->m * g->n, a + a_at, panels, zeros, g->m, g->n, g->depth, -infinity, infinity);
    }
}
