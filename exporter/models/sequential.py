"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .config import from_data, object_to_config
from .data import InputSpec, as_tensor
from .layers import calls
from .layers.base import Layer
from .layers.wrapped import TorchModule
from .model import InputLayer, Model, check_call, free_attribute, free_name
from .structure import Shape, SymbolicTensor, format_shape


class Sequential(Model):
    """Layers one after the other; each is registered under its name, so weights are called ``dense.weight``.

    The input's shape comes from ``Input(...)`` as first item, from ``input_shape=`` of the first layer, or from the
    first data. A ``torch.nn`` module may stand among the layers.
    """

    def __init__(self, layers: Sequence[Any] | None = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self._spec: InputSpec | None = None
        self._is_learnt = False
        for layer in layers or []:
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, the input left out."""
        return [layer for layer in self._modules.values() if isinstance(layer, Layer)]

    def add(self, layer: Any) -> None:
        """Appends a layer. Raises UsageError TP010, TP012."""
        if isinstance(layer, SymbolicTensor | InputLayer):
            self._add_input(layer.node.layer if isinstance(layer, SymbolicTensor) else layer)
            return
        if isinstance(layer, nn.Module) and not isinstance(layer, Layer):
            layer = TorchModule(layer)
        if not isinstance(layer, Layer):
            self._refuse(f"takes layers; received {type(layer).__name__}", code="TP010")
        if any(layer is present for present in self._modules.values()):
            self._refuse(f"already holds this layer {layer.name!r}; make a second one", code="TP012")
        key = free_name(layer, self._modules)
        if layer.auto_named:
            layer.name = key
        first = not self._modules
        self._modules[free_attribute(self, key, layer)] = layer
        if self._spec is None and first:
            spec = _implied_spec(layer)
            if spec is not None:
                self._set_spec(spec)
        elif self.built:
            shape = self._last_shape(len(self._modules) - 1)
            layer.ensure_built(shape)
            calls.build_inside(layer, shape)
            layer.compute_output_shape(shape)  # a window larger than the image is said here, not by torch in predict

    def _add_input(self, layer: Layer) -> None:
        if self._modules or self._spec is not None:
            self._refuse("takes Input only as its first item", code="TP010")
        assert isinstance(layer, InputLayer)
        name = "input" if layer.auto_named else layer.name
        self._set_spec(InputSpec(name, (None, *layer.shape), layer.dtype, layer.source))

    def _set_spec(self, spec: InputSpec) -> None:
        self._spec = spec
        self.ensure_built(spec.shape)

    def pop(self) -> Layer:
        """Takes the last layer off and returns it."""
        if not self._modules:
            self._refuse("has no layers", code="TP010")
        _, layer = self._modules.popitem()
        assert isinstance(layer, Layer)
        return layer

    def check_input(self, input_shape: Any) -> None:
        if self.layers:
            self.layers[0].check_input(input_shape)

    def build(self, input_shape: Shape) -> None:
        """Builds every layer for an input of this shape."""
        if self._spec is None:
            self._is_learnt = True
            dtype = self.layers[0].preferred_dtype if self.layers else "float32"
            self._spec = InputSpec("input", tuple(input_shape), dtype, self.source)
        shape: Any = tuple(input_shape)
        for layer in self.layers:
            layer.ensure_built(shape)
            calls.build_inside(layer, shape)
            shape = layer.compute_output_shape(shape)

    def _last_shape(self, count: int) -> Any:
        assert self._spec is not None
        shape: Any = self._spec.shape
        for layer in self.layers[:count]:
            shape = layer.compute_output_shape(shape)
        return shape

    def prepare(self, x: Any) -> None:
        if self._spec is not None and self.built:
            return
        if isinstance(x, dict) and len(x) == 1:
            x = next(iter(x.values()))
        tensor = x[0] if isinstance(x, list | tuple) and len(x) == 1 and hasattr(x[0], "shape") and x[0].ndim > 0 else x
        tensor = as_tensor(tensor, "x")
        self.ensure_built((None, *(tensor.shape[1:] if tensor.ndim > 1 else (1,))))

    @property
    def input_specs(self) -> list[InputSpec]:
        if self._spec is None:
            self._refuse(
                "does not know its input yet",
                code="TP013",
                help="put tp.Input(shape) first, or call fit or the model once",
            )
        return [self._spec]

    @property
    def output_names(self) -> list[str]:
        keys = list(self._modules)
        return [keys[-1] if keys else "output"]

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = input_shape
        for layer in self.layers:
            layer.ensure_built(shape)
            shape = layer.compute_output_shape(shape)
        return shape

    def compute_output_dtype(self, input_dtypes: Any) -> str:
        dtype = input_dtypes
        for layer in self.layers:
            dtype = layer.compute_output_dtype(dtype)
        return str(dtype)

    @property
    def output_shape(self) -> Any:
        """The output's shape; the batch is None."""
        return self._last_shape(len(self._modules)) if self.built else None

    def forward(self, inputs: Any = None, **named: Tensor) -> Any:
        """The layers one after the other on x [batch, ...]."""
        spec = self._spec
        assert spec is not None
        x = named.get(spec.name) if inputs is None else inputs
        if isinstance(x, list | tuple) and len(x) == 1:
            x = x[0]
        if isinstance(x, dict):
            x = x.get(spec.name)
        if self._is_learnt and isinstance(x, Tensor) and x.ndim == len(spec.shape):
            spec = self._widened(spec, x)
        check_call(x, spec)
        for layer in self._modules.values():
            assert layer is not None
            x = layer(x)
        return x

    def _widened(self, spec: InputSpec, x: Tensor) -> InputSpec:
        """The input as far as x [batch, ...] shows it: a size between batch and features that changes is free.

        Raises UsageError TP011 where a layer needs it fixed.
        """
        fixed = [axis for axis, size in enumerate(spec.shape[:-1]) if size is not None and x.shape[axis] != size]
        if fixed:
            shape = tuple(None if axis in fixed else size for axis, size in enumerate(spec.shape))
            self._spec = spec = InputSpec(spec.name, shape, spec.dtype, spec.at)
            self.build(shape)
        return spec

    def get_config(self) -> dict[str, Any]:
        """The name, the input once it is known, every layer. Raises UsageError TP015 for a layer that holds code."""
        spec = self._spec
        return {
            "name": self.name,
            "input": None if spec is None else {"name": spec.name, "shape": list(spec.shape[1:]), "dtype": spec.dtype},
            "layers": [object_to_config(layer) for layer in self.layers],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A new, untrained model. Raises FormatError TP040."""
        model = cls(name=config["name"])
        start = config["input"]
        if start is not None:
            model.add(InputLayer(tuple(start["shape"]), start["dtype"], start["name"]))
        for item in config["layers"]:
            model.add(from_data(item))
        return model

    def _replay(self) -> tuple[list[SymbolicTensor], Any]:
        """The layers on a new symbolic input."""
        spec = self.input_specs[0]
        start = InputLayer(spec.shape[1:], dtype=spec.dtype, name=spec.name).node.outputs
        x = start
        for layer in self.layers:
            x = layer(x)
        return [start], x

    def __repr__(self) -> str:
        shape = format_shape(self._spec.shape) if self._spec else "not built"
        return f"<Sequential {self.name!r}, {len(self._modules)} layers, input {shape}>"


def _implied_spec(layer: Layer) -> InputSpec | None:
    """The input that the first layer fixes: its ``input_shape=``, or the input of a model that stands first."""
    if layer.first_shape is not None:
        return InputSpec("input", layer.first_shape, layer.preferred_dtype, layer.source)
    if isinstance(layer, Model) and layer.built and len(layer.input_specs) == 1:
        return layer.input_specs[0]
    return None


__all__ = ["Sequential"]
