"""The layers, by Keras's names."""

from __future__ import annotations

import difflib
from typing import Any, Unpack

from .activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from .arguments import BaseArguments
from .attention import AdditiveAttention, Attention, MultiHeadAttention
from .base import Layer
from .conv import Conv1D, Conv2D, Conv3D
from .dense import Dense
from .depthwise import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from .dropout import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from .embedding import Embedding
from .gru import GRU
from .lstm import LSTM
from .masking import Masking
from .merge import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from .norm import BatchNormalization, LayerNormalization
from .pool import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from .preprocessing import Normalization, Rescaling
from .reshaping import Flatten, Permute, RepeatVector, Reshape
from .resizing import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from .scaling_norms import GroupNormalization, RMSNormalization, UnitNormalization
from .simple_rnn import SimpleRNN
from .transposed import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from .wrapped import Lambda, TorchModule
from .wrappers import Bidirectional, TimeDistributed

Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
)
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D

CLASSES: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, Layer) and kind is not Layer
}
"""Every layer by its class name: what a config may name."""


def __getattr__(name: str) -> Any:
    """``layers.Input`` and ``layers.InputLayer``, which live beside the models."""
    if name in ("Input", "InputLayer"):
        from .. import model

        return getattr(model, name)
    near = difflib.get_close_matches(name, __all__, 3, cutoff=0.7)
    hint = f"; there is {', '.join(near)}" if near else ""
    raise AttributeError(f"module {__name__!r} has no layer {name!r}{hint}")


def add(inputs: list[Any], **base: Unpack[BaseArguments]) -> Any:
    """``Add()`` on a list, in one call."""
    return Add(**base)(inputs)


def subtract(inputs: list[Any], **base: Unpack[BaseArguments]) -> Any:
    """``Subtract()`` on a list, in one call."""
    return Subtract(**base)(inputs)


def multiply(inputs: list[Any], **base: Unpack[BaseArguments]) -> Any:
    """``Multiply()`` on a list, in one call."""
    return Multiply(**base)(inputs)


def average(inputs: list[Any], **base: Unpack[BaseArguments]) -> Any:
    """``Average()`` on a list, in one call."""
    return Average(**base)(inputs)


def maximum(inputs: list[Any], **base: Unpack[BaseArguments]) -> Any:
    """``Maximum()`` on a list, in one call."""
    return Maximum(**base)(inputs)


def concatenate(inputs: list[Any], axis: int = -1, **base: Unpack[BaseArguments]) -> Any:
    """``Concatenate(axis)`` on a list, in one call."""
    return Concatenate(axis, **base)(inputs)


__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "Activation",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Convolution3DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Subtract",
    "TimeDistributed",
    "TorchModule",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "add",
    "average",
    "concatenate",
    "maximum",
    "multiply",
    "subtract",
]
