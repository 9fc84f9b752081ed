// Max and average pooling, [N, H, W, C] → [N, H', W', C].
#include "simd.h"

typedef struct {
    i32 batch, in_h, in_w, channels, out_h, out_w;
    i32 kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left;
    i32 count_padding;  // average: padding cells count in the divisor
} Pool;

typedef enum { MAX, AVERAGE } Kind;

INLINE void window(Kind kind, float *y, const float *x, const Pool *g, int y0, int x0, int lanes) {
    f4 acc = SPLAT(kind == MAX ? -__builtin_inff() : 0.0f);
    int count = 0;
    for (int ky = 0; ky < g->kernel_h; ky++) {
        int row = y0 + ky * g->dilation_h;
        if ((uint32_t)row >= (uint32_t)g->in_h) continue;
        for (int kx = 0; kx < g->kernel_w; kx++) {
            int column = x0 + kx * g->dilation_w;
            if ((uint32_t)column >= (uint32_t)g->in_w) continue;
            f4 value = LOAD(x + (row * g->in_w + column) * g->channels);
            acc = kind == MAX ? wasm_f32x4_max(acc, value) : ADD(acc, value);
            count++;
        }
    }
    if (kind == AVERAGE) {
        if (g->count_padding) count = g->kernel_h * g->kernel_w;
        acc = DIV(acc, SPLAT((float)count));
    }
    store_lanes(y, acc, lanes);
}

INLINE void pool(Kind kind, float *y, const float *x, const Pool *g) {
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->channels)
        for (int oy = 0; oy < g->out_h; oy++)
            for (int ox = 0; ox < g->out_w; ox++, y += g->channels)
                for (int c = 0; c < g->channels; c += 4)
                    window(kind, y + c, x + c, g, oy * g->stride_h - g->top, ox * g->stride_w - g->left,
                           smaller(4, g->channels - c));
}

KERNEL(max_pool2d)(float *y, const float *x, const Pool *g) { pool(MAX, y, x, g); }
KERNEL(avg_pool2d)(float *y, const float *x, const Pool *g) { pool(AVERAGE, y, x, g); }
