// Recurrent layers: one layer in one direction, the whole sequence in a call.
//
//   y          [T, N, H]    the state after each step; the step before is read from here
//   last, cell [N, H]       the state after the last step; cell is worked on in place
//   inputs     [T, N, G*H]  x · W + b₀, computed beforehand by gemm
//   sums       [N, G*H]     scratch: h · R + b₁ of one step
//   weight, bias            R and b₁ packed as for gemm
//   state      [N, H]       where to start; 0: zeros
#include "gemm.h"
#include "vmath.h"

#define INFINITE __builtin_inff()

typedef struct {
    float *y, *last;
    const float *inputs;
    float *sums;
    const float *weight, *bias, *state;
    int steps, batch, hidden, gates, reverse;
} Layer;

// One row of one step: x and s are the sums of the gates, h the state before, y the one after.
typedef void Step(float *y, const float *x, const float *s, const float *h, float *cell, int hidden);

INLINE void run(const Layer *g, Step *step, float *cell) {
    int size = g->batch * g->hidden, columns = g->gates * g->hidden;
    const float *h = g->state;
    for (int i = 0; i < g->steps; i++) {
        int t = g->reverse ? g->steps - 1 - i : i;
        const float *x = g->inputs + t * g->batch * columns;
        float *y = g->y + t * size;
        matrix_product(g->sums, h, g->weight, g->bias, g->batch, columns, h ? g->hidden : 0, -INFINITE, INFINITE);
        for (int n = 0; n < g->batch; n++)
            step(y + n * g->hidden, x + n * columns, g->sums + n * columns, h ? h + n * g->hidden : 0,
                 cell ? cell + n * g->hidden : 0, g->hidden);
        h = y;
    }
    if (g->steps) __builtin_memcpy(g->last, h, size * sizeof(float));
}

#define SUM(gate) ADD(LOAD(x + (gate) * hidden + i), LOAD(s + (gate) * hidden + i))

static void lstm_step(float *y, const float *x, const float *s, const float *h, float *cell, int hidden) {
    (void)h;
    for (int i = 0; i < hidden; i += 4) {
        f4 kept = MUL(vsigmoid(SUM(1)), LOAD(cell + i));
        f4 c = ADD(kept, MUL(vsigmoid(SUM(0)), vtanh(SUM(2))));
        store_lanes(cell + i, c, hidden - i);
        store_lanes(y + i, MUL(vsigmoid(SUM(3)), vtanh(c)), hidden - i);
    }
}

static void gru_step(float *y, const float *x, const float *s, const float *h, float *cell, int hidden) {
    (void)cell;
    for (int i = 0; i < hidden; i += 4) {
        f4 reset = vsigmoid(SUM(0)), keep = vsigmoid(SUM(1)), before = h ? LOAD(h + i) : SPLAT(0.0f);
        f4 fresh = vtanh(ADD(LOAD(x + 2 * hidden + i), MUL(reset, LOAD(s + 2 * hidden + i))));
        store_lanes(y + i, ADD(fresh, MUL(keep, SUB(before, fresh))), hidden - i);
    }
}

static void tanh_step(float *y, const float *x, const float *s, const float *h, float *cell, int hidden) {
    (void)h, (void)cell;
    for (int i = 0; i < hidden; i += 4) store_lanes(y + i, vtanh(SUM(0)), hidden - i);
}

static void relu_step(float *y, const float *x, const float *s, const float *h, float *cell, int hidden) {
    (void)h, (void)cell;
    for (int i = 0; i < hidden; i += 4)
        store_lanes(y + i, clamp(SUM(0), SPLAT(0.0f), SPLAT(INFINITE)), hidden - i);
}

#define LAYER(count) {y, last, inputs, sums, weight, bias, state, steps, batch, hidden, count, reverse}

KERNEL(lstm)(float *y, float *last, float *cell, const float *inputs, float *sums, const float *weight,
             const float *bias, const float *state, const float *first_cell, int steps, int batch, int hidden,
             int reverse) {
    Layer layer = LAYER(4);
    if (first_cell) __builtin_memcpy(cell, first_cell, batch * hidden * sizeof(float));
    else __builtin_memset(cell, 0, batch * hidden * sizeof(float));
    run(&layer, lstm_step, cell);
}

KERNEL(gru)(float *y, float *last, const float *inputs, float *sums, const float *weight, const float *bias,
            const float *state, int steps, int batch, int hidden, int reverse) {
    Layer layer = LAYER(3);
    run(&layer, gru_step, 0);
}

KERNEL(rnn)(float *y, float *last, const float *inputs, float *sums, const float *weight, const float *bias,
            const float *state, int steps, int batch, int hidden, int reverse, int relu) {
    Layer layer = LAYER(1);
    if (relu) run(&layer, relu_step, 0);
    else run(&layer, tanh_step, 0);
}
