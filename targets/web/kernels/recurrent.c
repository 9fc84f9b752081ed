// Recurrent layers: one layer in one direction, the whole sequence in a call.
//
//   y          [T, N, H]    the state after each step; the step before is read from here
//   last, cell [N, H]       the state after the last step; cell is worked on in place
//   inputs     [T, N, G*H]  x · W + b, computed beforehand by gemm, and 128 readable bytes behind
//   weight     R in blocks of columns that the state is multiplied with in one pass, [blocks][H][columns]; columns are
//              those of all gates for 8 units (lstm, gru), or 32 units (rnn): pack_gates in targets/web/pack.py
//   state      [N, H]       where to start; 0: zeros
//
// The sums of a block stay in registers from the first product to the new state.
#include "vmath.h"

typedef enum { LSTM, GRU, RNN } Kind;

typedef struct {
    float *y, *last, *cell;
    const float *inputs, *weight, *bias, *state;
    int steps, batch, hidden, reverse;
} Layer;

// One block of new states. `s` are the sums, two vectors a gate; x and h what the step came with, h 0 for zeros.
// Functions of their own: their constants would take the registers of the products.
typedef void Step(float *y, const f4 s[], const float *x, const float *h, float *cell, int count);

static __attribute__((noinline)) void lstm_step(float *y, const f4 s[], const float *x, const float *h, float *cell,
                                                int count) {
    (void)x, (void)h;
    for (; count > 0; count -= 4, s++, y += 4, cell += 4) {
        f4 c = ADD(MUL(vsigmoid(s[2]), LOAD(cell)), MUL(vsigmoid(s[0]), tanh_inline(s[4])));
        store_lanes(cell, c, count);
        store_lanes(y, MUL(vsigmoid(s[6]), tanh_inline(c)), count);
    }
}

static __attribute__((noinline)) void gru_step(float *y, const f4 s[], const float *x, const float *h, float *cell,
                                               int count) {
    (void)cell;
    for (int i = 0; i < count; i += 4, s++) {
        f4 fresh = tanh_inline(ADD(LOAD(x + i), MUL(vsigmoid(s[0]), s[4])));
        f4 old = h ? LOAD(h + i) : SPLAT(0.0f);
        store_lanes(y + i, ADD(fresh, MUL(vsigmoid(s[2]), SUB(old, fresh))), count - i);
    }
}

static __attribute__((noinline)) void tanh_step(float *y, const f4 s[], const float *x, const float *h, float *cell,
                                                int count) {
    (void)x, (void)h, (void)cell;
    for (int i = 0; i < count; i += 4) store_lanes(y + i, tanh_inline(*s++), count - i);
}

static __attribute__((noinline)) void relu_step(float *y, const f4 s[], const float *x, const float *h, float *cell,
                                                int count) {
    (void)x, (void)h, (void)cell;
    for (int i = 0; i < count; i += 4)
        store_lanes(y + i, clamp(*s++, SPLAT(0.0f), SPLAT(__builtin_inff())), count - i);
}

INLINE void run(const Layer *g, Kind kind, Step *step) {
    // A gated layer has a gate in each piece of a block, a plain one 8 more units.
    const int gated = kind == LSTM || kind == GRU, pieces = kind == GRU ? 3 : 4, block = gated ? 8 : 32;
    const int hidden = g->hidden, columns = gated ? pieces * hidden : hidden, size = g->batch * hidden;
    const int piece = gated ? hidden : 8;
    const float *before = g->state;
    for (int i = 0; i < g->steps; i++) {
        int t = g->reverse ? g->steps - 1 - i : i;
        float *after = g->y + t * size;
        const float *w = g->weight;
        for (int unit = 0; unit < hidden; unit += block, w += hidden * pieces * 8)
            for (int n = 0; n < g->batch; n++) {
                const float *x = g->inputs + (t * g->batch + n) * columns + unit, *h = before + n * hidden, *at = w;
                f4 sums[8];
#pragma unroll
                for (int p = 0; p < pieces; p++) {
                    const float *from = kind == GRU && p == 2 ? g->bias + unit : x + p * piece;
                    sums[2 * p] = LOAD(from), sums[2 * p + 1] = LOAD(from + 4);
                }
                if (before)
                    for (int k = 0; k < hidden; k++, at += pieces * 8) {
                        f4 value = LOAD_SPLAT(h + k);
#pragma unroll
                        for (int p = 0; p < 2 * pieces; p++) sums[p] = MADD(sums[p], value, LOAD(at + 4 * p));
                    }
                step(after + n * hidden + unit, sums, x + 2 * piece, before ? h + unit : 0, g->cell + n * hidden + unit,
                     smaller(block, hidden - unit));
            }
        before = after;
    }
    if (g->steps) __builtin_memcpy(g->last, before, size * sizeof(float));
}

KERNEL(lstm)(float *y, float *last, float *cell, const float *inputs, const float *weight, const float *state,
             const float *first_cell, int steps, int batch, int hidden, int reverse) {
    Layer layer = {y, last, cell, inputs, weight, 0, state, steps, batch, hidden, reverse};
    if (first_cell) __builtin_memcpy(cell, first_cell, batch * hidden * sizeof(float));
    else __builtin_memset(cell, 0, batch * hidden * sizeof(float));
    run(&layer, LSTM, lstm_step);
}

// bias [H]: of the products with the state that make the new content
KERNEL(gru)(float *y, float *last, const float *inputs, const float *weight, const float *bias, const float *state,
            int steps, int batch, int hidden, int reverse) {
    Layer layer = {y, last, 0, inputs, weight, bias, state, steps, batch, hidden, reverse};
    run(&layer, GRU, gru_step);
}

KERNEL(rnn)(float *y, float *last, const float *inputs, const float *weight, const float *state, int steps, int batch,
            int hidden, int reverse, int relu) {
    Layer layer = {y, last, 0, inputs, weight, 0, state, steps, batch, hidden, reverse};
    if (relu) run(&layer, RNN, relu_step);
    else run(&layer, RNN, tanh_step);
}
