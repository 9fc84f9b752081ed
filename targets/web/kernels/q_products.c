// Products of codes: linear layers, convolutions, and matrices of activations.
#include "q_products.h"

typedef struct { v128_t left, right; } Sums;

INLINE void tile(int rows, int wide, i8 *y, const i16 *const x[], const i8 *w, const i32 *bias, const float *factor,
                 int columns, const QProduct *p, const Codes *c) {
    Sums sum[Q_ROWS];
    v128_t left_bias = LOAD(bias), right_bias = LOAD(bias + 4);
#pragma unroll
    for (int r = 0; r < rows; r++) sum[r].left = left_bias, sum[r].right = right_bias;
    for (int ty = 0; ty < p->taps_y; ty++)
        for (int tx = 0; tx < p->taps_x; tx++) {
            int from = ty * p->step_y + tx * p->step_x;
            const i16 *at[Q_ROWS];
#pragma unroll
            for (int r = 0; r < rows; r++) at[r] = x[r] + from;
            for (int k = 0; k < p->pairs; k++, w += (wide ? 4 : 2) * Q_PANEL) {
                v128_t left = wide ? LOAD(w) : WIDEN(w), right = wide ? LOAD(w + 16) : WIDEN(w + 8);
#pragma unroll
                for (int r = 0; r < rows; r++) {
                    v128_t pair = LOAD_SPLAT(at[r] + 2 * k);
                    sum[r].left = PLUS(sum[r].left, DOT(pair, left));
                    sum[r].right = PLUS(sum[r].right, DOT(pair, right));
                }
            }
        }
    f4 left_factor = LOAD(factor), right_factor = LOAD(factor + 4);
#pragma unroll
    for (int r = 0; r < rows; r++) {
        v128_t left = requantized(sum[r].left, left_factor, c), right = requantized(sum[r].right, right_factor, c);
        store_codes(y + r * p->stride, narrowed(left, right), columns);
    }
}

INLINE void product(int wide, i8 *y, const i16 *x, const i8 *panels, const i32 *bias, const float *factor, int rows,
                    const QProduct *p, const Codes *c) {
    int panel_bytes = p->taps_y * p->taps_x * p->pairs * 2 * Q_PANEL * (wide ? 2 : 1);
    for (int column = 0; column < p->columns; column += Q_PANEL, panels += panel_bytes) {
        int columns = smaller(Q_PANEL, p->columns - column), place = 0;
        i8 *to = y + column;
        const i16 *at = x, *xs[Q_ROWS];
        for (int r = 0; r < rows;) {
            int count = rows - r >= Q_ROWS ? Q_ROWS : 1;
            for (int i = 0; i < count; i++) {
                xs[i] = at;
                at += p->next;
                if (++place == p->across) at += p->next_line, place = 0;
            }
            if (count == Q_ROWS)
                tile(Q_ROWS, wide, to, xs, panels, bias + column, factor + column, columns, p, c);
            else tile(1, wide, to, xs, panels, bias + column, factor + column, columns, p, c);
            r += count;
            to += count * p->stride;
        }
    }
}

void quantized_product(i8 *y, const i16 *x, const void *panels, const i32 *bias, const float *factor, int rows,
                       const QProduct *p, const Codes *c) {
    if (p->wide) product(1, y, x, panels, bias, factor, rows, p, c);
    else product(0, y, x, panels, bias, factor, rows, p, c);
}

// Rows of `depth` cells that `cells` int16 of scratch hold, whole tiles where they hold one
INLINE int block_of(int cells, int depth) {
    int rows = cells / larger(depth, 1);
    return rows >= Q_ROWS ? rows / Q_ROWS * Q_ROWS : larger(rows, 1);
}

// x [m, depth] · panels  →  y [m, columns], `block` rows at a time
static void row_blocks(i8 *y, const i8 *x, const void *panels, const i32 *bias, const float *factor, i16 *scratch,
                       int m, int block, int zero, const QProduct *p, const Codes *c) {
    for (int first = 0; first < m; first += block) {
        int rows = smaller(block, m - first);
        widen(scratch, x + first * p->next, rows * p->next, zero);
        quantized_product(y + first * p->stride, scratch, panels, bias, factor, rows, p, c);
    }
}

typedef struct { i32 m, n, depth, cells, zero_in, zero_out; } QGemm;

// x [M, K] · panels of [N, K] + bias  →  y [M, N]; scratch: `cells` + 8 int16
KERNEL(q_gemm)(i8 *y, const i8 *x, const i8 *w, const i32 *bias, const float *factor, i16 *scratch, const QGemm *g,
               float lo, float hi) {
    Codes c = codes(lo, hi, g->zero_out);
    int block = block_of(g->cells, g->depth);
    QProduct p = {.taps_y = 1, .taps_x = 1, .pairs = (g->depth + 1) / 2, .across = block, .next = g->depth,
                  .columns = g->n, .stride = g->n};
    row_blocks(y, x, w, bias, factor, scratch, g->m, block, g->zero_in, &p, &c);
}

// Taps that stand next to one another and see all channels are one long one.
KERNEL(q_conv2d)(i8 *y, const i8 *x, const i8 *w, const i32 *bias, const float *factor, i16 *scratch, const QConv *g,
                 float lo, float hi) {
    Codes c = codes(lo, hi, g->zero_out);
    int depth = g->in_c / g->groups, width = g->out_c / g->groups, row = g->padded_w * g->in_c;
    int joined = g->groups == 1 && g->dilation_w == 1, panels = (width + Q_PANEL - 1) / Q_PANEL;
    int run = joined ? g->kernel_w * depth : depth;
    QProduct p = {.taps_y = g->kernel_h, .taps_x = joined ? 1 : g->kernel_w, .step_y = g->dilation_h * row,
                  .step_x = g->dilation_w * g->in_c, .pairs = (run + 1) / 2, .across = g->out_w,
                  .next = g->stride_w * g->in_c, .columns = width, .stride = g->out_c};
    p.next_line = g->stride_h * row - g->out_w * p.next;
    int band = band_of(g), group_bytes = panels * p.taps_y * p.taps_x * p.pairs * 2 * Q_PANEL;
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->in_c)
        for (int first = 0; first < g->out_h; first += band) {
            int count = smaller(band, g->out_h - first);
            widen_band(scratch, x, g, first, count);
            for (int i = 0; i < g->groups; i++)
                quantized_product(y + i * width, scratch + i * depth, w + i * group_bytes, bias + i * panels * Q_PANEL,
                                  factor + i * panels * Q_PANEL, count * g->out_w, &p, &c);
            y += count * g->out_w * g->out_c;
        }
}

typedef struct {
    i32 rank, m, n, depth;  // rank: number of batch axes
    i32 b_row, b_column;    // strides of b in codes
    i32 cells, a_zero, b_zero, zero_out;
    struct { i32 size, a_stride, b_stride; } axes[];
} QMatmul;

// b as panels of int16, [ceil(N/8)][pairs][8][2]
static void pack(i16 *panels, const i8 *b, const QMatmul *g) {
    for (int column = 0; column < g->n; column += Q_PANEL)
        for (int k = 0; k < g->depth; k += 2)
            for (int j = 0; j < Q_PANEL; j++)
                for (int i = 0; i < 2; i++)
                    *panels++ = column + j < g->n && k + i < g->depth
                                    ? b[(k + i) * g->b_row + (column + j) * g->b_column] - g->b_zero : 0;
}

// a [.., M, K] · b [.., K, N]  →  y [.., M, N]; batch axes broadcast by strides of 0. Scratch, P being N up to a
// multiple of 8: constants 2 * P of 4 bytes, panels (K up to an even number) * P int16, rows `cells` + 8 int16.
KERNEL(q_matmul)(i8 *y, const i8 *a, const i8 *b, i32 *constants, i16 *panels, i16 *rows, const QMatmul *g,
                 float factor, float lo, float hi) {
    Codes c = codes(lo, hi, g->zero_out);
    int padded = (g->n + Q_PANEL - 1) / Q_PANEL * Q_PANEL, count = 1, packed = -1, block = block_of(g->cells, g->depth);
    float *factors = (float *)(constants + padded);
    for (int j = 0; j < padded; j++) constants[j] = 0, factors[j] = factor;
    QProduct p = {.taps_y = 1, .taps_x = 1, .pairs = (g->depth + 1) / 2, .across = block, .next = g->depth,
                  .columns = g->n, .stride = g->n, .wide = 1};
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
        row_blocks(y + i * g->m * g->n, a + a_at, panels, constants, factors, rows, g->m, block, g->a_zero, &p, &c);
    }
}
