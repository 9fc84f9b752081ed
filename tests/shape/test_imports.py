"""Who may import whom: relative inside, one way along the house, and torch only where torch is the subject."""

from __future__ import annotations

import subprocess
import sys

import pytest
from shape.source import ROOMS, ROOT, Import, imports, module_of, package_files

# Converting and checking need no torch; these rooms of the exporter are about torch.
TORCH_ROOMS = (
    ("exporter", "models"),
    ("exporter", "capture"),
    ("exporter", "reference"),
    ("quantize", "aware"),
)

EVERY_IMPORT = [item for path in package_files() for item in imports(path)]


def room(module: tuple[str, ...]) -> int:
    """The place of a module in the house; the root's own files come last."""
    return ROOMS.index(module[0]) if module and module[0] in ROOMS else len(ROOMS)


def listed(found: list[Import]) -> str:
    return "\n".join(str(item) for item in found)


def test_inside_the_package_every_import_is_relative() -> None:
    flat = {"triport", *ROOMS}
    wrong = [item for item in EVERY_IMPORT if not item.relative and item.module.split(".")[0] in flat]
    assert not wrong, listed(wrong)


def test_imports_point_one_way() -> None:
    wrong = []
    for item in EVERY_IMPORT:
        if item.relative and room(tuple(item.module.split(".")[1:])) > room(module_of(item.path)):
            wrong.append(item)
    assert not wrong, listed(wrong)


def test_torch_is_imported_late_outside_its_rooms() -> None:
    wrong = [
        item
        for item in EVERY_IMPORT
        if item.at_import
        and item.module.split(".")[0] in {"torch", "torchmetrics"}
        and module_of(item.path)[:2] not in TORCH_ROOMS
    ]
    assert not wrong, listed(wrong)


def test_loading_everything_but_the_torch_rooms_loads_no_torch() -> None:
    """Follows the imports to their end: a room may also reach torch through another one."""
    names = [".".join(("triport", *module_of(path))) for path in package_files() if path.parent != ROOT]
    names = [name for name in names if tuple(name.split(".")[1:3]) not in TORCH_ROOMS and not name.endswith("__main__")]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules: sys.exit(f'{name} loads torch')\n"
    )
    result = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("line", "module", "at_import"),
    [
        ("from ..graph import types", "triport.exporter.graph.types", True),
        ("from . import base", "triport.exporter.ops.base", True),
        ("import torch.nn", "torch.nn", True),
        ("if TYPE_CHECKING:\n    import torch", "torch", False),
        ("def f():\n    import torch", "torch", False),
        ("try:\n    import torch\nexcept ImportError:\n    pass", "torch", True),
        ("class A:\n    import torch", "torch", True),
    ],
)
def test_the_reader_of_imports_sees_what_is_written(
    line: str, module: str, at_import: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ast

    from shape import source

    monkeypatch.setattr(source, "parse", lambda path: ast.parse(line))
    (found,) = source.imports(ROOT / "exporter" / "ops" / "pool.py")
    assert (found.module, found.at_import) == (module, at_import)
