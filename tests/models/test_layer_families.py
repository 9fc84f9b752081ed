"""Layers of one and three axes against those of two, which naive formulas check; norms and noise against formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import triport as tp
from triport.exporter.errors import UsageError

L = tp.layers
Array = np.ndarray


def run(layer: tp.Layer, x: Array) -> Array:
    with torch.no_grad():
        return np.asarray(layer.eval()(torch.from_numpy(x.astype(np.float32))).numpy())


def pair(small: tp.Layer, large: tp.Layer, x: Array, axis: int) -> None:
    """Both layers, with the same weights, on x and on x with one more axis of size 1 behind the batch."""
    small.ensure_built((None, *x.shape[1:]))
    large.ensure_built((None, 1, *x.shape[1:]))
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=weight.shape) for weight in small.get_weights()]
    small.set_weights(weights)
    large.set_weights([weight if weight.ndim < 2 else np.expand_dims(weight, 0) for weight in weights])
    np.testing.assert_allclose(run(small, x), run(large, x[:, None])[:, axis], atol=1e-5)


CASES: dict[str, Callable[[str], tuple[tp.Layer, tp.Layer, tuple[int, ...]]]] = {
    "conv3d": lambda p: (L.Conv2D(3, (2, 3), 2, p), L.Conv3D(3, (1, 2, 3), (1, 2, 2), p), (2, 6, 7, 4)),
    "transpose1d": lambda p: (L.Conv1DTranspose(3, 4, 3, p), L.Conv2DTranspose(3, (1, 4), (1, 3), p), (2, 6, 4)),
    "transpose1d_dilated": lambda p: (
        L.Conv1DTranspose(3, 3, padding=p, dilation_rate=2),
        L.Conv2DTranspose(3, (1, 3), padding=p, dilation_rate=(1, 2)),
        (2, 6, 4),
    ),
    "transpose3d": lambda p: (
        L.Conv2DTranspose(3, (4, 3), 2, p),
        L.Conv3DTranspose(3, (1, 4, 3), (1, 2, 2), p),
        (2, 6, 5, 4),
    ),
    "depthwise1d": lambda p: (
        L.DepthwiseConv1D(3, 2, p, depth_multiplier=2),
        L.DepthwiseConv2D((1, 3), (2, 2), p, depth_multiplier=2),
        (2, 6, 4),
    ),
    "max3d": lambda p: (L.MaxPooling2D(3, 2, p), L.MaxPooling3D((1, 3, 3), (1, 2, 2), p), (2, 6, 7, 4)),
    "average3d": lambda p: (L.AveragePooling2D(3, 2, p), L.AveragePooling3D((1, 3, 3), (1, 2, 2), p), (2, 6, 7, 4)),
}


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("name", CASES)
def test_one_more_axis_of_size_one_changes_nothing(name: str, padding: str) -> None:
    small, large, shape = CASES[name](padding)
    pair(small, large, np.random.default_rng(1).normal(size=shape), 0)


def test_volumes_are_padded_cropped_and_grown_along_every_axis() -> None:
    x = np.arange(2 * 3 * 4 * 5 * 2, dtype=np.float32).reshape(2, 3, 4, 5, 2)
    padded = run(L.ZeroPadding3D(((1, 0), (0, 2), (1, 1))), x)
    np.testing.assert_array_equal(padded, np.pad(x, ((0, 0), (1, 0), (0, 2), (1, 1), (0, 0))))
    np.testing.assert_array_equal(run(L.Cropping3D(((1, 0), (0, 2), (1, 1))), x), x[:, 1:, :2, 1:-1])
    grown = x.repeat(1, axis=1).repeat(2, axis=2).repeat(3, axis=3)
    np.testing.assert_array_equal(run(L.UpSampling3D((1, 2, 3)), x), grown)
    np.testing.assert_allclose(run(L.GlobalAveragePooling3D(), x), x.mean(axis=(1, 2, 3)), rtol=1e-6)
    np.testing.assert_array_equal(run(L.GlobalMaxPooling3D(keepdims=True), x), x.max(axis=(1, 2, 3), keepdims=True))


@pytest.mark.parametrize("groups", [1, 2, 6, -1])
def test_group_normalization_is_kerass(groups: int) -> None:
    rng = np.random.default_rng(2)
    x, gamma, beta = rng.normal(size=(2, 3, 4, 6)), rng.normal(size=6), rng.normal(size=6)
    layer = L.GroupNormalization(groups)
    layer.ensure_built((None, 3, 4, 6))
    layer.set_weights([gamma, beta])
    split = x.reshape(2, 3, 4, 6 if groups == -1 else groups, -1)
    mean, variance = (f(split, axis=(1, 2, 4), keepdims=True) for f in (np.mean, np.var))
    expected = ((split - mean) / np.sqrt(variance + 1e-3)).reshape(x.shape) * gamma + beta
    np.testing.assert_allclose(run(layer, x), expected, atol=1e-5)
    first = torch.from_numpy(x.astype(np.float32))  # needs no gradient, as the first layer's input
    layer.train()(first).sum().backward()
    assert all(weight.grad is not None for weight in layer.parameters())


def test_rms_and_unit_normalization_are_kerass() -> None:
    x = np.random.default_rng(3).normal(size=(2, 4, 6))
    layer = L.RMSNormalization()
    layer.ensure_built((None, 4, 6))
    layer.set_weights([np.arange(6.0)])
    expected = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6) * np.arange(6.0)
    np.testing.assert_allclose(run(layer, x), expected, atol=1e-5)
    both = x / np.sqrt((x**2).sum(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(run(L.UnitNormalization(axis=(1, 2)), x), both, atol=1e-6)
    assert not run(L.UnitNormalization(), np.zeros((1, 2, 3))).any()


def test_noise_keeps_mean_and_variance() -> None:
    x = torch.randn(200, 1000, generator=torch.Generator().manual_seed(0))
    alpha = L.AlphaDropout(0.3, seed=1).train()(x)
    assert abs(float(alpha.mean())) < 0.01 and abs(float(alpha.var()) - 1) < 0.02
    factors = L.GaussianDropout(0.2, seed=1).train()(torch.ones(200, 1000))
    assert abs(float(factors.mean()) - 1) < 0.01 and abs(float(factors.var()) - 0.25) < 0.01
    for layer in (L.SpatialDropout1D(0.5, seed=1), L.SpatialDropout3D(0.5, seed=1)):
        dropped = layer.train()(torch.ones(3, *(4,) * (layer.input_rank - 2), 50)).flatten(1, -2)
        assert (dropped == dropped[:, :1]).all() and len(dropped.unique()) == 2


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (L.GroupNormalization(4), (5, 6)),
        (L.GroupNormalization(2, axis=1), (5, 6)),
        (L.UnitNormalization(axis=0), (5,)),
        (L.UnitNormalization(axis=4), (5,)),
        (L.RMSNormalization(axis=1), (5, 6)),
        (L.Conv3D(2, 3), (5, 6, 2)),
        (L.Conv1DTranspose(2, 3), (5,)),
    ],
)
def test_shapes_that_cannot_be_meant_are_refused(layer: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        layer(tp.Input(shape))
