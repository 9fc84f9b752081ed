"""What all layers share: a Keras layer that *is* a ``torch.nn.Module``.

Tensors are channels-last as in Keras. Weights are parameters in torch's own layout (conv ``[out, in, height, width]``,
dense ``[out, in]``) under torch's names, so ``state_dict()``, ``torch.optim`` and ``torch.export`` see what they know;
``get_weights`` and ``set_weights`` speak Keras's layout and order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from torch import Tensor

from ...errors import UsageError
from ..structure import (
    Node,
    Shape,
    SymbolicTensor,
    flatten,
    flatten_shapes,
    format_shape,
    is_shape,
    map_structure,
    user_source,
    with_batch,
)
from . import calls, masks
from .arguments import BaseArguments, checked_name, own_arguments, snake_case
from .weights import WeightBearer

_SYMBOLIC_NAMES = frozenset(("input", "inputs", "output", "outputs"))


class _NamesItself(type):
    """Says which layer was made with arguments that it does not take: Python names the class that defines them."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except TypeError as error:
            signature = inspect.signature(getattr(cls, "__init__"))  # noqa: B009 - a subclass may have another one
            try:
                signature.bind(None, *args, **kwargs)
            except TypeError as mismatch:
                taken = [name for name, p in signature.parameters.items() if p.kind is not p.VAR_KEYWORD][1:]
                raise UsageError(
                    "TP010",
                    f"{cls.__name__}: {mismatch}",
                    at=user_source(),
                    help=f"{cls.__name__}({', '.join(taken)})",
                ) from error
            raise


class Layer(WeightBearer, metaclass=_NamesItself):
    """Base of all layers.

    A subclass stores each constructor argument under its own name (that is its config), creates weights in
    ``build(input_shape)`` with ``add_weight``, and computes in ``forward`` (or ``call``, as in Keras).
    """

    input_rank: ClassVar[int | tuple[int, ...] | None] = None
    """Accepted number of dimensions, the batch counted; None accepts any."""
    is_per_position: ClassVar[bool] = False
    """Whether the layer treats every position before the last axis alike, so that more axes there change nothing."""
    supports_masking: bool = False
    """Whether the output has the input's mask."""
    call_parameters: ClassVar[dict[str, inspect.Parameter]]
    """What ``call`` or ``forward`` takes, ``self`` left out."""
    is_foreign: bool
    """Whether the user wrote what the layer computes, and not what shape that has."""
    preferred_dtype: ClassVar[str] = "float32"
    """The dtype of a model's input when this is its first layer and nothing else says."""

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
        input_shape: Sequence[int | None] | int | None = None,
        input_dim: int | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        **unknown: object,
    ) -> None:
        super().__init__()
        self.source = user_source()
        if unknown:
            names = ", ".join(map(repr, unknown))
            self._refuse(f"{type(self).__name__} has no argument {names}", code="TP010", help=_instead(self, unknown))
        if dtype not in (None, "float32", torch.float32, np.float32):
            self._refuse(f"{type(self).__name__} computes in float32; dtype={dtype!r} is not supported", code="TP010")
        if batch_input_shape is not None:
            input_shape = tuple(batch_input_shape)[1:]
        if input_shape is None and input_dim is not None:
            input_shape = (input_dim,)
        self.auto_named = name is None
        self.adopted = False
        self.name = snake_case(type(self).__name__) if name is None else checked_name(name, self.source)
        self.first_shape: Shape | None = None if input_shape is None else with_batch(_plain(input_shape), "input_shape")
        self.built = False
        self.built_shape: Any = None
        self._trainable = trainable
        self._nodes: list[Node] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A subclass that writes ``call`` means that to be computed, whatever ``forward`` it inherits."""
        super().__init_subclass__(**kwargs)
        if "call" in vars(cls) and "forward" not in vars(cls):
            cls.forward = Layer.forward  # type: ignore[method-assign]
        cls.call_parameters, cls.is_foreign = calls.parameters(cls), calls.is_foreign(cls)

    # -- building -----------------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Creates the weights for an input of this shape (free sizes are None). Layers without weights keep this."""

    def ensure_built(self, input_shape: Any) -> None:
        """Builds once; later calls check that the shape still fits. Raises UsageError TP011."""
        try:
            self.check_input(input_shape)
            if not self.built:
                self.build(input_shape)
        except TypeError as error:
            if is_shape(input_shape):
                raise
            self._refuse(f"takes one input, received {len(flatten_shapes(input_shape))}", cause=error)
        if not self.built:
            self.built_shape = input_shape
            self.built = True
            self._build_activation(input_shape)
            if not self._trainable:
                self.trainable = False

    def _build_activation(self, input_shape: Any) -> None:
        activation = self._modules.get("activation")
        if isinstance(activation, Layer):
            activation.ensure_built(self.compute_output_shape(input_shape))

    def check_input(self, input_shape: Any) -> None:
        """Refuses a rank this layer has no meaning for. Raises UsageError TP011."""
        if self.input_rank is None or not is_shape(input_shape):
            return
        ranks = (self.input_rank,) if isinstance(self.input_rank, int) else self.input_rank
        if len(input_shape) not in ranks:
            wanted = " or ".join(str(rank) for rank in ranks)
            self._refuse(
                f"expects an input of {wanted} dimensions (batch included), received {format_shape(input_shape)}"
            )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input's; free sizes stay None. Layers that change the shape override this.

        A layer of the user's that does not is run on zeros, to see the shape.
        """
        if not self.is_foreign:
            return input_shape
        return map_structure(lambda seen: seen.shape, calls.observed_of_shapes(self, input_shape))

    def compute_output_dtype(self, input_dtypes: Any) -> str:
        """The output's dtype; float32 unless a layer says otherwise."""
        return "float32"

    # -- calling ------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Computes on tensors; on symbolic tensors records the use and returns symbolic outputs."""
        if self.built and training is None:
            first = args[0] if args else None
            if isinstance(first, list | tuple) and first:
                first = first[0]
            if isinstance(first, Tensor):
                try:
                    return self._compute(args, kwargs)
                except RuntimeError as error:
                    calls.explain(self, args, error)
                    raise
        return self._call_slowly(args, kwargs, training)

    def _call_slowly(self, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None) -> Any:
        inputs, arguments = calls.bound(self, args, kwargs)
        if any(isinstance(leaf, SymbolicTensor) for leaf in flatten([inputs, arguments])):
            return self.call_symbolically(inputs, training, arguments)
        if not self.built:
            self.ensure_built(calls.shapes(self, inputs, arguments))
        if training is None or training == self.training:
            return self._compute(args, kwargs)
        before = self.training
        self.train(training)
        try:
            return self._compute(args, kwargs)
        finally:
            self.train(before)

    def _compute(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        mask = masks.of(args[0]) if args else None
        if mask is None:
            return super().__call__(*args, **kwargs)
        return masks.call(self, super().__call__, args, kwargs, mask)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The output's mask for an input's: the same where ``supports_masking``, else none; see ``masks``."""
        return mask if self.supports_masking else None

    def call_symbolically(
        self, inputs: Any, training: bool | None = None, arguments: dict[str, Any] | None = None
    ) -> Any:
        """Records this use of the layer; returns the symbolic output (or a structure of them)."""
        for leaf in flatten(inputs):
            if not isinstance(leaf, SymbolicTensor):
                self._refuse(f"was called on symbolic tensors mixed with {type(leaf).__name__}")
        node = Node(self, inputs, training, arguments=arguments or {})
        node.outputs = calls.announced(node)
        self._nodes.append(node)
        return node.outputs

    def call_shapes(self, shapes: Any, arguments: Mapping[str, Any]) -> Any:
        """What ``build`` and ``compute_output_shape`` are told of a call: the shapes of the first argument.

        ``arguments`` has the shapes of the tensors among the others; a layer with several inputs may add them.
        """
        return shapes

    def call_output_shape(self, shapes: Any, arguments: Mapping[str, Any]) -> Any:
        """The shape of a call's output, for layers whose arguments change what comes out."""
        return self.compute_output_shape(shapes)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the layer; a subclass written for Keras may call it ``call`` instead.

        Such a ``call`` is told in ``training``, where it takes that, which of the two modes the layer is in.
        """
        call: Callable[..., Any] | None = getattr(type(self), "call", None)
        if call is None:
            raise NotImplementedError(f"{type(self).__name__} defines neither forward nor call")
        if "training" in self.call_parameters:
            kwargs.setdefault("training", self.training)
        return call(self, *args, **kwargs)

    # -- weights ------------------------------------------------------------------------------------------------

    def sublayers(self) -> list[Layer]:
        """The layers directly inside this one."""
        return [module for module in self.children() if isinstance(module, Layer)]

    @property
    def trainable(self) -> bool:
        """Whether training changes this layer; setting it reaches the layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for parameter in self._parameters.values():
            if parameter is not None:
                parameter.requires_grad_(self._trainable)
        for module in self.children():
            if isinstance(module, Layer):
                module.trainable = value
            else:
                module.requires_grad_(self._trainable)

    # -- the symbolic side --------------------------------------------------------------------------------------

    # ``input`` and ``output`` are looked up last and are no properties: a model may hold a layer of that name, and
    # torch finds submodules by attribute.

    def __getattr__(self, name: str) -> Any:
        if name in _SYMBOLIC_NAMES and name not in self.__dict__.get("_modules", ()):
            return self.symbolic(name)
        return super().__getattr__(name)

    def symbolic(self, name: str) -> Any:
        """``input`` or ``output``: the symbolic tensors of the last use. Raises UsageError TP013 without one."""
        if name in ("inputs", "outputs"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if not self._nodes:
            self._refuse(f"was not used on symbolic tensors, so it has no {name}", code="TP013")
        return self._nodes[-1].inputs if name == "input" else self._nodes[-1].outputs

    # -- config -------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-only data. Raises UsageError TP015 for what JSON cannot carry."""
        from ..config import to_data

        config: dict[str, Any] = {"name": self.name}
        if not self._trainable:
            config["trainable"] = False
        is_whole = type(self).get_config is Layer.get_config
        for argument in own_arguments(type(self)):
            try:
                config[argument] = to_data(self.config_value(argument), self)
            except UsageError:
                if is_whole:  # else the subclass goes on from here and adds it
                    raise
        return config

    def config_value(self, argument: str) -> Any:
        """What a constructor argument was; a layer that keeps it under another name overrides this."""
        if not hasattr(self, argument):
            self._refuse(
                f"keeps its argument {argument!r} under no attribute of that name, so it cannot be written into a file",
                code="TP015",
                help=f"set self.{argument} = {argument} in __init__, or write get_config",
            )
        return getattr(self, argument)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A new, unbuilt layer. Raises FormatError TP040 for a config that does not fit."""
        from ..config import layer_from_config

        return layer_from_config(cls, config)

    # -- messages -----------------------------------------------------------------------------------------------

    def where(self) -> str:
        """``train.py:41, layer "conv2d"``: where the user made this layer."""
        return f'{self.source}, layer "{self.name}"' if self.source else f'layer "{self.name}"'

    def _refuse(
        self, message: str, *, code: str = "TP011", help: str | None = None, cause: BaseException | None = None
    ) -> NoReturn:
        name = getattr(self, "name", None)
        text = (
            f'{type(self).__name__} "{name}" {message}'
            if name and not message.startswith(type(self).__name__)
            else message
        )
        at = self.where() if name else self.source
        raise UsageError(code, text, at=at, help=help) from cause

    def extra_repr(self) -> str:
        return f"name={self.name!r}"

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave the symbolic graph out: it reaches every other layer of the model."""
        return {**self.__dict__, "_nodes": []}


def _instead(layer: Layer, unknown: Iterable[str]) -> str:
    """The arguments that were meant, or all that there are."""
    taken = [*own_arguments(type(layer)), *BaseArguments.__annotations__]
    meant = [name for given in unknown for name in get_close_matches(given, taken, 1)]
    return f"did you mean {', '.join(meant)}?" if meant else f"its arguments: {', '.join(taken)}"


def _plain(shape: Any) -> Any:
    if isinstance(shape, int) or shape is None:
        return shape
    return tuple(int(size) if isinstance(size, np.integer) else size for size in shape)
