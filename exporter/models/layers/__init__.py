"""The layers, by Keras's names."""

from __future__ import annotations

from typing import Any, Unpack

from .activation import ELU, Activation, Dropout, GaussianNoise, LeakyReLU, PReLU, ReLU, Softmax, SpatialDropout2D
from .arguments import BaseArguments
from .attention import AdditiveAttention, Attention, MultiHeadAttention
from .base import Layer
from .conv import Conv1D, Conv2D
from .dense import Dense
from .depthwise import Conv2DTranspose, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from .embedding import Embedding
from .gru import GRU
from .lstm import LSTM
from .masking import Masking
from .merge import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from .norm import BatchNormalization, LayerNormalization
from .pool import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from .preprocessing import Normalization, Rescaling
from .reshaping import Flatten, Permute, RepeatVector, Reshape
from .resizing import Cropping1D, Cropping2D, UpSampling1D, UpSampling2D, ZeroPadding1D, ZeroPadding2D
from .simple_rnn import SimpleRNN
from .wrapped import Lambda, TorchModule
from .wrappers import Bidirectional, TimeDistributed

Convolution1D, Convolution2D = Conv1D, Conv2D
MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D

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
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "Convolution1D",
    "Convolution2D",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "Softmax",
    "SpatialDropout2D",
    "Subtract",
    "TimeDistributed",
    "TorchModule",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "maximum",
    "multiply",
    "subtract",
]
