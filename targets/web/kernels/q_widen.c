// From codes to centred int16, as the products want them.
#include "quantized.h"

void widen(i16 *y, const i8 *x, int count, int zero_point) {
    v128_t zero = wasm_i16x8_splat(zero_point);
    for (int i = 0; i < count; i += 8) STORE(y + i, wasm_i16x8_sub(WIDEN(x + i), zero));
}

int band_of(const QConv *g) {
    int rows = g->cells / larger(g->padded_w * g->in_c, 1), looked_at = (g->kernel_h - 1) * g->dilation_h + 1;
    return larger((rows - looked_at) / g->stride_h + 1, 1);
}

void widen_band(i16 *y, const i8 *x, const QConv *g, int first, int count) {
    int rows = (count - 1) * g->stride_h + (g->kernel_h - 1) * g->dilation_h + 1, row = first * g->stride_h - g->top;
    int before = smaller(larger(g->left, 0), g->padded_w), skipped = larger(-g->left, 0);
    int start = before * g->in_c, cells = smaller(g->in_w - skipped, g->padded_w - before) * g->in_c;
    int width = g->padded_w * g->in_c;
    for (int r = 0; r < rows; r++, row++, y += width) {
        if ((uint32_t)row >= (uint32_t)g->in_h || cells <= 0) {
            __builtin_memset(y, 0, 2 * width);
            continue;
        }
        __builtin_memset(y, 0, 2 * start);
        widen(y + start, x + (row * g->in_w + skipped) * g->in_c, cells, g->zero_in);
        __builtin_memset(y + start + cells, 0, 2 * (width - start - cells));
    }
}
