"""The layers, by Keras's names."""

from __future__ import annotations

from .base import Layer
from .conv import Conv1D, Conv2D
from .dense import Dense
from .pool import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from .reshaping import Flatten, Reshape
