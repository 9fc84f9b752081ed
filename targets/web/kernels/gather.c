// Cells by number: embedding, gather along one axis, scatter.
#include "simd.h"

// data [outer, size, inner] of `bytes`-byte elements, index int32 [count]  →  y [outer, count, inner].
// Returns 1 (and writes nothing further) at an index outside 0 … size - 1.
CHECKED_KERNEL(gather)(uint8_t *y, const uint8_t *data, const i32 *index, int outer, int size, int inner, int count,
                       int bytes) {
    int run = inner * bytes;
    for (int i = 0; i < outer; i++, data += size * run)
        for (int k = 0; k < count; k++, y += run) {
            if ((uint32_t)index[k] >= (uint32_t)size) return 1;
            __builtin_memcpy(y, data + index[k] * run, run);
        }
    return 0;
}

// x [outer, size, inner], index int32 [outer, count, inner]  →  y [outer, count, inner], a cell for each index.
#define TAKE_ALONG(name, cell)                                                                                     \
    CHECKED_KERNEL(name)(cell *y, const cell *x, const i32 *index, int outer, int size, int inner, int count) {    \
        for (int i = 0; i < outer; i++, x += size * inner)                                                         \
            for (int k = 0; k < count; k++)                                                                        \
                for (int j = 0; j < inner; j++, y++, index++) {                                                    \
                    if ((uint32_t)*index >= (uint32_t)size) return 1;                                              \
                    *y = x[*index * inner + j];                                                                    \
                }                                                                                                  \
        return 0;                                                                                                  \
    }

TAKE_ALONG(take_along_4, i32)
TAKE_ALONG(take_along_1, uint8_t)

// rows [count, run bytes] into y [size, run bytes] at index int32 [count]; the last one of a row stays.
CHECKED_KERNEL(scatter)(uint8_t *y, const uint8_t *rows, const i32 *index, int size, int run, int count) {
    for (int k = 0; k < count; k++, rows += run) {
        if ((uint32_t)index[k] >= (uint32_t)size) return 1;
        __builtin_memcpy(y + index[k] * run, rows, run);
    }
    return 0;
}

#define SCATTER_ADD(name, cell)                                                                                \
    CHECKED_KERNEL(name)(cell *y, const cell *rows, const i32 *index, int size, int run, int count) {          \
        for (int k = 0; k < count; k++, rows += run) {                                                         \
            if ((uint32_t)index[k] >= (uint32_t)size) return 1;                                                \
            for (int j = 0; j < run; j++) y[index[k] * run + j] += rows[j];                                    \
        }                                                                                                      \
        return 0;                                                                                              \
    }

SCATTER_ADD(scatter_add_f32, float)
SCATTER_ADD(scatter_add_i32, i32)

KERNEL(iota)(i32 *y, int count) {
    for (int i = 0; i < count; i++) y[i] = i;
}
