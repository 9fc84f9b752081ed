// Comparisons, logic and choice, cell by cell with broadcasting. Bools are bytes of 0 and 1.
#include "broadcast.h"

#define CELLS(name, result, type, expression)                                                    \
    KERNEL(name)(result *y, const type *x0, const type *x1, const Broadcast *g) {                \
        for (int i = 0, a_at, b_at; row_at(g, i, &a_at, &b_at); i++, y += g->inner)              \
            for (int k = 0; k < g->inner; k++) {                                                 \
                type a = x0[a_at + k * g->a_step], b = x1[b_at + k * g->b_step];                 \
                y[k] = (result)(expression);                                                     \
            }                                                                                    \
    }

CELLS(equal, uint8_t, float, a == b)
CELLS(less, uint8_t, float, a < b)
CELLS(less_equal, uint8_t, float, a <= b)
CELLS(equal_i32, uint8_t, i32, a == b)
CELLS(less_i32, uint8_t, i32, a < b)
CELLS(less_equal_i32, uint8_t, i32, a <= b)
CELLS(and_u8, uint8_t, uint8_t, a & b)
CELLS(or_u8, uint8_t, uint8_t, a | b)
CELLS(xor_u8, uint8_t, uint8_t, a ^ b)
CELLS(and_i32, i32, i32, a & b)
CELLS(or_i32, i32, i32, a | b)
CELLS(xor_i32, i32, i32, a ^ b)

KERNEL(logical_not)(uint8_t *y, const uint8_t *x, int count) {
    for (int i = 0; i < count; i++) y[i] = !x[i];
}

// As `Broadcast`, with three operands: the condition, and what is taken where it holds and where not
typedef struct {
    i32 rank, inner, steps[3];
    struct { i32 size, strides[3]; } axes[];
} Triple;

static int triple_at(const Triple *g, int i, int at[3]) {
    at[0] = at[1] = at[2] = 0;
    for (int axis = g->rank - 1; axis >= 0; axis--) {
        if (g->axes[axis].size == 0) return 0;
        int index = i % g->axes[axis].size;
        i /= g->axes[axis].size;
        for (int k = 0; k < 3; k++) at[k] += index * g->axes[axis].strides[k];
    }
    return i == 0;
}

#define WHERE(name, type)                                                                             \
    KERNEL(name)(type *y, const uint8_t *condition, const type *a, const type *b, const Triple *g) {  \
        int at[3];                                                                                    \
        for (int i = 0; triple_at(g, i, at); i++, y += g->inner)                                      \
            for (int k = 0; k < g->inner; k++)                                                        \
                y[k] = condition[at[0] + k * g->steps[0]] ? a[at[1] + k * g->steps[1]]                \
                                                          : b[at[2] + k * g->steps[2]];               \
    }

WHERE(where_4, i32)
WHERE(where_1, uint8_t)
