// 3x3 convolution of codes with stride 1 in fewer products, exact: filters are transformed times two along each axis, so
// that the sums are four times those of a direct one, in integers. [N, H, W, C] → [N, H', W', C'].
#include "q_tile.h"
#include "winograd.h"

#define ADD16(a, b) wasm_i16x8_add((a), (b))
#define SUB16(a, b) wasm_i16x8_sub((a), (b))
#define MINUS(a, b) wasm_i32x4_sub((a), (b))

// 2 g0, g0 ± g1 + g2, 2 g2
INLINE void filter_transform(v128_t to[4], v128_t a, v128_t b, v128_t c) {
    v128_t ends = ADD16(a, c);
    to[0] = ADD16(a, a), to[1] = ADD16(ends, b), to[2] = SUB16(ends, b), to[3] = ADD16(c, c);
}

// w [panels][3][3][pairs][8][2]  →  u int16 [panels][16][pairs][8][2]; depth: an even number
KERNEL(q_winograd_filters)(i16 *u, const i8 *w, int panels, int depth) {
    int row = depth * Q_PANEL;
    for (; panels; panels--, u += CELLS * row, w += 9 * row)
        for (int k = 0; k < row; k += 8) {
            v128_t across[3][4], down[4];
            for (int y = 0; y < 3; y++) {
                const i8 *at = w + 3 * y * row + k;
                filter_transform(across[y], WIDEN(at), WIDEN(at + row), WIDEN(at + 2 * row));
            }
            for (int x = 0; x < 4; x++) {
                filter_transform(down, across[0][x], across[1][x], across[2][x]);
                for (int y = 0; y < 4; y++) STORE(u + (4 * y + x) * row + k, down[y]);
            }
        }
}

// 4x4 cells of codes, transformed: of four in a row, a - c, b + c, c - b, b - d. `step` int16 between cells of v. The zero
// point falls out of all differences; four of it are in the sum of sums.
static void tile_in(i16 *v, const i8 *const at[CELLS], int depth, int step, int zero_point) {
    v128_t zeros = wasm_i16x8_splat(4 * zero_point);
    for (int k = 0; k < depth; k += 8) {
        v128_t down[4][4];
#pragma unroll
        for (int x = 0; x < 4; x++) {
            v128_t a = WIDEN(at[x] + k), b = WIDEN(at[4 + x] + k), c = WIDEN(at[8 + x] + k), d = WIDEN(at[12 + x] + k);
            down[0][x] = SUB16(a, c), down[1][x] = ADD16(b, c), down[2][x] = SUB16(c, b), down[3][x] = SUB16(b, d);
        }
#pragma unroll
        for (int y = 0; y < 4; y++) {
            i16 *to = v + 4 * y * step + k;
            STORE(to, SUB16(down[y][0], down[y][2]));
            v128_t both = ADD16(down[y][1], down[y][2]);
            STORE(to + step, y == 1 ? SUB16(both, zeros) : both);
            STORE(to + 2 * step, SUB16(down[y][2], down[y][1]));
            STORE(to + 3 * step, SUB16(down[y][1], down[y][3]));
        }
    }
}

// x [rows, depth] · one panel  →  sums [rows][8]; rows: a multiple of Q_ROWS
static __attribute__((noinline)) void sums_of(i32 *sums, const i16 *x, const i16 *panel, int rows, int depth) {
    static const i32 zeros[Q_PANEL];
    for (; rows; rows -= Q_ROWS, x += Q_ROWS * depth) {
        Sums sum[Q_ROWS];
        start(sum, Q_ROWS, zeros);
        const i8 *w = (const i8 *)panel;
        for (int k = 0; k < depth; k += 2, w += 4 * Q_PANEL) {
            const i16 *at[Q_ROWS];
#pragma unroll
            for (int r = 0; r < Q_ROWS; r++) at[r] = x + r * depth + k;
            add_pair(sum, Q_ROWS, at, w, 1);
        }
#pragma unroll
        for (int r = 0; r < Q_ROWS; r++, sums += Q_PANEL) STORE(sums, sum[r].left), STORE(sums + 4, sum[r].right);
    }
}

// Back to 2x2 cells, half a panel of columns: of four in a row, a + b + c and b - c - d; a quarter of that, and the bias.
INLINE void tile_out(v128_t y[4], const i32 *m, int step, v128_t bias) {
    v128_t down[2][4];
#pragma unroll
    for (int x = 0; x < 4; x++) {
        const i32 *at = m + x * step;
        v128_t b = LOAD(at + 4 * step), c = LOAD(at + 8 * step);
        down[0][x] = PLUS(PLUS(LOAD(at), b), c);
        down[1][x] = MINUS(MINUS(b, c), LOAD(at + 12 * step));
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        y[2 * i] = PLUS(wasm_i32x4_shr(PLUS(PLUS(down[i][0], down[i][1]), down[i][2]), 2), bias);
        y[2 * i + 1] = PLUS(wasm_i32x4_shr(MINUS(MINUS(down[i][1], down[i][2]), down[i][3]), 2), bias);
    }
}

// One panel of columns of `count` tiles: m [16][block][8] → y
static void tiles_out(i8 *y, const i32 *m, const i32 *bias, const float *factor, const Winograd *g, int first, int count,
                      int columns, const Codes *c) {
    for (int i = 0; i < count; i++, m += Q_PANEL) {
        v128_t left[4], right[4];
        int at[4];
        cells_made(at, g, first + i);
        tile_out(left, m, g->block * Q_PANEL, LOAD(bias));
        tile_out(right, m + 4, g->block * Q_PANEL, LOAD(bias + 4));
        for (int j = 0; j < 4; j++) {
            if (at[j] < 0) continue;
            v128_t a = requantized(left[j], LOAD(factor), c), b = requantized(right[j], LOAD(factor + 4), c);
            store_codes(y + at[j], narrowed(a, b, c), columns);
        }
    }
}

// u: what q_winograd_filters made; bias int32 and factor float32 [panels * 8]. depth: a multiple of 8, block of 4.
// m: scratch of block * 128 int32; v: of (block * depth + 32) * 16 int16; padding: of depth bytes
KERNEL(q_winograd)(i8 *y, const i8 *x, const i16 *u, const i32 *bias, const float *factor, const Winograd *g, i32 *m,
                   i16 *v, i8 *padding, float lo, float hi) {
    Codes c = codes(lo, hi, g->zero_out);
    int tiles = (g->out_h + 1) / 2 * tiles_across(g), depth = g->depth, step = g->block * depth + 2 * APART;
    __builtin_memset(padding, g->zero_in, depth);
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * depth, y += g->out_h * g->out_w * g->width)
        for (int first = 0; first < tiles; first += g->block) {
            int count = smaller(g->block, tiles - first), rows = (count + Q_ROWS - 1) / Q_ROWS * Q_ROWS;
            const i16 *panel = u;
            for (int i = 0; i < count; i++) {
                const i8 *cells[CELLS];
                int at[CELLS];
                cells_under(at, g, first + i);
                for (int j = 0; j < CELLS; j++) cells[j] = at[j] < 0 ? padding : x + at[j];
                tile_in(v + i * depth, cells, depth, step, g->zero_in);
            }
            for (int column = 0; column < g->width; column += Q_PANEL) {
                for (int j = 0; j < CELLS; j++, panel += depth * Q_PANEL)
                    sums_of(m + j * g->block * Q_PANEL, v + j * step, panel, rows, depth);
                tiles_out(y + column, m, bias + column, factor + column, g, first, count,
                          smaller(Q_PANEL, g->width - column), &c);
            }
        }
}
