// softmax(q kᵀ * scale, masked) v, block by block: the scores are never there as a whole.
//
// Eight queries at a time stand side by side in the lanes of two vectors. Keys pass by in blocks: each block's scores,
// their exponentials against the largest score so far, and what these weigh of v. When a larger score comes, what was
// summed up before fades by exp(old - new) (M. Milakov and N. Gimelshein, 2018, arXiv:1805.02867).
#include "turn.h"
#include "vmath.h"

#define QUERIES 8  // ATTENTION_QUERIES in targets/web/ops/attention.py
#define KEYS 128   // ATTENTION_KEYS there

// ADDED: mask is float32. KEPT, HIDDEN: bytes; a key that is not kept, or is hidden, has the score `fill`.
// CAUSAL: a query sees the keys up to its own place, as many as it can.
typedef enum { PLAIN, ADDED, KEPT, HIDDEN, CAUSAL } Masked;

typedef struct {
    i32 rank, queries, keys, depth, width;  // number of batch axes; cells of a query, and of a row of v
    i32 masked, q_start, k_start, v_start;
    i32 q_row, k_row, v_row, y_row, mask_row, mask_key;  // steps in elements; cells of q, k, v, y are neighbours
    struct { i32 size, q, k, v, y, mask; } axes[];
} Attention;

typedef struct { f4 left, right; } Lanes;

// scores[j][0..7] = scale * Σ_i k[j][i] turned[i][0..7] for `rows` keys
INLINE void products(float *scores, const float *turned, const float *k, int k_row, int rows, int depth, f4 scale) {
    Lanes acc[4];
#pragma unroll
    for (int j = 0; j < rows; j++) acc[j].left = acc[j].right = SPLAT(0.0f);
    for (int i = 0; i < depth; i++, turned += QUERIES) {
        f4 left = LOAD(turned), right = LOAD(turned + 4);
#pragma unroll
        for (int j = 0; j < rows; j++) {
            f4 cell = LOAD_SPLAT(k + j * k_row + i);
            acc[j].left = MADD(acc[j].left, cell, left);
            acc[j].right = MADD(acc[j].right, cell, right);
        }
    }
#pragma unroll
    for (int j = 0; j < rows; j++) {
        STORE(scores + j * QUERIES, MUL(acc[j].left, scale));
        STORE(scores + j * QUERIES + 4, MUL(acc[j].right, scale));
    }
}

static void mask_scores(float *scores, const void *mask, const Attention *g, int query, int rows, int key, int count,
                        float fill) {
    for (int j = key; j < key + count; j++, scores += QUERIES)
        for (int r = 0; r < rows; r++) {
            int at = (query + r) * g->mask_row + j * g->mask_key;
            if (g->masked == ADDED) scores[r] += ((const float *)mask)[at];
            else if (g->masked == CAUSAL ? j > query + r : !((const uint8_t *)mask)[at] == (g->masked == KEPT))
                scores[r] = fill;
        }
}

// Scores become their exponentials; `top` and `total` are the largest score and the sum so far. Returns how much of
// earlier sums is left. A row without any score above -inf has a total of 0.
static Lanes exponentials(float *scores, int count, Lanes *top, Lanes *total) {
    Lanes before = *top, shift, fade;
    for (int j = 0; j < count; j++) {
        top->left = wasm_f32x4_pmax(top->left, LOAD(scores + j * QUERIES));
        top->right = wasm_f32x4_pmax(top->right, LOAD(scores + j * QUERIES + 4));
    }
    f4 lowest = SPLAT(-__builtin_inff());
    shift.left = wasm_v128_andnot(top->left, wasm_f32x4_eq(top->left, lowest));
    shift.right = wasm_v128_andnot(top->right, wasm_f32x4_eq(top->right, lowest));
    fade.left = vexp(SUB(before.left, shift.left));
    fade.right = vexp(SUB(before.right, shift.right));
    f4 left = MUL(total->left, fade.left), right = MUL(total->right, fade.right);
    for (int j = 0; j < 2 * count; j++, scores += 4) {
        f4 e = exp_inline(SUB(LOAD(scores), j & 1 ? shift.right : shift.left));
        STORE(scores, e);
        if (j & 1) right = ADD(right, e);
        else left = ADD(left, e);
    }
    total->left = left, total->right = right;
    return fade;
}

// sums[r][0..7] = sums[r][0..7] * fade[r] + Σ_j weights[j][r] v[j][0..7] for four queries
INLINE void weighted(float *sums, int stride, const float *weights, const float *v, int v_row, int count,
                     const float *fade) {
    Lanes acc[4];
#pragma unroll
    for (int r = 0; r < 4; r++) {
        f4 left = LOAD_SPLAT(fade + r);
        acc[r].left = MUL(LOAD(sums + r * stride), left);
        acc[r].right = MUL(LOAD(sums + r * stride + 4), left);
    }
    for (int j = 0; j < count; j++, v += v_row, weights += QUERIES) {
        f4 left = LOAD(v), right = LOAD(v + 4);
#pragma unroll
        for (int r = 0; r < 4; r++) {
            f4 weight = LOAD_SPLAT(weights + r);
            acc[r].left = MADD(acc[r].left, weight, left);
            acc[r].right = MADD(acc[r].right, weight, right);
        }
    }
#pragma unroll
    for (int r = 0; r < 4; r++) {
        STORE(sums + r * stride, acc[r].left);
        STORE(sums + r * stride + 4, acc[r].right);
    }
}

// Queries [query, query + 8) of one head
static void eight_queries(float *y, const float *q, const float *k, const float *v, const void *mask, float *scratch,
                          const Attention *g, int query, float scale, float fill) {
    int rows = smaller(QUERIES, g->queries - query), stride = (g->width + 7) & ~7;
    int keys = g->masked == CAUSAL ? smaller(g->keys, query + rows) : g->keys;
    float *turned = scratch, *scores = turned + g->depth * QUERIES, *sums = scores + KEYS * QUERIES, fades[QUERIES];
    Lanes top = {SPLAT(-__builtin_inff()), SPLAT(-__builtin_inff())}, total = {SPLAT(0.0f), SPLAT(0.0f)};
    if (rows < QUERIES) __builtin_memset(turned, 0, g->depth * QUERIES * sizeof(float));
    turn((i32 *)turned, (const i32 *)q + query * g->q_row, g->depth, rows, g->q_row, QUERIES);
    __builtin_memset(sums, 0, stride * QUERIES * sizeof(float));
    for (int key = 0; key < keys; key += KEYS) {
        int count = smaller(KEYS, keys - key), j = 0;
        const float *at = k + key * g->k_row;
        for (; j + 4 <= count; j += 4)
            products(scores + j * QUERIES, turned, at + j * g->k_row, g->k_row, 4, g->depth, SPLAT(scale));
        for (; j < count; j++)
            products(scores + j * QUERIES, turned, at + j * g->k_row, g->k_row, 1, g->depth, SPLAT(scale));
        if (g->masked != PLAIN) mask_scores(scores, mask, g, query, rows, key, count, fill);
        Lanes fade = exponentials(scores, count, &top, &total);
        STORE(fades, fade.left);
        STORE(fades + 4, fade.right);
        for (int r = 0; r < rows; r += 4)
            for (int c = 0; c < g->width; c += 8)
                weighted(sums + r * stride + c, stride, scores + r, v + key * g->v_row + c, g->v_row, count, fades + r);
    }
    STORE(fades, DIV(SPLAT(1.0f), total.left));
    STORE(fades + 4, DIV(SPLAT(1.0f), total.right));
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < g->width; c += 4)
            store_lanes(y + (query + r) * g->y_row + c, MUL(LOAD(sums + r * stride + c), LOAD_SPLAT(fades + r)),
                        g->width - c);
}

// q [.., L, E], k [.., S, E], v [.., S, V]  →  y [.., L, V]; scratch: 8 * (E + 128 + V up to a multiple of 8) floats
KERNEL(attention)(float *y, const float *q, const float *k, const float *v, const uint8_t *mask, float *scratch,
                  const Attention *g, float scale, float fill) {
    int count = 1, mask_bytes = g->masked == ADDED ? 4 : 1;
    for (int axis = 0; axis < g->rank; axis++) count *= g->axes[axis].size;
    for (int i = 0; i < count; i++) {
        int rest = i, y_at = 0, q_at = g->q_start, k_at = g->k_start, v_at = g->v_start, mask_at = 0;
        for (int axis = g->rank - 1; axis >= 0; axis--) {
            int index = rest % g->axes[axis].size;
            rest /= g->axes[axis].size;
            y_at += index * g->axes[axis].y;
            q_at += index * g->axes[axis].q;
            k_at += index * g->axes[axis].k;
            v_at += index * g->axes[axis].v;
            mask_at += index * g->axes[axis].mask;
        }
        for (int query = 0; query < g->queries; query += QUERIES)
            eight_queries(y + y_at, q + q_at, k + k_at, v + v_at, mask + mask_at * mask_bytes, scratch, g, query, scale,
                          fill);
    }
}
