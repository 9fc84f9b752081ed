// How a kernel of two operands walks them; targets/web/ops/broadcast.py makes the tables.
#pragma once
#include "simd.h"

typedef struct {
    i32 rank, inner;     // number of outer axes, and the length of the innermost run
    i32 a_step, b_step;  // 1: the operand runs along the innermost axis, 0: it is one value there
    struct { i32 size, a_stride, b_stride; } axes[];
} Broadcast;

// Where row `i` of the output reads its operands; returns false after the last row, and where there is none.
INLINE int row_at(const Broadcast *g, int i, int *a_at, int *b_at) {
    *a_at = *b_at = 0;
    for (int axis = g->rank - 1; axis >= 0; axis--) {
        if (g->axes[axis].size == 0) return 0;
        int index = i % g->axes[axis].size;
        i /= g->axes[axis].size;
        *a_at += index * g->axes[axis].a_stride;
        *b_at += index * g->axes[axis].b_stride;
    }
    return i == 0;
}
