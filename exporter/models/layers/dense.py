"""Dense: an affine map of the last axis."""

from __future__ import annotations

from typing import Any, Unpack

import torch.nn.functional as F
from torch import Tensor

from .. import initializers, regularizers
from ..activations import linear
from ..structure import Shape
from .arguments import BaseArguments, activation_of
from .base import Layer


class Dense(Layer):
    """activation(x · kernel + bias).

    x  [batch, ..., in]  →  y  [batch, ..., units];   weight [units, in], bias [units]
    """

    supports_masking = True
    weight_order = ("weight", "bias")
    is_per_position = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        if isinstance(units, bool) or not isinstance(units, int) or units < 1:
            self._refuse(f"units has to be a positive integer; received {units!r}", code="TP010")
        self.units = units
        self.activation = activation_of(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    weight: Tensor
    bias: Tensor | None

    def check_input(self, input_shape: Any) -> None:
        if len(input_shape) < 2 or input_shape[-1] is None:
            self._refuse("expects an input of shape [batch, ..., features] with a fixed number of features")
        if self.built and input_shape[-1] != self.weight.shape[1]:
            self._refuse(f"was built for {self.weight.shape[1]} features, received {input_shape[-1]}")

    def build(self, input_shape: Shape) -> None:
        features = input_shape[-1]
        assert features is not None
        self.add_weight((features, self.units), self.kernel_initializer, name="weight")
        if self.use_bias:
            self.add_weight((self.units,), self.bias_initializer, name="bias")

    def to_keras(self, name: str, value: Tensor) -> Tensor:
        return value.t() if name == "weight" else value

    from_keras = to_keras

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        return y if self.activation is linear else self.activation(y)
