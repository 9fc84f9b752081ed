"""Reads a .triport file with safetensors and json alone: python read_triport.py model.triport"""

from __future__ import annotations

import json
import sys
from typing import Any

from safetensors import safe_open


def read_triport(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The graph's document, and its constants by value name."""
    with safe_open(path, framework="np") as file:
        graph = json.loads(file.metadata()["triport"])
        if graph["format"] != 1:
            raise ValueError(f"format {graph['format']}, written by {graph['producer']}; this reads format 1")
        pairs = [(c, c) if isinstance(c, str) else c for c in graph["constants"]]
        return graph, {value: file.get_tensor(tensor) for value, tensor, *_ in pairs}


def main() -> None:
    graph, constants = read_triport(sys.argv[1])
    for name, dtype, shape, *_ in graph["inputs"]:
        print(f"{name}: {dtype}{shape} is an input")
    for name, array in constants.items():
        print(f"{name}: {array.dtype}{list(array.shape)} is a constant")
    for node in graph["nodes"]:
        outputs = ", ".join(f"{name}: {dtype}{shape}" for name, dtype, shape, *_ in node["outputs"])
        print(f"{outputs} = {node['op']}({', '.join(node['inputs'])}) {node.get('attrs', {})}")
    for name, value in graph["outputs"]:
        print(f"{name} = {value} is an output")


if __name__ == "__main__":
    main()
