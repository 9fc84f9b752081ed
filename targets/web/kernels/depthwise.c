// Depthwise convolution, one filter a channel: [N, H, W, C] → [N, H', W', C].
#include "simd.h"

typedef struct {
    i32 batch, in_h, in_w, channels, out_h, out_w;
    i32 kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left;
    i32 padded;  // channels up to a multiple of 4
} Depthwise;

typedef struct { int first_y, end_y, first_x, end_x; } Window;

// The taps of one axis that fall inside: [first, end)
INLINE void inside(int start, int size, int kernel, int dilation, int *first, int *end) {
    int lo = start < 0 ? (-start + dilation - 1) / dilation : 0;
    int hi = size > start ? (size - start + dilation - 1) / dilation : 0;
    *first = lo;
    *end = smaller(kernel, hi);
}

// `vectors` times 4 channels of one output pixel
INLINE void pixel(int vectors, float *y, const float *x, const float *w, const float *bias, const Depthwise *g, int y0,
                  int x0, const Window *taps, int lanes, f4 lo, f4 hi) {
    f4 acc[4];
#pragma unroll
    for (int v = 0; v < vectors; v++) acc[v] = LOAD(bias + 4 * v);
    for (int ky = taps->first_y; ky < taps->end_y; ky++) {
        const float *row = x + (y0 + ky * g->dilation_h) * g->in_w * g->channels;
        for (int kx = taps->first_x; kx < taps->end_x; kx++) {
            const float *at = row + (x0 + kx * g->dilation_w) * g->channels;
            const float *filter = w + (ky * g->kernel_w + kx) * g->padded;
#pragma unroll
            for (int v = 0; v < vectors; v++) acc[v] = MADD(acc[v], LOAD(at + 4 * v), LOAD(filter + 4 * v));
        }
    }
#pragma unroll
    for (int v = 0; v < vectors; v++) {
        if (vectors == 1) store_lanes(y, clamp(acc[v], lo, hi), lanes);
        else STORE(y + 4 * v, clamp(acc[v], lo, hi));
    }
}

// w [kernel_h][kernel_w][padded], bias [padded]
KERNEL(depthwise2d)(float *y, const float *x, const float *w, const float *bias, const Depthwise *g, float low,
                    float high) {
    f4 lo = SPLAT(low), hi = SPLAT(high);
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->channels)
        for (int oy = 0; oy < g->out_h; oy++)
            for (int ox = 0; ox < g->out_w; ox++, y += g->channels) {
                Window taps;
                int y0 = oy * g->stride_h - g->top, x0 = ox * g->stride_w - g->left, c = 0;
                inside(y0, g->in_h, g->kernel_h, g->dilation_h, &taps.first_y, &taps.end_y);
                inside(x0, g->in_w, g->kernel_w, g->dilation_w, &taps.first_x, &taps.end_x);
                for (; c + 16 <= g->channels; c += 16)
                    pixel(4, y + c, x + c, w + c, bias + c, g, y0, x0, &taps, 4, lo, hi);
                for (; c < g->channels; c += 4)
                    pixel(1, y + c, x + c, w + c, bias + c, g, y0, x0, &taps, smaller(4, g->channels - c), lo, hi);
            }
}
