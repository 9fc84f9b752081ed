"""The data that quantized networks are judged on: Fashion-MNIST, scikit-learn's digits, and spoken keywords.

Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747; MIT licence) is Debian's package dataset-fashion-mnist.
The keywords are synthesised here by Debian's espeak-ng: ten commands in seven kinds of English, spoken by 24 voices, at
random speed and pitch, placed at random in one second of noise. Voices of the test set are not in the training set.

    apt-get install dataset-fashion-mnist espeak-ng
"""

from __future__ import annotations

import gzip
import math
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "int8"
FASHION = Path("/usr/share/datasets/fashion-mnist")

sys.path.insert(0, str(ROOT / "examples"))

Array = npt.NDArray[Any]


class MissingData(Exception):
    """A data set is not installed; says how to install it."""


@dataclass(frozen=True)
class Data:
    """Samples [n, ...] and their classes, int64 [n]; what is trained on, and what is held back."""

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array


def _idx(path: Path) -> Array:
    """An array of bytes in the IDX format: two zero bytes, 8 for uint8, the rank, each size as big-endian uint32."""
    with gzip.open(path) as file:
        content = file.read()
    rank = content[3]
    shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def fashion() -> Data:
    """60,000 and 10,000 pictures of clothes, uint8 [n, 28, 28] in 0 … 255, of ten kinds."""
    if not FASHION.is_dir():
        raise MissingData("Fashion-MNIST is not here: apt-get install dataset-fashion-mnist")
    arrays = {
        (part, kind): _idx(FASHION / f"{part}-{kind}-ubyte.gz")
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    }
    return Data(
        arrays["train", "images-idx3"],
        arrays["train", "labels-idx1"].astype(np.int64),
        arrays["t10k", "images-idx3"],
        arrays["t10k", "labels-idx1"].astype(np.int64),
    )


def digits() -> Data:
    """1,437 and 360 scans of digits, float32 [n, 8, 8] in 0 … 16."""
    import digits_demo

    train_x, test_x, train_y, test_y = digits_demo.digits()
    return Data(train_x[..., 0], train_y, test_x[..., 0], test_y)


WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
ACCENTS = ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
TRAIN_VOICES = ("m1", "m2", "m3", "m4", "m5", "f1", "f2", "f3", "Andrea", "Andy", "Denis", "Jacky", "Lee", "Michael")
TEST_VOICES = ("m6", "m7", "m8", "f4", "f5", "Annie", "Gene", "Mario", "Storm", "Tweaky")
RATE = 22_050
HOP, WINDOW, STEPS, BANDS = 441, 512, 50, 32
"""Features: a window of 23 ms each 20 ms, 50 of them, in 32 bands of the mel scale."""


def _spoken(word: str, accent: str, voice: str, speed: int, pitch: int) -> Array:
    """A word as espeak-ng speaks it, float32 of at most one second at 22,050 Hz, its loudest sample 1."""
    command = ["espeak-ng", "-v", f"{accent}+{voice}", "-s", str(speed), "-p", str(pitch), "--stdout", word]
    wave = subprocess.run(command, capture_output=True, check=True).stdout
    samples = np.frombuffer(wave, "<i2", offset=44).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1][:RATE]
    return np.asarray(samples / np.abs(samples).max())


def _filters() -> Array:
    """[WINDOW / 2 + 1, BANDS]: triangles of equal width on the mel scale, 60 Hz to 8 kHz."""
    lowest, highest = (math.log10(1 + hertz / 700) for hertz in (60, 8000))
    edges = 700 * (10 ** np.linspace(lowest, highest, BANDS + 2) - 1)
    frequencies = np.linspace(0, RATE / 2, WINDOW // 2 + 1)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling))


def _features(waves: Array) -> Array:
    """Log mel energies: waves [n, samples]  →  float32 [n, STEPS, BANDS]"""
    frames = np.lib.stride_tricks.sliding_window_view(waves, WINDOW, axis=1)[:, ::HOP][:, :STEPS]
    filters, window = _filters(), np.hanning(WINDOW)
    parts = [np.abs(np.fft.rfft(part * window)) ** 2 @ filters for part in np.array_split(frames, 64)]
    return np.log(np.concatenate(parts) + 1e-3).astype(np.float32)


def _recordings(voices: tuple[str, ...], utterances: int, copies: int, seed: int) -> tuple[Array, Array]:
    """Features [utterances * copies, STEPS, BANDS] and words; each copy is placed and disturbed in its own way."""
    random = np.random.default_rng(seed)
    labels = np.arange(utterances) % len(WORDS)
    spoken = [
        _spoken(
            WORDS[label],
            str(random.choice(ACCENTS)),
            str(random.choice(voices)),
            int(random.integers(110, 231)),
            int(random.integers(15, 86)),
        )
        for label in labels
    ]
    length = HOP * (STEPS - 1) + WINDOW
    waves = np.zeros((copies, utterances, length), np.float32)
    for copy in range(copies):
        for row, word in zip(waves[copy], spoken, strict=True):
            start = int(random.integers(0, max(1, length - len(word))))
            other = spoken[int(random.integers(utterances))] * 10 ** (-random.uniform(10, 30) / 20)
            row[start : start + len(word)] += word[: length - start]
            row[: len(other)] += other[:length]
            row += random.normal(size=length) * 10 ** (-random.uniform(15, 40) / 20)
            row *= 10 ** (random.uniform(-10, 0) / 20)
    return _features(waves.reshape(-1, length)), np.tile(labels, copies).astype(np.int64)


def keywords() -> Data:
    """12,000 and 1,500 spoken words of ten, float32 [n, 50 steps, 32 bands]; made once, a minute or two."""
    path = FOLDER / "keywords.npz"
    if not path.exists():
        if shutil.which("espeak-ng") is None:
            raise MissingData("the keywords are spoken by espeak-ng, which is not here: apt-get install espeak-ng")
        FOLDER.mkdir(parents=True, exist_ok=True)
        train_x, train_y = _recordings(TRAIN_VOICES, 4_000, copies=3, seed=0)
        test_x, test_y = _recordings(TEST_VOICES, 1_500, copies=1, seed=1)
        np.savez(path, train_x=train_x, train_y=train_y, test_x=test_x, test_y=test_y)
    with np.load(path) as file:
        return Data(file["train_x"], file["train_y"], file["test_x"], file["test_y"])


DATA: dict[str, Callable[[], Data]] = {"fashion": fashion, "digits": digits, "keywords": keywords}
