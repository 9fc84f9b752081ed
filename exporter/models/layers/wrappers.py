"""Layers around layers: a recurrent layer in both directions, any layer at each step."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from ..structure import Shape, flatten_shapes, format_shape, is_shape
from .arguments import BaseArguments
from .base import Layer
from .recurrent import RecurrentLayer

MERGE_MODES = ("concat", "sum", "mul", "ave", None)


class Bidirectional(Layer):
    """A recurrent layer that goes through the sequence forwards, a second one backwards, and their outputs as one.

    x  [batch, steps, features]  →  y [batch, 2·units], with ``return_sequences`` [batch, steps, 2·units];
    units instead of 2·units where ``merge_mode`` is sum, mul or ave, and a list of two outputs where it is None.

    ``backward_layer`` is a copy of ``layer`` with weights of its own where none is given. With ``return_state`` the
    states of both follow the output, and ``initial_state`` in the call takes them in the same order. Steps that a mask
    leaves out give zeros in the outputs of all steps.
    """

    def __init__(
        self,
        layer: RecurrentLayer,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: RecurrentLayer | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        for given in (layer, backward_layer or layer):
            if not isinstance(given, RecurrentLayer):
                self._refuse(f"takes a recurrent layer; received {type(given).__name__}", code="TP010")
            if given.built:
                self._refuse(f"takes a layer that was not used yet; {given.name!r} has weights", code="TP010")
        if merge_mode not in MERGE_MODES:
            self._refuse(f"merge_mode has to be one of {MERGE_MODES}; received {merge_mode!r}", code="TP010")
        self.merge_mode = merge_mode
        self.is_mirrored = backward_layer is None
        if backward_layer is None:
            backward_layer = copy.deepcopy(layer)
            backward_layer.go_backwards = not layer.go_backwards
            backward_layer.name = f"backward_{layer.name.removeprefix('forward_')}"
        self.forward_layer, self.backward_layer = copy.deepcopy(layer), backward_layer
        self.forward_layer.name = f"forward_{layer.name.removeprefix('forward_')}"
        self._check_pair()
        for child in (self.forward_layer, self.backward_layer):
            child.zero_output_for_mask = child.return_sequences
        self._initial = weights
        if self.first_shape is None:
            self.first_shape = layer.first_shape

    def _check_pair(self) -> None:
        ahead, back = self.forward_layer, self.backward_layer
        if ahead.go_backwards == back.go_backwards:
            self._refuse("needs one layer with go_backwards=True and one without", code="TP010")
        for name in ("return_sequences", "return_state"):
            if getattr(ahead, name) != getattr(back, name):
                self._refuse(f"needs two layers with the same {name}", code="TP010")

    def config_value(self, argument: str) -> Any:
        if argument == "layer":
            return self.forward_layer
        if argument == "backward_layer":
            return None if self.is_mirrored else self.backward_layer
        return None if argument == "weights" else super().config_value(argument)

    def check_input(self, input_shape: Any) -> None:
        self.forward_layer.check_input(input_shape)

    def build(self, input_shape: Shape) -> None:
        self.forward_layer.ensure_built(input_shape)
        self.backward_layer.ensure_built(input_shape)
        if self._initial is not None:
            self.set_weights(self._initial)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        ahead = self.forward_layer.compute_output_shape(input_shape)
        back = self.backward_layer.compute_output_shape(input_shape)
        (y, *states), (other, *others) = (ahead, back) if self.forward_layer.return_state else ([ahead], [back])
        if self.merge_mode == "concat":
            y = (*y[:-1], y[-1] + other[-1])
        outputs = [y, other] if self.merge_mode is None else [y]
        outputs += [*states, *others]
        return outputs if len(outputs) > 1 else outputs[0]

    def call_output_shape(self, shapes: Any, arguments: Mapping[str, Any]) -> Any:
        given = arguments.get("initial_state")
        self._check_states(None if given is None else flatten_shapes(given))
        return self.compute_output_shape(shapes)

    def _check_states(self, shapes: list[Shape] | None) -> None:
        ahead, back = self.forward_layer, self.backward_layer
        if shapes is None:
            return
        if len(shapes) != ahead.states + back.states:
            self._refuse(f"starts from {ahead.states + back.states} states, received {len(shapes)}", code="TP010")
        ahead.check_states(shapes[: ahead.states], ahead.states)
        back.check_states(shapes[ahead.states :], back.states)

    def forward(self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        ahead, back = self.forward_layer, self.backward_layer
        ahead.check_sequences(sequences, mask, initial_state)
        given = None if initial_state is None else list(initial_state)
        self._check_states(None if given is None else [tuple(state.shape) for state in given])
        if mask is None and self._is_one_call():
            y, other, states = self._both_at_once(sequences, given)
        else:
            first = None if given is None else given[: ahead.states]
            second = None if given is None else given[ahead.states :]
            one, two = (
                layer(sequences, initial_state=start, mask=mask) for layer, start in ((ahead, first), (back, second))
            )
            (y, *states), (other, *others) = (one, two) if ahead.return_state else ([one], [two])
            states += others
            if ahead.return_sequences:
                other = other.flip(1)
        merged = self._merged(y, other)
        outputs = merged + states if ahead.return_state else merged
        return outputs if len(outputs) > 1 else outputs[0]

    def _is_one_call(self) -> bool:
        """Whether torch's kernel can go both ways at once: it knows one kind of cell, forwards first, no dropout."""
        ahead, back = self.forward_layer, self.backward_layer
        alike = type(ahead) is type(back) and ahead.units == back.units and ahead.activation is back.activation
        drops = self.training and any(layer.dropout or layer.recurrent_dropout for layer in (ahead, back))
        return alike and not ahead.go_backwards and ahead.is_fused() and back.is_fused() and not drops

    def _both_at_once(self, x: Tensor, given: list[Tensor] | None) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(outputs forwards, outputs backwards in the order of x, all states)"""
        ahead, back = self.forward_layer, self.backward_layer
        count = ahead.states
        if given is None:
            stacked = [x.new_zeros((2, x.shape[0], ahead.units)) for _ in range(count)]
        else:
            stacked = [torch.stack([given[i], given[count + i]]) for i in range(count)]
        y, *ends = ahead.fused(x, stacked, [*ahead.kernel_weights(), *back.kernel_weights()], True)
        states = [end[direction] for direction in (0, 1) for end in ends]
        if ahead.return_sequences:
            one, two = y.chunk(2, dim=-1)
            return one, two, states
        return ends[0][0], ends[0][1], states

    def _merged(self, y: Tensor, other: Tensor) -> list[Tensor]:
        if self.merge_mode == "concat":
            return [torch.cat([y, other], dim=-1)]
        if self.merge_mode == "mul":
            return [y * other]
        if self.merge_mode is None:
            return [y, other]
        return [y + other if self.merge_mode == "sum" else (y + other) / 2]


class TimeDistributed(Layer):
    """A layer at each step by itself: x [batch, steps, ...] → y [batch, steps, ...], with the same weights."""

    def __init__(self, layer: Layer, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        if not isinstance(layer, Layer):
            self._refuse(f"takes a layer; received {type(layer).__name__}", code="TP010")
        self.layer = layer
        if self.first_shape is None and layer.first_shape is not None:
            self._refuse("takes input_shape= itself, the steps first", code="TP010")

    def check_input(self, input_shape: Any) -> None:
        if not is_shape(input_shape) or len(input_shape) < 3:
            self._refuse(f"expects an input [batch, steps, ...], received {format_shape(input_shape)}")

    def build(self, input_shape: Shape) -> None:
        self.layer.ensure_built((input_shape[0], *input_shape[2:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        step = self.layer.compute_output_shape((input_shape[0], *input_shape[2:]))
        if not is_shape(step):
            self._refuse("takes a layer with one output")
        return (step[0], input_shape[1], *step[1:])

    def compute_output_dtype(self, input_dtypes: Any) -> str:
        return self.layer.compute_output_dtype(input_dtypes)

    def forward(self, x: Tensor) -> Tensor:
        if self.layer.is_per_position:
            y = self.layer(x)
        else:
            y = self.layer(x.flatten(0, 1))
            y = y.reshape(*x.shape[:2], *y.shape[1:])
        assert isinstance(y, Tensor)
        return y
