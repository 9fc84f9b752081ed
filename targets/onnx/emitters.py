"""The table of ONNX spellings; ops/<family>.py fill it."""

from __future__ import annotations

from ..emit import Emitters
from .writer import OnnxWriter

EMITTERS: Emitters[OnnxWriter] = Emitters("onnx")
emits = EMITTERS.emits
unsupported = EMITTERS.unsupported
