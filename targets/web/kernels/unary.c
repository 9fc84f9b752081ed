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

// Sine and cosine in float64: the angle less the nearest multiple of π/2, then the polynomials of fdlibm.
static double wave(float x, int quarter) {
    double n = __builtin_rint((double)x * 0.63661977236758134);
    double r = ((x - n * 1.5707963267341256) - n * 6.0771005063039597e-11) - n * 2.0222662487959506e-21, z = r * r;
    quarter += (int)((int64_t)n & 3);
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
