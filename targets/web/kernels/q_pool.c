// Pooling of codes, [N, H, W, C] → [N, H', W', C]: the largest in each window, where padding never wins, and sums.
#include "quantized.h"

typedef struct {
    i32 batch, in_h, in_w, channels, out_h, out_w;
    i32 kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left;
} Pool;

#define LANES 16

INLINE v128_t largest(const i8 *x, const Pool *g, int y0, int x0) {
    v128_t most = wasm_i8x16_splat(-128);
    for (int ky = 0; ky < g->kernel_h; ky++) {
        int row = y0 + ky * g->dilation_h;
        if ((uint32_t)row >= (uint32_t)g->in_h) continue;
        for (int kx = 0; kx < g->kernel_w; kx++) {
            int column = x0 + kx * g->dilation_w;
            if ((uint32_t)column >= (uint32_t)g->in_w) continue;
            most = wasm_i8x16_max(most, LOAD(x + (row * g->in_w + column) * g->channels));
        }
    }
    return most;
}

KERNEL(max_pool2d_i8)(i8 *y, const i8 *x, const Pool *g) {
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->channels)
        for (int oy = 0; oy < g->out_h; oy++)
            for (int ox = 0; ox < g->out_w; ox++, y += g->channels)
                for (int i = 0; i < g->channels; i += LANES) {
                    v128_t most = largest(x + i, g, oy * g->stride_h - g->top, ox * g->stride_w - g->left);
                    int lanes = g->channels - i;
                    if (lanes >= LANES) STORE(y + i, most);
                    else {
                        store_codes(y + i, most, lanes);
                        if (lanes > 8) store_codes(y + i + 8, wasm_i64x2_shuffle(most, most, 1, 1), lanes - 8);
                    }
                }
}

#define CHANNELS 8
#define ADDENDS 128  // codes whose sum an int16 holds

// The taps of one axis that fall inside: [first, end)
INLINE void inside(int start, int size, int kernel, int dilation, int *first, int *end) {
    *first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    *end = smaller(kernel, size > start ? (size - start + dilation - 1) / dilation : 0);
}

// A depthwise convolution whose weights are all 1, as means are: bias int32 and factor float32 [ceil(C/8)*8]
KERNEL(q_sum2d)(i8 *y, const i8 *x, const i32 *bias, const float *factor, const QConv *g, float lo, float hi) {
    Codes c = codes(lo, hi, g->zero_out);
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->in_c)
        for (int oy = 0; oy < g->out_h; oy++)
            for (int ox = 0; ox < g->out_w; ox++, y += g->in_c) {
                int y0 = oy * g->stride_h - g->top, x0 = ox * g->stride_w - g->left, top, bottom, first, end;
                inside(y0, g->in_h, g->kernel_h, g->dilation_h, &top, &bottom);
                inside(x0, g->in_w, g->kernel_w, g->dilation_w, &first, &end);
                v128_t zeros = wasm_i32x4_splat(larger(bottom - top, 0) * larger(end - first, 0) * g->zero_in);
                for (int i = 0; i < g->in_c; i += CHANNELS) {
                    v128_t left = wasm_i32x4_sub(LOAD(bias + i), zeros), right = wasm_i32x4_sub(LOAD(bias + i + 4), zeros);
                    for (int ky = top; ky < bottom; ky++) {
                        const i8 *row = x + ((y0 + ky * g->dilation_h) * g->in_w + x0) * g->in_c + i;
                        for (int from = first; from < end; from += ADDENDS) {
                            v128_t sum = wasm_i16x8_splat(0);
                            for (int kx = from; kx < smaller(end, from + ADDENDS); kx++)
                                sum = wasm_i16x8_add(sum, WIDEN(row + kx * g->dilation_w * g->in_c));
                            left = PLUS(left, wasm_i32x4_extend_low_i16x8(sum));
                            right = PLUS(right, wasm_i32x4_extend_high_i16x8(sum));
                        }
                    }
                    left = requantized(left, LOAD(factor + i), &c), right = requantized(right, LOAD(factor + i + 4), &c);
                    store_codes(y + i, narrowed(left, right, &c), g->in_c - i);
                }
            }
}
