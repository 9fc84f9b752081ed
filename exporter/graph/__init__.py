"""The portable graph: values, nodes, symbolic dims, verifier, text form, file format."""

from __future__ import annotations

from .dims import Dim, Sym, evaluate_dim, parse_dim
from .golden import Recipe, Sample
from .graph import Graph, Node, Value
from .types import Array, DType, Quantization, Shape, Source, TensorType

__all__ = [
    "Array",
    "DType",
    "Dim",
    "Graph",
    "Node",
    "Quantization",
    "Recipe",
    "Sample",
    "Shape",
    "Source",
    "Sym",
    "TensorType",
    "Value",
    "evaluate_dim",
    "parse_dim",
]
