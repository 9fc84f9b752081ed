"""A graph as text: one line a node, for people.

graph digits
  %image: float32[batch, 784] = input
  %head.weight: float32[10, 784] = constant, 31.4 kB
  %head:out: float32[batch, 10] = linear(%image, %head.weight) {activation=relu}  # model.py:12, layer "head"
  return probabilities=%head:out
"""

from __future__ import annotations

import dataclasses
from enum import Enum

from .graph import Graph, Node, Value


def to_text(graph: Graph) -> str:
    """The graph, line by line, in the order in which it runs."""
    lines = [f"graph {graph.name}"]
    lines += [f"  {_declared(value)} = input" for value in graph.inputs]
    lines += [f"  {_declared(v)} = constant, {_size(v.array().nbytes)}" for v in graph.constants()]
    lines += [f"  {node_text(node)}" for node in graph.nodes]
    results = ", ".join(f"{name}=%{value.name}" for name, value in graph.outputs.items())
    return "\n".join([*lines, f"  return {results}"])


def node_text(node: Node) -> str:
    """``%y: float32[batch, 10] = linear(%x, %w, %b) {activation=relu}  # model.py:12, layer "head"``"""
    outputs = ", ".join(_declared(value) for value in node.outputs)
    inputs = ", ".join(f"%{value.name}" for value in node.inputs)
    shown = {field.name: getattr(node.op, field.name) for field in dataclasses.fields(node.op)}
    defaults = {field.name: field.default for field in dataclasses.fields(node.op)}
    attributes = ", ".join(f"{name}={_spelled(x)}" for name, x in shown.items() if x != defaults[name])
    text = f"{outputs} = {node.op.label()}({inputs})"
    text += f" {{{attributes}}}" if attributes else ""
    return f"{text}  # {node.source}" if str(node.source) else text


def _declared(value: Value) -> str:
    return f"%{value.name}: {value.type}"


def _spelled(attribute: object) -> str:
    if isinstance(attribute, Enum):
        return str(attribute.value)
    if isinstance(attribute, tuple):
        return f"[{', '.join(_spelled(item) for item in attribute)}]"
    return str(attribute)


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"
