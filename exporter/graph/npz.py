"""Arrays of .npz and .npy files, read without executing anything, whole or a few rows at a time."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import FormatError, UsageError
from .types import Array

ROWS = 64
"""Rows that `stream_npz` reads at a time."""


def read_npz(path: Path) -> dict[str, Array]:
    """The arrays of an .npz file. UsageError TP001 when there is none, FormatError TP422 when it is something else."""
    with _plain_arrays(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_npy(path: Path) -> Array:
    """The array of an .npy file, mapped: rows are read from the disk when they are used. Errors as of `read_npz`."""
    with _plain_arrays(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is an .npz file")
        return array


def stream_npz(path: Path) -> Iterator[dict[str, Array]]:
    """The arrays of an .npz file, `ROWS` rows of each at a time, so that memory does not grow with the file.

    Errors as of `read_npz`, and UsageError TP002 when the arrays differ in their number of rows.
    """
    with ExitStack() as opened:
        with _plain_arrays(path):
            archive = opened.enter_context(zipfile.ZipFile(path))
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            files = {name.removesuffix(".npy"): opened.enter_context(archive.open(name)) for name in names}
            members = {name: _Rows(file) for name, file in files.items()}
        counts = {name: member.rows for name, member in members.items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f'"{name}" has {count}' for name, count in counts.items())
            raise UsageError("TP002", f"the arrays of {path} differ in their number of samples: {listed}")
        for start in range(0, max(counts.values(), default=0), ROWS):
            with _plain_arrays(path):
                part = {name: member.read(min(ROWS, counts[name] - start)) for name, member in members.items()}
            yield part


class _Rows:
    """Rows of an array in .npy form that is read from its beginning to its end (numpy.lib.format)."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        version = np.lib.format.read_magic(file)
        header: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, self._dtype = header(file)
        if self._dtype.hasobject:
            raise ValueError("it holds Python objects")
        if not shape:
            raise ValueError("it holds a single number, where the first axis has to count samples")
        if by_columns and len(shape) > 1:
            raise ValueError("it is stored column by column; numpy.ascontiguousarray turns it")
        self.rows, *self._row = shape

    def read(self, rows: int) -> Array:
        cells = rows * int(np.prod(self._row, dtype=np.int64))
        data = self._file.read(cells * self._dtype.itemsize)
        return np.frombuffer(data, self._dtype, cells).reshape(rows, *self._row)


@contextmanager
def _plain_arrays(path: Path) -> Iterator[None]:
    """Errors of reading, in our words."""
    try:
        yield
    except FileNotFoundError as error:
        raise UsageError(
            "TP001", f"{path} does not exist", help="pass an .npz file with one array for each input"
        ) from error
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise FormatError(
            "TP422",
            f"{path} is not an .npz file of plain arrays",
            because=str(error),
            help="np.savez(path, name=array)",
        ) from error
