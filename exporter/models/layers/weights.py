"""A layer's weights: made and kept in torch's layout, shown in Keras's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from .. import initializers, regularizers

_REGULARIZED = {
    "kernel_regularizer": "weight",
    "gamma_regularizer": "weight",
    "alpha_regularizer": "weight",
    "embeddings_regularizer": "weight",
    "bias_regularizer": "bias",
    "beta_regularizer": "bias",
    "depthwise_regularizer": "weight",
    "pointwise_regularizer": "pointwise_weight",
    "recurrent_regularizer": "recurrent_weight",
}


class WeightBearer(nn.Module):
    """What ``Layer`` does with weights. A layer whose layout differs from Keras's says so in ``to_keras``."""

    weight_order: ClassVar[tuple[str, ...]] = ()
    """State-dict names in the order of ``get_weights``; empty: the order of creation, parameters before buffers."""
    built: bool
    _unclaimed: list[str] = []  # noqa: RUF012 - replaced, never changed
    _penalized: list[tuple[regularizers.Regularizer, Tensor]] = []  # noqa: RUF012 - replaced, never changed

    def _refuse(
        self, message: str, *, code: str = "TP011", help: str | None = None, cause: BaseException | None = None
    ) -> NoReturn:
        """Raises UsageError, with the layer's name and place."""
        raise NotImplementedError

    def add_weight(
        self,
        shape: Sequence[int],
        initializer: str | initializers.Initializer = "glorot_uniform",
        trainable: bool = True,
        name: str | None = None,
        regularizer: str | regularizers.Regularizer | None = None,
    ) -> Tensor:
        """Creates a parameter (or, not trainable, a buffer) of this shape in Keras's layout; returns it in torch's.

        Without a name it is called weight, or weight_1 and so on; kept as an attribute it takes the attribute's name.
        """
        taken = {key for key, value in {**self._parameters, **self._buffers}.items() if value is not None}
        if name is None:
            free = itertools.chain(["weight"], (f"weight_{count}" for count in itertools.count(1)))
            name = next(candidate for candidate in free if candidate not in taken)
        if math.prod(shape) > 2**40:
            self._refuse(f"would hold a weight of shape {list(shape)}: {math.prod(shape):,} numbers", code="TP010")
        value = self.from_keras(name, initializers.get(initializer)(tuple(shape))).contiguous()
        if trainable:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)
        weight = getattr(self, name)
        assert isinstance(weight, Tensor)
        self._unclaimed = [*self._unclaimed, name]
        penalty = regularizers.get(regularizer)
        if penalty is not None:
            self._penalized = [*self._penalized, (penalty, weight)]
        return weight

    def __setattr__(self, name: str, value: Any) -> None:
        """``self.kernel = self.add_weight(...)``: the weight is called kernel from then on, and is there once."""
        made = self._unclaimed
        if made and isinstance(value, Tensor):
            holders: tuple[dict[str, Any], ...] = (self._parameters, self._buffers)
            for held in holders:
                other = next((key for key in made if held.get(key) is value), None)
                if other is not None:
                    self.__dict__.pop(name, None)
                    del held[other]
                    held[name] = value
                    self._unclaimed = [key for key in made if key != other]
                    return
        super().__setattr__(name, value)

    def to_keras(self, name: str, value: Tensor) -> Tensor:
        """A weight in Keras's layout."""
        return value

    def from_keras(self, name: str, value: Tensor) -> Tensor:
        """The inverse of ``to_keras``."""
        return value

    def _own_weights(self) -> Iterator[tuple[str, Tensor]]:
        own = {
            **self._parameters,
            **{k: v for k, v in self._buffers.items() if k not in self._non_persistent_buffers_set},
        }
        for name in self.weight_order or tuple(own):
            value = own.get(name)
            if value is not None:
                yield name, value

    def _weight_slots(self) -> Iterator[tuple[WeightBearer, str, Tensor]]:
        for name, value in self._own_weights():
            yield self, name, value
        for child_name, child in self.named_children():
            if isinstance(child, WeightBearer):
                yield from child._weight_slots()
            else:
                for name, value in child.state_dict(prefix=f"{child_name}.", keep_vars=True).items():
                    yield self, name, value

    def _distinct_slots(self) -> list[tuple[WeightBearer, str, Tensor]]:
        """Each weight once, under the first of its names."""
        found: dict[int, tuple[WeightBearer, str, Tensor]] = {}
        for slot in self._weight_slots():
            found.setdefault(id(slot[2]), slot)
        return list(found.values())

    def get_weights(self) -> list[np.ndarray[Any, np.dtype[Any]]]:
        """All weights as arrays, in Keras's order and layout."""
        return [
            layer.to_keras(name, value.detach()).cpu().numpy().copy() for layer, name, value in self._distinct_slots()
        ]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Takes arrays as ``get_weights`` gives them. Raises UsageError TP002 when count or a shape differs."""
        slots = self._distinct_slots()
        if len(slots) != len(weights):
            self._refuse(f"has {len(slots)} weights, received {len(weights)}", code="TP002")
        values = [torch.as_tensor(np.asarray(value)) for value in weights]
        for (layer, name, slot), value in zip(slots, values, strict=True):
            wanted = layer.to_keras(name, slot).shape
            if wanted != value.shape:
                layer._refuse(f"weight {name!r} has shape {list(wanted)}, received {list(value.shape)}", code="TP002")
        with torch.no_grad():
            for (layer, name, slot), value in zip(slots, values, strict=True):
                slot.copy_(layer.from_keras(name, value))

    @property
    def weights(self) -> list[Tensor]:
        """Parameters and statistics, as torch tensors in torch's layout."""
        return [value for _, _, value in self._distinct_slots()]

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The weights an optimizer changes."""
        return [value for value in self.weights if isinstance(value, nn.Parameter) and value.requires_grad]

    def count_params(self) -> int:
        """The number of numbers in all weights. Raises UsageError TP013 before the layer is built."""
        if not self.built:
            self._refuse(
                "has no weights yet", code="TP013", help="call the model on data, or give its first layer input_shape="
            )
        return sum({id(value): value.numel() for value in self.state_dict(keep_vars=True).values()}.values())

    def penalties(self) -> Iterator[tuple[regularizers.Regularizer, Tensor]]:
        """Each weight that a regulariser watches, with it."""
        yield from self._penalized
        for argument, weight_name in _REGULARIZED.items():
            regularizer = self.__dict__.get(argument)
            weight = self._parameters.get(weight_name)
            if argument == "depthwise_regularizer" and weight is None:
                weight = self._parameters.get("depthwise_weight")
            if weight is not None and isinstance(regularizer, regularizers.Regularizer):
                yield regularizer, weight
        for layer in self.children():
            if isinstance(layer, WeightBearer):
                yield from layer.penalties()
