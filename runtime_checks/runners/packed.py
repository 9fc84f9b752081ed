"""Browser folders around a runtime from npm: in Node, and in the browser, with the npm packages that are found here.

The packages are looked for in $TRIPORT_NODE_MODULES, which is a folder called node_modules or holds one, then in
node_modules beside the folder and above it, then from the current folder upwards.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ...targets.packed.packings import Packing, import_map
from .base import Missing
from .bundle import BundleSession, Channel
from .chromium import BrowserProcess, Chromium
from .node import Node, NodeProcess

VARIABLE = "TRIPORT_NODE_MODULES"


def find_modules(packing: Packing, near: Path) -> Path | Missing:
    """A node_modules that holds every package of a packing, or what to install where."""
    files = [file for file in packing.browser.values() if not file.startswith("./")]
    needed = [Path(file).parts for file in (*packing.packages, *files)]
    for folder in _candidates(near):
        if all(folder.joinpath(*parts).exists() for parts in needed):
            return folder
    wanted = " ".join(f"{name}@{version}" for name, version in packing.packages.items())
    what = f"{packing.title} is in no node_modules at {near} or above, and ${VARIABLE} names none that has it"
    return Missing(what, f"npm install --prefix {near} {wanted}")


def installed_version(packing: Packing, modules: Path) -> str:
    """The version of the packing's first package."""
    package = json.loads((modules / next(iter(packing.packages)) / "package.json").read_text("utf-8"))
    return str(package["version"])


def _candidates(near: Path) -> Iterator[Path]:
    if given := os.environ.get(VARIABLE):
        yield Path(given)
        yield Path(given) / "node_modules"
    near = near.resolve()
    for folder in (near / "web", near, *near.parents, Path.cwd(), *Path.cwd().parents):
        yield folder / "node_modules"


class PackedNode:
    """Loads packed folders in Node."""

    name = "node"
    target = "web"

    def __init__(self, packing: Packing, near: Path) -> None:
        self.packing, self.near = packing, near

    def missing(self) -> Missing | None:
        if not self.packing.in_node:
            return Missing(f"{self.packing.title} does not run in Node", "check it in a browser: --in chromium")
        found = find_modules(self.packing, self.near)
        return Node().missing() or (found if isinstance(found, Missing) else None)

    def version(self) -> str:
        found = find_modules(self.packing, self.near)
        about = "" if isinstance(found, Missing) else f", {self.packing.title} {installed_version(self.packing, found)}"
        return f"{Node().version()}{about}"

    def load(self, artefact: Path) -> BundleSession:
        if missing := self.missing():
            raise missing.error()
        modules = find_modules(self.packing, self.near)
        assert isinstance(modules, Path)
        staged = tempfile.TemporaryDirectory(prefix="triport-packed-", ignore_cleanup_errors=True)
        folder = _beside(artefact.resolve(), modules.resolve(), Path(staged.name))
        channel = _WithFolder(NodeProcess(300.0), staged)
        return BundleSession(channel, f"{self.packing.title} in Node", (folder / "index.js").as_uri())


class PackedChromium:
    """Loads packed folders in headless Chrome, Chromium or Edge."""

    name = "chromium"
    target = "web"

    def __init__(self, packing: Packing, near: Path) -> None:
        self.packing, self.near = packing, near

    def missing(self) -> Missing | None:
        found = find_modules(self.packing, self.near)
        return Chromium().missing() or (found if isinstance(found, Missing) else None)

    def version(self) -> str:
        found = find_modules(self.packing, self.near)
        about = "" if isinstance(found, Missing) else f", {self.packing.title} {installed_version(self.packing, found)}"
        return f"{Chromium().version()}{about}"

    def load(self, artefact: Path) -> BundleSession:
        if missing := self.missing():
            raise missing.error()
        modules, browser = find_modules(self.packing, self.near), Chromium().found()
        assert isinstance(modules, Path) and browser is not None
        process = BrowserProcess(browser, artefact, 300.0, modules, import_map(self.packing, "./modules", "./bundle"))
        return BundleSession(process, f"{self.packing.title} in the browser", "bundle/index.js")


class _WithFolder:
    """A channel, and a folder that goes when it is closed."""

    def __init__(self, channel: Channel, folder: tempfile.TemporaryDirectory[str]) -> None:
        self.ask = channel.ask
        self.clock_is_cpu = channel.clock_is_cpu
        self._channel, self._folder = channel, folder

    def close(self) -> None:
        self._channel.close()
        self._folder.cleanup()


def _beside(artefact: Path, modules: Path, place: Path) -> Path:
    """The artefact in a folder with node_modules above it: Node looks for packages from where a module really lies."""
    folder = place / "web"
    folder.mkdir()
    (place / "node_modules").symlink_to(modules, target_is_directory=True)
    for file in artefact.iterdir():
        if file.suffix in (".js", ".json"):
            shutil.copy(file, folder / file.name)
        elif file.is_file():
            (folder / file.name).symlink_to(file)
    return folder
