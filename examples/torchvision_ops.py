"""torchvision beside a torch that is built for CPUs alone: two ops that its compiled half would bring are declared."""

from __future__ import annotations

import functools

import torch


@functools.cache
def torchvision_ops() -> None:
    """Has to run before torchvision is imported, as transformers does wherever it finds one. Nothing calls the ops."""
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
