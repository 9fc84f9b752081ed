"""Complex numbers inside a model, spectra among them, and what depends on weights alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from capture.eager import Function, captured, sample
from capture.ports import assert_ports_agree
from torch import nn

from triport.exporter.capture import capture
from triport.exporter.errors import ModelError
from triport.exporter.ops import Conv, MatMul

PAIRS = (4, 6, 2)
"""Of real and imaginary part."""


def z(x: torch.Tensor) -> torch.Tensor:
    return torch.view_as_complex(x)


def parts(y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return y.real, y.imag.resolve_neg()


ARITHMETIC: dict[str, Callable[[torch.Tensor], Any]] = {
    "parts": lambda x: (z(x).real, z(x).imag, torch.view_as_real(z(x))),
    "polar": lambda x: parts(torch.polar(x[..., 0].abs(), x[..., 1])),
    "complex": lambda x: parts(torch.complex(x[..., 0], x[..., 1])),
    "size and angle": lambda x: (z(x).abs(), z(x).angle(), x.angle()),
    "conjugate": lambda x: parts((z(x).conj() * z(x)).resolve_conj()),
    "of real numbers": lambda x: (x.real, x.conj(), x.resolve_conj()),
    "sums": lambda x: (*parts(z(x) + z(x).conj()), *parts(z(x) - 2), *parts(z(x) + 1j), *parts(-z(x))),
    "sum with a factor": lambda x: (*parts(torch.add(z(x), z(x), alpha=3)), *parts(torch.sub(z(x), z(x), alpha=2))),
    "real and complex": lambda x: (*parts(z(x) + x[..., 0]), *parts(z(x) * x[..., 0]), *parts(z(x) / x[..., 0])),
    "products": lambda x: (*parts(z(x) * z(x)), *parts(z(x) * (2 - 1j)), *parts(z(x) * 3), *parts(2 * z(x))),
    "quotients": lambda x: (
        *parts(z(x) / (z(x) + 7)),
        *parts(z(x) / (1 + 2j)),
        *parts(1 / (z(x) + 7)),
        *parts(z(x) / 4),
    ),
    "moves": lambda x: (
        *parts(z(x).transpose(1, 2).reshape(-1, 3, 8)[:, 1:, ::2]),
        *parts(torch.cat([z(x), z(x) * 2], 1)),
        *parts(torch.split(z(x), 2, 1)[1].sum(2)),
    ),
}
SPECTRA: dict[str, Callable[[torch.Tensor], Any]] = {
    "fft": lambda x: parts(torch.fft.fft(x)),
    "fft of a longer signal": lambda x: parts(torch.fft.fft(x, n=9, dim=1, norm="ortho")),
    "fft of a cut signal": lambda x: parts(torch.fft.fft(x, n=3, norm="forward")),
    "fft of complex numbers": lambda x: parts(torch.fft.fft(torch.complex(x, x * x))),
    "ifft": lambda x: (*parts(torch.fft.ifft(torch.complex(x, -x))), *parts(torch.fft.ifft(x, norm="forward"))),
    "rfft": lambda x: (*parts(torch.fft.rfft(x)), *parts(torch.fft.rfft(x, n=7, norm="ortho"))),
    "irfft": lambda x: (
        torch.fft.irfft(torch.fft.rfft(x)),
        torch.fft.irfft(torch.fft.rfft(x), n=5),
        torch.fft.irfft(x),
    ),
    "fft2": lambda x: (*parts(torch.fft.fft2(x)), *parts(torch.fft.ifft2(torch.fft.fft2(x)))),
    "rfft2": lambda x: torch.fft.irfft2(torch.fft.rfft2(x, norm="ortho") * (1 + 2j), s=(4, 6), norm="ortho"),
    "fftn": lambda x: (*parts(torch.fft.fftn(x, dim=(1, 2))), *parts(torch.fft.ifftn(x, dim=(2, 1)))),
    "rfftn": lambda x: torch.fft.irfftn(torch.fft.rfftn(x, dim=(1, 2)), dim=(1, 2)),
}
_WINDOW = torch.hann_window(10)
FRAMES: dict[str, Callable[[torch.Tensor], Any]] = {
    "stft": lambda x: torch.stft(x, 16, 4, window=torch.hann_window(16), return_complex=True).abs(),
    "stft of a short window": lambda x: parts(
        torch.stft(x, 16, win_length=10, window=_WINDOW, normalized=True, return_complex=True)
    ),
    "stft of both sides": lambda x: torch.view_as_real(
        torch.stft(x, 8, center=False, window=torch.ones(8), onesided=False, return_complex=True)
    ),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_complex_numbers_are_pairs(name: str) -> None:
    captured(Function(ARITHMETIC[name]), sample(2, *PAIRS))


@pytest.mark.parametrize("name", SPECTRA)
def test_spectra_are_products(name: str) -> None:
    captured(Function(SPECTRA[name]), sample(2, 4, 6))


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_convolutions(name: str) -> None:
    graph = captured(Function(FRAMES[name]), sample(2, 96))
    assert sum(isinstance(node.op, Conv) for node in graph.nodes) == 1


class Rotated(nn.Module):
    """Rotary embeddings as LLaMA's own code writes them, the rotations in a complex buffer."""

    rotations: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        angles = torch.outer(torch.arange(12.0), 100.0 ** -torch.arange(0, 1, 0.25))
        self.register_buffer("rotations", torch.polar(torch.ones_like(angles), angles))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.rotations[: x.shape[1]]).flatten(-2)


def test_rotations_in_a_complex_buffer_over_a_free_length(tmp_path: Path) -> None:
    others = [[sample(1, 3, 8)], [sample(5, 12, 8)]]
    assert_ports_agree(tmp_path, Rotated(), [sample(2, 6, 8)], {"x": {0: "batch", 1: "length"}}, others)


class Spectrogram(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(x, 32, 8, window=torch.hann_window(32), return_complex=True)
        return torch.log(spectrum.abs() ** 2 + 1.0)


def test_a_spectrogram_of_a_free_length(tmp_path: Path) -> None:
    dynamic = {"x": {0: "batch", 1: "samples"}}
    assert_ports_agree(tmp_path, Spectrogram(), [sample(1, 160)], dynamic, [[sample(3, 320)]])


class Solved(nn.Module):
    """What a graph has no ops for, done to weights alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(sample(4, 4) + 3 * torch.eye(4))
        self.spectrum = nn.Parameter(torch.fft.fft(sample(4)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        basis = torch.linalg.qr(self.weight)[0]
        return x @ torch.linalg.inv(self.weight) @ basis + torch.fft.ifft(self.spectrum).real


def test_what_weights_alone_decide_is_computed_once() -> None:
    graph = captured(Solved(), sample(3, 4))
    assert sum(isinstance(node.op, MatMul) for node in graph.nodes) <= 2 and len(graph.nodes) <= 4


class Draws(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn(4)


REFUSED: dict[str, tuple[str, Callable[[], Any]]] = {
    "random numbers": ("TP202", lambda: capture(Draws(), [sample(2, 4)])),
    "a function of complex numbers": (
        "TP202",
        lambda: capture(Function(lambda x: z(x).exp().real), [sample(2, *PAIRS)]),
    ),
    "a free length": (
        "TP203",
        lambda: capture(Function(lambda x: torch.fft.rfft(x).abs()), [sample(2, 8)], {"x": {1: "samples"}}),
    ),
    "a window of the input": (
        "TP202",
        lambda: capture(
            Function(lambda x: torch.stft(x, 8, window=x[0, :8], return_complex=True).abs()), [sample(2, 64)]
        ),
    ),
    "complex output": ("TP209", lambda: capture(Function(torch.fft.fft), [sample(2, 8)])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    code, attempt = REFUSED[name]
    with pytest.raises(ModelError) as refused:
        attempt()
    assert refused.value.code == code and refused.value.help


def test_waves_lose_no_digits() -> None:
    """Angles are reduced before they are multiplied up: a long transform is as exact as a short one."""
    graph = capture(Function(lambda x: torch.fft.rfft(x).real), [sample(1, 4096)])
    (waves,) = (v.array() for v in graph.constants() if v.array().shape == (4096, 2049))
    exact = np.cos(2 * np.pi * ((4095 * 2047) % 4096) / 4096)
    assert abs(float(waves[4095, 2047]) - exact) < 1e-7
