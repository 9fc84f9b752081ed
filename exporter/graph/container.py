"""The outer layer of a ``.triport`` file: safetensors, written as a stream and read as a memory map.

    8 bytes    length of the header, little-endian
    header     JSON, padded with spaces to a multiple of 8: {"__metadata__": {"triport": document}, tensor: place, …}
    data       the tensors one after the other, no gaps, the most strictly aligned dtypes first

Nothing is allocated that the file's own length does not vouch for: every size is compared with it as Python ints first.
"""

from __future__ import annotations

import json
import math
import mmap
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from ..errors import EnvironmentError_, FormatError, UsageError
from .json_checks import LARGEST, Json, parse_json, whole_number
from .kinds import refuse_other_kind
from .types import Array, DType

MAX_HEADER = 100_000_000
"""Bytes of header that any safetensors reader accepts."""

MAX_RANK = 64
"""Axes a tensor may have (numpy's own limit)."""

CHECKSUM_START = b'{"__metadata__":{"triport":"{\\"checksum\\":\\"'
"""What a header begins with up to the eight digits of its checksum."""

_CODES = {
    DType.INT64: "I64",
    DType.FLOAT64: "F64",
    DType.FLOAT32: "F32",
    DType.INT32: "I32",
    DType.FLOAT16: "F16",
    DType.INT16: "I16",
    DType.INT8: "I8",
    DType.UINT8: "U8",
    DType.BOOL: "BOOL",
}
"""safetensors' names, in the order in which its own writer lays the tensors out."""

_DTYPES = {code: dtype for dtype, code in _CODES.items()}
_ORDER = {dtype: position for position, dtype in enumerate(_CODES)}
_CHUNK = 2**20
"""Bytes read at a time to compute checksums."""


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: bytes ``begin`` … ``end`` - 1 of the data section."""

    dtype: DType
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Contents:
    """An opened file.

    document     the text under the metadata key ``triport``
    header_sum   CRC-32 of the header with zeros for the checksum's own digits; None when it begins differently
    data_start   position of the data section in the file, in bytes
    """

    path: Path
    document: str
    header_sum: int | None
    places: dict[str, Place]
    data_start: int

    def map_data(self) -> npt.NDArray[np.uint8]:
        """The data section as read-only bytes; nothing is read until something is looked at."""
        try:
            whole = np.memmap(self.path, np.uint8, mode="r").view(np.ndarray)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        end = self.data_start + max((place.end for place in self.places.values()), default=0)
        if whole.size != end:
            raise FormatError("TP400", f"{self.path} changed while it was read")
        return whole[self.data_start :]


def release_pages(arrays: Iterable[Array]) -> None:
    """Gives back the memory of the mapped files that these arrays lie in; they are read again when they are needed.

    What passes have read of a file stays in memory beside what they made of it, which for a model is its weights twice.
    """
    for array in arrays:
        owner: object = array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            owner.madvise(mmap.MADV_DONTNEED)


class TensorTable:
    """Arrays to write, each once: what is equal in dtype, shape and bytes shares one tensor."""

    def __init__(self) -> None:
        self.tensors: dict[str, Array] = {}
        self.sums: dict[str, int] = {}
        self._seen: dict[int, tuple[Array, str]] = {}  # the array too: a freed one's id would be given to another
        self._twins: dict[tuple[DType, tuple[int, ...], int], list[str]] = {}

    def add(self, wanted: str, array: Array) -> str:
        """The name of the tensor that holds ``array``: ``wanted``, made unique, or the one of an equal array."""
        if id(array) in self._seen:
            return self._seen[id(array)][1]
        dtype = DType.of(array)
        checksum = zlib.crc32(raw_bytes(array).data)
        twins = self._twins.setdefault((dtype, array.shape, checksum), [])
        name = next((twin for twin in twins if same_bytes(array, self.tensors[twin])), "")
        if not name:
            name = wanted
            while name in self.tensors or name == "__metadata__":
                name += "~"
            twins.append(name)
            self.tensors[name], self.sums[name] = array, checksum
        self._seen[id(array)] = (array, name)
        return name


def same_bytes(a: Array, b: Array) -> bool:
    """Whether two arrays of one dtype and shape are the same bit for bit (NaN and -0.0 included)."""
    return a is b or bool(np.array_equal(raw_bytes(a), raw_bytes(b)))


def raw_bytes(array: Array) -> npt.NDArray[np.uint8]:
    """The array's elements in row-major order as little-endian bytes; a view wherever that is possible."""
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8)


def write_container(file: BinaryIO, document: str, tensors: Mapping[str, Array]) -> None:
    """Writes header and tensors; the document's checksum digits, given as zeros, are filled in."""
    names = sorted(tensors, key=lambda name: (_ORDER[DType.of(tensors[name])], name))
    entries: dict[str, Json] = {"__metadata__": {"triport": document}}
    position = 0
    for name in names:
        array = tensors[name]
        end = position + array.nbytes
        entries[name] = {"dtype": _CODES[DType.of(array)], "shape": list(array.shape), "data_offsets": [position, end]}
        position = end
    try:
        header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UsageError("TP001", f"a name or text in the graph is not valid Unicode: {error.object[:60]!r}") from error
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER:
        raise UsageError("TP001", f"the graph needs a header of {len(header)} bytes; a file holds {MAX_HEADER}")
    start = len(CHECKSUM_START)
    if header[: start + 8] != CHECKSUM_START + b"00000000":
        raise ValueError("the document must begin with an empty checksum")
    digits = f"{zlib.crc32(header):08x}".encode()
    file.write(len(header).to_bytes(8, "little"))
    file.write(header[:start] + digits + header[start + 8 :])
    for name in names:
        file.write(raw_bytes(tensors[name]).data)


def read_container(path: str | Path) -> Contents:
    """Header and table of tensors, checked against the file's length; no tensor is touched.

    Raises UsageError when there is no such file or it is of another kind, EnvironmentError_ when it cannot be read,
    FormatError when it is not a whole safetensors file with triport's metadata.
    """
    path = Path(path)
    if path.is_dir():
        refuse_other_kind(path)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            first = file.read(8)
            length = int.from_bytes(first, "little")
            if length > size - 8:
                refuse_other_kind(path)
            if size < 8:
                _damaged(path, f"is not a .triport file: it has {size} bytes")
            if length > MAX_HEADER:
                _damaged(path, f"claims a header of {length} bytes; at most {MAX_HEADER} are allowed")
            if length > size - 8:
                _damaged(path, f"is cut short: its header has {length} bytes, the file {size}")
            header = file.read(length)
    except FileNotFoundError as error:
        raise UsageError("TP001", f"{path} does not exist") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    entries = _parse_header(path, header)
    document = _take_document(path, entries)
    places = {name: _place(f'{path}: tensor "{name}"', entry) for name, entry in entries.items()}
    _check_places(path, places, size - 8 - length)
    return Contents(path, document, _header_sum(header), places, 8 + length)


def tensor_view(data: npt.NDArray[np.uint8], place: Place) -> Array:
    """The tensor as a read-only view of the data section; a copy only where a foreign writer left it unaligned."""
    flat = data[place.begin : place.end].view(place.dtype.numpy.newbyteorder("<"))
    if not flat.flags.aligned:
        flat = flat.copy()
        flat.flags.writeable = False
    return flat.reshape(place.shape)


def check_data(contents: Contents, data: npt.NDArray[np.uint8], sums: Mapping[str, int]) -> None:
    """FormatError when a tensor's bytes are not those that were written, or are no values of its dtype."""
    for name, place in contents.places.items():
        if place.dtype is DType.BOOL and (data[place.begin : place.end] > 1).any():
            raise FormatError(
                "TP407", f'{contents.path}: tensor "{name}" is BOOL and has a byte that is neither 0 nor 1'
            )
    # Read, not looked at through the map: a map's pages would count as this process's memory from then on.
    buffer = memoryview(bytearray(_CHUNK))
    try:
        with contents.path.open("rb") as file:
            for name, place in sorted(contents.places.items(), key=lambda item: item[1].begin):
                if name in sums:
                    _check_sum(contents, name, _sum_of(file, contents.data_start, place, buffer), sums[name])
    except OSError as error:
        raise _unreadable(contents.path, error) from error


def _sum_of(file: BufferedReader, data_start: int, place: Place, buffer: memoryview) -> int:
    """CRC-32 of a tensor's bytes in the file."""
    file.seek(data_start + place.begin)
    found, left = 0, place.end - place.begin
    while left:
        count = file.readinto(buffer[: min(left, len(buffer))])
        if not count:
            break
        found, left = zlib.crc32(buffer[:count], found), left - count
    return found


def _check_sum(contents: Contents, name: str, found: int, expected: int) -> None:
    if found != expected:
        raise FormatError(
            "TP407",
            f'{contents.path}: tensor "{name}" is damaged: its CRC-32 is {found:08x}, {expected:08x} was written',
            help="copy or download the file again",
        )


def _parse_header(path: Path, header: bytes) -> dict[str, Json]:
    if not header.startswith(b"{"):
        _damaged(path, "is not a .triport file: its header is not a JSON object")
    try:
        text = header.decode()
    except UnicodeDecodeError:
        _damaged(path, "has a header that is not UTF-8")
    entries = parse_json(text, f"{path}: header")
    if not isinstance(entries, dict):
        _damaged(path, "is not a .triport file: its header is not a JSON object")
    return entries


def _take_document(path: Path, entries: dict[str, Json]) -> str:
    metadata = entries.pop("__metadata__", None)
    document = metadata.get("triport") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(document, str):
        raise FormatError(
            "TP400",
            f"{path} holds no graph: its metadata has no text under the key triport",
            because="it is a safetensors file of weights alone, or not safetensors at all",
        )
    if len(metadata) != 1:
        _damaged(path, f"has metadata keys beside triport: {', '.join(sorted(metadata.keys() - {'triport'}))[:80]}")
    return document


def _place(where: str, entry: Json) -> Place:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise FormatError("TP406", f"{where} must have dtype, shape and data_offsets, and nothing else")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise FormatError("TP406", f"{where} has dtype {str(code)[:40]!r}; known are {', '.join(_DTYPES)}")
    if not isinstance(shape, list) or len(shape) > MAX_RANK:
        raise FormatError("TP406", f"{where} has no list of at most {MAX_RANK} sizes for its shape")
    if not isinstance(offsets, list) or len(offsets) != 2:
        raise FormatError("TP406", f"{where} needs two data_offsets")
    sizes = tuple(whole_number(size, f"{where}.shape") for size in shape)
    begin, end = (whole_number(offset, f"{where}.data_offsets") for offset in offsets)
    dtype = _DTYPES[code]
    if math.prod(size or 1 for size in sizes) * dtype.bytes > LARGEST:
        raise FormatError("TP406", f"{where}: {code}{list(sizes)} is larger than any memory")
    if math.prod(sizes) * dtype.bytes != end - begin:
        raise FormatError(
            "TP406", f"{where}: {code}{list(sizes)} needs {math.prod(sizes) * dtype.bytes} bytes, it has {end - begin}"
        )
    return Place(dtype, sizes, begin, end)


def _check_places(path: Path, places: Mapping[str, Place], data_bytes: int) -> None:
    """The tensors must tile the data section exactly: no overlap, no hole, nothing beyond the end of the file."""
    position = 0
    for name, place in sorted(places.items(), key=lambda item: (item[1].begin, item[1].end, item[0])):
        if place.begin != position:
            problem = "overlaps the one before it" if place.begin < position else "leaves a hole before it"
            raise FormatError("TP406", f'{path}: tensor "{name}" at byte {place.begin} {problem}')
        position = place.end
    if position != data_bytes:
        problem = "is cut short" if position > data_bytes else "has bytes that belong to no tensor"
        raise FormatError("TP406", f"{path} {problem}: its tensors take {position} bytes, {data_bytes} are there")


def _header_sum(header: bytes) -> int | None:
    start = len(CHECKSUM_START)
    if not header.startswith(CHECKSUM_START):
        return None
    return zlib.crc32(header[start + 8 :], zlib.crc32(b"00000000", zlib.crc32(CHECKSUM_START)))


def _damaged(path: Path, problem: str) -> NoReturn:
    raise FormatError("TP400", f"{path} {problem}")


def _unreadable(path: Path, error: OSError) -> EnvironmentError_:
    return EnvironmentError_("TP340", f"{path} cannot be read: {error.strerror or error}")
