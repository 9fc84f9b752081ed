"""What recurrent layers share: arguments, weights, states, masks, and the two ways through a sequence.

A layer with Keras's default activations runs in torch's fused kernels, for any number of steps. With others, with a
reset gate before the product, or with recurrent dropout in training it goes step by step, and then a graph needs to
know the number of steps.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import ModelError
from .. import initializers, regularizers
from ..structure import Shape, flatten, flatten_shapes, format_shape, is_shape
from .arguments import BaseArguments, activation_of, taking
from .compacted import Compacted
from .dropout import RandomLayer
from .windows import sizes

Initializer = str | initializers.Initializer
Regularizer = str | regularizers.Regularizer | None


class Extras(BaseArguments, total=False):
    """What the constructors of all recurrent layers take beside units and activations, by name."""

    use_bias: bool
    kernel_initializer: Initializer
    recurrent_initializer: Initializer
    bias_initializer: Initializer
    kernel_regularizer: Regularizer
    recurrent_regularizer: Regularizer
    bias_regularizer: Regularizer
    dropout: float
    recurrent_dropout: float
    seed: int | None
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    unroll: bool
    zero_output_for_mask: bool


DEFAULTS = Extras(
    use_bias=True,
    kernel_initializer="glorot_uniform",
    recurrent_initializer="orthogonal",
    bias_initializer="zeros",
    kernel_regularizer=None,
    recurrent_regularizer=None,
    bias_regularizer=None,
    dropout=0.0,
    recurrent_dropout=0.0,
    seed=None,
    return_sequences=False,
    return_state=False,
    go_backwards=False,
    stateful=False,
    unroll=False,
    zero_output_for_mask=False,
)
"""Keras's, of all of `Extras` but what every layer takes."""

recurrent = taking(DEFAULTS)
"""Decorator of their constructors."""


class RecurrentLayer(RandomLayer):
    """Base of LSTM, GRU and SimpleRNN.

    x  [batch, steps, features]  →  y [batch, units], the last step's; with ``return_sequences`` [batch, steps, units];
    with ``return_state`` a list: y, then the state (LSTM: h and c), each [batch, units].
    weight [gates·units, features], recurrent_weight [gates·units, units], bias [gates·units], gates in torch's order

    ``dropout`` drops features of x, ``recurrent_dropout`` cells of h, both the same ones in every step of a sequence.
    ``go_backwards`` takes the last step first and leaves the outputs in the order they are made.
    ``initial_state`` in the call is a state (LSTM: a list of two) to begin with, zeros where it is left out.
    ``mask`` in the call [batch, steps] is false at steps that are skipped: the state stays, and the output is the one
    of the step before, or zero with ``zero_output_for_mask``.
    """

    input_rank = 3
    weight_order = ("weight", "recurrent_weight", "bias")
    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    units: int
    go_backwards: bool
    return_sequences: bool
    return_state: bool
    zero_output_for_mask: bool
    weight: Tensor
    recurrent_weight: Tensor
    bias: Tensor | None
    no_bias: Tensor

    def __init__(self, units: int, activation: Any, extras: Extras) -> None:
        given: dict[str, Any] = {**DEFAULTS, **extras}
        super().__init__(**{name: value for name, value in given.items() if name not in DEFAULTS})
        self.units = sizes(units, 1, "units")[0]
        self.activation = activation_of(activation)
        for name in DEFAULTS:
            value = given[name]
            if name.endswith("_initializer"):
                value = initializers.get(value)
            elif name.endswith("_regularizer"):
                value = regularizers.get(value)
            setattr(self, name, value)
        for name in ("dropout", "recurrent_dropout"):
            if not 0 <= getattr(self, name) < 1:
                self._refuse(f"{name} has to lie in [0, 1); received {getattr(self, name)}", code="TP010")
        if given["stateful"]:
            self._refuse(
                "keeps no state from batch to batch: stateful=True is not supported",
                code="TP010",
                help="take the state out with return_state=True and give it back with initial_state=",
            )
        for weight in self.weight_order:
            self.register_parameter(weight, None)

    # -- weights ------------------------------------------------------------------------------------------------

    def check_input(self, input_shape: Any) -> None:
        if not is_shape(input_shape):
            self._refuse("takes one sequence; give the state as initial_state=")
        super().check_input(input_shape)
        if input_shape[-1] is None:
            self._refuse(f"needs a fixed number of features, received {format_shape(input_shape)}")
        if self.built and input_shape[-1] != self.weight.shape[1]:
            self._refuse(f"was built for {self.weight.shape[1]} features, received {input_shape[-1]}")

    def bias_shape(self) -> tuple[int, ...]:
        """The bias in Keras's layout."""
        return (self.gates * self.units,)

    def build(self, input_shape: Shape) -> None:
        features = input_shape[-1]
        assert features is not None
        rows = self.gates * self.units
        self.add_weight((features, rows), self.kernel_initializer)
        self.add_weight((self.units, rows), self.recurrent_initializer, name="recurrent_weight")
        if self.use_bias:
            self.add_weight(self.bias_shape(), self.bias_initializer, name="bias")
        self.register_buffer("no_bias", torch.zeros(rows), persistent=False)

    def to_keras(self, name: str, value: Tensor) -> Tensor:
        return value if name == "bias" else value.t()

    from_keras = to_keras

    def biases(self) -> tuple[Tensor, Tensor]:
        """[gates·units] twice: what is added to the product with x, and to the one with h."""
        return (self.no_bias if self.bias is None else self.bias), self.no_bias

    # -- one step, and all of them --------------------------------------------------------------------------------

    def is_fused(self) -> bool:
        """Whether torch has a kernel for what this layer computes."""
        raise NotImplementedError

    def kernel(self, x: Tensor, states: Sequence[Tensor], weights: list[Tensor], both_ways: bool) -> Sequence[Tensor]:
        """torch's fused call on x [batch, steps, features]: the outputs, then each state [directions, batch, units]."""
        raise NotImplementedError

    def fused(self, x: Tensor, states: Sequence[Tensor], weights: list[Tensor], both_ways: bool) -> Sequence[Tensor]:
        """``kernel``, without what CUDA says each time about weights that do not lie side by side."""
        if not x.is_cuda:
            return self.kernel(x, states, weights, both_ways)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")
            return self.kernel(x, states, weights, both_ways)

    def step(self, projected: Tensor, seen: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """The states after a step; ``projected`` [batch, gates·units] is what x adds to each gate.

        ``seen`` is h as far as the gates see it: with recurrent dropout some cells of it are zero.
        """
        raise NotImplementedError

    def holding(self) -> Tensor | None:
        """[gates·units, 1]: what, added to the gates, keeps the states behind h as they are; None: there are none."""
        return None

    def kernel_weights(self) -> list[Tensor]:
        """The weights in the order of torch's kernels."""
        return [self.weight, self.recurrent_weight, *self.biases()]

    def zero_states(self, x: Tensor) -> list[Tensor]:
        """What the layer starts from: a list of zeros [batch, units]."""
        return [x.new_zeros((x.shape[0], self.units)) for _ in range(self.states)]

    def given_states(self, initial_state: Any, count: int) -> list[Tensor] | None:
        """``initial_state`` as a list of ``count`` tensors [batch, units], or None. Raises UsageError TP010."""
        if initial_state is None:
            return None
        states = [initial_state] if isinstance(initial_state, Tensor) else list(initial_state)
        self.check_states([tuple(state.shape) for state in states], count)
        return states

    def one_by_one(self, x: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """Each state after each step, [batch, steps, units]."""
        if not isinstance(x.shape[1], int):
            raise ModelError(
                "TP203",
                f'{type(self).__name__} "{self.name}" goes through its sequence step by step, and their number is free',
                at=self.where(),
                because=f"torch has no kernel for {self.described()}",
                help="give the number of steps in Input, or use the layer's default arguments",
            )
        dropped = self.training and self.recurrent_dropout > 0
        kept = self.choice((x.shape[0], self.units), self.recurrent_dropout, self.seed, x) if dropped else None
        current = list(states)
        after: list[list[Tensor]] = []
        for projected in F.linear(x, self.weight, self.biases()[0]).unbind(1):
            current = self.step(projected, current[0] if kept is None else current[0] * kept, current)
            after.append(current)
        return [torch.stack(column, dim=1) for column in zip(*after, strict=True)]

    def described(self) -> str:
        """The arguments that keep torch's kernels from computing this layer."""
        names = ("activation", "recurrent_activation", "reset_after")
        return ", ".join(f"{name}={self.get_config()[name]!r}" for name in names if hasattr(self, name))

    # -- calling ------------------------------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Shape) -> Any:
        state = (input_shape[0], self.units)
        y = (*input_shape[:2], self.units) if self.return_sequences else state
        return [y, *[state] * self.states] if self.return_state else y

    def call_output_shape(self, shapes: Any, arguments: Mapping[str, Any]) -> Any:
        given = arguments.get("initial_state")
        if given is not None:
            self.check_states(flatten_shapes(given), self.states)
        return self.compute_output_shape(shapes)

    def check_states(self, shapes: Sequence[Shape], count: int) -> None:
        """Raises UsageError TP010 unless these are the shapes of ``count`` states."""
        if len(shapes) != count:
            self._refuse(f"starts from {count} states, received {len(shapes)}", code="TP010")
        for shape in shapes:
            if len(shape) != 2 or shape[1] != self.units:
                self._refuse(
                    f"starts from states of shape [batch, {self.units}], received {format_shape(shape)}", code="TP010"
                )

    def check_sequences(self, x: Tensor, mask: Tensor | None, initial_state: Any) -> None:
        """torch's kernels look at no shape, and read beyond the weights. Raises UsageError TP011."""
        for state in flatten([] if initial_state is None else initial_state):
            if state.shape[0] != x.shape[0]:
                self._refuse(f"received {x.shape[0]} sequences and states for {state.shape[0]}")
        if x.ndim != 3 or x.shape[2] != self.weight.shape[1]:
            wanted = f"[batch, steps, {self.weight.shape[1]}]"
            self._refuse(f"expects an input of shape {wanted}, received {list(x.shape)}")
        if mask is not None and (mask.ndim != 2 or mask.shape[1] != x.shape[1]):
            self._refuse(f"expects a mask [batch, steps] for {list(x.shape)}, received {list(mask.shape)}")

    def forward(self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        self.check_sequences(sequences, mask, initial_state)
        x = sequences.flip(1) if self.go_backwards else sequences
        if self.training and self.dropout > 0:
            x = x * self.choice((x.shape[0], 1, x.shape[2]), self.dropout, self.seed, x)
        given = self.given_states(initial_state, self.states)
        states = self.zero_states(x) if given is None else given
        if mask is None:
            y, last = self.run(x, states, None)
        else:
            compacted = Compacted(mask.flip(1) if self.go_backwards else mask)
            y, last = self.run(compacted.pack(x), states, compacted)
            y = compacted.unpack(y, self.zero_output_for_mask)
        result = y if self.return_sequences else last[0]
        return [result, *last] if self.return_state else result

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return mask if self.return_sequences else None

    def run(self, x: Tensor, states: list[Tensor], compacted: Compacted | None) -> tuple[Tensor, list[Tensor]]:
        """(the outputs [batch, steps, units], the last states) of x whose skipped steps, if any, stand at the end."""
        if not self.is_fused() or (self.training and self.recurrent_dropout > 0):
            after = self.one_by_one(x, states)
            if compacted is None:
                return after[0], [column[:, -1] for column in after]
            return after[0], [compacted.last(column, start) for column, start in zip(after, states, strict=True)]
        weight, *others = self.kernel_weights()
        holding = self.holding() if compacted is not None and self.return_state else None
        if compacted is not None and holding is not None:
            x = torch.cat([x, compacted.padding().unsqueeze(-1)], dim=-1)
            weight = torch.cat([weight, holding], dim=1)
        y, *ends = self.fused(x, [state.unsqueeze(0) for state in states], [weight, *others], False)
        last = [end.squeeze(0) for end in ends]
        if compacted is not None:
            last[0] = compacted.last(y, states[0])
        return y, last
