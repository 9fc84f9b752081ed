"""Writing into an export folder so that what was there stays whole until what replaces it is whole.

Everything is written into a hidden folder inside the export folder (the same file system, the same permissions) and
renamed into place at the end, one artefact at a time. A process that is killed leaves that hidden folder behind; the
next export removes it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ..exporter.errors import EnvironmentError_

PREFIX = ".triport-"

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class Staging:
    """A context: ``path`` is where to write, `publish` puts a file or folder into place, leaving removes the rest.

    Raises EnvironmentError_ TP311 or TP312 where the system refuses.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        self._aside = folder / f"{self.path.name}-old"
        self._created: list[Path] = []

    def __enter__(self) -> Self:
        with disk_errors(self.folder):
            missing = [self.folder, *self.folder.parents]
            self._created = [folder for folder in missing if not folder.exists()]
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                _remove_abandoned(self.folder)
                self.path.mkdir()
                self._aside.mkdir()
            except OSError:
                self._remove_created()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(self._aside, ignore_errors=True)
        if kind is not None:
            self._remove_created()

    def publish(self, name: str, *, under: str = "", keep: Sequence[str] = ()) -> None:
        """Moves ``path/name`` to its place in the folder (or in its sub-folder ``under``), replacing what was there.

        keep   names that move into the new folder where the old one has them
        """
        with disk_errors(self.folder):
            new = self.path / name
            _sync(new)
            place = self.folder / under / name
            place.parent.mkdir(exist_ok=True)
            if new.is_dir() and place.exists():
                replaced = _exchange(new, place, self._aside / name)
                for kept in filter(lambda kept: os.path.lexists(replaced / kept), keep):
                    (replaced / kept).rename(place / kept)
            else:
                if place.is_dir():  # a folder in the place of a file; it goes away with the staging folder
                    place.rename(self._aside / name)
                os.replace(new, place)

    def discard(self, name: str) -> None:
        """Takes a folder that an earlier export made out of the way; anybody else's folder of that name stays."""
        if (self.folder / name / "report.json").is_file():
            with disk_errors(self.folder):
                (self.folder / name).rename(self._aside / name)

    def _remove_created(self) -> None:
        for folder in self._created:
            try:
                folder.rmdir()
            except OSError:  # somebody else uses it already
                return


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns what the system says of files into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise EnvironmentError_(
                "TP312",
                f"the disk is full: the artefacts do not fit into {folder}",
                because=str(error),
                help="free some space or choose another folder with -o; what was there before is as it was",
            ) from error
        raise EnvironmentError_(
            "TP311",
            f"{folder} cannot be written",
            because=str(error),
            help="choose another folder with -o, or change its permissions; what was there before is as it was",
        ) from error


def _exchange(new: Path, old: Path, aside: Path) -> Path:
    """Lets two folders change places; in one step where the system can, so that there is always one at ``old``.

    Returns where the old one is then: at ``new``, or ``aside``.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # no glibc of 2018 or later
        rename = None
    if rename is not None:
        arguments = (_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE)
        if rename(*arguments) == 0:
            return new
    old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise
    return aside


def _sync(path: Path) -> None:
    """Asks the system to have the bytes on the disk before the names point to them."""
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _remove_abandoned(folder: Path) -> None:
    """Removes staging folders of processes that are gone."""
    for left in folder.glob(f"{PREFIX}*-*"):
        owner = left.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there and belongs to somebody else
        return True
    return True
