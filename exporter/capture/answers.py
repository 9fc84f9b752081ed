"""What the user's own module answers in eager mode: the truth that a graph is compared with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from ..errors import ModelError, TriportError
from ..graph import Array, DType, Sample, Sym, TensorType
from ..graph.golden import plan_golden
from .attention import step_by_step
from .flat import FlatModule
from .inputs import Inputs, device_of
from .places import place_of
from .precision import InFloat32, own_dtype
from .ties import FirstOfEqualsFirst

_FUSED = (torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer, torch.nn.MultiheadAttention)


@contextlib.contextmanager
def in_eval_mode(module: torch.nn.Module) -> Iterator[None]:
    """Eval mode for a while; afterwards modes and buffers are what they were."""
    modes = {part: part.training for part in module.modules()}
    buffers = [
        (part, name, buffer, buffer.detach().clone() if _can_be_written(buffer) else None)
        for part in module.modules()
        for name, buffer in part.named_buffers(recurse=False)
    ]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
        with torch.no_grad():
            for part, name, buffer, before in buffers:
                if before is not None and name in part._buffers:
                    part._buffers[name] = buffer  # a model may have put another one into its place
                    buffer.copy_(before)


def _can_be_written(buffer: torch.Tensor) -> bool:
    """Whether a model can change it: it has memory, and cells of their own (an expanded tensor has not)."""
    if torch.nn.parameter.is_lazy(buffer):
        return False
    return not any(stride == 0 and size > 1 for stride, size in zip(buffer.stride(), buffer.shape, strict=True))


def first_answer(module: FlatModule, inputs: Inputs) -> tuple[Sample, dict[str, torch.Tensor]]:
    """The outputs before anything is traced, and what they are outputs of.

    That is what will most likely be the first golden sample, so that one run serves both: the examples, with made up
    numbers in place of large arrays. It is the examples themselves where they have more rows than a sample, for modules
    that do not compute in float32, and where the module does not take the numbers.

    Raises ModelError TP213 when the module fails on the examples.
    """
    arrays = {name: tensor.cpu().numpy() for name, tensor in inputs.tensors.items()}
    as_given = all(tensor.dtype == inputs.tensors[name].dtype for name, tensor in inputs.given.items())
    if as_given and own_dtype(module) in (None, torch.float32):
        planned = plan_golden(arrays, _types(inputs, arrays))[0]
        # Copies that a module may write to.
        given = {name: torch.from_numpy(np.array(x)).to(device_of(module)) for name, x in planned.inputs.items()}
        if all(given[name].shape == array.shape for name, array in arrays.items()):
            with contextlib.suppress(TriportError):  # the examples decide
                return planned, _called(module, given)
    return Sample(arrays), own_answer(module, inputs)


def own_answer(module: FlatModule, inputs: Inputs) -> dict[str, torch.Tensor]:
    """The outputs on the examples in the dtypes that the module itself computes in; ModelError TP213 when it fails."""
    wanted = own_dtype(module)
    given = {
        name: tensor.to(wanted) if wanted and tensor.is_floating_point() else tensor
        for name, tensor in inputs.given.items()
    }
    return _called(module, given)


def _types(inputs: Inputs, arrays: Mapping[str, Array]) -> dict[str, TensorType]:
    """The types that the inputs of the graph will have, unless free sizes turn out to be counted in steps."""
    types: dict[str, TensorType] = {}
    for name, array in arrays.items():
        free = inputs.dynamic.get(name, {})
        dims = [Sym.named(free[axis]) if axis in free else size for axis, size in enumerate(array.shape)]
        types[name] = TensorType(DType.of(array), tuple(dims))
    return types


def plain_answer(
    module: FlatModule, inputs: Mapping[str, Array], *, in_float32: bool, in_order: bool = False
) -> dict[str, Array]:
    """The module's outputs by name, transformer layers computed step by step as in training.

    in_float32   compute in float32 what the model computes in other floats
    in_order     of equal numbers that are sorted put that first which came first
    """
    device = device_of(module)
    tensors = {name: torch.from_numpy(np.array(x)).to(device) for name, x in inputs.items()}
    with contextlib.ExitStack() as modes:
        for mode in (InFloat32() if in_float32 else None, FirstOfEqualsFirst() if in_order else None, step_by_step()):
            if mode is not None:
                modes.enter_context(mode)
        answer = _called(module, tensors)
    return {name: tensor.detach().cpu().numpy() for name, tensor in answer.items()}


def in_plain_floats(
    module: FlatModule, sample: Sample, own: Mapping[str, torch.Tensor], *, in_float32: bool, in_order: bool = False
) -> dict[str, Array]:
    """`plain_answer` to a sample whose own answer is known already: it is the same, unless layers are fused in it."""
    if in_float32 or in_order or _has_fused(module):
        return plain_answer(module, sample.inputs, in_float32=in_float32, in_order=in_order)
    return {name: np.array(tensor.detach().cpu().numpy()) for name, tensor in own.items()}


def fused_notices(module: FlatModule, own: Mapping[str, torch.Tensor], plain: Mapping[str, Array]) -> list[str]:
    """What is said where torch's fused transformer layers, which eval mode runs, do not answer as the same layers do
    in training: padded places, mostly."""
    if not _has_fused(module):
        return []
    notices = []
    for name, tensor in own.items():
        fused, told = tensor.detach().cpu().numpy(), plain[name]
        if fused.shape != told.shape or not np.issubdtype(told.dtype, np.floating) or not told.size:
            continue
        apart = float(np.nanmax(np.abs(fused - told), initial=0.0))
        if apart > 1e-3 * float(np.nanmax(np.abs(told), initial=0.0)):
            notices.append(
                f'output "{name}" differs by {apart:.3g} from what torch answers in eval mode without gradients: there '
                "fused transformer layers answer 0 in places that a padding mask pads; the graph computes them, as "
                "torch does in training"
            )
    return notices


def _has_fused(module: FlatModule) -> bool:
    return any(isinstance(part, _FUSED) for part in module.modules())


def _called(module: FlatModule, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    try:
        with torch.no_grad():
            returned = module(*(tensors[name] for name in module.inputs.tensors))
    except TriportError:
        raise
    except Exception as error:
        shapes = ", ".join(
            f"{name} {str(x.dtype).removeprefix('torch.')}{list(x.shape)}" for name, x in tensors.items()
        )
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise ModelError(
            "TP213",
            f"the model itself fails on the example inputs: {type(error).__name__}: {first}",
            at=place_of(error, module.body).at,
            because=f"it was called with {shapes}" if shapes else "it was called without arguments",
            help="call the model on these examples before capturing it",
        ) from error
    return {name: tensor.resolve_neg() for name, tensor in zip(module.names, returned, strict=True)}
