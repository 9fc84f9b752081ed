"""Ports compute in float32: what a model does in float64, bfloat16 or float16 is converted, the difference measured.

Weights in these dtypes become float32 for the time of a capture. Casts in the model (``x.half()``, autocast regions)
become casts to float32 in the graph, and the module itself is run that way to have something to compare the graph with.
What this changes is told, with the largest difference from the module as it was written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import ModelError
from ..graph import Array

CONVERTED = (torch.float64, torch.bfloat16, torch.float16)
"""Floats that become float32."""

FLOAT64_SHARE = 1e-3
"""Of an output's range: a float64 model that float32 answers further away than this needs its float64."""


class InFloat32(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is on, every op computes in float32 what it was asked to compute in another float."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._assert_tensor_metadata.default:
            return None  # a saved program's check of the dtypes it was traced with
        narrow_args, narrow_kwargs = pytree.tree_map(_in_float32, (args, kwargs or {}))
        return func(*narrow_args, **narrow_kwargs)


def plain_dtype(dtype: torch.dtype) -> torch.dtype:
    """float32 for every other float."""
    return torch.float32 if dtype in CONVERTED else dtype


def _in_float32(value: Any) -> Any:
    if isinstance(value, torch.dtype):
        return plain_dtype(value)
    if isinstance(value, torch.Tensor) and value.dtype in CONVERTED:
        return value.to(torch.float32)
    return value


@contextlib.contextmanager
def float32_weights(module: torch.nn.Module) -> Iterator[dict[str, torch.dtype]]:
    """While it lasts, weights and buffers are float32; gives {name: dtype} of those that were not.

    Tensors that lie in one memory do so afterwards, so that tied weights stay tied.
    """
    converted: dict[tuple[int, torch.Size, tuple[int, ...]], torch.Tensor] = {}
    before: list[tuple[torch.Tensor, torch.Tensor]] = []
    named: dict[str, torch.dtype] = {}
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.dtype not in CONVERTED:
            continue
        named[name] = tensor.dtype
        before.append((tensor, tensor.data))
        key = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if key not in converted or not tensor.numel():
            converted[key] = tensor.data.to(torch.float32)
    try:
        for tensor, data in before:
            tensor.data = converted[data.data_ptr(), data.shape, data.stride()]
        yield named
    finally:
        for tensor, data in before:
            tensor.data = data


def own_dtype(module: torch.nn.Module) -> torch.dtype | None:
    """The one float dtype of the module's weights; None when there are none, or several."""
    found = {parameter.dtype for parameter in module.parameters() if parameter.dtype.is_floating_point}
    return found.pop() if len(found) == 1 else None


def conversion_notices(
    weights: Mapping[str, torch.dtype],
    inside: Sequence[str],
    own: Mapping[str, torch.Tensor],
    plain: Mapping[str, Array],
) -> list[str]:
    """What was converted, and how far the answers in float32 are from the module's own on the example.

    weights   {name: dtype} of converted weights
    inside    dtypes computed in inside the model, each with the line
    own       the outputs of the module as it was written
    plain     its outputs in float32
    raises    ModelError TP214 when the model was in float64 and float32 answers something else
    """
    told = []
    dtypes = sorted({str(dtype).removeprefix("torch.") for dtype in weights.values()})
    if weights:
        names = list(weights)
        listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        told.append(f"weights converted from {' and '.join(dtypes)} to float32: {listed}")
    # In the dtype of the weights a saved program computes everything: that they were converted says it all.
    others = [text for text in inside if text.partition(" ")[0] not in dtypes]
    if others:
        told.append(f"computed in float32 instead of {', '.join(others)}")
    if not told:
        return []
    worst, integers = _difference(own, plain)
    wide = torch.float64 in weights.values() or any("float64" in text for text in inside)
    if wide and (worst > FLOAT64_SHARE or integers):
        raise ModelError(
            "TP214",
            f"the model needs float64: in float32 its answers differ by {_share(worst, integers)}",
            because="ports compute in float32",
            help="keep large numbers small (subtract an offset, scale) so that float32 holds them: module.float() must "
            "answer the same",
        )
    return [*told, f"on the example the answers differ from the module's own by {_share(worst, integers)}"]


def _difference(own: Mapping[str, torch.Tensor], plain: Mapping[str, Array]) -> tuple[float, int]:
    """The largest difference as a share of the output's range, and how many integers differ."""
    worst, integers = 0.0, 0
    for name, tensor in own.items():
        if not tensor.numel() or name not in plain:
            continue
        told, found = tensor.detach().cpu().to(torch.float64).numpy(), plain[name].astype(np.float64)
        if not tensor.dtype.is_floating_point:
            integers += int((told != found).sum())
            continue
        finite = np.isfinite(told) & np.isfinite(found)
        if finite.any():
            span = float(told[finite].max() - told[finite].min()) or float(np.abs(told[finite]).max()) or 1.0
            worst = max(worst, float(np.abs(told - found)[finite].max()) / span)
    return worst, integers


def _share(worst: float, integers: int) -> str:
    text = f"at most {worst:.2g} of their range"
    return f"{text}, and {integers} whole numbers are others" if integers else text
