"""Which file and line is the user's among those of a traceback."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

from ..graph import Source

_OWN = tuple({f"{path.parents[2]}/exporter/" for path in (Path(__file__), Path(__file__).resolve())})
_LONGEST = 100
"""Characters of a line that are quoted."""

_MOST_LINES = 3

_PYTHON = sysconfig.get_paths()["stdlib"] + "/"


def user_line(error: BaseException) -> str:
    """``model.py:41``: where the user's code was when an error came up."""
    place = user_frame(error)
    return f"{Path(place[0]).name}:{place[1]}" if place else ""


def quoted(file: str, line: int) -> str:
    """``model.py:41 (if x.shape[1] > 5:)``"""
    code = code_at(file, line)
    return f"{Path(file).name}:{line} ({code})" if code else f"{Path(file).name}:{line}"


def code_at(file: str, line: int) -> str:
    """The user's own line, shortened; "" where its file is gone."""
    code = linecache.getline(file, line).strip()
    return code if len(code) <= _LONGEST else code[: _LONGEST - 1].rstrip() + "…"


def listed(lines: Sequence[str]) -> str:
    """A few of some lines."""
    return ", ".join(lines[:_MOST_LINES]) + (" and more lines" if len(lines) > _MOST_LINES else "")


def user_frame(error: BaseException) -> tuple[str, int] | None:
    """File and line where the user's code was when an error came up; None when it was nowhere in it."""
    return innermost_frame((f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__))


@dataclass(frozen=True)
class Place:
    """A line of the user's, and the layer that was being called there; either may be missing."""

    frame: tuple[str, int] | None = None
    layer: str = ""

    @property
    def at(self) -> str | None:
        """``model.py:41, layer "stem.0"``"""
        line = f"{Path(self.frame[0]).name}:{self.frame[1]}" if self.frame else ""
        return str(Source(self.layer, line)) or None

    @property
    def code(self) -> str:
        """``: x + self.table``, to follow on a message."""
        code = code_at(*self.frame) if self.frame else ""
        return f": {code}" if code else ""


def place_of(error: BaseException, module: torch.nn.Module) -> Place:
    """Where in the user's code, and in which layer of ``module``, an error came up."""
    return Place(
        user_frame(error), layer_called((frame for frame, _ in traceback.walk_tb(error.__traceback__)), module)
    )


def layer_called(frames: Iterable[FrameType], module: torch.nn.Module) -> str:
    """The name of the last layer of ``module`` that frames, outermost first, are in; "" for the module itself."""
    names = {id(part): name for name, part in module.named_modules()}
    return next((names[part] for part in [id(f.f_locals.get("self")) for f in frames][::-1] if part in names), "")


def innermost(frames: Iterable[tuple[str, int]]) -> str:
    """`innermost_frame` as ``model.py:41``; "" when there is none."""
    place = innermost_frame(frames)
    return f"{Path(place[0]).name}:{place[1]}" if place else ""


def innermost_frame(frames: Iterable[tuple[str, int]]) -> tuple[str, int] | None:
    """The last of some frames, outermost first, that is the user's; else the last of a package such as timm."""
    users: tuple[str, int] | None = None
    others: tuple[str, int] | None = None
    for file, line in frames:
        if is_plumbing(file):
            continue
        if "/site-packages/" in file:
            others = (file, line)
        else:
            users = (file, line)
    return users or others


def is_plumbing(file: str) -> bool:
    """Whether a source file is torch's, Python's own or this package's."""
    if file.startswith(("torch/", "<", *_OWN)) or "/site-packages/torch/" in file:
        return True
    return file.startswith(_PYTHON) and "/site-packages/" not in file
