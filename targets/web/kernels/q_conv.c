// Convolution of codes, [N, H, W, C] in and out: each tile reads its pixels where they stand in a widened band of x.
#include "q_tile.h"

// How the rows of a product find their cells where they stand in an image, all in int16 cells.
typedef struct {
    int taps_y, taps_x, step_y, step_x;  // taps, and the cells from one to the next
    int pairs;                           // pairs of neighbouring cells that each tap reads
    int across, next, next_line;         // rows on a line; from one row to the next, and on to the next line
    int columns, stride;                 // columns of the result, and the codes from one of its rows to the next
} QProduct;

INLINE void tile(int rows, i8 *y, const i16 *const x[], const i8 *w, const i32 *bias, const float *factor, int columns,
                 const QProduct *p, const Codes *c) {
    Sums sum[Q_ROWS];
    start(sum, rows, bias);
    for (int ty = 0; ty < p->taps_y; ty++)
        for (int tx = 0; tx < p->taps_x; tx++)
            for (int k = 0, from = ty * p->step_y + tx * p->step_x; k < p->pairs; k++, w += 2 * Q_PANEL) {
                const i16 *at[Q_ROWS];
#pragma unroll
                for (int r = 0; r < rows; r++) at[r] = x[r] + from + 2 * k;
                add_pair(sum, rows, at, w, 0);
            }
    store_sums(sum, rows, y, p->stride, columns, factor, c);
}

// rows of x · panels + bias  →  y [rows, columns] codes
static void product(i8 *y, const i16 *x, const i8 *panels, const i32 *bias, const float *factor, int rows,
                    const QProduct *p, const Codes *c) {
    int panel_bytes = p->taps_y * p->taps_x * p->pairs * 2 * Q_PANEL;
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
            if (count == Q_ROWS) tile(Q_ROWS, to, xs, panels, bias + column, factor + column, columns, p, c);
            else tile(1, to, xs, panels, bias + column, factor + column, columns, p, c);
            r += count;
            to += count * p->stride;
        }
    }
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
                product(y + i * width, scratch + i * depth, w + i * group_bytes, bias + i * panels * Q_PANEL,
                        factor + i * panels * Q_PANEL, count * g->out_w, &p, &c);
            y += count * g->out_w * g->out_c;
        }
}
