"""Nothing in the checkout knows the machine it was written on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from shape.source import ROOT

TEXT = {
    ".c",
    ".cfg",
    ".css",
    ".h",
    ".html",
    ".js",
    ".json",
    ".md",
    ".mjs",
    ".py",
    ".sh",
    ".toml",
    ".ts",
    ".txt",
    ".yaml",
}
MADE = {"build", "dist", "node_modules", "__pycache__"}  # made by commands, not part of the checkout
HOMES = re.compile(r"(?<![\w./])/(?:home|Users)/\w")


def checkout_files() -> Iterator[Path]:
    for path in sorted(ROOT.iterdir()):
        if path.name in MADE or (path.is_dir() and path.name.startswith(".") and path.name != ".ci"):
            continue
        candidates = path.rglob("*") if path.is_dir() else [path]
        yield from (file for file in candidates if file.is_file() and not MADE & set(file.parts))


def test_no_file_names_a_folder_of_one_machine() -> None:
    own = (str(ROOT) + "/", str(Path.home()) + "/")
    wrong = []
    for path in checkout_files():
        if path.suffix not in TEXT and path.suffix:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if any(folder in line for folder in own) or HOMES.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not wrong, "\n".join(wrong)
