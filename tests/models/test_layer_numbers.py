"""What layers compute, against formulas written out naively here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

import triport as tp

L = tp.layers
Array = np.ndarray


def run(layer: tp.Layer, x: Array) -> Array:
    """The layer in eval mode on a float32 array."""
    tensor = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    layer.ensure_built((None, *x.shape[1:]))
    with torch.no_grad():
        result = layer.eval()(tensor)
    assert isinstance(result, torch.Tensor)
    return result.numpy()


def same_padding(n: int, k: int, s: int, d: int = 1) -> tuple[int, int]:
    """Keras's amounts: total = max((ceil(n/s) - 1)·s + (k-1)·d + 1 - n, 0), half of it (rounded down) before."""
    total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
    return total // 2, total - total // 2


def naive_conv1d(x: Array, kernel: Array, s: int, d: int, padding: str) -> Array:
    """x [n, channels], kernel [k, in, out] in Keras's layout → [n', out]."""
    n, k = len(x), len(kernel)
    before, after = same_padding(n, k, s, d) if padding == "same" else (0, 0)
    if padding == "causal":
        before = (k - 1) * d
    padded = np.concatenate([np.zeros((before, x.shape[1])), x, np.zeros((after, x.shape[1]))])
    count = (len(padded) - (k - 1) * d - 1) // s + 1
    return np.stack([sum(padded[o * s + j * d] @ kernel[j] for j in range(k)) for o in range(count)])


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_conv1d_for_all_small_sizes(padding: str) -> None:
    rng = np.random.default_rng(0)
    for n, k, s, d in itertools.product(range(1, 8), range(1, 5), range(1, 4), (1, 2)):
        if (s > 1 and d > 1) or (padding == "valid" and (k - 1) * d + 1 > n):
            continue
        x = rng.normal(size=(2, n, 2))
        layer = L.Conv1D(3, k, strides=s, dilation_rate=d, padding=padding)
        layer.ensure_built((None, n, 2))
        kernel, bias = rng.normal(size=(k, 2, 3)), rng.normal(size=3)
        layer.set_weights([kernel, bias])
        expected = np.stack([naive_conv1d(row, kernel, s, d, padding) + bias for row in x])
        np.testing.assert_allclose(run(layer, x), expected, atol=1e-5, err_msg=f"{n=} {k=} {s=} {d=}")


def naive_pool1d(x: Array, k: int, s: int, padding: str, reduce: str) -> Array:
    """x [n, channels]; windows are cut at the borders, so padding neither wins nor counts."""
    n = len(x)
    before = same_padding(n, k, s)[0] if padding == "same" else 0
    count = math.ceil(n / s) if padding == "same" else (n - k) // s + 1
    windows = [x[max(o * s - before, 0) : min(o * s - before + k, n)] for o in range(count)]
    return np.stack([window.max(axis=0) if reduce == "max" else window.mean(axis=0) for window in windows])


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_pooling_for_all_small_sizes(padding: str, reduce: str) -> None:
    rng = np.random.default_rng(1)
    kind = L.MaxPooling1D if reduce == "max" else L.AveragePooling1D
    for n, k, s in itertools.product(range(1, 12), range(1, 6), range(1, 6)):
        if padding == "valid" and k > n:
            continue
        x = rng.normal(size=(2, n, 3)) - 5
        expected = np.stack([naive_pool1d(row, k, s, padding, reduce) for row in x])
        np.testing.assert_allclose(run(kind(k, s, padding), x), expected, atol=1e-6, err_msg=f"{n=} {k=} {s=}")


@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_pooling_same_when_the_two_dimensions_need_different_padding(reduce: str) -> None:
    rng = np.random.default_rng(2)
    kind = L.MaxPooling2D if reduce == "max" else L.AveragePooling2D
    sizes = list(itertools.product((4, 5, 7), (2, 3, 4), (1, 2, 3)))
    for (h, kh, sh), (w, kw, sw) in itertools.product(sizes, sizes):
        x = rng.normal(size=(1, h, w, 1)) - 5
        if reduce == "max":
            rows = np.stack([naive_pool1d(x[0, :, j], kh, sh, "same", "max") for j in range(w)], axis=1)
            expected = np.stack([naive_pool1d(row, kw, sw, "same", "max") for row in rows])
        else:
            total = naive_sums(x[0, :, :, 0], (kh, kw), (sh, sw))
            expected = (total / naive_sums(np.ones((h, w)), (kh, kw), (sh, sw)))[..., None]
        message = f"{(h, kh, sh)} {(w, kw, sw)}"
        np.testing.assert_allclose(run(kind((kh, kw), (sh, sw), "same"), x)[0], expected, atol=1e-5, err_msg=message)


def naive_sums(x: Array, k: tuple[int, int], s: tuple[int, int]) -> Array:
    """Sums over the cells of each ``same`` window that lie inside."""
    result = np.zeros([math.ceil(n / step) for n, step in zip(x.shape, s, strict=True)])
    starts = [same_padding(n, kernel, step)[0] for n, kernel, step in zip(x.shape, k, s, strict=True)]
    for i, j in np.ndindex(*result.shape):
        top, left = i * s[0] - starts[0], j * s[1] - starts[1]
        result[i, j] = x[max(top, 0) : top + k[0], max(left, 0) : left + k[1]].sum()
    return result


def test_same_padding_is_asymmetric_when_stride_does_not_divide() -> None:
    layer = L.Conv1D(1, 2, strides=2, padding="same", use_bias=False)
    layer.ensure_built((None, 3, 1))
    layer.set_weights([np.array([[[1.0]], [[10.0]]])])
    np.testing.assert_array_equal(run(layer, np.array([[[1.0], [2.0], [3.0]]]))[0, :, 0], [21.0, 3.0])


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_conv2d_transpose_for_all_small_sizes(padding: str) -> None:
    rng = np.random.default_rng(3)
    for n, k, s in itertools.product(range(1, 5), range(1, 6), range(1, 5)):
        x, kernel, bias = rng.normal(size=(1, n, n, 2)), rng.normal(size=(k, k, 3, 2)), rng.normal(size=3)
        layer = L.Conv2DTranspose(3, k, strides=s, padding=padding)
        layer.ensure_built((None, n, n, 2))
        layer.set_weights([kernel, bias])
        full = np.zeros((max((n - 1) * s + k, n * s),) * 2 + (3,))
        for i, j in np.ndindex(n, n):
            full[i * s : i * s + k, j * s : j * s + k] += np.einsum("c,yxoc->yxo", x[0, i, j], kernel)
        if padding == "same":
            before = max(k - s, 0) // 2
            full = full[before : before + n * s, before : before + n * s]
        np.testing.assert_allclose(run(layer, x)[0], full + bias, atol=1e-4, err_msg=f"{n=} {k=} {s=}")


def test_depthwise_convolution_multiplies_channel_by_channel() -> None:
    rng = np.random.default_rng(4)
    x, kernel = rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(2, 3, 3, 2))
    layer = L.DepthwiseConv2D((2, 3), depth_multiplier=2, use_bias=False)
    layer.ensure_built((None, 5, 6, 3))
    layer.set_weights([kernel])
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(1, 2))
    expected = np.einsum("bhwcyx,yxcm->bhwcm", windows, kernel).reshape(2, 4, 4, 6)
    np.testing.assert_allclose(run(layer, x), expected, atol=1e-5)


def test_separable_convolution_is_depthwise_then_pointwise() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2, 5, 6, 3))
    layer = L.SeparableConv2D(4, 3, padding="same", depth_multiplier=2)
    layer.ensure_built((None, 5, 6, 3))
    depthwise, pointwise, bias = layer.get_weights()
    assert depthwise.shape == (3, 3, 3, 2) and pointwise.shape == (1, 1, 6, 4) and bias.shape == (4,)
    first = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False)
    first.ensure_built((None, 5, 6, 3))
    first.set_weights([depthwise])
    np.testing.assert_allclose(run(layer, x), run(first, x) @ pointwise[0, 0] + bias, atol=1e-5)


def test_grouped_convolution_keeps_groups_apart() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(1, 4, 4, 4))
    layer = L.Conv2D(2, 1, groups=2, use_bias=False)
    layer.ensure_built((None, 4, 4, 4))
    kernel = layer.get_weights()[0]
    assert kernel.shape == (1, 1, 2, 2)
    expected = np.concatenate([x[..., :2] @ kernel[0, 0, :, :1], x[..., 2:] @ kernel[0, 0, :, 1:]], axis=-1)
    np.testing.assert_allclose(run(layer, x), expected, atol=1e-6)


def test_batch_normalization_uses_the_batch_in_training_and_keras_statistics_after() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(2, 3, size=(6, 4, 4, 3)).astype(np.float32)
    layer = L.BatchNormalization(momentum=0.9)
    layer.ensure_built((None, 4, 4, 3))
    y = layer.train()(torch.from_numpy(x)).detach().numpy()
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-3), atol=1e-4)
    gamma, beta, moving_mean, moving_variance = layer.get_weights()
    np.testing.assert_allclose(moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(moving_variance, 0.9 + 0.1 * variance, rtol=1e-5)
    expected = (x - moving_mean) / np.sqrt(moving_variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(run(layer, x), expected, atol=1e-4)


def test_batch_normalization_goes_on_with_a_last_batch_of_one_sample() -> None:
    layer = L.BatchNormalization(momentum=0.75)
    layer.ensure_built((None, 2))
    y = layer.train()(torch.tensor([[4.0, 8.0]]))
    assert not y.any()
    np.testing.assert_allclose(layer.get_weights()[2], [1.0, 2.0])
    np.testing.assert_allclose(layer.get_weights()[3], [0.75, 0.75])


def test_frozen_batch_normalization_uses_its_running_statistics_even_in_training() -> None:
    layer = L.BatchNormalization()
    layer.ensure_built((None, 3))
    layer.trainable = False
    x = torch.randn(5, 3)
    np.testing.assert_allclose(layer.train()(x).numpy(), x.numpy() / np.sqrt(1.001), rtol=1e-5)
    np.testing.assert_array_equal(layer.get_weights()[2], np.zeros(3))


def test_layer_normalization_normalizes_each_position() -> None:
    x = np.random.default_rng(8).normal(size=(2, 3, 5))
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(run(L.LayerNormalization(), x), expected, atol=1e-5)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "tanh": np.tanh,
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "log_softmax": lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "exponential": np.exp,
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
}


@pytest.mark.parametrize("name", list(tp.activations.KNOWN))
def test_activation_by_name(name: str) -> None:
    x = np.linspace(-8, 8, 34).reshape(2, 17)
    np.testing.assert_allclose(run(L.Activation(name), x), ACTIVATIONS[name](x), rtol=1e-5, atol=1e-6)


def test_relu_with_all_its_choices() -> None:
    x = np.array([[-2.0, 0.1, 0.5, 3.0]])
    np.testing.assert_allclose(run(L.ReLU(max_value=2, negative_slope=0.1, threshold=0.3), x), [[-0.23, -0.02, 0.5, 2]])
    np.testing.assert_allclose(run(L.ReLU(max_value=2, negative_slope=0.1), x), [[-0.2, 0.1, 0.5, 2]], rtol=1e-6)
    np.testing.assert_allclose(run(L.LeakyReLU(), x), [[-0.6, 0.1, 0.5, 3]], rtol=1e-6)
    np.testing.assert_allclose(run(L.LeakyReLU(alpha=0.5), x), [[-1, 0.1, 0.5, 3]], rtol=1e-6)


def test_prelu_weights_have_keras_shape_and_are_shared_as_asked() -> None:
    x = -np.ones((1, 2, 2, 3))
    layer = L.PReLU(shared_axes=[1, 2])
    layer.ensure_built((None, 2, 2, 3))
    assert layer.get_weights()[0].shape == (1, 1, 3)
    layer.set_weights([np.array([[[1.0, 2.0, 3.0]]])])
    np.testing.assert_array_equal(run(layer, x)[0, 0, 0], [-1, -2, -3])


def test_bilinear_upsampling_has_half_pixel_centres() -> None:
    x = np.array([0.0, 1.0]).reshape(1, 1, 2, 1)
    y = run(L.UpSampling2D((1, 2), interpolation="bilinear"), x)
    np.testing.assert_allclose(y.ravel(), [0, 0.25, 0.75, 1])
    np.testing.assert_array_equal(run(L.UpSampling2D((1, 2)), x).ravel(), [0, 0, 1, 1])


def test_flatten_keeps_channels_last_order() -> None:
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(run(L.Flatten(), x)[0], np.arange(24.0))


def test_dropout_keeps_the_mean_in_training_and_vanishes_in_eval() -> None:
    layer = L.Dropout(0.25)
    x = torch.ones(20000, 4)
    layer.ensure_built((None, 4))
    y = layer.train()(x)
    assert y.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float(y.mean()) == pytest.approx(1, abs=0.02)
    assert layer.eval()(x) is x
    first, second = (L.Dropout(0.5, seed=3).train()(x) for _ in range(2))
    assert torch.equal(first, second) and not torch.equal(first, L.Dropout(0.5, seed=4).train()(x))


def test_normalization_adapts_per_feature() -> None:
    x = np.random.default_rng(9).normal([1, 10], [2, 5], size=(500, 2))
    layer = L.Normalization()
    layer.adapt(x)
    np.testing.assert_allclose(layer.get_weights()[0], x.mean(0), rtol=1e-5)
    y = run(layer, x)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-4)
    batches = L.Normalization()
    batches.adapt(iter([x[:100], x[100:]]))
    np.testing.assert_allclose(batches.get_weights()[1], layer.get_weights()[1])


def test_glorot_uniform_fills_its_interval_by_keras_fans() -> None:
    for shape, fan_in, fan_out in (((30, 70), 30, 70), ((3, 3, 8, 16), 72, 144)):
        values = tp.initializers.GlorotUniform(seed=1)(shape)
        limit = math.sqrt(6 / (fan_in + fan_out))
        assert limit * 0.98 < float(values.abs().max()) <= limit
        assert float(values.std()) == pytest.approx(limit / math.sqrt(3), rel=0.05)


def test_he_normal_is_cut_at_two_sigma_and_keeps_its_variance() -> None:
    values = tp.initializers.HeNormal(seed=1)((400, 100))
    sigma = math.sqrt(2 / 400)
    assert float(values.std()) == pytest.approx(sigma, rel=0.02)
    assert float(values.abs().max()) <= 2 * sigma / 0.8796 + 1e-6
