"""Sliding windows: Keras's ``same`` and ``valid`` for convolution and pooling, in any number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...errors import UsageError
from ..structure import user_source


def sizes(value: int | Sequence[int], rank: int, what: str) -> tuple[int, ...]:
    """``3`` → ``(3, 3)``. Raises UsageError TP010 unless it is one or ``rank`` positive integers."""
    items = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(items) != rank or not all(
        isinstance(item, int) and not isinstance(item, bool) and item > 0 for item in items
    ):
        raise UsageError(
            "TP010", f"{what} has to be one or {rank} positive integers; received {value!r}", at=user_source()
        )
    return tuple(items)


def padding_name(value: str, accepted: tuple[str, ...] = ("valid", "same")) -> str:
    """The padding in lower case. Raises UsageError TP010 for another one."""
    name = str(value).lower()
    if name not in accepted:
        raise UsageError(
            "TP010", f"padding has to be one of {', '.join(accepted)}; received {value!r}", at=user_source()
        )
    return name


def channels_last(data_format: str | None) -> str:
    """``channels_last``, the one order there is. Raises UsageError TP010 for another one."""
    if data_format not in (None, "channels_last"):
        raise UsageError(
            "TP010",
            f"data_format has to be 'channels_last'; received {data_format!r}",
            at=user_source(),
            help="give images as [batch, height, width, channels]; each port gets its own order on export",
        )
    return "channels_last"


def output_size(size: int | None, kernel: int, stride: int, dilation: int, padding: str) -> int | None:
    """How many windows fit: ceil(size / stride) for same and causal, else floor((size - reach) / stride) + 1."""
    if size is None:
        return None
    if padding != "valid":
        return -(-size // stride)
    return (size - (kernel - 1) * dilation - 1) // stride + 1


def same_amounts(size: Any, kernel: int, stride: int, dilation: int = 1) -> tuple[Any, Any]:
    """(before, after) of ``same``: total = max((ceil(n/s) - 1)·s + (k-1)·d + 1 - n, 0), the odd one comes after.

    ``size`` may be symbolic (a free spatial dimension under ``torch.export``); with stride 1 it does not matter.
    """
    reach = (kernel - 1) * dilation + 1
    if stride == 1:
        return (reach - 1) // 2, reach - 1 - (reach - 1) // 2
    total: Any = torch.sym_max((-(-size // stride) - 1) * stride + reach - size, 0)  # type: ignore[no-untyped-call]
    return total // 2, total - total // 2


def is_fixed(amounts: Sequence[tuple[Any, Any]]) -> bool:
    """Whether all amounts are plain integers, none of them symbolic."""
    return all(isinstance(before, int) and isinstance(after, int) for before, after in amounts)


def pad_list(amounts: Sequence[tuple[Any, Any]]) -> list[Any]:
    """The order ``F.pad`` wants: the last dimension first."""
    return [amount for pair in reversed(amounts) for amount in pair]
