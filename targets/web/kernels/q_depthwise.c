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

// What stays the same for a whole call; ahead: int16 cells from one pixel of x to the next, channels: of all, and of y
typedef struct {
    const i8 *w;
    const i32 *bias, *taps;
    const float *factor;
    int pairs, ahead, channels;
    Codes codes;
} Job;

// All channels of PIXELS pixels. As a function of its own its strides stay in registers.
static __attribute__((noinline)) void whole_tile(i8 *y, const i16 *x, const Job *job) {
    int pairs = job->pairs, ahead = job->ahead, channels = job->channels;
    const i32 *taps = job->taps;
    for (int i = 0; i < channels; i += CHANNELS)
        tile(PIXELS, y + i, x + i, job->w + i * 2 * pairs, job->bias + i, job->factor + i, taps, pairs, ahead, channels,
             smaller(CHANNELS, channels - i), &job->codes);
}

static __attribute__((noinline)) void single_pixel(i8 *y, const i16 *x, const Job *job) {
    for (int i = 0; i < job->channels; i += CHANNELS)
        tile(1, y + i, x + i, job->w + i * 2 * job->pairs, job->bias + i, job->factor + i, job->taps, job->pairs, 0,
             job->channels, smaller(CHANNELS, job->channels - i), &job->codes);
}

// w [ceil(C/8)][pairs of taps][8][2], bias int32 and factor float32 [ceil(C/8)*8].
// taps: scratch for an int32 a tap, + 1
KERNEL(q_depthwise2d)(i8 *y, const i8 *x, const i8 *w, const i32 *bias, const float *factor, i16 *scratch, i32 *taps,
                      const QConv *g, float lo, float hi) {
    int count = g->kernel_h * g->kernel_w, pairs = (count + 1) / 2, step = g->stride_w * g->in_c;
    int band = band_of(g);
    Job job = {w, bias, taps, factor, pairs, step, g->in_c, codes(lo, hi, g->zero_out)};
    for (int t = 0; t < count; t++)
        taps[t] = (t / g->kernel_w * g->dilation_h * g->padded_w + t % g->kernel_w * g->dilation_w) * g->in_c;
    taps[count] = 0;  // the partner of the last of an odd number; its weight is 0
    for (int n = 0; n < g->batch; n++, x += g->in_h * g->in_w * g->in_c)
        for (int first = 0; first < g->out_h; first += band) {
            int rows = smaller(band, g->out_h - first);
            widen_band(scratch, x, g, first, rows);
            for (int oy = 0; oy < rows; oy++) {
                const i16 *row = scratch + oy * g->stride_h * g->padded_w * g->in_c;
                int ox = 0;
                for (; ox + PIXELS <= g->out_w; ox += PIXELS, row += PIXELS * step, y += PIXELS * g->in_c)
                    whole_tile(y, row, &job);
                for (; ox < g->out_w; ox++, row += step, y += g->in_c) single_pixel(y, row, &job);
            }
        }
}
