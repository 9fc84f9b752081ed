// Max pooling of codes, [N, H, W, C] → [N, H', W', C]; padding never wins.
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
