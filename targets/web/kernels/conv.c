// Convolution and transposed convolution, [N, H, W, C] in and out, as matrix products over pointers: for each filter tap
// the tile reads its pixels' channels where they stand, or zeros where a pixel lies in the padding.
#include "tile.h"

typedef struct {
    i32 batch, in_h, in_w, in_c, out_h, out_w, out_c;
    i32 kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left, groups;
} Conv;

#define ZEROS 1024
static float zeros[ZEROS];  // never written; not const, so that it takes no bytes in the file

// One filter tap for a tile of pixels: x[r] is the pixel's channels in the row, or the padding.
INLINE void tap(Acc acc[], int rows, const float *row, const int columns[], int width, int pixel, const float *w,
                int depth) {
    for (int c = 0; c < depth; c += ZEROS) {
        const float *x[ROWS];
#pragma unroll
        for (int r = 0; r < rows; r++)
            x[r] = (uint32_t)columns[r] < (uint32_t)width ? row + columns[r] * pixel + c : zeros;
        tile_madd(acc, rows, x, w + c * PANEL, smaller(ZEROS, depth - c));
    }
}

INLINE void conv_tile(int rows, float *y, const float *x, const float *w, const float *bias, const Conv *g, int depth,
                      int y0, int x0, int columns, f4 lo, f4 hi) {
    Acc acc[ROWS];
    float *ys[ROWS];
    tile_start(acc, rows, bias);
    for (int ky = 0; ky < g->kernel_h; ky++) {
        int row = y0 + ky * g->dilation_h;
        if ((uint32_t)row >= (uint32_t)g->in_h) continue;
        for (int kx = 0; kx < g->kernel_w; kx++) {
            int at[ROWS];
#pragma unroll
            for (int r = 0; r < rows; r++) at[r] = x0 + r * g->stride_w + kx * g->dilation_w;
            tap(acc, rows, x + row * g->in_w * g->in_c, at, g->in_w, g->in_c,
                w + (ky * g->kernel_w + kx) * depth * PANEL, depth);
        }
    }
#pragma unroll
    for (int r = 0; r < rows; r++) ys[r] = y + r * g->out_c;
    tile_store(acc, rows, ys, columns, lo, hi);
}

static void conv_row(float *y, const float *x, const float *w, const float *bias, const Conv *g, int depth, int y0,
                     int columns, f4 lo, f4 hi) {
    int ox = 0;
    for (; ox + ROWS <= g->out_w; ox += ROWS)
        conv_tile(ROWS, y + ox * g->out_c, x, w, bias, g, depth, y0, ox * g->stride_w - g->left, columns, lo, hi);
    for (; ox + 2 <= g->out_w; ox += 2)
        conv_tile(2, y + ox * g->out_c, x, w, bias, g, depth, y0, ox * g->stride_w - g->left, columns, lo, hi);
    if (ox < g->out_w)
        conv_tile(1, y + ox * g->out_c, x, w, bias, g, depth, y0, ox * g->stride_w - g->left, columns, lo, hi);
}

// w [groups][ceil(out_c/groups/8)][kernel_h][kernel_w][in_c/groups][8], bias [groups][ceil(out_c/groups/8)*8]
KERNEL(conv2d)(float *y, const float *x, const float *w, const float *bias, const Conv *g, float low, float high) {
    f4 lo = SPLAT(low), hi = SPLAT(high);
    int depth = g->in_c / g->groups, width = g->out_c / g->groups;
    int panels = (width + PANEL - 1) / PANEL, panel_floats = g->kernel_h * g->kernel_w * depth * PANEL;
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->in_c)
        for (int oy = 0; oy < g->out_h; oy++, y += g->out_w * g->out_c)
            for (int i = 0; i < g->groups * panels; i++) {
                int group = i / panels, column = i % panels * PANEL;
                conv_row(y + group * width + column, x + group * depth, w + i * panel_floats, bias + i * PANEL, g, depth,
                         oy * g->stride_h - g->top, smaller(PANEL, width - column), lo, hi);
            }
}

// Output pixels of one phase (ox ≡ phase mod stride) read the same taps, so a tile takes pixels of one phase.
INLINE void transposed_tile(int rows, float *y, const float *x, const float *w, const float *bias, const Conv *g,
                            int depth, int oy, int ox, int columns, f4 lo, f4 hi) {
    Acc acc[ROWS];
    float *ys[ROWS];
    tile_start(acc, rows, bias);
    for (int ky = 0; ky < g->kernel_h; ky++) {
        int up = oy + g->top - ky * g->dilation_h, row = up / g->stride_h;
        if (up < 0 || up % g->stride_h || row >= g->in_h) continue;
        for (int kx = 0; kx < g->kernel_w; kx++) {
            int left = ox + g->left - kx * g->dilation_w, first = left / g->stride_w;
            if (left % g->stride_w) continue;
            int at[ROWS];
#pragma unroll
            for (int r = 0; r < rows; r++) at[r] = first + r;
            tap(acc, rows, x + row * g->in_w * g->in_c, at, g->in_w, g->in_c,
                w + (ky * g->kernel_w + kx) * depth * PANEL, depth);
        }
    }
#pragma unroll
    for (int r = 0; r < rows; r++) ys[r] = y + (ox + r * g->stride_w) * g->out_c;
    tile_store(acc, rows, ys, columns, lo, hi);
}

static void transposed_row(float *y, const float *x, const float *w, const float *bias, const Conv *g, int depth, int oy,
                           int columns, f4 lo, f4 hi) {
    for (int phase = 0; phase < g->stride_w && phase < g->out_w; phase++) {
        int ox = phase;
        for (; ox + (ROWS - 1) * g->stride_w < g->out_w; ox += ROWS * g->stride_w)
            transposed_tile(ROWS, y, x, w, bias, g, depth, oy, ox, columns, lo, hi);
        for (; ox < g->out_w; ox += g->stride_w) transposed_tile(1, y, x, w, bias, g, depth, oy, ox, columns, lo, hi);
    }
}

// y[oy] = Σ x[iy] · w[ky] over oy = iy * stride - top + ky * dilation. Weights as for conv2d.
KERNEL(conv_transpose2d)(float *y, const float *x, const float *w, const float *bias, const Conv *g, float low,
                         float high) {
    f4 lo = SPLAT(low), hi = SPLAT(high);
    int depth = g->in_c / g->groups, width = g->out_c / g->groups;
    int panels = (width + PANEL - 1) / PANEL, panel_floats = g->kernel_h * g->kernel_w * depth * PANEL;
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->in_c)
        for (int oy = 0; oy < g->out_h; oy++, y += g->out_w * g->out_c)
            for (int i = 0; i < g->groups * panels; i++) {
                int group = i / panels, column = i % panels * PANEL;
                transposed_row(y + group * width + column, x + group * depth, w + i * panel_floats, bias + i * PANEL, g,
                               depth, oy, smaller(PANEL, width - column), lo, hi);
            }
}
