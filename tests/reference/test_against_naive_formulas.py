"""The reference judges every port; independent loops judge the reference, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference import naive
from reference.naive import F64

from triport.exporter.graph import DType, Graph, TensorType
from triport.exporter.ops import (
    Abs,
    Activation,
    Add,
    AveragePool,
    BatchNorm,
    Clamp,
    Concat,
    Conv,
    ConvTranspose,
    Elu,
    Erf,
    Exp,
    Gather,
    Gelu,
    HardSigmoid,
    HardSwish,
    LayerNorm,
    Layout,
    LeakyRelu,
    Linear,
    LogSoftmax,
    MatMul,
    MaxPool,
    Mish,
    Neg,
    OpAttrs,
    Pad,
    PRelu,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceSum,
    Relu,
    Reshape,
    Resize,
    ResizeMode,
    Selu,
    Sigmoid,
    Silu,
    Slice,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
    Transpose,
)
from triport.exporter.ops.base import to_channels_last
from triport.exporter.ops.conv import weight_perm
from triport.exporter.reference import run_graph

RANDOM = np.random.default_rng(3)


def uniform(*shape: int, low: float = -2.0, high: float = 2.0) -> F64:
    return RANDOM.uniform(low, high, shape)


def computed(op: OpAttrs, *arrays: Any) -> F64:
    """What the reference gives for an op on float64 arrays."""
    graph = Graph()
    values = [graph.add_input(f"x{i}", TensorType(DType.of(array), array.shape)) for i, array in enumerate(arrays)]
    constants = [graph.add_constant(array) for array in arrays]
    # Weights must be constants for shape rules; everything else comes in as an input.
    keep = op.parameters if op.parameters is not None else (1 if isinstance(op, Conv | ConvTranspose) else len(values))
    graph.set_output("y", graph.add(op, *values[:keep], *constants[keep:]))
    named = {f"x{i}": array for i, array in enumerate(arrays)}
    answer = run_graph(graph, named, dtype=DType.FLOAT64)["y"]
    return np.asarray(answer, np.float64)


def close(got: F64, expected: F64) -> None:
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


WINDOWS: list[tuple[Any, ...]] = [
    # size, kernel, stride, padding, dilation, groups
    ((5, 6), (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((5, 6), (3, 3), (2, 1), ((1, 0), (2, 1)), (1, 1), 1),
    ((7, 6), (2, 3), (2, 2), ((0, 1), (1, 1)), (2, 1), 2),
    ((7,), (3,), (2,), ((2, 1),), (2,), 4),
    ((3, 4, 3), (2, 2, 3), (1, 2, 1), ((0, 1), (0, 0), (1, 1)), (1, 1, 1), 1),
]


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "dilation", "groups"), WINDOWS)
@pytest.mark.parametrize("layout", Layout)
def test_convolution(size: Any, kernel: Any, stride: Any, pad: Any, dilation: Any, groups: int, layout: Layout) -> None:
    x, w, b = uniform(2, 4, *size), uniform(8, 4 // groups, *kernel), uniform(8)
    expected = naive.conv(x, w, b, stride, pad, dilation, groups)
    _in_layout(Conv(stride, pad, dilation, groups), x, w, b, expected, layout)


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "dilation", "groups"), WINDOWS)
@pytest.mark.parametrize("layout", Layout)
def test_transposed_convolution(
    size: Any, kernel: Any, stride: Any, pad: Any, dilation: Any, groups: int, layout: Layout
) -> None:
    x, w, b = uniform(2, 4, *size), uniform(4, 6 // groups if groups < 4 else 2, *kernel), uniform(1)
    b = uniform(w.shape[1] * groups)
    expected = naive.conv_transpose(x, w, b, stride, pad, dilation, groups)
    _in_layout(ConvTranspose(stride, pad, dilation, groups), x, w, b, expected, layout)


def test_transposed_convolution_extends_its_result_for_negative_padding() -> None:
    x, w, b = uniform(1, 2, 3, 3), uniform(2, 3, 2, 2), uniform(3)
    pad = ((0, -1), (1, -2))
    expected = naive.conv_transpose(x, w, b, (3, 2), pad, (1, 1), 1)
    close(computed(ConvTranspose((3, 2), pad, (1, 1)), x, w, b), expected)


def _in_layout(op: Conv | ConvTranspose, x: F64, w: F64, b: F64, expected: F64, layout: Layout) -> None:
    if layout is Layout.CHANNELS_LAST:
        perm = to_channels_last(x.ndim)
        w = np.ascontiguousarray(w.transpose(weight_perm(op, layout)))
        x, expected = np.ascontiguousarray(x.transpose(perm)), expected.transpose(perm)
        op = type(op)(op.stride, op.padding, op.dilation, op.groups, layout)
    close(computed(op, x, w, b), expected)
    clamped = type(op)(op.stride, op.padding, op.dilation, op.groups, layout, Activation.RELU6)
    close(computed(clamped, x, w, b), np.minimum(np.maximum(expected, 0), 6))


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "dilation", "groups"), WINDOWS)
def test_max_pool(size: Any, kernel: Any, stride: Any, pad: Any, dilation: Any, groups: int) -> None:
    x = uniform(2, 3, *size, low=-5, high=-1)
    close(computed(MaxPool(kernel, stride, pad, dilation), x), naive.pool(x, kernel, stride, pad, dilation, "max"))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_max_pool_of_codes_takes_images_of_more_cells_than_the_type_counts(
    dtype: type[np.integer[Any]],
) -> None:
    x = RANDOM.integers(0, 127, (1, 12, 13, 3)).astype(dtype)
    op = MaxPool((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), Layout.CHANNELS_LAST)
    first = naive.pool(x.transpose(0, 3, 1, 2).astype(np.float64), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), "max")
    np.testing.assert_array_equal(computed(op, x), first.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "dilation", "groups"), WINDOWS)
@pytest.mark.parametrize("counted", [False, True])
def test_average_pool(size: Any, kernel: Any, stride: Any, pad: Any, dilation: Any, groups: int, counted: bool) -> None:
    x, one = uniform(2, 3, *size), (1,) * len(kernel)
    expected = naive.pool(x, kernel, stride, pad, one, "mean_padded" if counted else "mean")
    close(computed(AveragePool(kernel, stride, pad, one, count_include_pad=counted), x), expected)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_batch_norm(axis: int) -> None:
    x = uniform(2, 3, 4, 5)
    channels = x.shape[axis]
    scale, offset, mean, variance = (uniform(channels, low=0.1, high=3) for _ in range(4))
    expected = naive.batch_norm(x, scale, offset, mean, variance, 1e-3, axis)
    close(computed(BatchNorm(1e-3, axis), x, scale, offset, mean, variance), expected)


@pytest.mark.parametrize("axes", [1, 2])
def test_layer_norm(axes: int) -> None:
    x = uniform(2, 3, 4)
    scale, offset = uniform(*x.shape[-axes:]), uniform(*x.shape[-axes:])
    close(computed(LayerNorm(axes, 1e-3), x, scale, offset), naive.layer_norm(x, scale, offset, axes, 1e-3))
    plain = naive.layer_norm(x, np.ones_like(scale), np.zeros_like(scale), axes, 1e-3)
    close(computed(LayerNorm(axes, 1e-3), x), plain)


@pytest.mark.parametrize("size", [(8, 10), (3, 2), (7, 9), (4, 5), (1, 1)])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "align_corners"])
def test_resize(size: tuple[int, int], mode: str) -> None:
    x = uniform(2, 2, 4, 5)
    kind = ResizeMode.NEAREST if mode == "nearest" else ResizeMode.BILINEAR
    close(computed(Resize(size, kind, mode == "align_corners"), x), naive.resize(x, size, mode))


def test_resize_of_signals_and_volumes_and_channels_last() -> None:
    signal, volume = uniform(1, 2, 5), uniform(1, 2, 2, 3, 2)
    close(computed(Resize((8,), ResizeMode.BILINEAR), signal), naive.resize(signal, (8,), "bilinear"))
    close(computed(Resize((3, 5, 4), ResizeMode.BILINEAR), volume), naive.resize(volume, (3, 5, 4), "bilinear"))
    last = np.ascontiguousarray(signal.transpose(0, 2, 1))
    op = Resize((8,), ResizeMode.NEAREST, layout=Layout.CHANNELS_LAST)
    close(computed(op, last), naive.resize(signal, (8,), "nearest").transpose(0, 2, 1))


CELLWISE: dict[str, OpAttrs] = {
    "relu": Relu(),
    "clamp": Clamp(-0.5, 1.25),
    "leaky_relu": LeakyRelu(0.3),
    "elu": Elu(0.7),
    "selu": Selu(),
    "sigmoid": Sigmoid(),
    "hard_sigmoid": HardSigmoid(),
    "hard_swish": HardSwish(),
    "silu": Silu(),
    "gelu": Gelu(),
    "gelu/approximate": Gelu(approximate=True),
    "tanh": Tanh(),
    "softplus": Softplus(),
    "softsign": Softsign(),
    "mish": Mish(),
    "exp": Exp(),
    "erf": Erf(),
    "neg": Neg(),
    "abs": Abs(),
}


@pytest.mark.parametrize("name", CELLWISE)
def test_activation(name: str) -> None:
    x = np.concatenate([np.linspace(-9, 9, 73), [-0.0, 0.0, 30.0, -30.0]])
    expected = np.array([naive.ACTIVATIONS[name](float(value)) for value in x])
    close(computed(CELLWISE[name], x), expected)


def test_every_naive_activation_is_compared() -> None:
    assert set(CELLWISE) == set(naive.ACTIVATIONS)


def test_prelu_has_a_slope_a_channel() -> None:
    x, slope = uniform(2, 3, 4), uniform(3, 1)
    close(computed(PRelu(), x, slope), np.where(x > 0, x, x * slope[None]))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax(axis: int) -> None:
    x = uniform(3, 4, 5, low=-40, high=40)
    close(computed(Softmax(axis), x), naive.softmax(x, axis))
    close(computed(LogSoftmax(axis), x / 20), np.log(naive.softmax(x / 20, axis)))


def test_pad() -> None:
    x = uniform(2, 3, 4)
    close(computed(Pad((0, 1, 2), (1, 0, 3), 1.5), x), naive.pad(x, (0, 1, 2), (1, 0, 3), 1.5))


def test_slice() -> None:
    x = uniform(4, 5, 6)
    options: tuple[tuple[int, ...], ...] = ((2, 0), (1, 0), (6, 3), (2, 1))
    close(computed(Slice(*options), x), naive.strided(x, *options))


@pytest.mark.parametrize("axis", [0, 1])
def test_gather(axis: int) -> None:
    table, indices = uniform(4, 5, 2), np.array([[0, 3, 1], [2, 2, 0]])
    close(computed(Gather(axis), table, indices), naive.gather(table, indices, axis))


def test_linear_and_matrix_product() -> None:
    x, w, b = uniform(2, 3, 5), uniform(4, 5), uniform(4)
    close(computed(Linear(), x, w, b), naive.linear(x, w, b))
    close(computed(Linear(Activation.RELU), x, w, b), np.maximum(naive.linear(x, w, b), 0))
    close(computed(MatMul(), x, np.ascontiguousarray(w.T)), naive.linear(x, w, np.zeros(4)))


def test_reductions() -> None:
    x = uniform(2, 3, 4)
    for op, name in ((ReduceMean, "mean"), (ReduceSum, "sum"), (ReduceMax, "max"), (ReduceMin, "min")):
        for keep in (False, True):
            close(computed(op((0, 2), keep), x), getattr(np, name)(x, axis=(0, 2), keepdims=keep))


def test_moving_cells() -> None:
    x = uniform(2, 3, 4)
    close(
        computed(Transpose((2, 0, 1)), x),
        np.array([[[x[i, j, k] for j in range(3)] for i in range(2)] for k in range(4)]),
    )
    close(computed(Reshape((4, 6)), x), np.array(list(x.flat)).reshape(4, 6))
    close(computed(Concat(1), x, x[:, :1]), np.array([[*rows, rows[0]] for rows in x]))
    close(computed(Add(Activation.RELU), x, x[:, :1, :1]), np.maximum(x + x[:, :1, :1], 0))
