"""What every model is: inputs with names, layers, a symbolic side, and a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import UsageError
from .data import InputSpec, as_tensor
from .layers.base import Layer
from .structure import (
    DTYPES,
    Node,
    SymbolicTensor,
    dtype_name,
    flatten,
    format_shape,
    user_source,
    with_batch,
)
from .summary import summarize
from .training import Trainer

if TYPE_CHECKING:
    from ..graph import Graph
    from ..labels import Labels
    from ..preprocessing import Declared


class InputLayer(Layer):
    """Where a value enters; ``Input`` makes it and returns its symbolic tensor."""

    def __init__(
        self, shape: Any = None, dtype: str = "float32", name: str | None = None, input_shape: Any = None
    ) -> None:
        super().__init__(name=name)
        shape = input_shape if shape is None else shape
        if self.auto_named:
            self.name = "input"
        self.shape = with_batch(shape)[1:]
        self.dtype = dtype_name(dtype)
        self.node = Node(self, None)
        self.node.outputs = SymbolicTensor((None, *self.shape), self.dtype, self.node)
        self._nodes = [self.node]
        self.built, self.built_shape = True, (None, *self.shape)

    def forward(self, x: Tensor) -> Tensor:
        return x


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = "float32",
    name: str | None = None,
    batch_shape: Any = None,
) -> SymbolicTensor:
    """A symbolic input [batch, *shape]; ``shape`` has no batch, free sizes are None. The batch is always free."""
    if shape is None:
        if batch_shape is None:
            raise UsageError("TP010", "Input needs shape=, for example Input((28, 28, 1))", at=user_source())
        shape = tuple(batch_shape)[1:]
    made = InputLayer(shape, dtype_name(dtype), name).node.outputs
    assert isinstance(made, SymbolicTensor)
    return made


def free_name(layer: Layer, taken: Mapping[str, Any] | set[str]) -> str:
    """The name to register a layer under: its own, or for names nobody chose ``dense``, ``dense_1``, ...

    Raises UsageError TP012 when a chosen name is taken.
    """
    if layer.name not in taken:
        return layer.name
    if not layer.auto_named:
        raise UsageError(
            "TP012",
            f"two layers are called {layer.name!r}; names have to be unique in a model",
            at=layer.where(),
            help="rename one of them: name=...",
        )
    stem, _, number = layer.name.rpartition("_")
    base = stem if stem and number.isdigit() else layer.name
    count = 1
    while f"{base}_{count}" in taken:
        count += 1
    return f"{base}_{count}"


def free_attribute(model: Layer, name: str, layer: Layer) -> str:
    """The name itself. Raises UsageError TP012 when a model has such an attribute: torch finds layers by attribute."""
    if hasattr(type(model), name) or name in model.__dict__:
        raise UsageError(
            "TP012", f"a layer cannot be called {name!r}: models have something of that name already", at=layer.where()
        )
    return name


def check_call(x: Any, spec: InputSpec) -> None:
    """Refuses a tensor whose fixed sizes differ from the input's. Raises UsageError TP002."""
    if not isinstance(x, Tensor):
        raise UsageError(
            "TP003", f"input {spec.name!r} has to be a torch tensor; received {type(x).__name__}", at=spec.at
        )
    sizes = x.shape
    wrong = len(sizes) != len(spec.shape)
    if not wrong:
        for axis, wanted in enumerate(spec.shape):
            if wanted is not None and sizes[axis] != wanted:
                wrong = True
    if wrong:
        raise UsageError(
            "TP002", f"input {spec.name!r} expects shape {format_shape(spec.shape)}, received {list(sizes)}", at=spec.at
        )


class Model(Trainer):
    """A trainable graph of layers: ``Model(inputs, outputs)``, each one symbolic tensor, a list, or a dict of them.

    A subclass may instead create layers in its ``__init__`` and compute in ``call`` (or ``forward``).
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Model:
        if cls is Model and (args or "inputs" in kwargs):
            from .functional import Functional

            return super().__new__(Functional)
        return super().__new__(cls)

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self._symbolic: tuple[list[SymbolicTensor], Any] | None = None
        self._specs: list[InputSpec] = []
        self._output_names: list[str] = []
        self.described: dict[str, Any] = {}

    # -- a model whose ``call`` the user wrote: inputs and outputs are learnt from the first data ------------------

    @property
    def input_specs(self) -> list[InputSpec]:
        if not self._specs:
            self._refuse("does not know its input yet", code="TP013", help="call fit or predict once")
        return self._specs

    @property
    def output_names(self) -> list[str]:
        return self._output_names

    def prepare(self, x: Any) -> None:
        if self._specs:
            return
        for key, layer in self._modules.items():
            if isinstance(layer, Layer) and layer.auto_named:
                layer.name = key
        several = isinstance(x, list | tuple) and len(x) > 0 and hasattr(x[0], "shape") and len(x[0].shape) > 0
        named = (
            x
            if isinstance(x, Mapping)
            else dict(zip(_numbered("input", len(x)), x, strict=True))
            if several
            else {"input": x}
        )
        tensors = {str(name): as_tensor(value, f"input {name!r}") for name, value in named.items()}
        tensors = {name: tensor.unsqueeze(1) if tensor.ndim == 1 else tensor for name, tensor in tensors.items()}
        specs = []
        for name, tensor in tensors.items():
            dtype = "float32" if tensor.dtype.is_floating_point else dtype_name(tensor.dtype)
            specs.append(InputSpec(name, (None, *tensor.shape[1:]), dtype, self.source))
        few = [tensor[:2].to(DTYPES[spec.dtype]) for tensor, spec in zip(tensors.values(), specs, strict=True)]
        was_training = self.training
        with torch.no_grad():
            outputs = self.eval()(few[0] if len(few) == 1 else few)
        self.train(was_training)
        self._specs = specs
        self._output_names = (
            list(outputs) if isinstance(outputs, Mapping) else _numbered("output", len(flatten(outputs)))
        )

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return self.sublayers()

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer with this name or at this position. Raises UsageError TP012."""
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                self._refuse(f"has {len(layers)} layers; there is none at {index}", code="TP012")
            return layers[index]
        found = self._modules.get(name or "") or next((layer for layer in layers if layer.name == name), None)
        if not isinstance(found, Layer):
            self._refuse(
                f"has no layer {name!r}", code="TP012", help=f"it has: {', '.join(layer.name for layer in layers)}"
            )
        return found

    def summary(self, print_fn: Any = None, line_length: int | None = None) -> None:
        """Prints a table: each layer, its output's shape, its parameters."""
        summarize(self, print_fn, line_length)

    def to_graph(self) -> Graph:
        """The model captured as a portable graph. Raises UsageError TP013 and ModelError; see ``saving.graph_of``."""
        from .saving import graph_of

        return graph_of(self)

    def describe(self, labels: Labels | None = None, preprocessing: Declared | None = None) -> None:
        """Notes what ``Graph.describe`` takes, for every graph that is made of the model and every file."""
        given = {"labels": labels, "preprocessing": preprocessing}
        self.described |= {name: value for name, value in given.items() if value is not None}

    def save(self, path: str | Path, include_optimizer: bool = False) -> None:
        """Writes one ``.triport`` file: the captured graph, the weights, and what ``load_model`` needs to train on."""
        from .saving import save_model

        save_model(self, path, include_optimizer)

    # -- the model as a symbolic graph ----------------------------------------------------------------------------

    def _replay(self) -> tuple[list[SymbolicTensor], Any]:
        raise UsageError("TP013", f"{type(self).__name__} {self.name!r} is not a graph of layers", at=self.where())

    def _symbols(self) -> tuple[list[SymbolicTensor], Any]:
        if self._symbolic is None:
            self._symbolic = self._replay()
        return self._symbolic

    def symbolic(self, name: str) -> Any:
        """``input``, ``output``, or the lists ``inputs``, ``outputs``: the model's symbolic tensors."""
        inputs, outputs = self._symbols()
        if name == "input":
            return inputs[0] if len(inputs) == 1 else inputs
        return {"inputs": inputs, "output": outputs, "outputs": flatten(outputs)}[name]

    @property
    def forward_takes_list(self) -> bool:
        """Whether several inputs go into ``forward`` as one list (what capture asks)."""
        return len(self.input_specs) > 1

    @property
    def input_shape(self) -> Any:
        """The input's shape, or a list of them; the batch is None."""
        shapes = [spec.shape for spec in self.input_specs]
        return shapes[0] if len(shapes) == 1 else shapes

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_symbolic": None}


def _numbered(base: str, count: int) -> list[str]:
    """``input``, ``input_1``, ..."""
    return [base if number == 0 else f"{base}_{number}" for number in range(count)]


__all__ = ["Input", "InputLayer", "Model", "check_call", "free_attribute", "free_name"]
