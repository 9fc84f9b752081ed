"""Watches which converters the tests of a file call, so that elsewhere.py cannot claim cases that are not there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from capture.elsewhere import claimed

from triport.exporter.capture import convert
from triport.exporter.capture.registry import _CONVERTERS, Converter

_PARTIAL = pytest.StashKey[bool]()


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        items[0].config.stash[_PARTIAL] = True


@pytest.fixture(scope="module", autouse=True)
def called_converters(request: pytest.FixtureRequest) -> Iterator[None]:
    """At the end of a file that ran whole, the converters that it is said to have cases of were called in it."""
    found = convert._converter
    called: set[Converter | None] = set()

    def watching(node: torch.fx.Node) -> Converter | None:
        converter = found(node)
        called.add(converter)
        return converter

    setattr(convert, "_converter", watching)  # noqa: B010
    yield
    setattr(convert, "_converter", found)  # noqa: B010
    config = request.config
    some = config.stash.get(_PARTIAL, False) or any("::" in argument for argument in config.args)
    file = request.path.stem
    if not some and not request.session.testsfailed:
        missing = {name for name in claimed(file) if _CONVERTERS[name] not in called}
        assert not missing, f"{file}.py calls no {', '.join(sorted(missing))}, of which elsewhere.py says it has cases"
