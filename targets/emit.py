"""What every target shares: who spells which op, and what a target says when it cannot.

A target owns one `Emitters` table. Its `ops/<family>.py` files fill it:

    @emits(AveragePool)
    def average_pool(node: Node, writer: Writer) -> None: ...

    unsupported(Erf, because="LiteRT has no ERF kernel", help="use gelu, which it has")

An emitter may come with a condition: `accepts` says for one node why it cannot be spelled, or None when it can. Ops
that a target does not spell are first offered to the decompositions (exporter/passes/decompose); what is left is
reported before a byte is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..exporter.graph import Node
from ..exporter.ops import OpAttrs

Writer = TypeVar("Writer")


@dataclass(frozen=True)
class Refusal:
    """Why a target cannot spell a node, and what its user can do about it."""

    because: str
    help: str
    code: str = "TP101"


Condition = Callable[[Node], Refusal | None]


def constant_parameters(first: int, stop: int) -> Condition:
    """Condition: the operands from ``first`` up to ``stop`` are constants, for emitters that rearrange them."""

    def condition(node: Node) -> Refusal | None:
        if all(value.is_constant for value in node.inputs[first:stop]):
            return None
        return Refusal(
            "its weights are computed while the model runs, and they are rearranged when the file is written",
            "make the weights parameters of the model",
            "TP102",
        )

    return condition


@dataclass(frozen=True)
class Emitter(Generic[Writer]):
    """One op's spelling on one target."""

    emit: Callable[[Node, Writer], None]
    accepts: Condition | None = None


class Emitters(Generic[Writer]):
    """The table of a target: op class → emitter or refusal."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._emitters: dict[type[OpAttrs], Emitter[Writer]] = {}
        self._refusals: dict[type[OpAttrs], Refusal] = {}

    def emits(
        self, *ops: type[OpAttrs], accepts: Condition | None = None
    ) -> Callable[[Callable[[Node, Writer], None]], Callable[[Node, Writer], None]]:
        """Decorator: the function writes nodes of these ops."""

        def register(emit: Callable[[Node, Writer], None]) -> Callable[[Node, Writer], None]:
            for op in ops:
                if op in self._emitters or op in self._refusals:
                    raise KeyError(f"{self.target} has an emitter for {op.__name__} already")
                self._emitters[op] = Emitter(emit, accepts)
            return emit

        return register

    def unsupported(self, op: type[OpAttrs], *, because: str, help: str, code: str = "TP101") -> None:
        """Says that the target will never spell this op."""
        self._refusals[op] = Refusal(because, help, code)

    def knows(self, op: type[OpAttrs]) -> bool:
        """Whether the target has said anything about the op."""
        return op in self._emitters or op in self._refusals

    def spells(self, op: type[OpAttrs]) -> bool:
        return op in self._emitters

    def refusal(self, node: Node) -> Refusal | None:
        """Why this node cannot be spelled; None when it can."""
        emitter = self._emitters.get(type(node.op))
        if emitter is not None:
            return emitter.accepts(node) if emitter.accepts else None
        known = self._refusals.get(type(node.op))
        return known or Refusal(
            f"{self.target} has no spelling for {node.op.name}",
            "replace the layer, or export to another port with --to",
        )

    def emit(self, node: Node, writer: Writer) -> None:
        """Writes one node; the caller has asked `refusal` before."""
        self._emitters[type(node.op)].emit(node, writer)
