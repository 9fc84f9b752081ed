"""What the user's own module answers in eager mode: the truth that a graph is compared with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from ..errors import ModelError, TriportError
from ..graph import Array
from .attention import step_by_step
from .flat import FlatModule
from .inputs import Inputs, device_of
from .places import user_line
from .precision import InFloat32, own_dtype

_FUSED = (torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer, torch.nn.MultiheadAttention)


@contextlib.contextmanager
def in_eval_mode(module: torch.nn.Module) -> Iterator[None]:
    """Eval mode for a while; afterwards modes and buffers are what they were."""
    modes = {part: part.training for part in module.modules()}
    buffers = [
        (part, name, buffer, None if torch.nn.parameter.is_lazy(buffer) else buffer.detach().clone())
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


def own_answer(module: FlatModule, inputs: Inputs) -> dict[str, torch.Tensor]:
    """The outputs on the examples in the dtypes that the module itself computes in; ModelError TP213 when it fails."""
    wanted = own_dtype(module)
    given = {
        name: tensor.to(wanted) if wanted and tensor.is_floating_point() else tensor
        for name, tensor in inputs.given.items()
    }
    return _called(module, given)


def plain_answer(module: FlatModule, inputs: Mapping[str, Array], *, in_float32: bool) -> dict[str, Array]:
    """The module's outputs by name, transformer layers computed step by step as in training.

    in_float32   compute in float32 what the model computes in other floats
    """
    device = device_of(module)
    tensors = {name: torch.from_numpy(np.array(x)).to(device) for name, x in inputs.items()}
    with InFloat32() if in_float32 else contextlib.nullcontext(), step_by_step():
        answer = _called(module, tensors)
    return {name: tensor.detach().cpu().numpy() for name, tensor in answer.items()}


def fused_notices(module: FlatModule, inputs: Mapping[str, Array], own: Mapping[str, torch.Tensor]) -> list[str]:
    """What is said where torch's fused transformer layers, which eval mode runs, do not answer as the same layers do
    in training: padded places, mostly."""
    if not any(isinstance(part, _FUSED) for part in module.modules()):
        return []
    plain = plain_answer(module, inputs, in_float32=False)
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
            at=user_line(error) or None,
            because=f"it was called with {shapes}" if shapes else "it was called without arguments",
            help="call the model on these examples before capturing it",
        ) from error
    return {name: tensor.resolve_neg() for name, tensor in zip(module.names, returned, strict=True)}
