// Matrix products of codes: linear layers, pixelwise convolutions, and products of two activations.
#include "q_tile.h"

// x [rows, depth]  →  its rows in groups of 4 or 8, pair after pair: [rows/group][pairs][group][2] int16, centred. Rows
// beyond the last repeat it. Writes up to 6 * group cells over the end.
static void widen_tiles(i16 *y, const i8 *x, int rows, int depth, int zero_point, int group) {
    v128_t zero = wasm_i16x8_splat(zero_point);
    int pairs = (depth + 1) / 2, up = (rows + group - 1) / group * group;
    for (int first = 0; first < up; first += 4) {
        i16 *tile = y + first / group * group * pairs * 2 + first % group * 2;
        for (int k = 0; k < depth; k += 8) {
            v128_t row[4];
#pragma unroll
            for (int r = 0; r < 4; r++)
                row[r] = wasm_i16x8_sub(WIDEN(x + smaller(first + r, rows - 1) * depth + k), zero);
            v128_t low = wasm_i32x4_shuffle(row[0], row[1], 0, 4, 1, 5);
            v128_t high = wasm_i32x4_shuffle(row[2], row[3], 0, 4, 1, 5);
            i16 *to = tile + k * group;
            STORE(to, wasm_i64x2_shuffle(low, high, 0, 2));
            STORE(to + 2 * group, wasm_i64x2_shuffle(low, high, 1, 3));
            low = wasm_i32x4_shuffle(row[0], row[1], 2, 6, 3, 7), high = wasm_i32x4_shuffle(row[2], row[3], 2, 6, 3, 7);
            STORE(to + 4 * group, wasm_i64x2_shuffle(low, high, 0, 2));
            STORE(to + 6 * group, wasm_i64x2_shuffle(low, high, 1, 3));
        }
    }
}

// `rows` (1 to 4) rows of a tile, whose cells stand `group` to a pair, times one panel
INLINE void tile(int group, int wide, i8 *y, const i16 *x, const i8 *w, const i32 *bias, const float *factor, int rows,
                 int pairs, int stride, int columns, const Codes *c) {
    Sums sum[Q_ROWS];
    start(sum, group, bias);
    for (int k = 0; k < pairs; k++, x += 2 * group, w += (wide ? 4 : 2) * Q_PANEL) {
        const i16 *at[Q_ROWS];
#pragma unroll
        for (int r = 0; r < group; r++) at[r] = x + 2 * r;
        add_pair(sum, group, at, w, wide);
    }
    if (rows == group) store_sums(sum, group, y, stride, columns, factor, c);
    else
        for (int r = 0; r < rows; r++) store_sums(sum + r, 1, y + r * stride, 0, columns, factor, c);
}

typedef struct { i32 m, n, depth, cells, zero_in, zero_out; } QGemm;

// x [M, K] · panels  →  y [M, N], as many rows at a time as the scratch holds
INLINE void blocks(int wide, i8 *y, const i8 *x, const i8 *w, const i32 *bias, const float *factor, i16 *scratch,
                   const QGemm *g, const Codes *c) {
    int pairs = (g->depth + 1) / 2, block = larger(g->cells / larger(pairs * 2, 1) / Q_ROWS, 1) * Q_ROWS;
    for (int first = 0; first < g->m; first += block, x += block * g->depth, y += block * g->n) {
        int rows = smaller(block, g->m - first);
        widen_tiles(scratch, x, rows, g->depth, g->zero_in, Q_ROWS);
        const i8 *panel = w;
        for (int column = 0; column < g->n; column += Q_PANEL, panel += pairs * (wide ? 4 : 2) * Q_PANEL)
            for (int r = 0; r < rows; r += Q_ROWS)
                tile(Q_ROWS, wide, y + r * g->n + column, scratch + r * pairs * 2, panel, bias + column,
                     factor + column, smaller(Q_ROWS, rows - r), pairs, g->n, smaller(Q_PANEL, g->n - column), c);
    }
}

// x [M, K] · panels of [N, K] + bias  →  y [M, N]; scratch: `cells` + 24 int16, of at least one tile of rows
KERNEL(q_gemm)(i8 *y, const i8 *x, const i8 *w, const i32 *bias, const float *factor, i16 *scratch, const QGemm *g,
               float lo, float hi) {
    Codes c = codes(lo, hi, g->zero_out);
    if (g->m > 1) { blocks(0, y, x, w, bias, factor, scratch, g, &c); return; }
    int pairs = (g->depth + 1) / 2;
    widen(scratch, x, g->depth, g->zero_in);
    for (int column = 0; column < g->n; column += Q_PANEL, w += pairs * 2 * Q_PANEL)
        tile(1, 0, y + column, scratch, w, bias + column, factor + column, 1, pairs, 0,
             smaller(Q_PANEL, g->n - column), &c);
}

typedef struct {
    i32 rank, m, n, depth;  // rank: number of batch axes
    i32 b_row, b_column;    // strides of b in codes
    i32 cells, a_zero, b_zero, zero_out;
    struct { i32 size, a_stride, b_stride; } axes[];
} QMatmul;

// b as panels of int16, [ceil(N/8)][pairs][8][2]. The partner of the last of an odd number of rows is 0, because what
// stands there for a is whatever comes next.
static void pack(i16 *panels, const i8 *b, const QMatmul *g) {
    v128_t zero = wasm_i16x8_splat(g->b_zero), none = wasm_i16x8_splat(0);
    int pairs = (g->depth + 1) / 2;
    if (g->b_column != 1) {
        widen_tiles(panels, b, g->n, g->depth, g->b_zero, Q_PANEL);
        for (int column = 0; g->depth % 2 && column < g->n; column += Q_PANEL)
            for (int j = 0; j < Q_PANEL; j++) panels[((column / Q_PANEL + 1) * pairs - 1) * 2 * Q_PANEL + 2 * j + 1] = 0;
        return;
    }
    for (int column = 0; column < g->n; column += Q_PANEL)
        for (int k = 0; k < g->depth; k += 2, panels += 2 * Q_PANEL) {
            const i8 *row = b + k * g->b_row + column;
            v128_t first = wasm_i16x8_sub(WIDEN(row), zero);
            v128_t second = k + 1 < g->depth ? wasm_i16x8_sub(WIDEN(row + g->b_row), zero) : none;
            STORE(panels, wasm_i16x8_shuffle(first, second, 0, 8, 1, 9, 2, 10, 3, 11));
            STORE(panels + 8, wasm_i16x8_shuffle(first, second, 4, 12, 5, 13, 6, 14, 7, 15));
        }
}

// a [.., M, K] · b [.., K, N]  →  y [.., M, N]; batch axes broadcast by strides of 0. Scratch, P being N up to a
// multiple of 8: constants 2 * P of 4 bytes, panels (K up to an even number) * P + 48 int16, rows as for q_gemm.
KERNEL(q_matmul)(i8 *y, const i8 *a, const i8 *b, i32 *constants, i16 *panels, i16 *rows, const QMatmul *g,
                 float factor, float lo, float hi) {
    Codes c = codes(lo, hi, g->zero_out);
    int padded = (g->n + Q_PANEL - 1) / Q_PANEL * Q_PANEL, count = 1, packed = -1;
    float *factors = (float *)(constants + padded);
    for (int j = 0; j < padded; j++) constants[j] = 0, factors[j] = factor;
    QGemm each = {g->m, g->n, g->depth, g->cells, g->a_zero, g->zero_out};
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
        blocks(1, y + i * g->m * g->n, a + a_at, (const i8 *)panels, constants, factors, rows, &each, &c);
    }
}
