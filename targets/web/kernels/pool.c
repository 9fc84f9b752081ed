// Max and average pooling, [N, H, W, C] → [N, H', W', C].
#include "simd.h"

typedef struct {
    i32 batch, in_h, in_w, channels, out_h, out_w;
    i32 kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left;
    i32 count_padding;  // average: padding cells count in the divisor
} Pool;

typedef enum { MAX, AVERAGE } Kind;

// 4 channels of one pixel: `rows` times `columns` cells of x, `row` and `column` floats apart
INLINE f4 window(Kind kind, const float *x, int rows, int columns, int row, int column, f4 count) {
    f4 acc = SPLAT(kind == MAX ? -__builtin_inff() : 0.0f);
    for (; rows; rows--, x += row) {
        const float *at = x;
        for (int i = columns; i; i--, at += column)
            acc = kind == MAX ? wasm_f32x4_max(acc, LOAD(at)) : ADD(acc, LOAD(at));
    }
    return kind == MAX ? acc : DIV(acc, count);
}

// The cells of an axis that a window sees: from *first on, in steps of `dilation`
INLINE int inside(int start, int size, int kernel, int dilation, int *first) {
    int lo = start < 0 ? (-start + dilation - 1) / dilation : 0;
    int hi = size > start ? (size - start + dilation - 1) / dilation : 0;
    *first = start + lo * dilation;
    return larger(0, smaller(kernel, hi) - lo);
}

INLINE void pool(Kind kind, float *y, const float *x, const Pool *g) {
    int channels = g->channels, row = g->dilation_h * g->in_w * channels, column = g->dilation_w * channels;
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * channels)
        for (int oy = 0; oy < g->out_h; oy++) {
            int top, left, rows = inside(oy * g->stride_h - g->top, g->in_h, g->kernel_h, g->dilation_h, &top);
            for (int ox = 0; ox < g->out_w; ox++, y += channels) {
                int columns = inside(ox * g->stride_w - g->left, g->in_w, g->kernel_w, g->dilation_w, &left);
                const float *at = x + (top * g->in_w + left) * channels;
                f4 count = SPLAT((float)(g->count_padding ? g->kernel_h * g->kernel_w : rows * columns));
                for (int c = 0; c < channels; c += 4)
                    store_lanes(y + c, window(kind, at + c, rows, columns, row, column, count), channels - c);
            }
        }
}

KERNEL(max_pool2d)(float *y, const float *x, const Pool *g) { pool(MAX, y, x, g); }
KERNEL(avg_pool2d)(float *y, const float *x, const Pool *g) { pool(AVERAGE, y, x, g); }
