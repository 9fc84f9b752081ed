// 3x3 convolution with stride 1 in fewer products (Winograd F(2x2, 3x3); Lavin & Gray, arXiv:1509.09308): 4x4 cells of x
// and the filters are transformed, 16 products are formed of them where a direct sum takes 36, and what comes out is
// transformed back into 2x2 cells of y. [N, H, W, C] → [N, H', W', C'].
#include "gemm.h"
#include "tile.h"
#include "winograd.h"

// Σ of three filter taps as the transform takes them: g0, (g0 ± g1 + g2) / 2, g2
INLINE void filter_transform(f4 to[4], f4 a, f4 b, f4 c) {
    f4 half = SPLAT(0.5f), ends = MUL(ADD(a, c), half), middle = MUL(b, half);
    to[0] = a, to[1] = ADD(ends, middle), to[2] = SUB(ends, middle), to[3] = c;
}

// w [panels][3][3][depth][8]  →  u [panels][16][depth][8]
KERNEL(winograd_filters)(float *u, const float *w, int panels, int depth) {
    int row = depth * PANEL;
    for (; panels; panels--, u += CELLS * row, w += 9 * row)
        for (int k = 0; k < row; k += 4) {
            f4 across[3][4], down[4];
            for (int y = 0; y < 3; y++) {
                const float *at = w + 3 * y * row + k;
                filter_transform(across[y], LOAD(at), LOAD(at + row), LOAD(at + 2 * row));
            }
            for (int x = 0; x < 4; x++) {
                filter_transform(down, across[0][x], across[1][x], across[2][x]);
                for (int y = 0; y < 4; y++) STORE(u + (4 * y + x) * row + k, down[y]);
            }
        }
}

// The transform of 4x4 cells: of four in a row, a - c, b + c, c - b, b - d. `step` floats between cells of v.
static void tile_in(float *v, const float *const at[CELLS], int depth, int step) {
    for (int k = 0; k < depth; k += 4) {
        f4 down[4][4];
#pragma unroll
        for (int x = 0; x < 4; x++) {
            f4 a = LOAD(at[x] + k), b = LOAD(at[4 + x] + k), c = LOAD(at[8 + x] + k), d = LOAD(at[12 + x] + k);
            down[0][x] = SUB(a, c), down[1][x] = ADD(b, c), down[2][x] = SUB(c, b), down[3][x] = SUB(b, d);
        }
#pragma unroll
        for (int y = 0; y < 4; y++) {
            float *to = v + 4 * y * step + k;
            STORE(to, SUB(down[y][0], down[y][2]));
            STORE(to + step, ADD(down[y][1], down[y][2]));
            STORE(to + 2 * step, SUB(down[y][2], down[y][1]));
            STORE(to + 3 * step, SUB(down[y][1], down[y][3]));
        }
    }
}

// Back to 2x2 cells, half a panel of columns: of four in a row, a + b + c and b - c - d. m [16][step].
INLINE void tile_out(f4 y[4], const float *m, int step) {
    f4 down[2][4];
#pragma unroll
    for (int x = 0; x < 4; x++) {
        const float *at = m + x * step;
        f4 b = LOAD(at + 4 * step), c = LOAD(at + 8 * step);
        down[0][x] = ADD(ADD(LOAD(at), b), c);
        down[1][x] = SUB(SUB(b, c), LOAD(at + 12 * step));
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        y[2 * i] = ADD(ADD(down[i][0], down[i][1]), down[i][2]);
        y[2 * i + 1] = SUB(SUB(down[i][1], down[i][2]), down[i][3]);
    }
}

// The cells of x under each of `count` tiles from `first` on, transformed: v [16][step], [count][depth] of each
static void tiles_in(float *v, const float *x, const float *zeros, const Winograd *g, int first, int count, int step) {
    for (int i = 0; i < count; i++) {
        const float *cells[CELLS];
        int at[CELLS];
        cells_under(at, g, first + i);
        for (int j = 0; j < CELLS; j++) cells[j] = at[j] < 0 ? zeros : x + at[j];
        tile_in(v + i * g->depth, cells, g->depth, step);
    }
}

// One panel of columns of `count` tiles: m [16][count][8] → y
static void tiles_out(float *y, const float *m, const float *bias, const Winograd *g, int first, int count, int columns,
                      f4 lo, f4 hi) {
    for (int i = 0; i < count; i++, m += PANEL) {
        int at[4];
        cells_made(at, g, first + i);
        for (int c = 0; c < columns; c += 4) {
            f4 cells[4], shift = LOAD(bias + c);
            tile_out(cells, m + c, count * PANEL);
            for (int j = 0; j < 4; j++)
                if (at[j] >= 0) store_lanes(y + at[j] + c, clamp(ADD(cells[j], shift), lo, hi), columns - c);
        }
    }
}

// u: what winograd_filters made; bias [panels * 8]. depth: a multiple of 4.
// scratch: block * (16 * depth + 128) + depth + 264 floats
KERNEL(winograd)(float *y, const float *x, const float *u, const float *bias, const Winograd *g, float *scratch,
                 float low, float high) {
    f4 lo = SPLAT(low), hi = SPLAT(high);
    float *zeros = scratch, *m = zeros + larger(g->depth, PANEL), *v = m + g->block * CELLS * PANEL;
    float infinity = __builtin_inff();
    int tiles = (g->out_h + 1) / 2 * tiles_across(g), step = g->block * g->depth + APART;
    for (int c = 0; c < larger(g->depth, PANEL); c++) zeros[c] = 0.0f;
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->depth, y += g->out_h * g->out_w * g->width)
        for (int first = 0; first < tiles; first += g->block) {
            int count = smaller(g->block, tiles - first);
            const float *panel = u;
            tiles_in(v, x, zeros, g, first, count, step);
            for (int column = 0; column < g->width; column += PANEL) {
                for (int j = 0; j < CELLS; j++, panel += g->depth * PANEL)
                    matrix_product(m + j * count * PANEL, v + j * step, panel, zeros, count, PANEL,
                                   g->depth, -infinity, infinity);
                tiles_out(y + column, m, bias + column, g, first, count, smaller(PANEL, g->width - column), lo, hi);
            }
        }
}
