// Matrix products over packed panels, for kernels of other files.
#pragma once

// y[M, N] = clamp(x[M, K] · w + bias, low, high); w panels [ceil(N/8)][K][8], bias [ceil(N/8)*8]
void matrix_product(float *y, const float *x, const float *w, const float *bias, int m, int n, int depth, float low,
                    float high);
