"""What a path holds that was given where a .triport file is expected: it is named as what it is, with what takes it."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError

_INSPECT = "triport inspect {0} says what it holds; the model itself is the .triport or .pt2 file that it was made from"
_PROGRAM = (
    'load the module and capture it: tp.capture(module, example).save("model.triport"); a program of torch.export.save '
    "is read where its name ends in .pt2"
)
_CAPTURE = 'tp.capture(module, example).save("model.triport") writes one'
_FOLDER = (
    "triport verify {0} runs it again, triport inspect {0} says what it holds; the model itself is a .triport file"
)

_FOLDERS = (
    ("plan.json", "a browser bundle", _INSPECT),
    ("triport.json", "an export folder", _FOLDER),
)
"""What lies in a folder (a bundle holds both), what the folder is then, and what to do with it."""

_FILES = (
    (slice(4, 8), b"TFL3", "", "a TFLite model", _INSPECT),
    (slice(0, 1), b"\x08", ".onnx", "an ONNX model", _INSPECT),
    (slice(0, 4), b"PK\x03\x04", "", "a zip archive, as torch.save writes it", _PROGRAM),
    (slice(0, 4), b"\x89HDF", "", "a file of Keras weights (HDF5)", _CAPTURE),
    (slice(0, 0), b"", ".py", "Python source", _CAPTURE),
)
"""Which bytes of a file are which, the suffix that it needs beside them, what it is, and what to do with it."""


def kind_of(path: Path) -> tuple[str, str] | None:
    """What a file or folder is, and what to do with it; None where it is of no kind that is known here."""
    if path.is_dir():
        found = ((kind, help) for file, kind, help in _FOLDERS if (path / file).is_file())
        kind, help = next(found, ("a folder", "name the .triport file in it"))
        return kind, help.format(path)
    with path.open("rb") as file:
        start = file.read(8)
    for place, mark, suffix, kind, help in _FILES:
        if start[place] == mark and suffix in ("", path.suffix.lower()):
            return kind, help.format(path)
    return None


def refuse_other_kind(path: Path) -> None:
    """UsageError TP008 when the path holds something else that is known here."""
    found = kind_of(path)
    if found is not None:
        kind, help = found
        raise UsageError("TP008", f"{path} is {kind}, and no .triport file", help=help)
