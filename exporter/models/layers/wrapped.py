"""Foreign code as layers: any ``torch.nn.Module``, and plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from torch import nn

from .arguments import BaseArguments, snake_case
from .base import Layer


class TorchModule(Layer):
    """A ``torch.nn.Module`` as a layer. Tensors are passed as they are: channels-last, unless the module turns them.

    It trains and is captured like any layer; a model with it cannot be rebuilt from a file, which holds no code.
    """

    def __init__(self, module: nn.Module, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.module = module
        self.is_foreign = True
        if self.auto_named:
            self.name = snake_case(type(module).__name__)

    def forward(self, *inputs: Any) -> Any:
        return self.module(*inputs)


class Lambda(Layer):
    """A function of tensors as a layer: ``Lambda(lambda x: x * 2)``. Cannot be rebuilt from a file.

    The output's shape is seen by running it on zeros; ``output_shape`` (without the batch) is believed instead.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: tuple[int | None, ...] | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        self.function = function
        self.fixed_output_shape = output_shape
        self.is_foreign = output_shape is None

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.fixed_output_shape is not None:
            return (None, *self.fixed_output_shape)
        return super().compute_output_shape(input_shape)

    def forward(self, x: Any) -> Any:
        return self.function(x)
