"""What a value is: its dtype and shape, how it is quantized, and where it came from in the user's model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from .dims import Dim, Sym, dim_names, evaluate_dim, product

Array = npt.NDArray[np.generic]


class DType(Enum):
    """Element type of a tensor; the value is its name in files and messages."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    FLOAT64 = "float64"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    BOOL = "bool"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        return np.dtype(self.value)

    @property
    def bytes(self) -> int:
        """Size of one element in bytes."""
        return self.numpy.itemsize

    @property
    def is_float(self) -> bool:
        return self in (DType.FLOAT16, DType.FLOAT32, DType.FLOAT64)

    @property
    def is_integer(self) -> bool:
        return not self.is_float and self is not DType.BOOL

    @staticmethod
    def of(array: Array) -> DType:
        """The dtype of an array; ValueError when a graph cannot hold it."""
        return DType(array.dtype.name)


CODES = {DType.INT8: -128, DType.UINT8: 0}
"""The dtypes of codes, and the lowest code of each."""

Shape = tuple[Dim, ...]


@dataclass(frozen=True)
class Quantization:
    """What the integers of a tensor stand for: real = (integer - zero_point) * scale, one pair for the whole tensor.

    scale        positive, finite, a float32 (every runtime holds it as one)
    zero_point   the integer that stands for 0, one that the tensor's dtype has
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if not (0 < self.scale < np.inf and float(np.float32(self.scale)) == self.scale):
            raise ValueError(f"scale {self.scale!r} is not a positive, finite float32")
        if not -128 <= self.zero_point <= 255:
            raise ValueError(f"zero point {self.zero_point} is neither int8 nor uint8")

    def __str__(self) -> str:
        return f"scale {self.scale:.6g}, zero point {self.zero_point}"


@dataclass(frozen=True)
class TensorType:
    """dtype and shape of a value; dims are ints or symbolic.

    quantization   what the integers stand for, where they are codes of real numbers (int8; uint8 at the border alone)
    """

    dtype: DType
    shape: Shape
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        if self.quantization is None:
            return
        if self.dtype not in CODES:
            raise ValueError(f"{self.dtype.value} cannot be quantized: codes are int8 or uint8")
        if not CODES[self.dtype] <= self.quantization.zero_point < CODES[self.dtype] + 256:
            raise ValueError(f"zero point {self.quantization.zero_point} is no {self.dtype.value}")

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def elements(self) -> Dim:
        return product(self.shape)

    @property
    def free_names(self) -> frozenset[str]:
        """Names of the free dims the shape depends on."""
        return frozenset().union(*(dim_names(dim) for dim in self.shape))

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.dtype, shape, self.quantization)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def static_shape(self) -> tuple[int, ...]:
        """The shape as ints; TypeError when a dim is free (a caller that cannot work with free dims asks first)."""
        dims: list[int] = []
        for dim in self.shape:
            if isinstance(dim, Sym):
                raise TypeError(f"{self} has a free dimension")
            dims.append(dim)
        return tuple(dims)

    def evaluate(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape once the free names have values."""
        return tuple(evaluate_dim(dim, sizes) for dim in self.shape)

    def __str__(self) -> str:
        text = f"{self.dtype.value}[{', '.join(str(dim) for dim in self.shape)}]"
        return f"{text} @ {self.quantization}" if self.quantization else text


@dataclass(frozen=True)
class Source:
    """Where a node came from: the layer's name in the user's model, and the user's file and line."""

    layer: str = ""
    location: str = ""

    def __str__(self) -> str:
        parts = [self.location] if self.location else []
        if self.layer:
            parts.append(f'layer "{self.layer}"')
        return ", ".join(parts)
