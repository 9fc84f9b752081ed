"""Reading the package's own sources: where they are, and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The order of the house: each may import itself and what stands before it. The root's own files stand at the end.
ROOMS = ("exporter", "targets", "quantize", "runtime_checks", "cli")


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def package_files() -> list[Path]:
    """Every .py file of the package, in a settled order."""
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts]
    return sorted([*files, *ROOT.glob("*.py")])


def packages_on_disk() -> list[str]:
    """The dotted names of all folders with an __init__.py, the root as ``triport``."""
    names = [
        ".".join(("triport", *path.parent.relative_to(ROOT).parts))
        for path in package_files()
        if path.name == "__init__.py"
    ]
    return sorted(names)


def module_of(path: Path) -> tuple[str, ...]:
    """The parts of the module's name under triport: exporter/graph/types.py → ("exporter", "graph", "types")."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


@dataclass(frozen=True)
class Import:
    """One module imported by a file: its absolute dotted name, and where in the file."""

    path: Path
    line: int
    module: str
    relative: bool
    at_import: bool  # runs when the file is imported: not inside a function, not under TYPE_CHECKING

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"


def imports(path: Path) -> Iterator[Import]:
    """All imports of a file; ``from . import a, b`` yields one for each name, because each may be a module."""
    package = ("triport", *path.parent.relative_to(ROOT).parts)
    for node, at_import in _walk(parse(path), True):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, False, at_import)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                yield Import(path, node.lineno, ".".join([*base, alias.name]), node.level > 0, at_import)


def _walk(node: ast.AST, at_import: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        inside = at_import and not later and not typing_only
        yield child, inside
        yield from _walk(child, inside)
