"""Reshape, transpose, slice, concat, pad, gather, resize, products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from triport.exporter.errors import ModelError
from triport.exporter.graph import DType, Sym
from triport.exporter.ops import (
    Activation,
    Cast,
    Concat,
    Gather,
    Layout,
    Linear,
    MatMul,
    Pad,
    Relu,
    Reshape,
    Resize,
    ResizeMode,
    Slice,
    Transpose,
)

BATCH, TIME = Sym.named("batch"), Sym.named("time")
TIMES = [{"time": 3}, {"time": 8}]


@pytest.mark.parametrize(
    "shape", [(BATCH, 12), (BATCH * 12,), (BATCH * 4, 3), (BATCH, 1, 2, 6), (2, BATCH * 6)], ids=str
)
def test_reshape_with_a_free_batch(bench: Any, sketch: Any, shape: Any) -> None:
    graph = sketch.output(sketch.op(Reshape(shape), sketch.input(BATCH, 3, 4)))
    assert bench.codes(graph) == ["RESHAPE"]
    bench.agree(graph, lambda x: x.reshape([d if isinstance(d, int) else -1 for d in shape]))


def test_reshape_to_a_scalar(bench: Any, sketch: Any) -> None:
    graph = sketch.output(sketch.op(Relu(), sketch.op(Reshape(()), sketch.input(1, 1))))
    bench.agree(graph, lambda x: np.maximum(x.reshape(()), 0), batches=[1])


def test_reshape_with_two_free_sizes(bench: Any, sketch: Any) -> None:
    x = sketch.op(Relu(), sketch.input(BATCH, TIME, 6))
    y = sketch.op(Reshape((BATCH, TIME, 2, 3)), x)
    graph = sketch.output(sketch.op(Reshape((BATCH, TIME * 2, 3)), sketch.op(Relu(), y)))
    bench.agree(graph, lambda x: np.maximum(x, 0).reshape(x.shape[0], -1, 3), sizes=TIMES)


def test_reshape_to_a_sum_of_sizes(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH, TIME, 6)
    y = sketch.op(Concat(1), x, x, sketch.op(Slice((1,), (0,), (1,), (1,)), x))
    graph = sketch.output(sketch.op(Reshape((BATCH, 2 * TIME + 1, 2, 3)), y))
    bench.agree(
        graph,
        lambda x: np.concatenate([x, x, x[:, :1]], 1).reshape(x.shape[0], -1, 2, 3),
        sizes=TIMES,
    )


def test_a_size_that_no_input_has_is_named(bench: Any, sketch: Any) -> None:
    x = sketch.input(BATCH * TIME, 6)
    graph = sketch.output(sketch.op(Reshape((BATCH, TIME, 6)), x))
    with pytest.raises(ModelError, match=r"TP104.*depends on '(batch|time)'"):
        bench.write(graph)


@pytest.mark.parametrize("perm", [(0, 2, 3, 1), (0, 3, 1, 2), (2, 0, 3, 1), (0, 1, 3, 2)], ids=str)
def test_transpose(bench: Any, sketch: Any, perm: tuple[int, ...]) -> None:
    graph = sketch.output(sketch.op(Transpose(perm), sketch.input(BATCH, 3, 4, 2)))
    assert bench.codes(graph) == ["TRANSPOSE"]
    bench.agree(graph, lambda x: x.transpose(perm))


def test_transpose_of_axes_of_size_one_moves_nothing(bench: Any, sketch: Any) -> None:
    graph = sketch.output(sketch.op(Transpose((0, 3, 1, 2)), sketch.input(BATCH, 3, 4, 1)))
    assert bench.codes(graph) == ["RESHAPE"]
    bench.agree(graph, lambda x: x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("rank", [5, 6])
def test_transpose_of_many_axes(bench: Any, sketch: Any, rank: int) -> None:
    perm = (0, *range(rank - 1, 0, -1))
    graph = sketch.output(sketch.op(Transpose(perm), sketch.input(BATCH, *range(2, rank + 1))))
    bench.agree(graph, lambda x: x.transpose(perm))


SLICES = {
    "middle": (Slice((1,), (2,), (7,), (1,)), np.s_[:, 2:7]),
    "two_axes": (Slice((1, 2), (2, 1), (9, 3), (1, 1)), np.s_[:, 2:9, 1:3]),
    "steps": (Slice((1, 2), (1, 0), (8, 4), (3, 2)), np.s_[:, 1:8:3, 0:4:2]),
    "to_the_end": (Slice((0, 1), (0, 4), (BATCH, 9), (1, 1)), np.s_[:, 4:]),
    "batch_with_steps": (Slice((0,), (0,), (BATCH,), (2,)), np.s_[::2]),
}


@pytest.mark.parametrize("case", SLICES)
def test_slice(bench: Any, sketch: Any, case: str) -> None:
    op, index = SLICES[case]
    graph = sketch.output(sketch.op(op, sketch.input(BATCH, 9, 4)))
    bench.agree(graph, lambda x: x[index])


def test_slice_up_to_a_distance_from_the_end(bench: Any, sketch: Any) -> None:
    graph = sketch.output(sketch.op(Slice((1,), (1,), (TIME - 1,), (1,)), sketch.input(BATCH, TIME, 4)))
    bench.agree(graph, lambda x: x[:, 1:-1], sizes=TIMES)


def test_slice_that_ends_in_the_middle_of_a_free_axis(bench: Any, sketch: Any) -> None:
    y = sketch.op(Slice((1,), (0,), (TIME // 2,), (1,)), sketch.input(BATCH, TIME, 4))
    bench.agree(sketch.output(y), lambda x: x[:, : x.shape[1] // 2], sizes=TIMES)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concat(bench: Any, sketch: Any, axis: int) -> None:
    x = sketch.input(BATCH, 3, 4)
    y = sketch.op(Concat(axis), x, x, x, x, x, x)
    bench.agree(sketch.output(y), lambda x: np.concatenate([x] * 6, axis))


@pytest.mark.parametrize("value", [0.0, 1.5, -np.inf])
@pytest.mark.parametrize("rank", [2, 4, 5])
def test_pad(bench: Any, sketch: Any, value: float, rank: int) -> None:
    before, after = (0, *range(rank - 1)), (0, *[1] * (rank - 1))
    x = sketch.input(BATCH, *range(2, rank + 1))
    graph = sketch.output(sketch.op(Pad(before, after, value), x))
    frame = list(zip(before, after, strict=True))
    bench.agree(graph, lambda x: np.pad(x, frame, constant_values=value))


@pytest.mark.parametrize("dtype", [DType.INT32, DType.INT64, DType.UINT8])
def test_gather_rows_of_a_table(bench: Any, sketch: Any, dtype: DType) -> None:
    table = sketch.constant(5, 3)
    if dtype is DType.UINT8:
        indices = sketch.op(Cast(DType.UINT8), sketch.input(BATCH, 7, dtype=DType.INT32))
    else:
        indices = sketch.input(BATCH, 7, dtype=dtype)
    graph = sketch.output(sketch.op(Gather(0), table, indices))
    bench.agree(graph, lambda i: table.array()[i])


def test_gather_along_a_later_axis(bench: Any, sketch: Any) -> None:
    picks = sketch.of(np.array([3, 0, 0], np.int64))
    graph = sketch.output(sketch.op(Gather(2), sketch.input(BATCH, 2, 4), picks))
    bench.agree(graph, lambda x: x[:, :, [3, 0, 0]])


def test_int64_constants_beyond_int32_are_refused(bench: Any, sketch: Any) -> None:
    picks = sketch.of(np.array([2**31], np.int64))
    y = sketch.op(Gather(1), sketch.input(BATCH, 4), picks)
    refusal = bench.target.refusal(y.producer)
    assert refusal is not None and refusal.code == "TP105" and "int32" in refusal.because


RESIZES = {
    "double": ((5, 4), (10, 8)),
    "triple": ((5, 4), (15, 12)),
    "odd": ((5, 4), (7, 9)),
    "shrink": ((9, 8), (4, 3)),
    "one_cell": ((1, 1), (4, 3)),
    "to_one_cell": ((4, 5), (1, 1)),
}


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "align_corners"])
@pytest.mark.parametrize("case", RESIZES)
def test_resize_equals_torch(bench: Any, sketch: Any, case: str, mode: str) -> None:
    size, wanted = RESIZES[case]
    corners = mode == "align_corners"
    kind = ResizeMode.NEAREST if mode == "nearest" else ResizeMode.BILINEAR
    x = sketch.input(BATCH, *size, 2)
    graph = sketch.output(sketch.op(Resize(wanted, kind, corners, Layout.CHANNELS_LAST), x))

    def formula(x: Any) -> Any:
        image = torch.from_numpy(x).permute(0, 3, 1, 2)
        options = {} if mode == "nearest" else {"align_corners": corners}
        return F.interpolate(image, wanted, mode=kind.value, **options).permute(0, 2, 3, 1).numpy()

    bench.agree(graph, formula)


def test_resize_to_a_multiple_of_a_free_size(bench: Any, sketch: Any) -> None:
    height = Sym.named("height")
    x = sketch.input(BATCH, height, 4, 2)
    op = Resize((height * 2, 8), ResizeMode.NEAREST, False, Layout.CHANNELS_LAST)
    graph = sketch.output(sketch.op(op, x))
    bench.agree(graph, lambda x: x.repeat(2, 1).repeat(2, 2), sizes=[{"height": 3}, {"height": 8}])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("leading", [(), (BATCH,), (BATCH, 3), (BATCH, 2, 3), (BATCH, TIME)], ids=str)
def test_linear_along_the_last_axis(bench: Any, sketch: Any, leading: Any, bias: bool) -> None:
    weight, offset = sketch.constant(6, 5), sketch.constant(6)
    operands = [sketch.input(*leading, 5), weight, *([offset] if bias else [])]
    graph = sketch.output(sketch.op(Linear(Activation.RELU), *operands))
    added = offset.array() if bias else 0

    def formula(x: Any) -> Any:
        return np.maximum(x.astype(np.float64) @ weight.array().T + added, 0)

    bench.agree(graph, formula, sizes=TIMES if TIME in leading else [{}])


def test_linear_with_one_feature(bench: Any, sketch: Any) -> None:
    weight = sketch.constant(1, 1)
    graph = sketch.output(sketch.op(Linear(), sketch.input(BATCH, 1), weight))
    bench.agree(graph, lambda x: x * weight.array()[0, 0])


@pytest.mark.parametrize(
    ("a", "b"), [((BATCH, 3, 4), (BATCH, 4, 5)), ((BATCH, 2, 3, 4), (2, 4, 5)), ((BATCH, 3, 4), (4, 5))], ids=str
)
def test_product_of_two_activations(bench: Any, sketch: Any, a: Any, b: Any) -> None:
    left, right = sketch.input(*a, name="a"), sketch.input(*b, name="b")
    graph = sketch.output(sketch.op(MatMul(), left, right))
    bench.agree(graph, lambda a, b: a.astype(np.float64) @ b)


def test_product_with_a_constant_matrix(bench: Any, sketch: Any) -> None:
    right = sketch.constant(4, 5)
    graph = sketch.output(sketch.op(MatMul(), sketch.input(BATCH, 3, 4), right))
    bench.agree(graph, lambda a: a.astype(np.float64) @ right.array())


def test_a_slice_beside_a_free_axis_stays_in_xnnpack(bench: Any, sketch: Any) -> None:
    """SLICE writes the size of a free axis as -1, which XNNPACK does not take."""
    y = sketch.op(Relu(), sketch.op(Slice((2,), (1,), (3,), (1,)), sketch.op(Relu(), sketch.input(BATCH, 4, 5))))
    graph = sketch.output(y)
    runtime = bench.load(graph, "xnnpack")
    runtime.run({"x": np.zeros((2, 4, 5), np.float32)})
    assert runtime.codes().count("DELEGATE") == 1
    bench.agree(graph, lambda x: np.maximum(x, 0)[:, :, 1:3])
