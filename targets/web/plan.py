"""The plan: what a bundle's JavaScript needs to know about a model, and nothing it would have to work out.

    ops       one kernel call each: [kernel name, argument, …]
    buffers   memory that values share, one after the other: [bytes, first op, last op]; a size may depend on free dims
    inputs, outputs   name, dtype, shape, and the buffer they stand in

An argument is a number, or text: ``@3`` the address of buffer 3, ``#128`` the address of byte 128 of the weights,
``~inf`` an infinity or NaN, anything else an expression of free dims (``batch*49``); a list is the address of a table
of int32. docs/web-bundle.md specifies the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...exporter.graph import Dim, DType, Quantization, Shape
from ...exporter.graph.stored import Stored
from .assemble import Chain

FORMAT = "triport-web"
VERSION = 1

Argument = Dim | float | str | Sequence["Argument"]
"""What a kernel call may be given; text is a `buffer_ref` or `weight_ref`."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output; ``at`` refers to its buffer, or to the weights for an output that is constant."""

    name: str
    dtype: DType
    shape: Shape
    at: str
    quantization: Quantization | None = None


@dataclass
class Buffer:
    """Memory of ``bytes`` bytes that must keep its content from op ``first`` to op ``last`` (-1: before the first)."""

    bytes: Dim
    first: int
    last: int


@dataclass(frozen=True)
class Call:
    """One kernel call; ``name`` is the node it belongs to."""

    kernel: str
    arguments: tuple[Argument, ...]
    name: str


@dataclass
class Plan:
    """Everything in plan.json, and the weights.

    weights   as they stand in memory, where the calls find them
    stored    {first byte: what weights.bin holds in the place of these float32} (weights_file.py)
    made      calls that run once, when the weights are loaded, and write behind them what the model's calls read
    room      bytes behind the weights that these calls fill
    chains    {what a function computes: its name} of those that are written for this plan (assemble.py)
    """

    calls: list[Call] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    inputs: list[TensorSpec] = field(default_factory=list)
    outputs: list[TensorSpec] = field(default_factory=list)
    weights: bytearray = field(default_factory=bytearray)
    stored: dict[int, Stored] = field(default_factory=dict)
    made: list[Call] = field(default_factory=list)
    room: int = 0
    chains: dict[Chain, str] = field(default_factory=dict)

    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels that the plan calls, sorted."""
        return tuple(sorted({call.kernel for call in (*self.made, *self.calls)}))


def buffer_ref(index: int) -> str:
    return f"@{index}"


def weight_ref(offset: int) -> str:
    return f"#{offset}"


def buffers_of(arguments: Sequence[Argument]) -> list[int]:
    """The buffers that a call's arguments refer to."""
    return [int(argument[1:]) for argument in arguments if isinstance(argument, str) and argument.startswith("@")]


def plan_document(
    plan: Plan, meta: Mapping[str, Any], weights: Mapping[str, Any], sums: Mapping[str, str]
) -> dict[str, Any]:
    """plan.json as data.

    meta      what ``model.meta`` shows: name, labels …
    weights   where the parts of weights.bin go (weights_file.py)
    sums      {file: SHA-256 in base64} of the files that are loaded after this one
    """
    checked = {str(i): call.name for i, call in enumerate(plan.calls) if call.kernel in CHECKED_KERNELS}
    return {
        "format": FORMAT,
        "version": VERSION,
        "meta": dict(meta),
        "inputs": [_spec(spec) for spec in plan.inputs],
        "outputs": [_spec(spec) for spec in plan.outputs],
        "weights": dict(weights),
        "buffers": [[spell(b.bytes), b.first, b.last] for b in plan.buffers],
        "ops": [[call.kernel, *(spell(argument) for argument in call.arguments)] for call in plan.calls],
        **({"names": checked} if checked else {}),
        "sums": dict(sums),
    }


CHECKED_KERNELS = frozenset({"gather", "scatter", "scatter_add_f32", "scatter_add_i32", "take_along_1", "take_along_4"})
"""Kernels that return 1 when their data are out of range; the plan keeps their nodes' names for the message."""


def canonical_json(document: Any) -> bytes:
    """The same bytes for the same data: sorted keys, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def spell(argument: Argument) -> Any:
    """An argument as JSON data."""
    if isinstance(argument, bool | int | str):
        return argument
    if isinstance(argument, float):
        if math.isfinite(argument):
            return argument
        return "~nan" if math.isnan(argument) else ("~inf" if argument > 0 else "~-inf")
    if isinstance(argument, Sequence):
        return [spell(entry) for entry in argument]
    return str(argument)


def _spec(spec: TensorSpec) -> dict[str, Any]:
    of = spec.quantization
    coded = {"quantization": {"scale": of.scale, "zero_point": of.zero_point}} if of else {}
    return coded | {
        "name": spec.name,
        "dtype": spec.dtype.value,
        "shape": [spell(dim) for dim in spec.shape],
        "at": spec.at,
    }
