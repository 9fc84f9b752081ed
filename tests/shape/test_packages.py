"""The package is what pyproject.toml and the public tables say it is."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib

import pytest
from shape.source import ROOMS, ROOT, packages_on_disk, parse

import triport


def test_the_listed_packages_are_the_ones_on_disk() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert sorted(settings["tool"]["setuptools"]["packages"]) == packages_on_disk()


def test_the_version_is_the_same_in_code_and_project_file() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert triport.__version__ == settings["project"]["version"]


def test_the_name_table_and_the_list_and_the_type_checkers_block_agree() -> None:
    table = set(triport._PUBLIC)
    block = next(
        node
        for node in parse(ROOT / "__init__.py").body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    typed = {alias.asname for node in ast.walk(block) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(triport.__all__) == table | {"__version__"}
    assert typed == table
    assert len(triport.__all__) == len(set(triport.__all__))


@pytest.mark.parametrize("name", sorted(triport._PUBLIC))
def test_a_public_name_is_public_where_it_lives(name: str) -> None:
    module_path, _, attribute = triport._PUBLIC[name].partition(":")
    module = importlib.import_module(module_path, "triport")
    if attribute:
        assert attribute in module.__all__
        assert getattr(triport, name) is getattr(module, attribute)
    else:
        assert getattr(triport, name) is module


@pytest.mark.parametrize(
    "package", [name for name in packages_on_disk() if name.split(".")[-1] in ROOMS or name.count(".") == 1]
)
def test_what_a_room_calls_public_exists(package: str) -> None:
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", []):
        assert hasattr(module, name), f"{package}.__all__ names {name}, which does not exist"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sequentail'"):
        getattr(triport, "Sequentail")  # noqa: B009


def test_importing_triport_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, triport; print(*sorted({'torch', 'numpy', 'onnx', 'rich', 'click'} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
