// Rows by number: embedding and gather along one axis.
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
