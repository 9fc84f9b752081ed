// Resampling images, [N, H, W, C] → [N, H', W', C].
#include "simd.h"

typedef struct {
    i32 batch, in_h, in_w, channels, out_h, out_w;
} Resize;

// Cell floor(i * in / out), in float32 as torch computes it
INLINE int nearest(int i, int in, int out) {
    return smaller((int)__builtin_floorf((float)i * ((float)in / (float)out)), in - 1);
}

KERNEL(resize_nearest)(float *y, const float *x, const Resize *g) {
    int c = g->channels;
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * c)
        for (int oy = 0; oy < g->out_h; oy++) {
            const float *row = x + nearest(oy, g->in_h, g->out_h) * g->in_w * c;
            for (int ox = 0; ox < g->out_w; ox++, y += c) {
                const float *at = row + nearest(ox, g->in_w, g->out_w) * c;
                for (int k = 0; k < c; k += 4) store_lanes(y + k, LOAD(at + k), c - k);
            }
        }
}

typedef struct { int low, high; float weight; } Between;

// Half-pixel centres: (i + 0.5) * in / out - 0.5, clamped; with corners aligned: i * (in - 1) / (out - 1)
INLINE Between between(int i, int in, int out, int align_corners) {
    float at;
    if (align_corners) at = out > 1 ? (float)i * ((float)(in - 1) / (float)(out - 1)) : 0.0f;
    else at = ((float)i + 0.5f) * ((float)in / (float)out) - 0.5f;
    if (at < 0) at = 0;
    Between b;
    b.low = smaller((int)at, in - 1);
    b.high = smaller(b.low + 1, in - 1);
    b.weight = at - (float)b.low;
    return b;
}

KERNEL(resize_bilinear)(float *y, const float *x, const Resize *g, int align_corners) {
    int c = g->channels;
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * c)
        for (int oy = 0; oy < g->out_h; oy++) {
            Between v = between(oy, g->in_h, g->out_h, align_corners);
            const float *upper = x + v.low * g->in_w * c, *lower = x + v.high * g->in_w * c;
            f4 down = SPLAT(v.weight), up = SPLAT(1.0f - v.weight);
            for (int ox = 0; ox < g->out_w; ox++, y += c) {
                Between h = between(ox, g->in_w, g->out_w, align_corners);
                f4 right = SPLAT(h.weight), left = SPLAT(1.0f - h.weight);
                int low = h.low * c, high = h.high * c;
                for (int k = 0; k < c; k += 4) {
                    f4 above = ADD(MUL(left, LOAD(upper + low + k)), MUL(right, LOAD(upper + high + k)));
                    f4 below = ADD(MUL(left, LOAD(lower + low + k)), MUL(right, LOAD(lower + high + k)));
                    store_lanes(y + k, ADD(MUL(up, above), MUL(down, below)), c - k);
                }
            }
        }
}
