"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import EnvironmentError_, UsageError


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file to write to; it takes ``path``'s place when the block ends without an error.

    Whatever stood at ``path`` is intact until then, and stays when writing fails. The new bytes are on the disk before
    the name points to them. Raises EnvironmentError_ (TP341) when the folder or the disk refuses, and for a device or a
    pipe: a rename would not write to it but put a file in its place. UsageError TP001 as `check_file_name`.
    """
    check_file_name(path)
    target = Path(path)
    if target.exists() and not target.is_file():
        raise EnvironmentError_(
            "TP341",
            f"{target} cannot be written: it is a device or a pipe, not a file",
            help="choose the name of a file",
        )
    # Beside the target, because a rename is atomic within one file system only; hidden, because a kill leaves it there.
    beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with contextlib.ExitStack() as cleanup:
            with beside.open("xb") as file:
                cleanup.callback(beside.unlink, missing_ok=True)
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise EnvironmentError_(
            "TP341",
            f"{target} cannot be written: {error.strerror or error}",
            help="free space or choose another folder; a file that was there before is unchanged",
        ) from error


def check_file_name(path: str | Path, example: str = "model.triport") -> None:
    """UsageError TP001 for a folder, and for no name at all, where a file is to be written, ``example`` for one."""
    target = Path(path)
    if not str(path):
        raise UsageError("TP001", "the file to write has an empty name", help="choose the name of a file")
    if target.is_dir():
        raise UsageError(
            "TP001",
            f"{target} is a folder, and what is written is one file",
            help=f"name a file in it, such as {target / example}",
        )


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself durable, where the system can (Windows opens no folders)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
