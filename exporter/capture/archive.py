"""Saved torch.export programs (.pt2): opened only after everything in them that could run code has been refused.

A .pt2 is a zip of JSON and raw tensors. Three things in it are dangerous, and torch 2.13 takes all three as they come:
pickles (custom objects, odd tensors, the sample inputs, for which it falls back to the unrestricted unpickler), names
of functions to call, and sizes as text, which sympy evaluates as Python. Each is checked here against what a program
of tensors needs, before torch sees the file.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from ..errors import EnvironmentError_, FormatError, UsageError

MAX_JSON_BYTES = 256 * 2**20
"""The graph of a model with 100,000 nodes takes about 100 MB of JSON."""

_REGIONS = r"torch\.ops\.higher_order\.wrap_with_(autocast|set_grad_enabled)"
_TARGET = re.compile(rf"torch\.ops\.aten\.\w+\.\w+|{_REGIONS}|_operator\.\w+|math\.\w+|torch\.sym_\w+|torch\._sym_\w+")
_SIZE_NAMES = re.compile(
    r"Add|And|CeilDiv|CeilToInt|CleanDiv|Eq|False|Float|FloatPow|FloatTrueDiv|FloorDiv|FloorToInt|Ge|Gt|Identity"
    r"|Infinity|IntTrueDiv|Integer|Le|Lt|Max|Min|Mod|ModularIndexing|Mul|Ne|NegativeInfinity|NegativeOne|Not|One|Or"
    r"|Piecewise|Pow|PowByNatural|PythonMod|Rational|RoundToInt|ToFloat|True|TruncToInt|Where|Zero|evaluate|int_oo|oo"
)
"""sympy's and torch's functions on sizes."""


def load_program(path: str | Path) -> ExportedProgram:
    """The program in a .pt2 file.

    Raises FormatError when the file is corrupt, or holds anything but tensors and ATen calls; EnvironmentError_ when it
    cannot be read, UsageError when there is none.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError("TP001", f"{path} does not exist") from error
    except OSError as error:
        raise EnvironmentError_("TP340", f"{path} cannot be read: {error.strerror or error}") from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(path, archive)
    except zipfile.BadZipFile as error:
        raise _corrupt(path, f"it is no zip archive ({error})") from error
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")  # torch's notes on its own format
            return torch.export.load(io.BytesIO(data))
    except (RuntimeError, ValueError, KeyError, AttributeError, TypeError, AssertionError, IndexError) as error:
        raise _corrupt(path, f"torch cannot load it: {type(error).__name__}: {_first_line(error)}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """While it lasts, torch's account of a file that it cannot load, a traceback, stays out of the user's sight."""
    logger = logging.getLogger("torch.export")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _check(path: Path, archive: zipfile.ZipFile) -> None:
    """FormatError for anything that could run code, and for archives that are not what they say."""
    broken = archive.testzip()
    if broken:
        raise _corrupt(path, f"the record {broken} does not match its checksum")
    names = [entry.filename.lower() for entry in archive.infolist()]
    if len(set(names)) < len(names) or len({name.partition("/")[0] for name in names}) > 1:
        raise _corrupt(path, "two of its records have one name, or they lie in several folders")
    if any(name.endswith("/data.pkl") for name in names) and not any(name.endswith(".json") for name in names):
        raise _saved_otherwise(path)
    pickled: set[str] = set()
    for entry in archive.infolist():
        name = entry.filename.partition("/")[2]
        if name.endswith(".json"):
            if entry.file_size > MAX_JSON_BYTES:
                raise _corrupt(path, f"the record {name} has {entry.file_size} bytes of JSON")
            document = _json(path, name, archive.read(entry))
            if name.startswith("models/"):
                _check_graph(path, document)
            elif name.startswith("data/"):
                pickled |= _pickled(path, document)
    for entry in archive.infolist():
        name = entry.filename.partition("/")[2]
        is_record = name.startswith(("data/weights/", "data/constants/")) and not name.endswith(".json")
        if name.startswith("data/sample_inputs/") or (is_record and Path(name).name in pickled) or name.endswith(".pt"):
            _check_pickle(path, name, archive.read(entry))
        elif name.startswith(("data/aotinductor/", "data/extra/")) and name.endswith((".so", ".py", ".cpp", ".o")):
            raise _unsafe(path, f"it holds compiled or source code ({name})")


def _json(path: Path, name: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, f"the record {name} is no JSON ({error})") from error


def _pickled(path: Path, document: Any) -> set[str]:
    """Records of a payload config that are pickles of tensors; FormatError for those that are anything else."""
    found: set[str] = set()
    config = document.get("config", {}) if isinstance(document, Mapping) else {}
    for name, payload in config.items() if isinstance(config, Mapping) else ():
        if isinstance(payload, Mapping) and payload.get("use_pickle"):
            record = str(payload.get("path_name"))
            if payload.get("tensor_meta") is None or not record.startswith(("weight_", "tensor_")):
                raise _unsafe(path, f'the constant "{name}" is a pickled Python object')
            found.add(record)
    return found


def _check_pickle(path: Path, name: str, data: bytes) -> None:
    """What torch's restricted unpickler reads runs no code in the unrestricted one either: the bytes are the same."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except Exception as error:  # whatever it is, the record is not one of plain tensors
        raise _unsafe(path, f"the record {name} is a pickle of more than tensors") from error


def _check_graph(path: Path, document: Any) -> None:
    """FormatError for calls of anything but ATen and arithmetic on sizes, and for sizes that are no sizes."""
    for key, value in _leaves(document):
        if not isinstance(value, str):
            continue
        if key == "target" and not _TARGET.fullmatch(value):
            raise FormatError(
                "TP431",
                f"{path.name} calls {value[:80]!r}, which is no ATen op",
                because="a saved program names the functions to call, and only torch's own tensor ops are called here",
                help="export the module again without custom or higher-order ops",
            )
        if key == "expr_str" and not _is_size(value):
            raise _unsafe(path, f"the size {value[:80]!r} is not arithmetic on sizes")


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of JSON data with the nearest key above it."""
    stack = [(key, value)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, Mapping):
            stack.extend((str(k), v) for k, v in value.items())
        elif isinstance(value, list):
            stack.extend((key, v) for v in value)
        else:
            yield key, value


def _is_size(text: str) -> bool:
    """Whether a text is made of numbers, sizes (s0, or sympy's Symbol('s0', …)), known functions, and nothing else."""
    text = re.sub(r"Symbol\('\w+'(, \w+=(True|False))*\)", "s0", text)
    if not re.fullmatch(r"[\w\s+\-*/%(),.<>=!&|~]*", text) or re.search(r"\.\s*[A-Za-z_]|__", text):
        return False
    names = re.findall(r"[A-Za-z_]\w*", text)
    return all(re.fullmatch(r"(s|u|z|zuf|zf)\d+", name) or _SIZE_NAMES.fullmatch(name) for name in names)


def _first_line(error: Exception) -> str:
    text = next(iter(str(error).strip().splitlines()), "")
    return text.partition(" Please check the warnings above")[0][:200]


def _saved_otherwise(path: Path) -> FormatError:
    return FormatError(
        "TP430",
        f"{path.name} is no usable .pt2 file: torch.save wrote it, and not torch.export.save",
        because="it holds weights or a pickled module, and no program",
        help="load the module and save its program: torch.export.save(torch.export.export(module, (example,)), path)",
    )


def _corrupt(path: Path, problem: str) -> FormatError:
    return FormatError(
        "TP430", f"{path.name} is no usable .pt2 file: {problem}", help="save it again with torch.export.save"
    )


def _unsafe(path: Path, problem: str) -> FormatError:
    return FormatError(
        "TP432",
        f"{path.name} is refused: {problem}",
        because="such a file can run code when it is opened",
        help="export the module again where you trust it, without custom objects, and with plain tensors as examples",
    )
