// The tiles of matrix products that quantized linear layers, convolutions and products of activations share.
#pragma once
#include "quantized.h"

#define Q_ROWS 4
#define Q_PANEL 8

// How the rows of a product find their cells, all in int16 cells of the widened operand.
typedef struct {
    int taps_y, taps_x, step_y, step_x;  // taps, and the cells from one to the next
    int pairs;                           // pairs of neighbouring cells that each tap reads
    int across, next, next_line;         // rows on a line; from one row to the next, and on to the next line
    int columns, stride;                 // columns of the result, and the codes from one of its rows to the next
    int wide;                            // weights are int16, not int8
} QProduct;

// rows of x · panels + bias  →  y [rows, columns] codes. Panels [ceil(columns/8)][taps][pairs][8][2]: of each column
// the weights of a pair of cells. bias int32 and factor float32 [ceil(columns/8)*8].
void quantized_product(i8 *y, const i16 *x, const void *panels, const i32 *bias, const float *factor, int rows,
                       const QProduct *p, const Codes *c);
