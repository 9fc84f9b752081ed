// Turning a matrix, for kernels of other files.
#pragma once
#include "simd.h"

// [rows, columns] with y[r][c] = x[c][r] where both have a unit stride on their own last axis, in blocks of 4 by 4
void turn(i32 *y, const i32 *x, int rows, int columns, int in_stride, int out_stride);
