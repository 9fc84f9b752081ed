"""What happens to an image before a model sees it, as data that travels with the graph.

    metadata["preprocessing"] = {input name: {"size", "range", "mean", "std", "channels", "resize", …}}

A browser bundle's ``image.js`` does what is declared, and `Preprocessing` itself does the same here, so that training,
calibration and a page work on the same numbers, to the last bit. The rules are Pillow's:

    channels   transparent pixels are laid on ``background``: (c · a + b · (255 - a) + 127) // 255; grey is
               (19595 R + 38470 G + 7471 B + 32768) // 65536
    resize     ``Image.resize`` on 8 bits, its filter wider where it makes smaller, the width first and then the height
    numbers    x = low + p · (high - low) / 255, then (x - mean) / std, in float64, and last one rounding to float32
    codes      float32(x) / scale in float32, rounded, half to even, plus the zero point, and clipped; for integers that
               are no codes x itself is rounded and clipped
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, TypeAlias, cast

import numpy as np

from .errors import EnvironmentError_, FormatError, UsageError
from .graph import Array, Dim, DType, Graph, Quantization, TensorType, Value
from .passes.input_layout import layout_of

METADATA_KEY = "preprocessing"

CHANNELS = {"grey": 1, "rgb": 3, "bgr": 3, "rgba": 4}
"""Order of the channels → how many there are."""

RESIZES = ("bilinear", "bicubic", "nearest")

_DTYPES = (DType.FLOAT32, DType.UINT8, DType.INT8, DType.INT32)


@dataclass(frozen=True, init=False)
class Preprocessing:
    """From a picture of any size to the tensor that an image input takes.

    size          (height, width) to resize to; None: the input's own, or the picture's where that is free
    range         what pixels of 0 and of 255 become; (1, 0) inverts
    mean, std     subtracted and divided by after that: one number, or one a channel
    channels      "rgb", "bgr", "grey" or "rgba"
    resize        "bilinear", "bicubic" or "nearest"
    shorter_side  first resize to this shorter side, then cut ``size`` out of the middle; None: stretch to ``size``
    background    red, green and blue, 0 … 255, under transparent pixels
    """

    size: tuple[int, int] | None = None
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channels: str = "rgb"
    resize: str = "bilinear"
    shorter_side: int | None = None
    background: tuple[int, int, int] = (255, 255, 255)
    _input: TensorType | None = field(default=None, init=False, repr=False, compare=False)
    """What `of` took this from: calls give what it takes. No key of the declaration."""

    def __init__(
        self,
        size: Sequence[int] | int | None = None,
        range: Sequence[float] = (0.0, 1.0),
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        channels: Literal["rgb", "bgr", "grey", "rgba"] = "rgb",
        resize: Literal["bilinear", "bicubic", "nearest"] = "bilinear",
        shorter_side: int | None = None,
        background: Sequence[int] = (255, 255, 255),
    ) -> None:
        given = {
            "size": _whole("size", (size, size) if isinstance(size, int) else size, 2, 1, 2**15),
            "range": _numbers("range", range, (2,)),
            "channels": _one_of("channels", channels, tuple(CHANNELS)),
            "resize": _one_of("resize", resize, RESIZES),
            "shorter_side": (_whole("shorter_side", (shorter_side,), 1, 1, 2**15) or (None,))[0],
            "background": _whole("background", background, 3, 0, 255),
        }
        counts = (1, CHANNELS[channels])
        given |= {"mean": _numbers("mean", mean, counts), "std": _numbers("std", std, counts)}
        for name, value in given.items():
            object.__setattr__(self, name, value)
        if 0.0 in self.std:
            raise _wrong("std", "numbers other than 0", std)
        if self.range[0] == self.range[1]:
            raise _wrong("range", "what pixels of 0 and 255 become, two different numbers", range)
        if shorter_side is not None and self.size is not None and shorter_side < max(self.size):
            raise _wrong("shorter_side", "at least as large as what is cut out", shorter_side)

    @classmethod
    def of(cls, graph: Graph, input: str | None = None) -> Self:
        """What a graph declares for an image input, which need not be named where only one declares something.

        Calls give the dtype of that input, and codes where it takes codes of real numbers (``--io int8`` or ``uint8``).

        raises   UsageError TP004 where it declares nothing
        """
        declared = preprocessing_of(graph)
        if input is None and len(declared) == 1:
            (input,) = declared
        if input not in declared:
            raise UsageError(
                "TP004",
                f"{graph.name} declares no preprocessing for {'its inputs' if input is None else repr(input)}",
                because=f"it does for {', '.join(declared)}" if declared else None,
                help="tp.capture(..., preprocessing=tp.Preprocessing(range=(0, 1)))",
            )
        rules = cast(Self, declared[input])
        object.__setattr__(rules, "_input", next(value.type for value in graph.inputs if value.name == input))
        return rules

    def to_json(self) -> dict[str, Any]:
        """Plain data, every key there."""
        facts = asdict(self)
        return {name: list(v) if isinstance(v := facts[name], tuple) else v for name in KEYS}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """From `to_json`; keys may be missing. UsageError TP001 for unknown ones and values that have no meaning."""
        unknown = [key for key in facts if key not in KEYS]
        if unknown:
            raise UsageError(
                "TP001",
                f"preprocessing has no {unknown[0]!r}",
                help="its keys are " + ", ".join(KEYS),
            )
        return cls(**facts)

    def __call__(self, images: Images, *, layout: str = "NHWC", dtype: str | None = None) -> Array:
        """The tensor for one image or several: [n, height, width, channels] or [n, channels, height, width].

        images   pictures of Pillow's, or uint8 arrays [height, width], [height, width, 1, 3 or 4]; one, or several
        layout   "NHWC" or "NCHW"
        dtype    by default that of the input that `of` took this from, else float32. Integers are rounded, half to
                 even, and clipped; the dtype of an input that takes codes means these, and "float32" real numbers
        raises   UsageError TP003 for other arrays; EnvironmentError_ TP310 to resize without Pillow
        """
        _one_of("layout", layout, ("NHWC", "NCHW"))
        if self.shorter_side is not None and self.size is None:
            raise _wrong("size", "given, for shorter_side to cut it out", self.size)
        single = hasattr(images, "convert") or (isinstance(images, np.ndarray) and images.ndim <= 3)
        each = [images] if single else cast("Iterable[Picture]", images)
        wanted = DType(dtype) if dtype else self._input.dtype if self._input else DType.FLOAT32
        codes = self._input.quantization if self._input and self._input.dtype is wanted else None
        table = _as_dtype(self.table(), wanted, codes)
        tensors = [np.stack([row[band] for row, band in zip(table, self._bands(x), strict=True)]) for x in each]
        batch = np.stack(tensors)
        values = batch if layout == "NCHW" else np.moveaxis(batch, 1, -1)
        return np.ascontiguousarray(values)

    def table(self) -> Array:
        """[channels, 256] float64: the number for each pixel value."""
        low, high = self.range
        value = low + np.arange(256, dtype=np.float64) * (high - low) / 255
        count = CHANNELS[self.channels]
        mean, std = (
            np.resize(np.asarray(numbers, np.float64), count)[:, np.newaxis] for numbers in (self.mean, self.std)
        )
        return np.asarray((value - mean) / std)

    def _bands(self, picture: Picture) -> list[Array]:
        """The channels, uint8 [height, width] each, resized and cut."""
        rgba = np.asarray(_rgba(picture))
        if self.channels == "rgba":
            bands = [rgba[..., i] for i in range(4)]
        else:
            alpha = rgba[..., 3].astype(np.int64)
            bands = [
                ((rgba[..., i].astype(np.int64) * alpha + self.background[i] * (255 - alpha) + 127) // 255).astype(
                    np.uint8
                )
                for i in range(3)
            ]
        if self.channels == "grey":
            red, green, blue = (band.astype(np.int64) for band in bands)
            bands = [((19595 * red + 38470 * green + 7471 * blue + 32768) // 65536).astype(np.uint8)]
        return [self._sized(band) for band in (bands[::-1] if self.channels == "bgr" else bands)]

    def _sized(self, band: Array) -> Array:
        height, width = band.shape
        if self.size is None:
            return band
        if self.shorter_side is None:
            return _resized(band, self.size, self.resize)
        side, short = self.shorter_side, min(height, width)
        scaled = tuple(side if size == short else int(side * size / short) for size in (height, width))
        whole = _resized(band, (scaled[0], scaled[1]), self.resize)
        top, left = (round((have - want) / 2) for have, want in zip(scaled, self.size, strict=True))
        return whole[top : top + self.size[0], left : left + self.size[1]]


KEYS = tuple(each.name for each in fields(Preprocessing) if each.init)
"""Of a declaration."""


Picture: TypeAlias = Any
"""A picture of Pillow's, or a uint8 array [height, width] or [height, width, 1, 3 or 4]."""

Images: TypeAlias = Picture | Iterable[Picture]

Declared: TypeAlias = Preprocessing | Mapping[str, Preprocessing]
"""For the only image input, or by the inputs' names."""


@dataclass(frozen=True)
class ImageForm:
    """How an input holds images; ``layout`` is NHWC, NCHW, or NHW for grey ones without an axis of channels.

    An input [batch, height · width · channels] is NHWC, with the sizes that are declared.
    """

    layout: str
    height: Dim
    width: Dim
    channels: int


def image_form(graph: Graph, value: Value, declared: Preprocessing | None = None) -> ImageForm | None:
    """How an input holds images, None where it holds none.

    It does where the first spatial layer reads 1, 3 or 4 channels, where it has an axis of so many and two longer ones,
    and where preprocessing is declared for it.
    """
    shape = value.type.shape
    if value.type.dtype not in _DTYPES:
        return None
    if value.type.rank == 4:
        layout = layout_of(graph, value) or _layout_by_shape(shape)
        sizes = dict(zip(layout or "", shape, strict=False))
        channels = sizes.get("C")
        if layout in ("NHWC", "NCHW") and isinstance(channels, int) and channels in CHANNELS.values():
            return ImageForm(layout, sizes["H"], sizes["W"], channels)
    if declared is None:
        return None
    if value.type.rank == 3 and declared.channels == "grey":
        return ImageForm("NHW", shape[1], shape[2], 1)
    if value.type.rank == 2 and declared.size is not None:
        (height, width), channels = declared.size, CHANNELS[declared.channels]
        if shape[1] == height * width * channels:
            return ImageForm("NHWC", height, width, channels)
    return None


def _layout_by_shape(shape: Sequence[Dim]) -> str | None:
    few = [isinstance(size, int) and size in CHANNELS.values() for size in shape[1:]]
    return {(False, False, True): "NHWC", (True, False, False): "NCHW"}.get((few[0], few[1], few[2]))


def record_preprocessing(graph: Graph, given: Declared | None) -> None:
    """Writes it into the graph's metadata, with the input's own size where none was given; nothing for None.

    raises   UsageError TP004 for an unknown input, TP002 where it does not fit the input
    """
    if given is None:
        return
    graph.metadata[METADATA_KEY] = {
        value.name: _fitting(graph, value, declared).to_json() for value, declared in _by_input(graph, given)
    }


def preprocessing_of(graph: Graph) -> dict[str, Preprocessing]:
    """What is declared, by input; FormatError TP408 where the metadata hold something else under that name."""
    found = graph.metadata.get(METADATA_KEY) or {}
    names = {value.name for value in graph.inputs}
    try:
        if not isinstance(found, Mapping) or not found.keys() <= names:
            raise UsageError("TP001", "they are for other inputs than the graph's")
        return {name: Preprocessing.from_json(facts) for name, facts in found.items()}
    except (UsageError, TypeError, AttributeError) as error:
        because = error.message if isinstance(error, UsageError) else str(error)
        raise FormatError("TP408", f"the metadata's preprocessing of {graph.name} is none", because=because) from error


def _by_input(graph: Graph, given: Declared) -> list[tuple[Value, Preprocessing]]:
    if isinstance(given, Preprocessing):
        images = [value for value in graph.inputs if image_form(graph, value, given)]
        if len(images) != 1:
            listed = ", ".join(f'"{value.name}" {value.type}' for value in graph.inputs)
            few = "none holds such images" if not images else "several hold images"
            raise UsageError(
                "TP002" if not images else "TP004",
                f"preprocessing has to say which input it is for: {few}",
                because=f"the inputs are {listed}",
                help="preprocessing={input name: tp.Preprocessing(size=(28, 28), channels='grey')}",
            )
        return [(images[0], given)]
    inputs = {value.name: value for value in graph.inputs}
    for name, declared in given.items():
        if name not in inputs:
            raise UsageError("TP004", f"preprocessing is for {name!r}; the inputs are {', '.join(inputs)}")
        if not isinstance(declared, Preprocessing):
            raise _wrong("preprocessing", "tp.Preprocessing(...), or one for each input's name", declared)
    return [(inputs[name], declared) for name, declared in given.items()]


def _fitting(graph: Graph, value: Value, declared: Preprocessing) -> Preprocessing:
    """The declaration with the input's own size; UsageError TP002 where the two contradict each other."""
    form = image_form(graph, value, declared)
    if form is None:
        problem = "which holds no images: one has 1, 3 or 4 channels"
    elif CHANNELS[declared.channels] != form.channels:
        problem = f'whose images have {form.channels} channels, and "{declared.channels}" is declared'
    else:
        fixed = (form.height, form.width)
        clash = declared.size and any(
            isinstance(dim, int) and dim != size for dim, size in zip(fixed, declared.size, strict=True)
        )
        known = [dim for dim in fixed if isinstance(dim, int)]
        size = declared.size or ((known[0], known[1]) if len(known) == 2 else None)
        if not clash and (size or declared.shorter_side is None):
            return Preprocessing.from_json(declared.to_json() | {"size": size})
        problem = f"and size {list(size or ())} is declared" if clash else "and no size is declared to cut out"
    raise UsageError(
        "TP002",
        f'preprocessing does not fit the input "{value.name}" {value.type}, {problem}',
        help='say channels ("rgb", "bgr", "grey", "rgba") and size as the model takes images; docs/web-images.md',
    )


# -- pixels ------------------------------------------------------------------------------------------------------------


def _rgba(picture: Picture) -> Array:
    """uint8 [height, width, 4]"""
    if hasattr(picture, "convert"):
        if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
            raise _wrong("an image", "one of 8 bits a channel", f"one of mode {picture.mode}", code="TP003")
        return np.asarray(picture.convert("RGBA"))
    pixels = np.asarray(picture)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
        given = f"{pixels.dtype} {list(pixels.shape)}"
        raise _wrong("an image", "uint8 [height, width] or [height, width, 1, 3 or 4]", given, code="TP003")
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 3:
        pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=2)
    return pixels


def _resized(band: Array, size: tuple[int, int], resize: str) -> Array:
    if band.shape == size:
        return band
    try:
        from PIL import Image
    except ImportError as error:
        raise EnvironmentError_(
            "TP310", "images are resized by Pillow, which is not installed", help="pip install 'triport[images]'"
        ) from error
    filter = Image.Resampling[resize.upper()]
    height, width = size
    # One axis at a time: which comes first, Pillow's versions decide in different ways.
    return np.asarray(Image.fromarray(band).resize((width, band.shape[0]), filter).resize((width, height), filter))


def _as_dtype(values: Array, dtype: DType, codes: Quantization | None) -> Array:
    if dtype.is_float:
        return values.astype(dtype.numpy)
    if codes:
        values = np.rint(values.astype(np.float32) / np.float32(codes.scale)) + codes.zero_point
    bounds = np.iinfo(dtype.value)
    return np.clip(np.rint(values), bounds.min, bounds.max).astype(dtype.numpy)


# -- arguments ---------------------------------------------------------------------------------------------------------


def _wrong(name: str, expected: str, given: object, code: str = "TP001") -> UsageError:
    return UsageError(
        code, f"{name} has to be {expected}, got {given!r}", help="docs/web-images.md lists what there is"
    )


def _one_of(name: str, given: str, known: Sequence[str]) -> str:
    if given not in known:
        raise _wrong(name, f"one of {', '.join(known)}", given)
    return given


def _whole(name: str, given: Any, count: int, least: int, most: int) -> tuple[int, ...] | None:
    """Whole numbers in a range; None for None, or for nothing but None."""
    if given is None or given == (None,):
        return None
    numbers = tuple(given) if isinstance(given, Sequence) else ()
    fits = all(isinstance(n, int | np.integer) and not isinstance(n, bool) and least <= n <= most for n in numbers)
    if len(numbers) != count or not fits:
        what = "a whole number" if count == 1 else f"{count} whole numbers"
        raise _wrong(name, f"{what} of {least} to {most}", given)
    return tuple(int(n) for n in numbers)


def _numbers(name: str, given: Any, counts: tuple[int, ...]) -> tuple[float, ...]:
    numbers = (given,) if isinstance(given, int | float) else tuple(given) if isinstance(given, Iterable) else ()
    real = all(isinstance(n, int | float | np.number) and np.isfinite(n) for n in numbers)
    if len(numbers) not in counts or not real:
        often = " or ".join(map(str, dict.fromkeys(counts)))
        raise _wrong(name, f"{often} finite number{'' if often == '1' else 's'}", given)
    return tuple(float(n) for n in numbers)


__all__ = ["KEYS", "ImageForm", "Preprocessing", "image_form", "preprocessing_of", "record_preprocessing"]
