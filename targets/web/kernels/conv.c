// Convolution and transposed convolution, [N, H, W, C] in and out, as matrix products over pointers: for each filter
// tap the tile reads its pixels' channels where they stand, or zeros where a pixel lies in the padding.
#include "tile.h"

typedef struct {
    i32 batch, in_h, in_w, in_c, out_h, out_w, out_c;
    i32 kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left, groups;
} Conv;

#define CACHE_FLOATS 49152  // of x: the rows that stay in the second-level cache while all panels pass over them
#define FEW 8               // input channels below which a whole row of taps, not one, is worth the start of a sum

// What stays the same for a whole call; depth and width: channels of one group, in and out
typedef struct {
    Conv g;
    const float *zeros;
    int depth, width;
    f4 lo, hi;
} Job;

// Taps of one axis that look at cells of the image: [first, end)
typedef struct { int first, end; } Taps;

INLINE Taps taps_inside(int start, int size, int kernel, int dilation) {
    int first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    return (Taps){first, smaller(kernel, size > start ? (size - start + dilation - 1) / dilation : 0)};
}

// One pixel. Taps that stand side by side in the image are one run.
static void conv_pixel(float *y, const float *x, const float *w, const float *bias, const Job *job, int y0, int x0,
                       int columns) {
    const Conv *g = &job->g;
    Taps down = taps_inside(y0, g->in_h, g->kernel_h, g->dilation_h);
    Taps across = taps_inside(x0, g->in_w, g->kernel_w, g->dilation_w);
    int step = g->groups == 1 && g->dilation_w == 1 ? larger(across.end - across.first, 1) : 1;
    Acc acc;
    tile_start(&acc, 1, bias);
    for (int ky = down.first; ky < down.end; ky++)
        for (int kx = across.first; kx < across.end; kx += step) {
            const float *at = x + ((y0 + ky * g->dilation_h) * g->in_w + x0 + kx * g->dilation_w) * g->in_c;
            tile_madd(&acc, 1, &at, w + (ky * g->kernel_w + kx) * job->depth * PANEL, step * job->depth);
        }
    tile_store(&acc, 1, y, 0, columns, job->lo, job->hi);
}

// Pixels of one line whose `taps` rows of taps lie in the image, `ahead` floats apart; x and w are at the first tap.
INLINE void inner_tile(float *y, const float *x, const float *w, const float *bias, const Job *job, int taps, int ahead,
                     int columns) {
    const Conv *g = &job->g;
    int step = g->groups == 1 && g->dilation_w == 1 ? g->kernel_w : 1;
    Acc acc[ROWS];
    tile_start(acc, ROWS, bias);
    for (; taps; taps--, x += g->dilation_h * g->in_w * g->in_c)
        for (int kx = 0; kx < g->kernel_w; kx += step, w += step * job->depth * PANEL) {
            const float *xs[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) xs[r] = x + kx * g->dilation_w * g->in_c + r * ahead;
            tile_madd(acc, ROWS, xs, w, step * job->depth);
        }
    tile_store(acc, ROWS, y, g->out_c, columns, job->lo, job->hi);
}

// ROWS pixels, the first at (oy, ox) of the result and the others behind it, over the ends of its lines if need be
static void conv_tile(float *y, const float *x, const float *w, const float *bias, const Job *job, int oy, int ox,
                      int columns) {
    const Conv *g = &job->g;
    int y0[ROWS], x0[ROWS];
    Acc acc[ROWS];
    for (int r = 0; r < ROWS; r++) {
        y0[r] = oy * g->stride_h - g->top, x0[r] = ox * g->stride_w - g->left;
        if (++ox == g->out_w) ox = 0, oy++;
    }
    tile_start(acc, ROWS, bias);
    for (int ky = 0; ky < g->kernel_h; ky++)
        for (int kx = 0; kx < g->kernel_w; kx++, w += job->depth * PANEL) {
            const float *xs[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                int row = y0[r] + ky * g->dilation_h, column = x0[r] + kx * g->dilation_w;
                int inside = (uint32_t)row < (uint32_t)g->in_h && (uint32_t)column < (uint32_t)g->in_w;
                xs[r] = inside ? x + (row * g->in_w + column) * g->in_c : job->zeros;
            }
            tile_madd(acc, ROWS, xs, w, job->depth);
        }
    tile_store(acc, ROWS, y, g->out_c, columns, job->lo, job->hi);
}

// One panel of columns of `rows` lines of the result, from `oy` on. Tiles that would end behind the last pixel begin
// before it, over pixels that are done. Of few channels, pixels that look over the sides are computed one by one.
static void conv_lines(float *y, const float *x, const float *w, const float *bias, const Job *job, int oy, int rows,
                       int columns) {
    const Conv *g = &job->g;
    int pixels = rows * g->out_w, row = g->in_w * g->in_c, ahead = g->stride_w * g->in_c, few = job->depth < FEW;
    int right = g->in_w + g->left - (g->kernel_w - 1) * g->dilation_w - 1;  // of the last pixel inside, in columns of x
    int first = (g->left + g->stride_w - 1) / g->stride_w, end = right < 0 ? 0 : right / g->stride_w + 1;
    end = smaller(end, g->out_w);
    for (int at = 0; at < pixels;) {
        if (!few && pixels >= ROWS) at = smaller(at, pixels - ROWS);
        int line = oy + at / g->out_w, ox = at % g->out_w, y0 = line * g->stride_h - g->top;
        int over = few && ox >= first && ox < end && end - first >= ROWS ? larger(0, ox - (end - ROWS)) : 0;
        at -= over, ox -= over;
        float *to = y + (line * g->out_w + ox) * g->out_c;
        int x0 = ox * g->stride_w - g->left;
        if (ox >= first && ox + ROWS <= end) {
            Taps down = taps_inside(y0, g->in_h, g->kernel_h, g->dilation_h);
            inner_tile(to, x + (y0 + down.first * g->dilation_h) * row + x0 * g->in_c,
                       w + down.first * g->kernel_w * job->depth * PANEL, bias, job, larger(0, down.end - down.first),
                       ahead, columns);
        } else if (few || pixels < ROWS) {
            conv_pixel(to, x, w, bias, job, y0, x0, columns);
            at++;
            continue;
        } else conv_tile(to, x, w, bias, job, line, ox, columns);
        at += ROWS;
    }
}

// One filter tap for a tile of pixels: x[r] is the pixel's channels in the row, or the padding.
INLINE void tap(Acc acc[], int rows, const float *row, const int columns[], const float *w, const Job *job) {
    const float *x[ROWS];
#pragma unroll
    for (int r = 0; r < rows; r++) {
        int inside = (uint32_t)columns[r] < (uint32_t)job->g.in_w;
        x[r] = inside ? row + columns[r] * job->g.in_c : job->zeros;
    }
    tile_madd(acc, rows, x, w, job->depth);
}

// Output pixels of one phase (ox ≡ phase mod stride) read the same taps, so a tile takes pixels of one phase.
INLINE void transposed_tile(int rows, float *y, const float *x, const float *w, const float *bias, const Job *job,
                            int oy, int ox, int columns) {
    const Conv *g = &job->g;
    Acc acc[ROWS];
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
    tile_store(acc, rows, y + ox * g->out_c, g->stride_w * g->out_c, columns, job->lo, job->hi);
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

// w [groups][ceil(out_c/groups/8)][kernel_h][kernel_w][in_c/groups][8], bias [groups][ceil(out_c/groups/8)*8],
// zeros: scratch of in_c/groups floats
INLINE void each(int transposed, float *y, const float *x, const float *w, const float *bias, const Conv *geometry,
                 float *zeros, float lo, float hi) {
    Job job = {.g = *geometry, .zeros = zeros, .lo = SPLAT(lo), .hi = SPLAT(hi)};
    const Conv *g = &job.g;
    job.depth = g->in_c / g->groups;
    job.width = g->out_c / g->groups;
    int panels = (job.width + PANEL - 1) / PANEL, panel_floats = g->kernel_h * g->kernel_w * job.depth * PANEL;
    int block = transposed ? 1 : larger(1, (CACHE_FLOATS / larger(1, g->in_w * g->in_c) - g->kernel_h) / g->stride_h);
    for (int c = 0; c < job.depth; c++) zeros[c] = 0.0f;
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->in_c, y += g->out_h * g->out_w * g->out_c)
        for (int oy = 0; oy < g->out_h; oy += block)
            for (int i = 0; i < g->groups * panels; i++) {
                int group = i / panels, column = i % panels * PANEL, columns = smaller(PANEL, job.width - column);
                float *to = y + group * job.width + column;
                const float *from = x + group * job.depth, *filters = w + i * panel_floats, *shift = bias + i * PANEL;
                if (transposed)
                    transposed_row(to + oy * g->out_w * g->out_c, from, filters, shift, &job, oy, columns);
                else
                    conv_lines(to, from, filters, shift, &job, oy, smaller(block, g->out_h - oy), columns);
            }
}

KERNEL(conv2d)(float *y, const float *x, const float *w, const float *bias, const Conv *g, float *zeros, float lo,
               float hi) {
    each(0, y, x, w, bias, g, zeros, lo, hi);
}

// y[oy] = Σ x[iy] · w[ky] over oy = iy * stride - top + ky * dilation
KERNEL(conv_transpose2d)(float *y, const float *x, const float *w, const float *bias, const Conv *g, float *zeros,
                         float lo, float hi) {
    each(1, y, x, w, bias, g, zeros, lo, hi);
}
