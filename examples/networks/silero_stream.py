"""silero-vad over consecutive windows of sound, the state of one going into the next, on every port.

    python examples/networks/silero_stream.py

Compared are the three ports and silero-vad's own ONNX file in ONNX Runtime, which has the same weights, with the module
in float64: the bound is that of every export, for each window's probability and state. Each carries its own state, so
that what is off by a little would add up. Exit code 1 beyond the bound, or if there was no speech to be heard.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from audio import OWN_FILE, RATE, STATE, WINDOW, heard, package_data, silero_vad_of_onnx, voice, windows
from judge import ARTEFACTS, RUNTIMES
from torch import nn

import triport as tp
from triport.exporter.graph import Array, DType
from triport.runtime_checks.runners import get_runner
from triport.runtime_checks.tolerance import CLOSE
from triport.runtime_checks.truth import Spread

SECONDS = 4.0

Step = Callable[[Array, Array], tuple[Array, Array]]
"""(samples [1, 576], state [2, 1, 128]) → (probability [1, 1], state [2, 1, 128])"""

Stream = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Probabilities [n] and states [n, 2, 128]."""


def stream(step: Step, dtype: DType = DType.FLOAT32) -> Stream:
    """What a network makes of the windows of `voice`, computing in a dtype."""
    state: Array = np.zeros((2, 1, STATE), dtype.numpy)
    probabilities, states = [], []
    for samples in windows(voice(SECONDS)).astype(dtype.numpy):
        probability, state = step(samples[None], state)
        probabilities.append(probability[0, 0])
        states.append(state[:, 0])
    return np.array(probabilities, np.float64), np.array(states, np.float64)


def of_module(module: nn.Module) -> Step:
    def step(samples: Array, state: Array) -> tuple[Array, Array]:
        with torch.no_grad():
            probability, after = module(torch.from_numpy(samples), torch.from_numpy(state))
        return probability.numpy(), after.numpy()

    return step


def own_file() -> Step:
    """silero-vad's own ONNX file, which also asks for the sampling rate."""
    import onnxruntime

    session = onnxruntime.InferenceSession(package_data() / OWN_FILE)

    def step(samples: Array, state: Array) -> tuple[Array, Array]:
        probability, after = session.run(None, {"input": samples, "state": state, "sr": np.array(RATE)})
        return probability, after

    return step


def streams(module: nn.Module, folder: Path) -> dict[str, Stream]:
    """What each port, exported to the folder, and silero-vad's own file make of the sound."""
    graph = tp.capture(module, heard(1), {"samples": {0: "batch"}, "state": {1: "batch"}}, name="silero_vad")
    tp.export(graph, folder, verify=False)
    found = {}
    for port, runtime in RUNTIMES.items():
        with get_runner(runtime).load(folder / ARTEFACTS[port]) as session:

            def step(samples: Array, state: Array) -> tuple[Array, Array]:
                outputs = session.run({"samples": samples, "state": state})
                return outputs["probability"], outputs["state_out"]

            found[f"{port} in {runtime}"] = stream(step)
    found[f"{OWN_FILE} in onnxruntime"] = stream(own_file())
    return found


def main() -> int:
    """The exit code."""
    module = silero_vad_of_onnx()
    exact = stream(of_module(copy.deepcopy(module).double()), DType.FLOAT64)
    plain = stream(of_module(module))
    spreads = (Spread(), Spread())
    for spread, right, own in zip(spreads, exact, plain, strict=True):
        spread.add(right, own)
    bounds = [spread.limit(DType.FLOAT32, CLOSE).bound for spread in spreads]
    count, speech = len(exact[0]), int((exact[0] > 0.5).sum())
    print(f"{count} windows of {1000 * WINDOW / RATE:.0f} ms, speech in {speech} of them")
    print(f"allowed: {bounds[0]:.2g} of the probability, {bounds[1]:.2g} of the state")
    within = 0 < speech < count
    with tempfile.TemporaryDirectory() as folder:
        for name, found in streams(module, Path(folder)).items():
            worst = [float(np.abs(got - right).max()) for got, right in zip(found, exact, strict=True)]
            fits = all(difference <= bound for difference, bound in zip(worst, bounds, strict=True))
            within = within and fits
            print(f"{name:42} {worst[0]:.2g} and {worst[1]:.2g}{'' if fits else ': beyond the bound'}")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
