"""The float models whose artefacts must run on old devices too: together they use every layer that the ports can spell.

Weights are random but settled; inputs are batches of settled random arrays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from mobilenet_v2 import mobilenet_v2 as build_mobilenet_v2

import triport as tp

Array = npt.NDArray[np.generic]
Model = tp.Model
Builder = Callable[[], Model]
layers = tp.layers
MODELS: dict[str, Builder] = {}


def model(build: Builder) -> Builder:
    """Lists a builder under its own name."""
    MODELS[build.__name__] = build
    return build


@model
def mlp() -> Model:
    return tp.Sequential(
        [
            layers.Dense(32, activation="relu", input_shape=(10,)),
            layers.BatchNormalization(),
            layers.Dense(16, activation="tanh"),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


@model
def digits_cnn() -> Model:
    return tp.Sequential(
        [
            tp.Input((8, 8, 1)),
            layers.Rescaling(1 / 16),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


@model
def separable() -> Model:
    """Depthwise and separable convolutions with relu6, and a residual sum, as mobile networks have them."""
    image = tp.Input((17, 15, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(max_value=6)(x)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    y = layers.ReLU(max_value=6)(y)
    x = layers.Add()([x, y])
    x = layers.SeparableConv2D(12, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return tp.Model(image, layers.Dense(4)(x))


@model
def dilated_and_grouped() -> Model:
    image = tp.Input((12, 13, 4), name="image")
    x = layers.Conv2D(8, 3, dilation_rate=2, padding="same", activation="elu")(image)
    x = layers.Conv2D(8, 3, groups=2, activation="leaky_relu")(x)
    x = layers.AveragePooling2D(2, strides=2, padding="same")(x)
    return tp.Model(image, layers.GlobalMaxPooling2D()(x))


@model
def signal() -> Model:
    return tp.Sequential(
        [
            tp.Input((31, 3)),
            layers.Conv1D(8, 5, padding="same", activation="relu"),
            layers.MaxPooling1D(2),
            layers.Conv1D(8, 3, strides=2, activation="gelu"),
            layers.AveragePooling1D(2),
            layers.LayerNormalization(),
            layers.GlobalAveragePooling1D(),
            layers.Dense(5),
        ]
    )


@model
def picture_to_picture() -> Model:
    image = tp.Input((9, 10, 3), name="image")
    x = layers.ZeroPadding2D(((1, 0), (2, 1)))(image)
    x = layers.Conv2D(6, 3, strides=2, padding="same")(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    x = layers.UpSampling2D(2)(x)
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="sigmoid")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    return tp.Model(image, x)


@model
def two_inputs_two_outputs() -> Model:
    left = tp.Input((6,), name="left")
    right = tp.Input((6,), name="right")
    shared = layers.Dense(8, activation="silu")
    a, b = shared(left), shared(right)
    total = layers.Average()([layers.Maximum()([a, b]), layers.Multiply()([a, b])])
    apart = layers.Subtract()([a, b])
    both = layers.Concatenate()([total, apart])
    score = layers.Dense(1, activation="sigmoid", name="score")(both)
    grid = layers.Permute((2, 1), name="grid")(layers.Reshape((4, 4))(both))
    return tp.Model([left, right], [score, grid])


@model
def words() -> Model:
    tokens = tp.Input((12,), dtype="int32", name="tokens")
    x = layers.Embedding(50, 8)(tokens)
    x = layers.Conv1D(8, 3, activation="relu")(x)
    x = layers.GlobalMaxPooling1D()(x)
    return tp.Model(tokens, layers.Dense(2, activation="log_softmax")(x))


@model
def mobilenet_v2() -> Model:
    """The whole of a real network, small: 96x96 images, a third of the width."""
    return build_mobilenet_v2((96, 96, 3), alpha=0.35, classes=10)


def example_inputs(model: Model, batch: int, generator: np.random.Generator) -> dict[str, Array]:
    """One batch of random inputs by name: floats from a normal distribution, integers as word numbers below 50."""
    arrays: dict[str, Array] = {}
    for spec in model.input_specs:
        shape = (batch, *(size for size in spec.shape[1:] if size is not None))
        if spec.dtype == "int32":
            arrays[spec.name] = generator.integers(0, 50, shape, dtype=np.int32)
        else:
            arrays[spec.name] = generator.standard_normal(shape, dtype=np.float32)
    return arrays
