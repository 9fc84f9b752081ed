"""From torch's exported program to the portable graph: one walk, one converter a call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from ..errors import ModelError
from ..graph import Array, DType, Graph, Source, TensorType, Value
from .context import Context
from .program import Inputs
from .registry import Converter, converter_for
from .sympy_dims import DimNames

_SKIPPED = ("_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range", "sym_constrain_range_for_size")


def convert_program(
    program: ExportedProgram, module: torch.nn.Module, inputs: Inputs, output_names: Sequence[str]
) -> Graph:
    """The graph of an exported program; ModelError lists every op that has no meaning here."""
    return _Conversion(program, module, inputs).run(output_names)


class _Conversion:
    def __init__(self, program: ExportedProgram, module: torch.nn.Module, inputs: Inputs) -> None:
        self.program = program
        self.module = module
        self.inputs = inputs
        self.graph = Graph()
        self.context = Context(self.graph)
        self.dims = DimNames()
        self.results: dict[torch.fx.Node, Any] = {}
        self.tied: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Array] = {}

    def run(self, output_names: Sequence[str]) -> Graph:
        self._refuse_unknown()
        self._placeholders()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._call(node)
        (output,) = (node for node in self.program.graph.nodes if node.op == "output")
        returned = [self.results[n] if isinstance(n, torch.fx.Node) else n for n in output.args[0]]
        if len(output_names) != len(returned) or not all(isinstance(value, Value) for value in returned):
            raise ModelError(
                "TP208",
                "the model returns something that is not a tensor",
                help="return tensors, or tuples, lists and dicts of tensors",
            )
        for name, value in zip(output_names, returned, strict=True):
            self.graph.set_output(name, value)
        return self.graph

    # -- inputs and parameters -------------------------------------------------------------------------------------

    def _placeholders(self) -> None:
        names = iter(self.inputs.tensors)
        placeholders = [node for node in self.program.graph.nodes if node.op == "placeholder"]
        for node, spec in zip(placeholders, self.program.graph_signature.input_specs, strict=True):
            if spec.kind is InputKind.USER_INPUT:
                name = next(names)
                size = node.meta["val"].shape
                for axis, dim in self.inputs.dynamic.get(name, {}).items():
                    self.dims.learn(size[axis], dim)
                self.results[node] = self.graph.add_input(name, self._type(node.meta["val"], name))
            else:
                assert spec.target is not None, "parameters, buffers and constants have a target"
                self.results[node] = (spec.target, spec.kind)

    def _tensor(self, target: str, kind: InputKind) -> torch.Tensor:
        table = self.program.constants if kind is InputKind.CONSTANT_TENSOR else self.program.state_dict
        found = table[target] if target in table else self.program.constants[target]
        assert isinstance(found, torch.Tensor)
        return found

    def _constant(self, target: str, kind: InputKind) -> Value:
        """A parameter becomes a constant when it is first read; tied tensors share one array."""
        tensor = self._tensor(target, kind).detach().cpu()
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
        if key not in self.tied or tensor.numel() == 0:
            self._type(tensor, target)
            self.tied[key] = tensor.contiguous().numpy().copy()
        return self.graph.add_constant(self.tied[key], target)

    def _type(self, tensor: torch.Tensor, what: str) -> TensorType:
        name = str(tensor.dtype).removeprefix("torch.")
        try:
            dtype = DType(name)
        except ValueError:
            raise ModelError(
                "TP209",
                f'"{what}" has dtype {name}, which no port has',
                help="convert the module first: module.float()",
            ) from None
        return TensorType(dtype, tuple(self.dims.dim(size) for size in tensor.shape))

    # -- calls -----------------------------------------------------------------------------------------------------

    def _refuse_unknown(self) -> None:
        unknown: dict[str, Source] = {}
        for node in self.program.graph.nodes:
            if node.op == "call_function" and not _is_plumbing(node) and _converter(node) is None:
                unknown.setdefault(str(node.target), self._source(node))
        if unknown:
            listed = "; ".join(f"{name} ({source})" if str(source) else name for name, source in unknown.items())
            raise ModelError(
                "TP202",
                f"{len(unknown)} torch op{'s' * (len(unknown) > 1)} without a meaning here: {listed}",
                at=str(next(iter(unknown.values()))) or None,
                help="write the model with ops that have one; docs/op-matrix.md lists them",
            )

    def _call(self, node: torch.fx.Node) -> None:
        if _is_skipped(node):
            return
        if not isinstance(node.target, torch._ops.OpOverload):
            self.results[node] = self._python_call(node)
            return
        source = self._source(node)
        converter = _converter(node)
        assert converter is not None, "checked before"
        value = node.meta.get("val")
        expected = self._type(value, node.name) if isinstance(value, torch.Tensor) else None
        self.context.at(source, source.layer or node.name, expected)
        result = converter(self.context, *self._arguments(node, node.target))
        if isinstance(result, Value) and expected is not None and result.type != expected:
            raise ModelError(
                "TP210",
                f"{node.target} gives {expected} in torch but {result.type} here",
                at=str(source) or None,
                help="this is a defect of triport: please report it with the line above",
            )
        self.results[node] = result
        if node.target._schema.name.endswith("_") and isinstance(node.args[0], torch.fx.Node):
            self.results[node.args[0]] = result

    def _python_call(self, node: torch.fx.Node) -> Any:
        """getitem on several results, and arithmetic on sizes."""
        arguments = [self._resolve(argument) for argument in node.args]
        value = node.meta.get("val")
        if isinstance(value, torch.SymInt | int) and not isinstance(value, bool):
            return self.dims.dim(value)
        assert callable(node.target)
        return node.target(*arguments)

    def _arguments(self, node: torch.fx.Node, target: torch._ops.OpOverload) -> list[Any]:
        """All arguments of the op's schema in order, defaults filled in."""
        given = list(node.args)
        values = []
        for position, argument in enumerate(target._schema.arguments):
            if position < len(given):
                raw: Any = given[position]
            else:
                raw = node.kwargs.get(argument.name, argument.default_value if argument.has_default_value() else None)
            values.append(self._resolve(raw))
        return values

    def _resolve(self, raw: Any) -> Any:
        if isinstance(raw, torch.fx.Node):
            result = self.results[raw]
            if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], InputKind):
                result = self.results[raw] = self._constant(*result)
            return result
        if isinstance(raw, list | tuple):
            return [self._resolve(item) for item in raw]
        if isinstance(raw, torch.SymInt):
            return self.dims.dim(raw)
        return raw

    # -- where it came from ----------------------------------------------------------------------------------------

    def _source(self, node: torch.fx.Node) -> Source:
        paths = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
        layer = paths[-1] if paths and "hook" not in paths[-1] else ""
        try:
            declared = getattr(self.module.get_submodule(layer), "source", "") if layer else ""
        except AttributeError:
            declared = ""
        return Source(layer, str(declared) if declared else _user_line(node.meta.get("stack_trace") or ""))


def _user_line(trace: str) -> str:
    """``model.py:41``: the innermost frame of a stack trace that is neither torch's nor this package's."""
    own = str(Path(__file__).resolve().parents[2])
    for file, line in reversed(re.findall(r'File "([^"]+)", line (\d+)', trace)):
        inside = file.startswith((own + "/exporter/", "torch/")) or "/site-packages/" in file
        if not inside:
            return f"{Path(file).name}:{line}"
    return ""


def _is_skipped(node: torch.fx.Node) -> bool:
    return any(str(node.target).startswith(f"aten.{name}.") for name in _SKIPPED)


def _is_plumbing(node: torch.fx.Node) -> bool:
    return _is_skipped(node) or not isinstance(node.target, torch._ops.OpOverload)


def _converter(node: torch.fx.Node) -> Converter | None:
    target = node.target
    assert isinstance(target, torch._ops.OpOverload)
    namespace, _, name = target._schema.name.partition("::")
    return converter_for(name, target._overloadname) if namespace == "aten" else None
