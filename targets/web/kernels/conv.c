// Convolution and transposed convolution, [N, H, W, C] in and out, as matrix products over pointers: for each filter
// tap the tile reads its pixels' channels where they stand, or zeros where a pixel lies in the padding.
#include "tile.h"

typedef struct {
    i32 batch, in_h, in_w, in_c, out_h, out_w, out_c;
    i32 kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left, groups;
} Conv;

#define ZEROS 1024  // channels that the row of zeros stands for at a time (ZERO_CHANNELS in ops/conv.py)

// What stays the same for a whole call; depth and width: channels of one group, in and out
typedef struct {
    Conv g;
    const float *zeros;
    int depth, width;
    f4 lo, hi;
} Job;

// One filter tap for a tile of pixels: x[r] is the pixel's channels in the row, or the padding.
INLINE void tap(Acc acc[], int rows, const float *row, const int columns[], const float *w, const Job *job) {
    for (int c = 0; c < job->depth; c += ZEROS) {
        const float *x[ROWS];
#pragma unroll
        for (int r = 0; r < rows; r++) {
            int inside = (uint32_t)columns[r] < (uint32_t)job->g.in_w;
            x[r] = inside ? row + columns[r] * job->g.in_c + c : job->zeros;
        }
        tile_madd(acc, rows, x, w + c * PANEL, smaller(ZEROS, job->depth - c));
    }
}

INLINE void conv_tile(int rows, float *y, const float *x, const float *w, const float *bias, const Job *job, int y0,
                      int x0, int columns) {
    const Conv *g = &job->g;
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
            tap(acc, rows, x + row * g->in_w * g->in_c, at, w + (ky * g->kernel_w + kx) * job->depth * PANEL, job);
        }
    }
#pragma unroll
    for (int r = 0; r < rows; r++) ys[r] = y + r * g->out_c;
    tile_store(acc, rows, ys, columns, job->lo, job->hi);
}

static void conv_row(float *y, const float *x, const float *w, const float *bias, const Job *job, int oy, int columns) {
    const Conv *g = &job->g;
    int ox = 0, y0 = oy * g->stride_h - g->top;
    for (; ox + ROWS <= g->out_w; ox += ROWS)
        conv_tile(ROWS, y + ox * g->out_c, x, w, bias, job, y0, ox * g->stride_w - g->left, columns);
    for (; ox + 2 <= g->out_w; ox += 2)
        conv_tile(2, y + ox * g->out_c, x, w, bias, job, y0, ox * g->stride_w - g->left, columns);
    if (ox < g->out_w) conv_tile(1, y + ox * g->out_c, x, w, bias, job, y0, ox * g->stride_w - g->left, columns);
}

// Output pixels of one phase (ox ≡ phase mod stride) read the same taps, so a tile takes pixels of one phase.
INLINE void transposed_tile(int rows, float *y, const float *x, const float *w, const float *bias, const Job *job,
                            int oy, int ox, int columns) {
    const Conv *g = &job->g;
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
            tap(acc, rows, x + row * g->in_w * g->in_c, at, w + (ky * g->kernel_w + kx) * job->depth * PANEL, job);
        }
    }
#pragma unroll
    for (int r = 0; r < rows; r++) ys[r] = y + (ox + r * g->stride_w) * g->out_c;
    tile_store(acc, rows, ys, columns, job->lo, job->hi);
}

static void transposed_row(float *y, const float *x, const float *w, const float *bias, const Job *job, int oy,
                           int columns) {
    int stride = job->g.stride_w, width = job->g.out_w;
    for (int phase = 0; phase < stride && phase < width; phase++) {
        int ox = phase;
        for (; ox + (ROWS - 1) * stride < width; ox += ROWS * stride)
            transposed_tile(ROWS, y, x, w, bias, job, oy, ox, columns);
        for (; ox < width; ox += stride) transposed_tile(1, y, x, w, bias, job, oy, ox, columns);
    }
}

INLINE void each(int transposed, float *y, const float *x, const float *w, const float *bias, const Conv *geometry,
                 float *zeros, float lo, float hi) {
    Job job = {.g = *geometry, .zeros = zeros, .lo = SPLAT(lo), .hi = SPLAT(hi)};
    const Conv *g = &job.g;
    job.depth = g->in_c / g->groups;
    job.width = g->out_c / g->groups;
    int panels = (job.width + PANEL - 1) / PANEL, panel_floats = g->kernel_h * g->kernel_w * job.depth * PANEL;
    for (int c = 0; c < smaller(job.depth, ZEROS); c++) zeros[c] = 0.0f;
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->in_c)
        for (int oy = 0; oy < g->out_h; oy++, y += g->out_w * g->out_c)
            for (int i = 0; i < g->groups * panels; i++) {
                int group = i / panels, column = i % panels * PANEL, columns = smaller(PANEL, job.width - column);
                float *to = y + group * job.width + column;
                const float *from = x + group * job.depth, *filters = w + i * panel_floats, *shift = bias + i * PANEL;
                if (transposed) transposed_row(to, from, filters, shift, &job, oy, columns);
                else conv_row(to, from, filters, shift, &job, oy, columns);
            }
}

// w [groups][ceil(out_c/groups/8)][kernel_h][kernel_w][in_c/groups][8], bias [groups][ceil(out_c/groups/8)*8],
// zeros: scratch of min(in_c/groups, ZEROS) floats
KERNEL(conv2d)(float *y, const float *x, const float *w, const float *bias, const Conv *g, float *zeros, float lo,
               float hi) {
    each(0, y, x, w, bias, g, zeros, lo, hi);
}

// y[oy] = Σ x[iy] · w[ky] over oy = iy * stride - top + ky * dilation. Weights as for conv2d.
KERNEL(conv_transpose2d)(float *y, const float *x, const float *w, const float *bias, const Conv *g, float *zeros,
                         float lo, float hi) {
    each(1, y, x, w, bias, g, zeros, lo, hi);
}
