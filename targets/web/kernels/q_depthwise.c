// Depthwise convolution of codes, one filter a channel: [N, H, W, C] → [N, H', W', C]. Two taps are one instruction:
// their cells are laid side by side, channel by channel.
#include "quantized.h"

#define PIXELS 4
#define CHANNELS 8

// CHANNELS channels of `pixels` pixels, `step` int16 cells from one to the next in x and g->in_c codes in y
INLINE void tile(int pixels, i8 *y, const i16 *x, const i8 *w, const i32 *bias, const float *factor, const i32 *taps,
                 int pairs, int step, int channels, int lanes, const Codes *c) {
    v128_t left[PIXELS], right[PIXELS];
#pragma unroll
    for (int i = 0; i < pixels; i++) left[i] = LOAD(bias), right[i] = LOAD(bias + 4);
    for (int t = 0; t < pairs; t++, w += 2 * CHANNELS) {
        v128_t left_weight = WIDEN(w), right_weight = WIDEN(w + 8);
        const i16 *first = x + taps[2 * t], *second = x + taps[2 * t + 1];
#pragma unroll
        for (int i = 0; i < pixels; i++) {
            v128_t a = LOAD(first + i * step), b = LOAD(second + i * step);
            left[i] = PLUS(left[i], DOT(wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11), left_weight));
            right[i] = PLUS(right[i], DOT(wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15), right_weight));
        }
    }
    f4 left_factor = LOAD(factor), right_factor = LOAD(factor + 4);
#pragma unroll
    for (int i = 0; i < pixels; i++) {
        v128_t sums = narrowed(requantized(left[i], left_factor, c), requantized(right[i], right_factor, c), c);
        store_codes(y + i * channels, sums, lanes);
    }
}

// w [ceil(C/8)][pairs of taps][8][2], bias int32 and factor float32 [ceil(C/8)*8].
// taps: scratch for an int32 a tap, + 1
KERNEL(q_depthwise2d)(i8 *y, const i8 *x, const i8 *w, const i32 *bias, const float *factor, i16 *scratch, i32 *taps,
                      const QConv *g, float lo, float hi) {
    Codes c = codes(lo, hi, g->zero_out);
    int count = g->kernel_h * g->kernel_w, pairs = (count + 1) / 2, step = g->stride_w * g->in_c;
    int band = band_of(g);
    for (int t = 0; t < count; t++)
        taps[t] = (t / g->kernel_w * g->dilation_h * g->padded_w + t % g->kernel_w * g->dilation_w) * g->in_c;
    taps[count] = 0;  // the partner of the last of an odd number; its weight is 0
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->in_c)
        for (int first = 0; first < g->out_h; first += band) {
            int rows = smaller(band, g->out_h - first);
            widen_band(scratch, x, g, first, rows);
            for (int oy = 0; oy < rows; oy++) {
                const i16 *row = scratch + oy * g->stride_h * g->padded_w * g->in_c;
                for (int ox = 0; ox < g->out_w;) {
                    int pixels = g->out_w - ox >= PIXELS ? PIXELS : 1;
                    for (int i = 0; i < g->in_c; i += CHANNELS) {
                        const i8 *filters = w + i * 2 * pairs;
                        int lanes = smaller(CHANNELS, g->in_c - i);
                        if (pixels == PIXELS)
                            tile(PIXELS, y + i, row + i, filters, bias + i, factor + i, taps, pairs, step, g->in_c,
                                 lanes, &c);
                        else
                            tile(1, y + i, row + i, filters, bias + i, factor + i, taps, pairs, step, g->in_c, lanes,
                                 &c);
                    }
                    ox += pixels;
                    row += pixels * step;
                    y += pixels * g->in_c;
                }
            }
        }
}
