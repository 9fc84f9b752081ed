"""MobileNetV2 1.0 for 224x224 images, built layer by layer as Keras builds it (Sandler et al., 2018, arXiv:1801.04381).

    python examples/mobilenet_v2.py mobilenet_v2.triport

writes the portable graph of the network with random weights: the network that the project measures itself with.
3,538,984 parameters, 52 convolutions and a classifier.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import triport as tp
from triport.exporter.models.structure import SymbolicTensor

layers = tp.layers

# Expansion, output channels, blocks, stride of the first of them: table 2 of the paper.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of divisor next to channels, but not more than 10 % below it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def normalized(x: SymbolicTensor, name: str, *, activate: bool = True) -> SymbolicTensor:
    """Batch normalization and, unless it ends a bottleneck, relu6."""
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=f"{name}_BN")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activate else x


def sizes(x: SymbolicTensor) -> tuple[int, int, int]:
    """Height, width and channels of images, all of them known here."""
    _, height, width, channels = x.shape
    assert height is not None and width is not None and channels is not None
    return height, width, channels


def inverted_residual(x: SymbolicTensor, channels: int, *, expansion: int, stride: int, name: str) -> SymbolicTensor:
    """[batch, H, W, C] → [batch, H/stride, W/stride, channels]: expand, filter each channel, project."""
    block_input = x
    height, width, given = sizes(x)
    if expansion != 1:
        x = layers.Conv2D(expansion * given, 1, padding="same", use_bias=False, name=f"{name}_expand")(x)
        x = normalized(x, f"{name}_expand")
    if stride == 2:  # one row less above and to the left where the size is even, as Keras does
        x = layers.ZeroPadding2D(((height % 2, 1), (width % 2, 1)), name=f"{name}_pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=f"{name}_depthwise")(x)
    x = normalized(x, f"{name}_depthwise")
    x = layers.Conv2D(channels, 1, padding="same", use_bias=False, name=f"{name}_project")(x)
    x = normalized(x, f"{name}_project", activate=False)
    if stride == 1 and given == channels:
        x = layers.Add(name=f"{name}_add")([block_input, x])
    return x


def mobilenet_v2(
    input_shape: tuple[int, int, int] = (224, 224, 3), alpha: float = 1.0, classes: int = 1000
) -> tp.Model:
    """The network with freshly initialised weights; images [batch, height, width, 3] scaled to -1 … 1.

    alpha    width of the network: every layer's channels are multiplied by it
    """
    image = tp.Input(input_shape, name="image")
    x = layers.Conv2D(divisible(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="stem")(image)
    x = normalized(x, "stem")
    block = 0
    for expansion, channels, blocks, first_stride in STAGES:
        for index in range(blocks):
            x = inverted_residual(
                x,
                divisible(channels * alpha),
                expansion=expansion,
                stride=first_stride if index == 0 else 1,
                name=f"block_{block}",
            )
            block += 1
    x = layers.Conv2D(divisible(1280 * max(alpha, 1.0)), 1, use_bias=False, name="head")(x)
    x = normalized(x, "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return tp.Model(image, x, name="mobilenet_v2")


def main() -> None:
    parser = argparse.ArgumentParser(description="write the portable graph of MobileNetV2 with random weights")
    parser.add_argument("path", type=Path, nargs="?", default=Path("mobilenet_v2.triport"))
    parser.add_argument("--size", type=int, default=224, help="height and width of the images")
    parser.add_argument("--alpha", type=float, default=1.0, help="width multiplier")
    arguments = parser.parse_args()

    tp.set_seed(0)
    model = mobilenet_v2((arguments.size, arguments.size, 3), arguments.alpha)
    image = np.random.default_rng(0).uniform(-1, 1, (1, arguments.size, arguments.size, 3)).astype(np.float32)
    tp.capture(model, image, name="mobilenet_v2").save(arguments.path)
    print(f"{arguments.path}: {model.count_params():,} parameters, {arguments.path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
