"""One or more uses of every layer: a constructor and the shapes (without batch) and dtypes of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import triport as tp

L = tp.layers
IMAGE, STEPS, ROW, VOLUME = (7, 6, 4), (9, 4), (5,), (5, 6, 4, 2)


def together(layer: tp.Layer, inputs: list[Any]) -> Any:
    """One input as it is, several as a list."""
    return layer(inputs[0] if len(inputs) == 1 else inputs)


def spread(layer: tp.Layer, inputs: list[Any]) -> Any:
    """Each input an argument of its own."""
    return layer(*inputs)


@dataclass(frozen=True)
class Case:
    """``make()`` is a layer; ``shapes`` are its inputs' shapes without the batch; ``call`` calls it on them."""

    name: str
    make: Callable[[], tp.Layer]
    shapes: tuple[tuple[int, ...], ...]
    integers: int = 0
    call: Callable[[tp.Layer, list[Any]], Any] = together

    def inputs(self, batch: int, seed: int = 0) -> list[Tensor]:
        """Random inputs; integers below ``integers`` where that is not 0."""
        generator = torch.Generator().manual_seed(seed + batch)
        if self.integers:
            return [torch.randint(0, self.integers, (batch, *s), generator=generator).int() for s in self.shapes]
        return [torch.randn((batch, *shape), generator=generator) for shape in self.shapes]


def one(name: str, make: Callable[[], tp.Layer], shape: tuple[int, ...], integers: int = 0) -> Case:
    """A case with one input."""
    return Case(name, make, (shape,), integers)


CASES = [
    one("dense", lambda: L.Dense(3, activation="tanh"), ROW),
    one("dense_on_images", lambda: L.Dense(3, use_bias=False), IMAGE),
    one("dense_prelu", lambda: L.Dense(3, activation=L.PReLU()), ROW),
    one("conv1d", lambda: L.Conv1D(3, 3, strides=2, padding="same"), STEPS),
    one("conv1d_causal", lambda: L.Conv1D(3, 3, padding="causal", dilation_rate=2), STEPS),
    one("conv2d", lambda: L.Conv2D(3, 3, activation="relu"), IMAGE),
    one("conv2d_same_strides", lambda: L.Conv2D(3, (3, 4), strides=(2, 3), padding="same"), IMAGE),
    one("conv2d_groups", lambda: L.Conv2D(6, 2, groups=2, padding="same", use_bias=False), IMAGE),
    one("conv2d_dilated", lambda: L.Conv2D(3, 2, dilation_rate=2, padding="same"), IMAGE),
    one("depthwise", lambda: L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2), IMAGE),
    one("separable1d", lambda: L.SeparableConv1D(5, 3, depth_multiplier=2, padding="same"), STEPS),
    one("separable2d", lambda: L.SeparableConv2D(5, 3, strides=2, depth_multiplier=2, activation="relu"), IMAGE),
    one("transpose_same", lambda: L.Conv2DTranspose(3, 3, strides=2, padding="same"), IMAGE),
    one("transpose_same_even", lambda: L.Conv2DTranspose(3, 4, strides=2, padding="same"), IMAGE),
    one("transpose_valid", lambda: L.Conv2DTranspose(3, (3, 1), strides=2), IMAGE),
    one("conv3d", lambda: L.Conv3D(3, 3, activation="relu"), VOLUME),
    one("conv3d_same", lambda: L.Conv3D(4, (1, 2, 3), strides=(1, 2, 2), padding="same", groups=2), VOLUME),
    one("depthwise1d", lambda: L.DepthwiseConv1D(3, padding="causal", depth_multiplier=2), STEPS),
    one("transpose1d", lambda: L.Conv1DTranspose(3, 4, strides=2, padding="same"), STEPS),
    one("transpose1d_dilated", lambda: L.Conv1DTranspose(3, 2, dilation_rate=2, activation="relu"), STEPS),
    one("transpose3d", lambda: L.Conv3DTranspose(3, 2, strides=2), VOLUME),
    one("max_pool3d", lambda: L.MaxPooling3D(2, padding="same"), VOLUME),
    one("average_pool3d", lambda: L.AveragePooling3D((1, 2, 2)), VOLUME),
    one("global_average3d", lambda: L.GlobalAveragePooling3D(), VOLUME),
    one("global_max3d", lambda: L.GlobalMaxPooling3D(keepdims=True), VOLUME),
    one("zero_padding3d", lambda: L.ZeroPadding3D(((1, 0), (0, 2), (1, 1))), VOLUME),
    one("cropping3d", lambda: L.Cropping3D((1, 2, 1)), VOLUME),
    one("upsampling3d", lambda: L.UpSampling3D((1, 2, 3)), VOLUME),
    one("spatial_dropout1d", lambda: L.SpatialDropout1D(0.5), STEPS),
    one("spatial_dropout3d", lambda: L.SpatialDropout3D(0.5), VOLUME),
    one("alpha_dropout", lambda: L.AlphaDropout(0.2), ROW),
    one("gaussian_dropout", lambda: L.GaussianDropout(0.2, seed=1), ROW),
    one("group_norm", lambda: L.GroupNormalization(2), IMAGE),
    one("instance_norm", lambda: L.GroupNormalization(-1, center=False), STEPS),
    one("rms_norm", lambda: L.RMSNormalization(), STEPS),
    one("rms_norm_axes", lambda: L.RMSNormalization(axis=(-2, -1)), STEPS),
    one("unit_norm", lambda: L.UnitNormalization(), STEPS),
    one("unit_norm_axes", lambda: L.UnitNormalization(axis=(1, 2)), IMAGE),
    one("max_pool1d", lambda: L.MaxPooling1D(3, strides=2, padding="same"), STEPS),
    one("max_pool2d", lambda: L.MaxPooling2D(), IMAGE),
    one("max_pool2d_same", lambda: L.MaxPooling2D(2, padding="same"), IMAGE),
    one("average_pool1d", lambda: L.AveragePooling1D(2, padding="same"), STEPS),
    one("average_pool2d", lambda: L.AveragePooling2D((2, 3)), IMAGE),
    one("average_pool2d_same", lambda: L.AveragePooling2D(2, strides=1, padding="same"), IMAGE),
    one("average_pool2d_hanging", lambda: L.AveragePooling2D(2, padding="same"), IMAGE),
    one("global_average1d", lambda: L.GlobalAveragePooling1D(), STEPS),
    one("global_average2d", lambda: L.GlobalAveragePooling2D(keepdims=True), IMAGE),
    one("global_max1d", lambda: L.GlobalMaxPooling1D(keepdims=True), STEPS),
    one("global_max2d", lambda: L.GlobalMaxPooling2D(), IMAGE),
    one("flatten", lambda: L.Flatten(), IMAGE),
    one("reshape", lambda: L.Reshape((-1, 8)), IMAGE),
    one("permute", lambda: L.Permute((3, 1, 2)), IMAGE),
    one("repeat_vector", lambda: L.RepeatVector(3), ROW),
    one("zero_padding1d", lambda: L.ZeroPadding1D((1, 2)), STEPS),
    one("zero_padding2d", lambda: L.ZeroPadding2D(((1, 2), (0, 3))), IMAGE),
    one("cropping1d", lambda: L.Cropping1D((1, 2)), STEPS),
    one("cropping2d", lambda: L.Cropping2D((1, 2)), IMAGE),
    one("upsampling1d", lambda: L.UpSampling1D(3), STEPS),
    one("upsampling_nearest", lambda: L.UpSampling2D((2, 3)), IMAGE),
    one("upsampling_bilinear", lambda: L.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    one("dropout", lambda: L.Dropout(0.5, noise_shape=(None, 1, 1, None)), IMAGE),
    one("spatial_dropout", lambda: L.SpatialDropout2D(0.5), IMAGE),
    one("gaussian_noise", lambda: L.GaussianNoise(0.1), IMAGE),
    one("batch_norm", lambda: L.BatchNormalization(), IMAGE),
    one("batch_norm_rows", lambda: L.BatchNormalization(scale=False, momentum=0.5), ROW),
    one("layer_norm", lambda: L.LayerNormalization(), IMAGE),
    one("layer_norm_axes", lambda: L.LayerNormalization(axis=(-2, -1), center=False), IMAGE),
    one("activation", lambda: L.Activation("gelu"), ROW),
    one("activation_layer", lambda: L.Activation(L.LeakyReLU(0.1)), ROW),
    one("relu", lambda: L.ReLU(), ROW),
    one("relu6", lambda: L.ReLU(6.0), ROW),
    one("relu_sloped", lambda: L.ReLU(max_value=1.0, negative_slope=0.1), ROW),
    one("relu_threshold", lambda: L.ReLU(1.0, 0.1, threshold=0.2), ROW),
    one("leaky_relu", lambda: L.LeakyReLU(), ROW),
    one("prelu", lambda: L.PReLU("he_normal", shared_axes=[1, 2]), IMAGE),
    one("prelu_every", lambda: L.PReLU("he_normal"), IMAGE),
    one("elu", lambda: L.ELU(0.5), ROW),
    one("softmax", lambda: L.Softmax(axis=1), IMAGE),
    one("lstm", lambda: L.LSTM(3), STEPS),
    one("lstm_steps", lambda: L.LSTM(3, return_sequences=True, go_backwards=True, use_bias=False), STEPS),
    one("lstm_relu", lambda: L.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid"), (5, 4)),
    one("lstm_dropout", lambda: L.LSTM(3, dropout=0.5, recurrent_dropout=0.5, seed=3), STEPS),
    one("gru", lambda: L.GRU(3, return_sequences=True), STEPS),
    one("gru_reset_before", lambda: L.GRU(3, reset_after=False), (5, 4)),
    one("simple_rnn", lambda: L.SimpleRNN(3), STEPS),
    one("simple_rnn_relu", lambda: L.SimpleRNN(3, activation="relu", unroll=True), STEPS),
    one("bidirectional", lambda: L.Bidirectional(L.LSTM(3)), STEPS),
    one("bidirectional_steps", lambda: L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="sum"), STEPS),
    one("bidirectional_pair", lambda: L.Bidirectional(L.LSTM(3), backward_layer=L.GRU(2, go_backwards=True)), STEPS),
    one("bidirectional_mul", lambda: L.Bidirectional(L.SimpleRNN(3), "mul"), STEPS),
    one("bidirectional_ave", lambda: L.Bidirectional(L.LSTM(3, return_sequences=True), "ave"), STEPS),
    one("time_distributed", lambda: L.TimeDistributed(L.Dense(3)), STEPS),
    one("time_distributed_conv", lambda: L.TimeDistributed(L.Conv1D(3, 2)), (3, 5, 2)),
    one("embedding", lambda: L.Embedding(11, 3), (6,), integers=11),
    one("embedding_padded", lambda: L.Embedding(4, 3, mask_zero=True), (6,), integers=4),
    one("masking", lambda: L.Masking(0.5), STEPS),
    one("rescaling", lambda: L.Rescaling(1 / 255, -0.5), IMAGE),
    one("rescaling_channels", lambda: L.Rescaling([1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0]), IMAGE),
    one("normalization", lambda: L.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 4, 9, 16]), IMAGE),
    one("normalization_all", lambda: L.Normalization(axis=None, mean=0.5, variance=4.0, invert=True), IMAGE),
    one("lambda", lambda: L.Lambda(lambda x: x * 2), ROW),
    one("torch_module", lambda: L.TorchModule(torch.nn.Linear(5, 2)), ROW),
    Case("add", lambda: L.Add(), (IMAGE, IMAGE, IMAGE)),
    Case("add_stretched", lambda: L.Add(), (IMAGE, (1, 1, 4))),
    Case("subtract", lambda: L.Subtract(), (ROW, ROW)),
    Case("multiply", lambda: L.Multiply(), (ROW, ROW, ROW)),
    Case("average", lambda: L.Average(), (ROW, ROW)),
    Case("maximum", lambda: L.Maximum(), (ROW, ROW)),
    Case("minimum", lambda: L.Minimum(), (ROW, ROW)),
    Case("concatenate", lambda: L.Concatenate(), (IMAGE, (7, 6, 2))),
    Case("concatenate_rows", lambda: L.Concatenate(axis=1), (IMAGE, (2, 6, 4))),
    Case("attention", lambda: L.Attention(use_scale=True), (STEPS, (3, 4))),
    Case("attention_concat", lambda: L.Attention(score_mode="concat"), (STEPS, (3, 5), (3, 4))),
    Case("additive_attention", lambda: L.AdditiveAttention(dropout=0.2), (STEPS, (3, 4))),
    Case("multi_head", lambda: L.MultiHeadAttention(2, 3), (STEPS, (3, 4)), call=spread),
    Case(
        "multi_head_causal",
        lambda: L.MultiHeadAttention(2, 3, value_dim=5, output_shape=7, dropout=0.1, use_bias=False),
        (STEPS, STEPS, (9, 2)),
        call=lambda layer, inputs: layer(inputs[0], inputs[1], key=inputs[2], use_causal_mask=True),
    ),
    Case("dot", lambda: L.Dot(axes=1), (ROW, ROW)),
    Case("dot_cosine", lambda: L.Dot(axes=-1, normalize=True), (STEPS, (3, 4))),
]
