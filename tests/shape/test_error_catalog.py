"""Every error code that the sources use is explained, and every explanation is of a code in use."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from shape.source import ROOT, package_files, parse

from triport.exporter.error_catalog import CATALOG
from triport.exporter.errors import TriportError, UsageError

CODE = re.compile(r"TP\d{3}")


def codes_in_use() -> dict[str, Path]:
    """Code → one file that uses it as a string of its own (in a call, a table, a constant)."""
    used: dict[str, Path] = {}
    for path in package_files():
        if path.name == "error_catalog.py":
            continue
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                used[node.value] = path.relative_to(ROOT)
    return used


def test_every_code_in_use_is_explained() -> None:
    missing = {code: str(path) for code, path in codes_in_use().items() if code not in CATALOG}
    assert not missing


def test_every_explained_code_is_in_use() -> None:
    assert not sorted(CATALOG.keys() - codes_in_use().keys())


@pytest.mark.parametrize("code", sorted(CATALOG))
def test_an_explanation_has_a_title_and_a_sentence(code: str) -> None:
    entry = CATALOG[code]
    assert CODE.fullmatch(code)
    assert entry.title and not entry.title.endswith(".")
    assert entry.explanation.rstrip().endswith((".", "`", ")"))


def test_an_error_without_a_catalogued_code_cannot_be_made() -> None:
    with pytest.raises(KeyError, match="TP999"):
        UsageError("TP999", "no such code")


def test_an_error_survives_pickling_with_its_parts() -> None:
    """Runners hand errors across processes."""
    import pickle

    error = UsageError("TP001", "bad", at="model.py:3", because="so", help="do this")
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, TriportError)
    assert str(copy) == str(error) == "error[TP001]: bad\n  at: model.py:3\n  because: so\n  help: do this"
