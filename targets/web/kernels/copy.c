// Moving elements without computing: transpose, slice, pad, concatenation, expansion are one strided copy each.
#include "turn.h"

typedef struct {
    i32 rank, in_offset, out_offset;  // in elements; strides may be 0 (expand) or negative (flip)
    struct { i32 size, in, out; } axes[];
} Copy;

void turn(i32 *y, const i32 *x, int rows, int columns, int in_stride, int out_stride) {
    for (int r = 0; r < rows; r += 4)
        for (int c = 0; c < columns; c += 4) {
            if (r + 4 > rows || c + 4 > columns) {
                for (int i = r; i < smaller(rows, r + 4); i++)
                    for (int j = c; j < smaller(columns, c + 4); j++) y[i * out_stride + j] = x[j * in_stride + i];
                continue;
            }
            const i32 *at = x + c * in_stride + r;
            v128_t a = LOAD(at), b = LOAD(at + in_stride), p = LOAD(at + 2 * in_stride), q = LOAD(at + 3 * in_stride);
            v128_t ab_low = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), ab_high = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
            v128_t pq_low = wasm_i32x4_shuffle(p, q, 0, 4, 1, 5), pq_high = wasm_i32x4_shuffle(p, q, 2, 6, 3, 7);
            i32 *to = y + r * out_stride + c;
            STORE(to, wasm_i64x2_shuffle(ab_low, pq_low, 0, 2));
            STORE(to + out_stride, wasm_i64x2_shuffle(ab_low, pq_low, 1, 3));
            STORE(to + 2 * out_stride, wasm_i64x2_shuffle(ab_high, pq_high, 0, 2));
            STORE(to + 3 * out_stride, wasm_i64x2_shuffle(ab_high, pq_high, 1, 3));
        }
}

// The same for bytes, one by one
static void turn_bytes(uint8_t *y, const uint8_t *x, int rows, int columns, int in_stride, int out_stride) {
    for (int c = 0; c < columns; c++, x += in_stride)
        for (int r = 0; r < rows; r++) y[r * out_stride + c] = x[r];
}

INLINE void line(void *to, const void *from, const Copy *g, int axis, int bytes) {
    int n = g->axes[axis].size, in = g->axes[axis].in, out = g->axes[axis].out;
    if (in == 1 && out == 1 && n * bytes >= 32) { __builtin_memcpy(to, from, n * bytes); return; }
    if (bytes == 4)
        for (int i = 0; i < n; i++) ((i32 *)to)[i * out] = ((const i32 *)from)[i * in];
    else
        for (int i = 0; i < n; i++) ((uint8_t *)to)[i * out] = ((const uint8_t *)from)[i * in];
}

INLINE void copy(uint8_t *y, const uint8_t *x, const Copy *g, int bytes) {
    int last = g->rank - 1;
    int turned = last >= 1 && g->axes[last].out == 1 && g->axes[last - 1].in == 1;
    int outer = turned ? last - 1 : last, count = 1;
    for (int axis = 0; axis < outer; axis++) count *= g->axes[axis].size;
    x += g->in_offset * bytes;
    y += g->out_offset * bytes;
    for (int i = 0; i < count; i++) {
        int rest = i, from = 0, to = 0;
        for (int axis = outer - 1; axis >= 0; axis--) {
            int index = rest % g->axes[axis].size;
            rest /= g->axes[axis].size;
            from += index * g->axes[axis].in;
            to += index * g->axes[axis].out;
        }
        if (turned && bytes == 1)
            turn_bytes(y + to, x + from, g->axes[last - 1].size, g->axes[last].size, g->axes[last].in,
                       g->axes[last - 1].out);
        else if (turned)
            turn((i32 *)y + to, (const i32 *)x + from, g->axes[last - 1].size, g->axes[last].size,
                 g->axes[last].in, g->axes[last - 1].out);
        else line(y + to * bytes, x + from * bytes, g, last, bytes);
    }
}

KERNEL(copy_4)(uint8_t *y, const uint8_t *x, const Copy *g) { copy(y, x, g, 4); }
KERNEL(copy_1)(uint8_t *y, const uint8_t *x, const Copy *g) { copy(y, x, g, 1); }

KERNEL(fill_f32)(float *y, int count, float value) {
    for (int i = 0; i < count; i += 4) store_lanes(y + i, SPLAT(value), count - i);
}

KERNEL(fill_i32)(i32 *y, int count, i32 value) {
    for (int i = 0; i < count; i++) y[i] = value;
}

KERNEL(fill_u8)(uint8_t *y, int count, i32 value) { __builtin_memset(y, value, count); }
