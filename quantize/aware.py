"""Training with the rounding that the ports use: a model whose forward pass is its own int8 graph.

The model is the canonical graph of another one (batch norms folded, dropout gone), with its weights to be trained. In
the forward pass weights and activations are on the codes that `apply` gives them: filters are multiplied as whole
numbers and requantized with the ports' formula, everything else is computed in float32 and rounded. Gradients pass a
rounding as if it were not there, and stop where a value is clamped (Bengio et al. 2013; Jacob et al. 2018). While
training, ranges follow the batches' extremes; for evaluation and export the plan is solved anew from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..exporter.errors import UsageError
from ..exporter.given_model import graph_of
from ..exporter.graph import Array, Graph, Node, Quantization, Value
from ..exporter.graph.bind import bind_sizes
from ..exporter.models import Model
from ..exporter.models.data import InputSpec
from ..exporter.ops import Activation, Conv, Linear
from ..exporter.ops.quantized import HIGHEST, LOWEST, code_range
from ..exporter.reference import run_graph
from ..exporter.reference.registry import compute
from .apply import apply
from .calibrate import Calibration
from .forms import STRICT, Form
from .observe import MOMENTUM, Observed
from .plan import Plan
from .quantize import calibrated_for, finished
from .settle import Calibrated
from .strict import strict_filters
from .weights import HIGHEST as HIGHEST_WEIGHT

RANGE_MOMENTUM = MOMENTUM / 10
"""Of the moving extremes while training: a hundred batches count."""


def quantize_aware(
    model: Model | Graph | str | Path,
    scheme: str = "int8",
    *,
    calibration: Calibration,
    observer: str = "minmax",
    keep_float: str | Sequence[str] = (),
    io: str = "float32",
) -> QuantizeAware:
    """A model to ``compile`` and ``fit`` that computes with the integers it will have on every port.

    model        a trained float model, its graph, or the path of a .triport or .pt2 file
    calibration  real samples, for the ranges to begin with
    raises       UsageError as `quantize`, TP001 for what is no model

    ``to_graph()`` of what comes back, ``save`` and `triport.export` give the quantized graph.
    """
    graph = graph_of(model)
    calibrated = calibrated_for(graph, scheme, calibration=calibration, observer=observer, keep_float=keep_float, io=io)
    return QuantizeAware(graph, calibrated)


class QuantizeAware(Model):
    """What `quantize_aware` gives; its weights are those of the folded layers."""

    def __init__(self, original: Graph, calibrated: Calibrated) -> None:
        super().__init__(name=original.name)
        self._original = original
        self._calibrated = calibrated
        self._graph = calibrated.graph
        if any(value.type.rank == 0 for value in self._graph.inputs):
            raise UsageError("TP050", "a model to train takes inputs whose first axis counts the samples")
        self._specs = [
            InputSpec(
                value.name,
                (None, *(dim if isinstance(dim, int) else None for dim in value.type.shape[1:])),
                value.type.dtype.value,
            )
            for value in self._graph.inputs
        ]
        self._output_names = list(self._graph.outputs)
        self._names: dict[Value, str] = {}
        layers = {value for node in self._graph.nodes if _has_filters(node) for value in node.inputs[1:]}
        for i, value in enumerate(self._graph.constants()):
            tensor = torch.from_numpy(np.array(value.array()))
            self._names[value] = name = f"constant_{i}"
            if value in layers and tensor.is_floating_point():
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)
        seen = calibrated.seen
        self._ranged = {name: i for i, name in enumerate(seen)}
        self.register_buffer("ranges", torch.tensor([seen[name].range(calibrated.observer) for name in seen]))
        self._plan: Plan | None = calibrated.plan()
        self._epoch_plan = self._plan
        self._quantized: Graph | None = None
        self._forms = {name: node.form for name, node in self._plan.nodes.items()}
        self.built = True

    # -- the plan ---------------------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """The plan that the ranges as they are now lead to."""
        if self._plan is None:
            rows = self.ranges.detach().cpu().numpy()
            seen = {name: Observed(float(rows[i, 0]), float(rows[i, 1])) for name, i in self._ranged.items()}
            calibrated = self._calibrated
            self._plan = Calibrated(
                calibrated.graph, calibrated.scheme, "minmax", calibrated.io, calibrated.patterns, seen
            ).plan()
        return self._plan

    def to_graph(self) -> Graph:
        """The quantized graph with the weights as they are now."""
        return finished(self._original, self._trained_graph(), self.plan)

    def _trained_graph(self) -> Graph:
        trained = self._graph.copy()
        named = {value.name: name for value, name in self._names.items()}
        for node in trained.nodes:
            inputs = [self._trained(trained, value, named) for value in node.inputs]
            if inputs != list(node.inputs):
                trained.set_inputs(node, inputs)
        return trained

    def save(self, path: Any, include_optimizer: bool = False) -> None:
        """Writes the quantized graph; a file of codes cannot be trained on, so an optimizer's state is refused."""
        if include_optimizer:
            raise UsageError("TP050", "a quantized graph holds no optimizer's state", help="save it without")
        self.to_graph().save(path)

    def _trained(self, graph: Graph, value: Value, named: Mapping[str, str]) -> Value:
        name = named.get(value.name, "")
        if not value.is_constant or not isinstance(getattr(self, name, None), nn.Parameter):
            return value
        array: Array = getattr(self, name).detach().cpu().numpy().copy()
        return graph.rebuild_constant(value, array)

    # -- the forward pass -------------------------------------------------------------------------------------------

    def forward(self, x: Any) -> Any:
        """In training as the module says; else what the quantized graph gives, to the last bit."""
        given = [x] if isinstance(x, Tensor) else list(x.values() if isinstance(x, Mapping) else x)
        inputs = dict(zip(self._graph.inputs, given, strict=True))
        shapes = {v.name: np.broadcast_to(v.type.dtype.numpy.type(0), t.shape) for v, t in inputs.items()}
        if not self.training:
            return self._exact(inputs)
        sizes = bind_sizes(self._graph, shapes)
        plan = self._epoch_plan
        tensors: dict[Value, Tensor] = {}
        for value, tensor in inputs.items():
            tensors[value] = tensor
        for node in self._graph.nodes:
            operands = [self._operand(node, value, tensors, plan) for value in node.inputs]
            quantization = _quantization(plan, node)
            if _has_filters(node) and self._forms[node.name] is Form.INTEGER and quantization is not None:
                results: tuple[Tensor, ...] = (self._filtered(node, operands, plan, quantization, sizes),)
            else:
                results = compute(node.op, operands, sizes)
                if quantization is not None and len(results) == 1:
                    self._follow(node.output.name, results[0])
                    results = (on_codes(results[0], quantization),)
            tensors |= dict(zip(node.outputs, results, strict=True))
        outputs = [
            tensors[value] if value in tensors else self._constant(value) for value in self._graph.outputs.values()
        ]
        return outputs[0] if len(outputs) == 1 else dict(zip(self._graph.outputs, outputs, strict=True))

    def _exact(self, inputs: Mapping[Value, Tensor]) -> Any:
        if self._quantized is None:
            self._quantized = apply(self._trained_graph(), replace(self.plan, io="float32"))
        arrays = {value.name: tensor.detach().cpu().numpy() for value, tensor in inputs.items()}
        device = next(iter(inputs.values())).device
        outputs = {name: torch.from_numpy(y).to(device) for name, y in run_graph(self._quantized, arrays).items()}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def _operand(self, node: Node, value: Value, tensors: Mapping[Value, Tensor], plan: Plan) -> Tensor:
        tensor = self._constant(value) if value.is_constant else tensors[value]
        planned = plan.values.get(value.name)
        produced = value.producer is not None and self._forms[value.producer.name] is not Form.FLOAT
        if planned is None or produced or self._forms[node.name] in (Form.FLOAT, Form.TABLE):
            return tensor
        self._follow(value.name, tensor)
        return on_codes(tensor, planned.quantization)

    def _constant(self, value: Value) -> Tensor:
        found = getattr(self, self._names[value])
        assert isinstance(found, Tensor)
        return found

    def _filtered(
        self, node: Node, operands: Sequence[Tensor], plan: Plan, to: Quantization, sizes: Mapping[str, int]
    ) -> Tensor:
        """A layer as the ports compute it: whole numbers, one multiplication, one rounding."""
        op = node.op
        assert isinstance(op, Conv | Linear)
        x, weight = operands[:2]
        of = plan.values[node.inputs[0].name].quantization
        scale, largest, offset = self._steps(weight, of, to)
        shape = (-1, *[1] * (weight.dim() - 1))
        codes = _rounded(weight / scale.reshape(shape)).clamp(-largest, largest)
        bias = [_rounded(operands[2] / (of.scale * scale) - offset) + offset] if len(operands) > 2 else []
        bare = replace(op, activation=Activation.NONE)
        (total,) = compute(bare, [_rounded(x / of.scale), codes, *bias], sizes)
        along = [1] * total.dim()
        along[op.layout.channel_axis(total.dim()) if isinstance(op, Conv) else -1] = -1
        factor = (of.scale * scale / to.scale).reshape(along)
        steps = total * factor
        if self.training:
            real = steps.detach() * to.scale
            self._follow(node.output.name, real.clamp(min=0) if op.activation is not Activation.NONE else real)
        low, high = code_range(op.activation, to)
        return _rounded(steps).clamp(low - to.zero_point, high - to.zero_point) * to.scale

    def _steps(self, weight: Tensor, of: Quantization, to: Quantization) -> tuple[Tensor, int, float]:
        """What one code of a weight stands for in each filter, the largest code, and where between codes biases lie."""
        if self._calibrated.scheme == STRICT:
            units = strict_filters(weight.detach().cpu().numpy(), None, of.scale, to.scale)
            return torch.from_numpy(units.scale).to(weight.device), units.largest, 0.5
        largest = weight.detach().abs().reshape(weight.shape[0], -1).amax(1)
        scale = torch.where(largest > 0, largest / HIGHEST_WEIGHT, torch.full_like(largest, to.scale / of.scale))
        return scale, HIGHEST_WEIGHT, 0.0

    # -- ranges -----------------------------------------------------------------------------------------------------

    def _follow(self, name: str, real: Tensor) -> None:
        """Moves a value's range towards the extremes of this batch."""
        place = self._ranged.get(name)
        if not self.training or place is None:
            return
        now = torch.stack([real.detach().amin().clamp(max=0), real.detach().amax().clamp(min=0)])
        self.ranges[place] += RANGE_MOMENTUM * (now - self.ranges[place])
        self._plan = None

    def train(self, mode: bool = True) -> QuantizeAware:
        """Training goes by one plan until evaluation: scales stand still within an epoch and follow between them."""
        if mode and not self.training:
            self._epoch_plan = self.plan
        self._quantized = None
        super().train(mode)
        return self


def on_codes(x: Tensor, to: Quantization) -> Tensor:
    """x at the nearest value that a code stands for; the gradient is that of a clamp."""
    steps = _rounded(x / to.scale).clamp(LOWEST - to.zero_point, HIGHEST - to.zero_point)
    return steps * to.scale


def _rounded(x: Tensor) -> Tensor:
    """Rounded half to even; the gradient passes."""
    return x + (torch.round(x) - x).detach()


def _has_filters(node: Node) -> bool:
    return isinstance(node.op, Conv | Linear) and all(value.is_constant for value in node.inputs[1:])


def _quantization(plan: Plan, node: Node) -> Quantization | None:
    planned = plan.values.get(node.outputs[0].name)
    return None if planned is None or plan.nodes[node.name].form is Form.FLOAT else planned.quantization


__all__ = ["QuantizeAware", "quantize_aware"]
