"""Audio networks: silero-vad with real weights, which hears speech in windows of 32 ms and carries a state along."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from catalog import Inputs, Network
from safetensors.torch import load_file
from torch import nn

RATE = 16000
WINDOW, CONTEXT, STATE = 512, 64, 128
"""Samples of a window, samples before it that are heard again, and size of each of the two states."""

OWN_FILE = "silero_vad_16k_op15.onnx"
"""silero-vad's own file of the network."""

FREE = {"samples": {0: "batch"}, "state": {1: "batch"}}


class SileroVad(nn.Module):
    """The network of silero-vad at 16 kHz: spectrum, four convolutions, an LSTM cell, a probability of speech.

    samples [N, 576], state [2, N, 128]  →  probability [N, 1], state [2, N, 128]
    """

    output_names = ("probability", "state_out")

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(STATE, STATE)
        self.final_conv = nn.Conv1d(STATE, 1, 1)

    def forward(self, samples: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        waves = self.stft_conv(F.pad(samples, (0, 64), mode="reflect").unsqueeze(1))
        cosine, sine = waves[:, :129], waves[:, 129:]
        x = (cosine**2 + sine**2).sqrt()
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).relu()
        hidden, cell = self.lstm_cell(x.squeeze(-1), (state[0], state[1]))
        speech = self.final_conv(hidden.relu().unsqueeze(-1)).sigmoid()
        return speech.squeeze(1).mean(1, keepdim=True), torch.stack((hidden, cell))


def package_data() -> Path:
    """Where the package silero-vad keeps its files; it is found, not imported: it wants torchaudio."""
    spec = find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("silero_vad is not installed; requirements-networks.txt has it")
    return Path(spec.origin).parent / "data"


def silero_vad() -> nn.Module:
    """With the weights of the package's safetensors file."""
    network = SileroVad()
    network.load_state_dict(load_file(package_data() / "silero_vad_16k.safetensors"))
    return network.eval()


def silero_vad_of_onnx() -> nn.Module:
    """With the weights of the package's ONNX file, which are of another training run."""
    import onnx

    weights = {
        tensor.name.removeprefix("model."): torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(package_data() / OWN_FILE).graph.initializer
    }
    network = SileroVad()
    network.load_state_dict({name: weights[_name_in_onnx(name)] for name in network.state_dict()})
    return network.eval()


def _name_in_onnx(name: str) -> str:
    """What the ONNX file calls a weight of `SileroVad`."""
    layer, _, part = name.partition(".")
    if layer == "stft_conv":
        return "stft.forward_basis_buffer"
    if layer == "lstm_cell":
        return f"decoder.rnn.{part}"
    if layer == "final_conv":
        return f"decoder.decoder.2.{part}"
    return f"encoder.{int(layer.removeprefix('conv')) - 1}.reparam_conv.{part}"


def voice(seconds: float, seed: int = 0) -> npt.NDArray[np.float32]:
    """Something like speech: syllables of a buzz that gliding formants colour, with pauses and noise between."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * time) + 8 * np.sin(2 * np.pi * 3.1 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = (500 + 250 * np.sin(2 * np.pi * 1.3 * time), 1500 + 600 * np.sin(2 * np.pi * 0.9 * time + 1), 2600)
    sound = np.zeros_like(time)
    for harmonic in range(1, 40):
        gain = sum(np.exp(-(((harmonic * pitch - formant) / 130) ** 2)) for formant in formants) + 0.02
        sound += gain / harmonic**0.5 * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 3.7 * time), 0, None) ** 0.5
    talking = np.sin(2 * np.pi * 0.45 * time) > -0.2
    spoken = 0.15 * sound * syllables * talking + 0.003 * rng.standard_normal(len(time))
    return spoken.astype(np.float32)


def windows(wave: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[n, 576]: consecutive windows, each with the end of the one before it."""
    count = len(wave) // WINDOW
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), wave[: count * WINDOW]])
    return np.stack([padded[i * WINDOW : i * WINDOW + CONTEXT + WINDOW] for i in range(count)])


def heard(batch: int) -> Inputs:
    """Windows out of the middle of speech, and a state such as the network leaves behind."""
    samples = torch.from_numpy(windows(voice(1.0))[10 : 10 + batch])
    state = torch.rand(2, batch, STATE, generator=torch.Generator().manual_seed(batch)) * 2 - 1
    return {"samples": samples, "state": state}


NETWORKS = [
    Network("silero_vad", silero_vad, heard, FREE, browser=True),
    Network("silero_vad_of_onnx", silero_vad_of_onnx, heard, FREE),
]
