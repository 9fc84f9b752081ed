"""Foreign code as layers: any ``torch.nn.Module``, and plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from ..structure import DTYPES, Shape, format_shape
from .arguments import BaseArguments, snake_case
from .base import Layer


def observed_shape(layer: Layer, function: Callable[[Tensor], Any], input_shape: Shape, dtype: str) -> Shape:
    """The output's shape, seen by running two zero samples. Raises UsageError TP011 when that fails."""
    sizes = [2 if axis == 0 else size for axis, size in enumerate(input_shape)]
    if any(size is None for size in sizes):
        layer._refuse(f"needs a fixed input shape, received {format_shape(input_shape)}")
    was_training = layer.training
    layer.eval()
    try:
        with torch.no_grad():
            result = function(torch.zeros([size or 0 for size in sizes], dtype=DTYPES[dtype]))
    except (RuntimeError, ValueError, IndexError) as error:
        layer._refuse(f"does not accept an input of shape {format_shape(input_shape)}: {error}", cause=error)
    finally:
        layer.train(was_training)
    if not isinstance(result, Tensor):
        layer._refuse(f"has to return one tensor; it returned {type(result).__name__}")
    return (None, *result.shape[1:])


class TorchModule(Layer):
    """A ``torch.nn.Module`` as a layer. Tensors are passed as they are: channels-last, unless the module turns them.

    It trains and is captured like any layer; a model with it cannot be rebuilt from a file, which holds no code.
    """

    def __init__(self, module: nn.Module, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.module = module
        if self.auto_named:
            self.name = snake_case(type(module).__name__)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return observed_shape(self, self.module, input_shape, self.preferred_dtype)

    def forward(self, *inputs: Any) -> Any:
        return self.module(*inputs)


class Lambda(Layer):
    """A function of tensors as a layer: ``Lambda(lambda x: x * 2)``. Cannot be rebuilt from a file."""

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: tuple[int | None, ...] | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        self.function = function
        self.fixed_output_shape = output_shape

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.fixed_output_shape is not None:
            return (None, *self.fixed_output_shape)
        return observed_shape(self, self.function, input_shape, self.preferred_dtype)

    def forward(self, x: Any) -> Any:
        return self.function(x)
