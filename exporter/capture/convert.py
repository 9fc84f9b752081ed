"""From torch's exported program to the portable graph: one walk, one converter a call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
import torch.fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, TensorArgument

from ..errors import ModelError, TriportError
from ..graph import Array, DType, Graph, Source, TensorType, Value
from ..graph.conditions import Condition, record_conditions
from ..graph.limits import record_limits
from .complex_numbers import Complex, complex_converter, holds_complex
from .context import Context
from .explain import advised, taken_for_constant
from .filled import Filled, knows_filled, without_filled
from .flat import own_path
from .free_sizes import Counted, learned
from .inputs import Inputs
from .known import Known, held_tensor
from .limits import guarded_sizes
from .mutation import owner, user_outputs, written_argument
from .places import innermost
from .precision import CONVERTED, plain_dtype
from .recurrent_calls import NAMESPACE
from .registry import Converter, converter_for
from .unknown import reason_against

PORTABLE = frozenset(dtype.value for dtype in DType) - {DType.FLOAT64.value, DType.FLOAT16.value}
"""dtypes that a captured graph may hold, after other floats have become float32."""

_SKIPPED = ("_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range", "sym_constrain_range_for_size")


def convert_program(
    program: ExportedProgram, module: torch.nn.Module, inputs: Inputs, output_names: Sequence[str]
) -> Graph:
    """The graph of an exported program; ModelError lists every op that has no meaning here."""
    return Conversion(program, module, inputs, {}).run(output_names)


class Conversion:
    """One walk over a program.

    converted   other floats that the program computes in and the graph does not, each with the lines: ``float64
                (model.py:41)``
    notices     what a user should know about its sizes
    """

    def __init__(self, program: ExportedProgram, module: torch.nn.Module, inputs: Inputs, counted: Counted) -> None:
        self.program = program
        self.module = module
        self.inputs = inputs
        self.graph = Graph()
        self.context = Context(self.graph)
        self.dims = learned(program, inputs, counted)
        self.needed = _needed(program)
        self.known = Known(program)
        self.results: dict[torch.fx.Node, Any] = {}
        self.in_place: dict[torch.fx.Node, list[torch.fx.Node]] = {}
        self.notices: list[str] = []
        self.conditions: list[Condition] = []
        self.lines_of: dict[str, dict[str, None]] = {}
        self.tied: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Array] = {}

    def run(self, output_names: Sequence[str]) -> Graph:
        self._refuse_unknown()
        self._placeholders()
        self._limit_sizes()
        for node in self.program.graph.nodes:
            if node.op == "call_function" and node in self.needed:
                self._call(node)
        outputs = [self._resolve(value) for value in user_outputs(self.program) if value is not None]
        returned = without_filled(outputs, self._whole)
        if len(output_names) != len(returned) or not all(isinstance(value, Value) for value in returned):
            raise ModelError(
                "TP208",
                "the model returns something that is not a tensor",
                help="return tensors, or tuples, lists and dicts of tensors",
            )
        for name, value in zip(output_names, returned, strict=True):
            self.graph.set_output(name, value)
        record_conditions(self.graph, [*self.conditions, *self.context.conditions])
        self.notices += [f"sizes are free as long as {condition.words}" for condition in self.context.conditions]
        return self.graph

    def _limit_sizes(self) -> None:
        guarded = guarded_sizes(self.program, self.dims, self.inputs.sizes)
        self.dims.limits = guarded.limits
        record_limits(self.graph, guarded.limits)
        self.conditions = guarded.conditions
        self.notices += guarded.notices()

    @property
    def converted(self) -> list[str]:
        told = []
        for dtype, lines in self.lines_of.items():
            listed = list(lines)[:3] + (["…"] if len(lines) > 3 else [])
            told.append(f"{dtype} ({', '.join(listed)})" if listed else dtype)
        return told

    # -- inputs and parameters -------------------------------------------------------------------------------------

    def _placeholders(self) -> None:
        names = iter(self.inputs.tensors)
        placeholders = [node for node in self.program.graph.nodes if node.op == "placeholder"]
        for node, spec in zip(placeholders, self.program.graph_signature.input_specs, strict=True):
            if spec.kind is InputKind.USER_INPUT and not isinstance(spec.arg, TensorArgument):
                self.results[node] = spec.arg.value  # a number or None that the program was saved with
            elif spec.kind is InputKind.USER_INPUT:
                name = next(names)
                self.results[node] = self.graph.add_input(name, self._type(node.meta["val"], name))
            else:
                assert spec.target is not None, "parameters, buffers and constants have a target"
                self.results[node] = (spec.target, spec.kind)

    def _constant(self, target: str, kind: InputKind) -> Value | Complex:
        """A parameter becomes a constant when it is first read; tied tensors share one array."""
        tensor = held_tensor(self.program, target, kind).detach().cpu()
        if tensor.is_complex():
            kept: Complex = self._kept(tensor, own_path(target))
            return kept
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
        if key not in self.tied or tensor.numel() == 0:
            self._type(tensor, own_path(target))
            self.tied[key] = tensor.contiguous().to(plain_dtype(tensor.dtype)).numpy().copy()
        return self.graph.add_constant(self.tied[key], own_path(target))

    def _kept(self, answer: Any, name: str) -> Any:
        """What torch has computed already, as constants."""
        if not isinstance(answer, torch.Tensor):
            return [self._kept(item, name) for item in answer] if isinstance(answer, list | tuple) else answer
        if answer.is_complex():
            return Complex(self._kept(answer.real, f"{name}/real"), self._kept(answer.imag, f"{name}/imaginary"))
        self._type(answer, name)
        array = answer.detach().cpu().contiguous().to(plain_dtype(answer.dtype)).numpy()
        return self.graph.add_constant(array.copy(), name)

    def _type(self, tensor: torch.Tensor, what: str) -> TensorType:
        """The type in the graph; of a complex tensor that of its real and of its imaginary part."""
        name = "float32" if tensor.is_complex() else dtype_name(tensor, plain=True)
        if name not in PORTABLE:
            raise ModelError(
                "TP209",
                f'"{what}" has dtype {name}, which no port has',
                at=str(self.context.source) or None,
                help="use another dtype there, such as int32",
            )
        return TensorType(DType(name), tuple(self.dims.dim(size) for size in tensor.shape))

    # -- calls -----------------------------------------------------------------------------------------------------

    def _refuse_unknown(self) -> None:
        unknown: dict[tuple[Any, Source], None] = {}
        for node in self.program.graph.nodes:
            if node in self.needed and node not in self.known and not _is_plumbing(node) and _converter(node) is None:
                unknown[node.target, self._source(node)] = None
        if unknown:
            (first, source), *others = unknown
            listed = [f"{op} ({where})" if str(where) else str(op) for op, where in unknown]
            reason = reason_against(first)
            raise ModelError(
                reason.code,
                f"the torch op {first} has no meaning here{f' (and {len(others)} more)' if others else ''}",
                at=str(source) or None,
                because=reason.because or None,
                details=listed if others else (),
                help=reason.help,
            )

    def _call(self, node: torch.fx.Node) -> None:
        if _is_skipped(node):
            return
        if not isinstance(node.target, torch._ops.OpOverload):
            self.results[node] = self._python_call(node)
            return
        source = self._source(node)
        converter = _converter(node)
        self.context.at(source, source.layer or node.name, None)
        if node in self.known and (converter is None or _is_complex(node)):
            self.results[node] = self._kept(self.known.answer(node), node.name)
            return
        assert converter is not None, "checked before"
        self.context.expected = self._expected(node, source)
        expected = self.context.expected
        result = self._converted(converter, node, node.target)
        parts: list[Any] = [result.real, result.imaginary] if isinstance(result, Complex) else [result]
        if expected is not None and any(isinstance(part, Value) and part.type != expected for part in parts):
            for part in parts:
                if isinstance(part, Value) and (reason := taken_for_constant(part.type, expected, str(source))):
                    raise reason
            raise ModelError(
                "TP210",
                f"{node.target} gives {expected} in torch but {', '.join(str(part.type) for part in parts)} here",
                at=str(source) or None,
                help="this is a defect of triport: please report it with the line above",
            )
        self.results[node] = result
        if written_argument(node) is not None:
            # Every name of the memory that was written over means the result from here on.
            names = self.in_place.setdefault(owner(node), [owner(node)])
            names.append(node)
            self.results.update(dict.fromkeys(names, result))

    def _expected(self, node: torch.fx.Node, source: Source) -> TensorType | None:
        """The type of the call's result; other floats than float32 are noted with their line."""
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            return None
        if value.dtype in CONVERTED:
            lines = self.lines_of.setdefault(dtype_name(value), {})
            lines.update(dict.fromkeys(filter(None, [source.location or source.layer])))
        try:
            return self._type(value, node.name)
        except ModelError as error:
            raise error.placed(str(source)) from None

    def _converted(self, converter: Converter, node: torch.fx.Node, target: torch._ops.OpOverload) -> object:
        """What a converter makes of a call; whatever it cannot make sense of is an error at the user's line."""
        arguments = self._arguments(node, target)
        if not knows_filled(converter):
            arguments = without_filled(arguments, self._whole)
        if holds_complex(arguments):
            converter = self._for_complex(converter, target)
        try:
            return converter(self.context, *arguments)
        except TriportError as error:
            raise advised(error, self.graph.free_names()).placed(str(self.context.source)) from None
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise self.context.error(
                "TP202", f"{target} is called in a way that has no meaning here: {error}", "write it in another way"
            ) from error

    def _for_complex(self, converter: Converter, target: torch._ops.OpOverload) -> Converter:
        found = complex_converter(target._schema.name.partition("::")[2].rstrip("_"), converter)
        if found is None:
            reason = reason_against(torch.ops.aten.view_as_complex.default)
            raise self.context.error("TP202", f"{target} of complex numbers has no meaning here", reason.help)
        return found

    def _whole(self, filled: Filled) -> Value:
        return self.context.expand(filled.number, filled.type)

    def _python_call(self, node: torch.fx.Node) -> Any:
        """getitem on several results, and arithmetic on sizes."""
        arguments = [self._resolve(argument) for argument in node.args]
        value = node.meta.get("val")
        if isinstance(value, torch.SymInt | int) and not isinstance(value, bool):
            return self.dims.dim(value)
        if isinstance(value, torch.SymBool | torch.SymFloat | bool | float):
            return value  # conditions that torch has settled, and numbers that `Context.scalar` refuses
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
        return plain_dtype(raw) if isinstance(raw, torch.dtype) else raw

    # -- where it came from ----------------------------------------------------------------------------------------

    def _source(self, node: torch.fx.Node) -> Source:
        paths = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
        layer = own_path(paths[-1]) if paths and "hook" not in paths[-1] else ""
        try:
            declared = getattr(self.module.get_submodule(layer), "source", "") if layer else ""
        except AttributeError:
            declared = ""
        trace = node.meta.get("stack_trace") or ""
        frames = ((file, int(line)) for file, line in re.findall(r'File "([^"]+)", line (\d+)', trace))
        return Source(layer, str(declared) if declared else innermost(frames))


def _needed(program: ExportedProgram) -> set[torch.fx.Node]:
    """The calls that an output is computed from, and all that write; the rest are checks of the model's own."""
    stack = [value for value in user_outputs(program) if isinstance(value, torch.fx.Node)]
    stack += [node for node in program.graph.nodes if written_argument(node) is not None]
    needed: set[torch.fx.Node] = set()
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack.extend(node.all_input_nodes)
    return {node for node in needed if node.op == "call_function"}


def _is_complex(node: torch.fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_complex()


def dtype_name(tensor: torch.Tensor, *, plain: bool = False) -> str:
    """``bfloat16``; plain: as it stands in a graph, ``float32``."""
    return str(plain_dtype(tensor.dtype) if plain else tensor.dtype).removeprefix("torch.")


def _is_skipped(node: torch.fx.Node) -> bool:
    return any(str(node.target).startswith(f"aten.{name}.") for name in _SKIPPED)


def _is_plumbing(node: torch.fx.Node) -> bool:
    """Assertions, getitem and arithmetic on sizes; not torch.cond and its like, which hold programs of their own."""
    return _is_skipped(node) or not isinstance(node.target, torch._ops.OperatorBase)


def _converter(node: torch.fx.Node) -> Converter | None:
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return None
    namespace, _, name = target._schema.name.partition("::")
    if namespace == NAMESPACE:
        return converter_for(f"{NAMESPACE}.{name}", target._overloadname)
    return converter_for(name, target._overloadname) if namespace == "aten" else None
