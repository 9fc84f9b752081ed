"""Rounds a layer's weights one input after the other, and lets those to come make up for what was lost so far
(GPTQ, Frantar et al. 2022).

For a filter w, its rounded form q and rows x of what it multiplies, the squared difference of the outputs is
(w - q) H (w - q)ᵀ, H the sum of xᵀx. With H = R Rᵀ, R upper triangular, that is the sum over columns j of

    ((w_j - q_j) R_jj + sum over i < j of (w_i - q_i) R_ij)²

and q_j is the code nearest to what makes the j-th term 0. Inputs with the largest squares come first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...exporter.graph import Array

Floats = npt.NDArray[np.float64]

DAMPING = 0.01
"""Share of H's mean diagonal that is added to it: rows are samples, and may be fewer than cells."""

LONGEST = 4608
"""Cells of a filter that are chosen together; longer ones are cut, or H would not fit into memory."""

_BLOCK = 64
"""Columns whose debt is carried on at once."""


def gptq(weights: Floats, steps: Floats, rows: Array, least: int, most: int) -> Floats:
    """Codes least … most of ``weights`` [groups, filters, cells], in ``steps`` of the same shape.

    rows   what each group's filters multiply, [rows, groups, cells]
    """
    pieces = (slice(start, start + LONGEST) for start in range(0, weights.shape[2], LONGEST))
    parts = [_chosen(weights[..., at], steps[..., at], rows[..., at], least, most) for at in pieces]
    return np.concatenate(parts, axis=2)


def _chosen(weights: Floats, steps: Floats, rows: Array, least: int, most: int) -> Floats:
    hessian = _hessian(rows)
    order = np.argsort(-np.einsum("gkk->gk", hessian), axis=1, kind="stable")
    hessian = np.take_along_axis(np.take_along_axis(hessian, order[:, :, None], 1), order[:, None, :], 2)
    root = np.linalg.cholesky(hessian[:, ::-1, ::-1])[:, ::-1, ::-1]
    weights, steps = (np.take_along_axis(array, order[:, None, :], 2) for array in (weights, steps))
    codes, lost = np.empty_like(weights), np.empty_like(weights)
    for start in range(0, weights.shape[2], _BLOCK):
        stop = min(start + _BLOCK, weights.shape[2])
        debt = lost[..., :start] @ root[:, :start, start:stop]
        for j in range(start, stop):
            wanted = weights[..., j] + debt[..., j - start] / root[:, j, j, None]
            codes[..., j] = np.clip(np.rint(wanted / steps[..., j]), least, most)
            lost[..., j] = weights[..., j] - codes[..., j] * steps[..., j]
            debt[..., j + 1 - start :] += lost[..., j, None] * root[:, None, j, j + 1 : stop]
    found = np.empty_like(codes)
    np.put_along_axis(found, np.broadcast_to(order[:, None, :], codes.shape), codes, 2)
    return found


def _hessian(rows: Array) -> Floats:
    """Positive definite [groups, cells, cells], at any scale of its own."""
    largest = float(np.abs(rows).max(initial=0.0)) or 1.0
    scaled = np.moveaxis(np.asarray(rows, np.float32) / np.float32(largest), 0, 1)
    hessian: Floats = np.matmul(scaled.transpose(0, 2, 1), scaled).astype(np.float64)
    diagonal: Floats = np.einsum("gkk->gk", hessian)  # a view
    diagonal += DAMPING * diagonal.mean(1, keepdims=True) + 1e-12
    return hessian
