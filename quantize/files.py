"""Calibration data from files: an .npz, an .npy or a .csv file, or a folder of arrays or of images.

Everything is read a few samples at a time, so memory does not grow with the number of samples.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..exporter.errors import EnvironmentError_, FormatError, UsageError
from ..exporter.graph import Array, DType, Graph, Value
from ..exporter.graph.npz import ROWS, read_npy, stream_npz
from ..exporter.passes.input_layout import layout_of
from ..exporter.preprocessing import Preprocessing, image_form, preprocessing_of
from .checks import rescales

ARRAYS = (".npz", ".npy")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")

_MARKS = {";": "semicolons", "\t": "tabs"}

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def samples_in(path: Path, graph: Graph) -> Iterator[dict[str, Array]]:
    """Named arrays, a few samples at a time, from a file or a folder.

    raises   UsageError TP001 when there is nothing, TP051 when it does not fit the graph; FormatError TP422 for a
             damaged file; EnvironmentError_ TP310 for images without Pillow
    """
    if not path.exists():
        raise UsageError(
            "TP001", f"{path} does not exist", help="calibration data are an .npz, .npy or .csv file or a folder"
        )
    if path.is_dir():
        return _folder(path, graph)
    if path.suffix == ".npz":
        return stream_npz(path)
    if path.suffix == ".npy":
        return _npy(path, graph)
    if path.suffix == ".csv":
        return _csv(path, _only_input(graph, path))
    raise UsageError(
        "TP051",
        f"{path} is no calibration data: files end in .npz, .npy or .csv, and folders hold arrays or images",
        help="np.savez(path, name=array) writes one array for each input",
    )


def _folder(path: Path, graph: Graph) -> Iterator[dict[str, Array]]:
    """Files in the order of their names, those of sub-folders (one a class, often) too."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    arrays = [file for file in files if file.suffix.lower() in ARRAYS]
    images = [file for file in files if file.suffix.lower() in IMAGES]
    if bool(arrays) == bool(images):
        found = f"{len(arrays)} files of arrays and {len(images)} images" if arrays else f"{len(files)} other files"
        raise UsageError(
            "TP051",
            f"{path} has to hold arrays ({', '.join(ARRAYS)}) or images ({', '.join(IMAGES)}), it holds {found}",
            help="name a folder that holds one of them",
        )
    return _images(images, graph) if images else _of_arrays(arrays, graph)


def _of_arrays(files: list[Path], graph: Graph) -> Iterator[dict[str, Array]]:
    for file in files:
        yield from samples_in(file, graph)


def _npy(path: Path, graph: Graph) -> Iterator[dict[str, Array]]:
    """The only input's samples, or one of them without its first axis."""
    value, array = _only_input(graph, path), read_npy(path)
    if array.ndim == value.type.rank - 1:
        array = array[np.newaxis]
    for start in range(0, len(array) if array.ndim else 0, ROWS):
        yield {value.name: array[start : start + ROWS]}


def _only_input(graph: Graph, path: Path) -> Value:
    if len(graph.inputs) != 1:
        names = ", ".join(f'"{value.name}"' for value in graph.inputs)
        raise UsageError(
            "TP051",
            f"{path} says nothing of which input it is for, and the graph has {names}",
            help="np.savez(path, name=array) writes one array for each input",
        )
    return graph.inputs[0]


# -- tables ------------------------------------------------------------------------------------------------------------


def _csv(path: Path, value: Value) -> Iterator[dict[str, Array]]:
    """Rows of numbers; a first row of words is passed over."""
    width = value.type.shape[1] if value.type.rank == 2 else None
    if not isinstance(width, int):
        raise UsageError(
            "TP051",
            f'a table holds samples of one axis, and the input "{value.name}" is {value.type}',
            help="np.savez(path, name=array) writes arrays of any shape",
        )
    rows: list[list[float]] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, cells in enumerate(csv.reader(file), 1):
            if not cells or (number == 1 and not _is_number(cells[0])):
                continue
            rows.append(_numbers(path, number, cells, value, width))
            if len(rows) == ROWS:
                yield {value.name: np.asarray(rows, value.type.dtype.numpy)}
                rows = []
    if rows:
        yield {value.name: np.asarray(rows, value.type.dtype.numpy)}


def _numbers(path: Path, number: int, cells: list[str], value: Value, width: int) -> list[float]:
    other = next((mark for mark in _MARKS if any(mark in cell for cell in cells)), None)
    if other:
        raise UsageError(
            "TP051",
            f"{path}, line {number} separates columns by {_MARKS[other]}, where a .csv file has commas",
            help="save the table with commas between columns, and points in numbers: 1.5,2.0",
        )
    if len(cells) != width:
        raise UsageError(
            "TP051",
            f'{path}, line {number} has {len(cells)} columns, and the input "{value.name}" has {width}',
            help="leave columns out that are no features, such as labels",
        )
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise FormatError("TP422", f"{path}, line {number} is not a row of numbers", because=str(error)) from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# -- images ------------------------------------------------------------------------------------------------------------


def _images(files: list[Path], graph: Graph) -> Iterator[dict[str, Array]]:
    """As the graph declares its preprocessing; without that pixels 0 … 255, resized to what the input takes and laid
    out as its first layer reads them."""
    value = _only_input(graph, files[0].parent)
    declared = preprocessing_of(graph).get(value.name)
    if declared is not None:
        yield from _prepared(files, graph, value, declared)
        return
    layout = layout_of(graph, value)
    if layout not in ("NHWC", "NCHW"):
        raise UsageError(
            "TP051",
            f'the folder holds images, and the input "{value.name}" {value.type} is none',
            help="np.savez(path, name=array) writes arrays of any shape",
        )
    if value.type.dtype is not DType.UINT8 and not rescales(value):
        raise UsageError(
            "TP051",
            f'how pixels become the numbers that "{value.name}" takes is not known: the model does not rescale them',
            help="declare it: graph.describe(preprocessing=tp.Preprocessing(range=(0, 1))), put layers.Rescaling(1 / "
            "255) first into the model, or save the arrays that you feed it: np.savez(path, name=array)",
        )
    pillow = _pillow()
    sizes = dict(zip(layout, value.type.shape, strict=True))
    height, width, channels = (size if isinstance(size := sizes[axis], int) else None for axis in "HWC")
    mode = _MODES.get(3 if channels is None else channels)
    if mode is None:
        raise UsageError("TP051", f'images have 1, 3 or 4 channels, and the input "{value.name}" is {value.type}')
    step = ROWS if height is not None and width is not None else 1  # images of different sizes do not stack
    for start in range(0, len(files), step):
        pixels = np.stack([_pixels(pillow, file, mode, height, width) for file in files[start : start + step]])
        images = pixels if layout == "NHWC" else np.moveaxis(pixels, -1, 1)
        yield {value.name: images.astype(value.type.dtype.numpy)}


def _prepared(files: list[Path], graph: Graph, value: Value, declared: Preprocessing) -> Iterator[dict[str, Array]]:
    form = image_form(graph, value, declared)
    if form is None:
        raise UsageError("TP051", f'the folder holds images, and the input "{value.name}" {value.type} is none')
    pillow = _pillow()
    shape = [size if isinstance(size, int) else -1 for size in value.type.shape[1:]]
    step = ROWS if declared.size is not None else 1
    for start in range(0, len(files), step):
        pixels = [_pixels(pillow, file, "RGBA", None, None) for file in files[start : start + step]]
        layout = "NCHW" if form.layout == "NCHW" else "NHWC"
        batch = declared(pixels, layout=layout, dtype=value.type.dtype.value)
        yield {value.name: batch if value.type.rank == 4 else batch.reshape(len(pixels), *shape)}


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise EnvironmentError_(
            "TP310", "images are read by Pillow, which is not installed", help="pip install 'triport[images]'"
        ) from error
    return Image


def _pixels(pillow: Any, file: Path, mode: str, height: int | None, width: int | None) -> Array:
    """[H, W, C]"""
    try:
        with pillow.open(file) as opened:
            image = opened.convert(mode)
            if height is not None and width is not None:
                image = image.resize((width, height), pillow.Resampling.BILINEAR)
            pixels = np.asarray(image)
    except (OSError, ValueError) as error:
        raise FormatError("TP422", f"{file} is not an image that Pillow reads", because=str(error)) from error
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
