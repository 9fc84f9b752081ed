// Elementwise functions of one tensor: y[i] = f(x[i]; p, q). y may be x.
#include "unary.h"

// One kernel: `v` is the vector of inputs, `p` and `q` the splatted parameters. The last vector stores only real lanes.
#define UNARY(name, expression)                                                      \
    KERNEL(name)(float *y, const float *x, int count, float p_, float q_) {          \
        f4 p = SPLAT(p_), q = SPLAT(q_);                                             \
        (void)p, (void)q;                                                            \
        for (int i = 0; i < count; i += 4) {                                         \
            f4 v = LOAD(x + i);                                                      \
            store_lanes(y + i, (expression), count - i);                             \
        }                                                                            \
    }

UNARY_FUNCTIONS(UNARY)

// 2/π in binary, 64 places a word. No array: kernels have no data.
static uint64_t two_by_pi_word(int i) {
    return i < 2 ? i ? 0xfc2757d1f534ddc0 : 0xa2f9836e4e441529 : i < 3 ? 0xdb6295993c439041 : 0xfe5163abdebbc561;
}

// 64 places of it from `at` on, at most 166: 0 is the first behind the point, before which all are 0.
static uint64_t two_by_pi(int at) {
    if (at < 0) return two_by_pi_word(0) >> -at;
    int i = at / 64, shift = at & 63;
    return two_by_pi_word(i) << shift | (shift ? two_by_pi_word(i + 1) >> (64 - shift) : 0);
}

// The angle less the nearest multiple of π/2, and that multiple, from 2^20 on, where n below comes to have more bits than
// its products have room for: of x times 2/π only the places that tell of less than four quarters are multiplied out
// (after Payne and Hanek, 1983).
static double far_rest(float x, int *quarters) {
    uint32_t bits = __builtin_bit_cast(uint32_t, x);
    int at = (int)(bits >> 23 & 255) - 152;
    uint64_t digits = (bits & 0x7fffff) | 0x800000;
    uint64_t turns = digits * two_by_pi(at) + (digits * (two_by_pi(at + 64) >> 24) >> 40);
    *quarters = (int)((turns + (1ull << 61)) >> 62);
    return (double)(int64_t)(turns << 2) * (1.5707963267948966 / 18446744073709551616.0);
}

// Sine and cosine in float64: the angle less the nearest multiple of π/2, then the polynomials of fdlibm.
static double wave(float x, int quarter) {
    float size = __builtin_fabsf(x);
    double r;
    if (size >= 0x1p20f && size < __builtin_inff()) {
        int quarters;
        r = far_rest(size, &quarters);
        if (x < 0) r = -r, quarters = -quarters;
        quarter += quarters & 3;
    } else {
        double n = __builtin_rint((double)x * 0.63661977236758134);
        r = ((x - n * 1.5707963267341256) - n * 6.0771005063039597e-11) - n * 2.0222662487959506e-21;
        quarter += (int)((int64_t)n & 3);
    }
    double z = r * r;
    double sine = r + r * z * (-1.66666666666666324e-01 + z * (8.33333333332248946e-03 + z * (-1.98412698298579493e-04 +
                  z * (2.75573137070700676e-06 + z * (-2.50507602534068634e-08 + z * 1.58969099521155010e-10)))));
    double cosine = 1 - z / 2 + z * z * (4.16666666666666019e-02 + z * (-1.38888888888741096e-03 +
                    z * (2.48015872894767294e-05 + z * (-2.75573143513906633e-07 + z * 2.08757232129817483e-09))));
    double result = quarter & 1 ? cosine : sine;
    return quarter & 2 ? -result : result;
}

#define WAVE(name, quarter)                                                         \
    KERNEL(name)(float *y, const float *x, int count, float p, float q) {           \
        (void)p, (void)q;                                                           \
        for (int i = 0; i < count; i++) y[i] = (float)wave(x[i], quarter);          \
    }

WAVE(sin, 0)
WAVE(cos, 1)
