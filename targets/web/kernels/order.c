// What depends on the order of cells along an axis: positions of extremes, running sums, sorting. x [outer, n, inner]
#include "simd.h"

// y [outer, inner]: the first among equals; a NaN is beyond everything.
#define POSITION(name, type, better)                                                             \
    KERNEL(name)(i32 *y, const type *x, int outer, int n, int inner) {                           \
        for (int i = 0; i < outer; i++, x += n * inner)                                          \
            for (int j = 0; j < inner; j++) {                                                    \
                int best = 0;                                                                    \
                for (int k = 1; k < n; k++) {                                                    \
                    type a = x[k * inner + j], b = x[best * inner + j];                          \
                    if ((better) || (a != a && b == b)) best = k;                                \
                }                                                                                \
                *y++ = best;                                                                     \
            }                                                                                    \
    }

POSITION(arg_max, float, a > b)
POSITION(arg_min, float, a < b)
POSITION(arg_max_i32, i32, a > b)
POSITION(arg_min_i32, i32, a < b)

#define RUNNING(name, type, sum)                                                                 \
    KERNEL(name)(type *y, const type *x, int outer, int n, int inner) {                          \
        for (int i = 0; i < outer; i++, x += n * inner, y += n * inner)                          \
            for (int j = 0; j < inner; j++) {                                                    \
                sum total = 0;                                                                   \
                for (int k = 0; k < n; k++) y[k * inner + j] = (type)(total += (sum)x[k * inner + j]); \
            }                                                                                    \
    }

RUNNING(cum_sum, float, double)
RUNNING(cum_sum_i32, i32, uint32_t)

// values, positions [outer, k, inner]: a merge sort of the positions, which leaves equals as they came; `work` holds
// 2 n numbers.
#define TOP_K(name, type)                                                                        \
    KERNEL(name)(type *values, i32 *positions, const type *x, i32 *work, int outer, int n, int inner, int k, \
                 int largest) {                                                                  \
        for (int i = 0; i < outer; i++, x += n * inner)                                          \
            for (int j = 0; j < inner; j++) {                                                    \
                i32 *from = work, *to = work + n;                                                \
                for (int m = 0; m < n; m++) from[m] = m;                                         \
                for (int run = 1; run < n; run *= 2) {                                           \
                    for (int start = 0; start < n; start += 2 * run) {                           \
                        int middle = smaller(start + run, n), end = smaller(start + 2 * run, n); \
                        for (int l = start, r = middle, m = start; m < end; m++) {               \
                            int right = l >= middle;                                             \
                            if (l < middle && r < end) {                                         \
                                type a = x[from[l] * inner + j], b = x[from[r] * inner + j];     \
                                right = largest ? b > a || (b != b && a == a) : b < a || (a != a && b == b); \
                            }                                                                    \
                            to[m] = from[right ? r++ : l++];                                     \
                        }                                                                        \
                    }                                                                            \
                    i32 *swap = from;                                                            \
                    from = to, to = swap;                                                        \
                }                                                                                \
                for (int m = 0; m < k; m++) {                                                    \
                    int at = (i * k + m) * inner + j;                                            \
                    positions[at] = from[m];                                                     \
                    values[at] = x[from[m] * inner + j];                                         \
                }                                                                                \
            }                                                                                    \
    }

TOP_K(top_k, float)
TOP_K(top_k_i32, i32)
