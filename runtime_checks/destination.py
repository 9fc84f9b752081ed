"""May an export go into a folder? Asked before anything is done: what no export wrote is never replaced."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..exporter.errors import FormatError, UsageError
from ..targets.packed.packings import INSTALLED, packing_of
from ..targets.target import Target
from .inspection import MAX_PLAN_BYTES, read_json
from .manifest import FILE, file_sums, read_manifest

BROWSER = "web"
"""The browser port's folder, and its name as a port."""

REPORTS = ("report.json", "report.html")

_VITES_FOLDER = "dist"
"""Where Vite writes unless its configuration says otherwise."""

_MAX_PACKAGE_BYTES = 2**20

_ELSEWHERE = "move it away, or choose another folder with -o"


def check_destination(folder: Path, targets: Sequence[Target]) -> None:
    """UsageError TP009 where the folder is a file, or holds something else under a name that an export writes."""
    if folder.exists() and not folder.is_dir():
        raise UsageError("TP009", f"{folder} is a file, and an export is a folder", help=_ELSEWHERE)
    for name in (FILE, *REPORTS, *(target.artefact for target in targets)):
        place = folder / name
        if not place.exists():
            continue
        if Path(name).suffix:
            if place.is_dir():
                raise UsageError("TP009", f"{place} is a folder, and an export writes a file there", help=_ELSEWHERE)
        elif not place.is_dir():
            raise UsageError("TP009", f"{place} is a file, and an export writes a folder there", help=_ELSEWHERE)
        else:
            _check_bundle(folder, place)


def notes_of_place(folder: Path, targets: Sequence[Target]) -> list[str]:
    """What will happen to a browser folder there that its reader should know."""
    if not any(target.name == BROWSER for target in targets):
        return []
    resolved = folder.resolve()
    beside = (_vite_in(place.parent) for place in (resolved, *resolved.parents) if place.name == _VITES_FOLDER)
    return [
        f"vite build empties {_VITES_FOLDER}/ beside {file}, unless its outDir is another, and would delete this "
        "export: choose another folder, such as -o model"
        for file in beside
        if file
    ]


def kept_packages(folder: Path, staged: Path) -> tuple[tuple[str, ...], list[str]]:
    """What ``npm install`` made in the browser folder and the next one needs too, and a note where it needs others.

    staged   where the export that replaces the one in ``folder`` has been written
    """
    old, new = folder / BROWSER, staged / BROWSER
    found = [name for name in INSTALLED if os.path.lexists(old / name)]
    if not found or packing_of(old) is None or packing_of(new) is None:
        return (), []
    if _dependencies(old) == _dependencies(new):
        return INSTALLED, []
    note = (
        f"{BROWSER}/{found[0]} holds other packages than the new {BROWSER}/package.json names, and is not kept: "
        f"npm install in {BROWSER}/ brings these"
    )
    return (), [note]


def _dependencies(web: Path) -> object:
    try:
        return read_json(web / "package.json", _MAX_PACKAGE_BYTES).get("dependencies")
    except FormatError:
        return None


def _vite_in(project: Path) -> str:
    """The file that makes a folder a project of Vite's; "" where none does."""
    for config in sorted(project.glob("vite.config.*")):
        return config.name
    try:
        package = read_json(project / "package.json", _MAX_PACKAGE_BYTES)
    except FormatError:
        return ""
    listed = (package.get(kind) for kind in ("dependencies", "devDependencies"))
    return "package.json" if any(isinstance(names, dict) and "vite" in names for names in listed) else ""


def _check_bundle(folder: Path, place: Path) -> None:
    """A bundle is replaced whole, so the folder has to be one, and to hold nothing else."""
    found = sorted(path.relative_to(folder).as_posix() for path in place.rglob("*") if path.is_file())
    if not found:
        return
    if not _is_bundle(place):
        raise UsageError(
            "TP009",
            f"{place} was not written by triport, and an export would replace it",
            because=f"it holds {_listed(found)} and no browser bundle",
            help=_ELSEWHERE,
        )
    written = _written(folder)
    others = [name for name in found if not Path(name).name.startswith(".") and name not in written]
    changed = ""
    if packing_of(place) is not None:
        package = f"{BROWSER}/package.json"
        if package in written and written[package] == file_sums(folder, package).get(package):
            others = [name for name in others if Path(name).parts[1] not in INSTALLED]
        elif package in written:
            changed = f", and {package} was changed"
    if written and others:
        raise UsageError(
            "TP009",
            f"{place} holds files that triport did not write, and an export would replace the whole folder",
            because=f"these are {_listed(others)}{changed}",
            help="put them beside the folder, where an export leaves them alone, or choose another folder with -o",
        )


def _is_bundle(place: Path) -> bool:
    if packing_of(place) is not None:
        return True
    try:
        return read_json(place / "plan.json", MAX_PLAN_BYTES).get("format") == "triport-web"
    except FormatError:
        return False


def _written(folder: Path) -> dict[str, Any]:
    """What triport.json lists, with sizes and sums; nothing where there is none, as after an interrupted export."""
    try:
        ports = read_manifest(folder)["ports"]
    except (FormatError, UsageError):
        return {}
    return {name: facts for port in ports.values() for name, facts in port["files"].items()}


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
