// Depthwise convolution, one filter a channel: [N, H, W, C] → [N, H', W', C].
#include "simd.h"

typedef struct {
    i32 batch, in_h, in_w, channels, out_h, out_w;
    i32 kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left;
    i32 padded;  // channels up to a multiple of 4
} Depthwise;

// The taps that fall inside, all strides in floats: of lines of x and their taps, of the filter's lines and their taps,
// and of pixels in x and in y.
typedef struct { int rows, columns, row, tap, filter_row, filter_tap, ahead, channels; } Taps;

// The taps of one axis that fall inside: [first, first + the result)
INLINE int inside(int start, int size, int kernel, int dilation, int *first) {
    int lo = start < 0 ? (-start + dilation - 1) / dilation : 0;
    int hi = size > start ? (size - start + dilation - 1) / dilation : 0;
    *first = lo;
    return larger(0, smaller(kernel, hi) - lo);
}

#define PIXELS 4  // of one line that are computed at once, where all their taps on the line are inside

// `vectors` times 4 channels of `pixels` pixels; a single vector may have fewer `lanes`
INLINE void cells(int pixels, int vectors, float *y, const float *x, const float *w, const float *bias, Taps t,
                  int lanes, f4 lo, f4 hi) {
    f4 acc[PIXELS][4];
#pragma unroll
    for (int i = 0; i < pixels; i++)
#pragma unroll
        for (int v = 0; v < vectors; v++) acc[i][v] = LOAD(bias + 4 * v);
    for (int ky = t.rows; ky; ky--, x += t.row, w += t.filter_row) {
        const float *at = x, *filter = w;
        for (int kx = t.columns; kx; kx--, at += t.tap, filter += t.filter_tap)
#pragma unroll
            for (int v = 0; v < vectors; v++) {
                f4 weight = LOAD(filter + 4 * v);
#pragma unroll
                for (int i = 0; i < pixels; i++) acc[i][v] = MADD(acc[i][v], LOAD(at + i * t.ahead + 4 * v), weight);
            }
    }
#pragma unroll
    for (int i = 0; i < pixels; i++, y += t.channels)
#pragma unroll
        for (int v = 0; v < vectors; v++) {
            if (vectors == 1) store_lanes(y, clamp(acc[i][v], lo, hi), lanes);
            else STORE(y + 4 * v, clamp(acc[i][v], lo, hi));
        }
}

// PIXELS pixels side by side, 4 channels after 4, of filters that are 3 wide: neighbours share what is loaded. Gives the
// channels that are done. As a function of its own its strides stay in registers.
static __attribute__((noinline)) int cells_of_three(float *y, const float *x, const float *w, const float *bias,
                                                    const Taps *taps, f4 lo, f4 hi) {
    Taps t = *taps;
    int c = 0;
    for (; c + 4 <= t.channels; c += 4) {
        const float *line = x + c, *filter = w + c;
        f4 acc[PIXELS];
#pragma unroll
        for (int i = 0; i < PIXELS; i++) acc[i] = LOAD(bias + c);
        for (int ky = t.rows; ky; ky--, line += t.row, filter += t.filter_row) {
            f4 first = LOAD(filter), second = LOAD(filter + t.filter_tap), third = LOAD(filter + 2 * t.filter_tap);
            f4 left = LOAD(line);
            const float *at = line + t.tap;
#pragma unroll
            for (int i = 0; i < PIXELS; i++, at += t.tap) {
                f4 middle = LOAD(at);
                acc[i] = MADD(acc[i], left, first);
                acc[i] = MADD(acc[i], middle, second);
                acc[i] = MADD(acc[i], LOAD(at + t.tap), third);
                left = middle;
            }
        }
#pragma unroll
        for (int i = 0; i < PIXELS; i++) STORE(y + i * t.channels + c, clamp(acc[i], lo, hi));
    }
    return c;
}

// The same for any filter, 8 channels after 8.
static __attribute__((noinline)) int cells_of_any(float *y, const float *x, const float *w, const float *bias,
                                                  const Taps *taps, f4 lo, f4 hi) {
    Taps t = *taps;
    int c = 0;
    for (; c + 8 <= t.channels; c += 8) cells(PIXELS, 2, y + c, x + c, w + c, bias + c, t, 4, lo, hi);
    return c;
}

// w [kernel_h][kernel_w][padded], bias [padded]
KERNEL(depthwise2d)(float *y, const float *x, const float *w, const float *bias, const Depthwise *geometry, float low,
                    float high) {
    f4 lo = SPLAT(low), hi = SPLAT(high);
    Depthwise copy = *geometry, *g = &copy;
    int right = g->in_w + g->left - (g->kernel_w - 1) * g->dilation_w - 1;  // of the last pixel inside, in columns of x
    int first = (g->left + g->stride_w - 1) / g->stride_w, channels = g->channels;
    int shared = g->kernel_w == 3 && g->dilation_w == 1 && g->stride_w == 1;
    int end = smaller(right < 0 ? 0 : right / g->stride_w + 1, g->out_w);
    Taps t = {.row = g->dilation_h * g->in_w * channels, .tap = g->dilation_w * channels, .channels = channels,
              .filter_row = g->kernel_w * g->padded, .filter_tap = g->padded, .ahead = g->stride_w * channels};
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * channels)
        for (int oy = 0; oy < g->out_h; oy++, y += g->out_w * channels)
            for (int ox = 0, next; ox < g->out_w; ox = next) {
                int whole = ox >= first && ox < end && end - first >= PIXELS, c = 0, top, left;
                if (whole) ox = smaller(ox, end - PIXELS);  // the last tile may compute pixels again
                next = ox + (whole ? PIXELS : 1);
                int y0 = oy * g->stride_h - g->top, x0 = ox * g->stride_w - g->left;
                t.rows = inside(y0, g->in_h, g->kernel_h, g->dilation_h, &top);
                t.columns = inside(x0, g->in_w, g->kernel_w, g->dilation_w, &left);
                const float *at = x + ((y0 + top * g->dilation_h) * g->in_w + x0 + left * g->dilation_w) * channels;
                const float *filter = w + (top * g->kernel_w + left) * g->padded;
                float *to = y + ox * channels;
                if (whole && shared) c = cells_of_three(to, at, filter, bias, &t, lo, hi);
                else if (whole) c = cells_of_any(to, at, filter, bias, &t, lo, hi);
                for (; !whole && c + 16 <= channels; c += 16)
                    cells(1, 4, to + c, at + c, filter + c, bias + c, t, 4, lo, hi);
                for (; c < channels; c += 4) {
                    int lanes = smaller(4, channels - c);
                    if (whole) cells(PIXELS, 1, to + c, at + c, filter + c, bias + c, t, lanes, lo, hi);
                    else cells(1, 1, to + c, at + c, filter + c, bias + c, t, lanes, lo, hi);
                }
            }
}
