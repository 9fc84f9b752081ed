// What convolutions by Winograd's F(2x2, 3x3) share (winograd.c): tiles of 4x4 cells of x make 2x2 cells of y.
#pragma once
#include "simd.h"

#define CELLS 16  // of a tile
#define APART 16  // words from the tiles of one cell to those of the next: at powers of 2 they share the lines of the cache

// block: tiles at a time; the zero points of codes
typedef struct {
    i32 batch, in_h, in_w, depth, out_h, out_w, width, top, left, block, zero_in, zero_out;
} Winograd;

INLINE int tiles_across(const Winograd *g) { return (g->out_w + 1) / 2; }

// Where the cells under a tile stand in x, in elements; -1: in the padding
INLINE void cells_under(int at[CELLS], const Winograd *g, int tile) {
    int row = tile / tiles_across(g) * 2 - g->top, column = tile % tiles_across(g) * 2 - g->left;
    for (int j = 0; j < CELLS; j++) {
        int y = row + j / 4, x = column + j % 4;
        int inside = (uint32_t)y < (uint32_t)g->in_h && (uint32_t)x < (uint32_t)g->in_w;
        at[j] = inside ? (y * g->in_w + x) * g->depth : -1;
    }
}

// Where the cells that a tile makes stand in y, in elements; -1: beyond its end
INLINE void cells_made(int at[4], const Winograd *g, int tile) {
    int row = tile / tiles_across(g) * 2, column = tile % tiles_across(g) * 2;
    for (int j = 0; j < 4; j++) {
        int y = row + j / 2, x = column + j % 2;
        at[j] = y < g->out_h && x < g->out_w ? (y * g->out_w + x) * g->width : -1;
    }
}
