"""The old devices' side of `make compat`: every artefact loads in runtimes of 2023 and answers the same.

Runs in .venv-compat, which holds tflite-runtime 2.14.0, onnxruntime 1.17.3 and numpy 1 - no triport and no pytest. What
to run and what to expect is read from the folder that make_artefacts.py wrote:

    <model>/model.onnx, model.tflite     one of them at least
    <model>/golden.npz     "<batch>/in/<name>", "<batch>/out/<name>" (float64 truth), "<batch>/bound/<name>" (scalar)

Every artefact is run twice on each batch: state that leaks from one run into the next shows in the second. The last
line counts; the exit code is 1 when anything failed or when there was nothing to run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, Any]
Run = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Golden:
    """One batch: inputs by name, the float64 truth by output name, and the accepted difference of each output."""

    batch: str
    inputs: Arrays
    outputs: Arrays
    bounds: dict[str, float]


def read_golden(path: Path) -> list[Golden]:
    """The batches of a golden.npz in the order of their sizes."""
    found: dict[str, Golden] = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            batch, kind, name = key.split("/", 2)
            golden = found.setdefault(batch, Golden(batch, {}, {}, {}))
            if kind == "bound":
                golden.bounds[name] = float(file[key])
            else:
                (golden.inputs if kind == "in" else golden.outputs)[name] = file[key]
    return sorted(found.values(), key=lambda golden: int(golden.batch))


def onnx_session(path: Path) -> Run:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def tflite_session(path: Path, *, plain: bool) -> Run:
    """The file's signature in tflite-runtime, with XNNPACK or on the built-in kernels alone."""
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    interpreter = Interpreter(str(path), experimental_op_resolver_type=kind, num_threads=1)
    runner = interpreter.get_signature_runner()
    wanted = runner.get_input_details()

    def run(inputs: Arrays) -> Arrays:
        arrays = {name: array.astype(wanted[name]["dtype"]) for name, array in inputs.items()}
        return {name: np.array(value) for name, value in runner(**arrays).items()}

    return run


def problems(run: Run, golden: Golden) -> Iterator[str]:
    """What is wrong with the answers to one batch, run twice."""
    for turn in ("first", "second"):
        answers = run(golden.inputs)
        if answers.keys() != golden.outputs.keys():
            yield f"outputs {sorted(answers)}, expected {sorted(golden.outputs)}"
            return
        for name, expected in golden.outputs.items():
            answer = answers[name]
            where = f"batch {golden.batch}, {turn} run, output {name}"
            if answer.shape != expected.shape:
                yield f"{where}: shape {answer.shape}, expected {expected.shape}"
                continue
            difference = float(np.abs(answer.astype(np.float64) - expected).max())
            if not difference <= golden.bounds[name]:  # NaN is a failure too
                yield f"{where}: off by {difference:.3g}, accepted is {golden.bounds[name]:.3g}"


def check(folder: Path, label: str, load: Callable[[], Run]) -> bool:
    """Prints one line for one artefact in one runtime, and the problems below it; True when there were none."""
    try:
        run = load()
        found = [problem for golden in read_golden(folder / "golden.npz") for problem in problems(run, golden)]
    except Exception as error:  # noqa: BLE001 - the runtimes raise what they like; all of it means failure here
        found = [f"{type(error).__name__}: {error}"]
    print(f"{'ok  ' if not found else 'FAIL'}  {folder.name:24} {label}")
    for problem in found:
        print(f"        {problem}")
    return not found


def nothing_in(folder: Path) -> bool:
    print(f"FAIL  {folder.name:24} holds no artefact")
    return False


def main(artefacts: Path) -> int:
    results: list[bool] = []
    for folder in sorted(path.parent for path in artefacts.glob("*/golden.npz")):
        onnx, tflite = folder / "model.onnx", folder / "model.tflite"
        runtimes: dict[str, tuple[Path, Callable[[], Run]]] = {
            "onnxruntime 1.17.3": (onnx, partial(onnx_session, onnx)),
            "tflite-runtime 2.14.0, XNNPACK": (tflite, partial(tflite_session, tflite, plain=False)),
            "tflite-runtime 2.14.0, built-in": (tflite, partial(tflite_session, tflite, plain=True)),
        }
        written = [(label, load) for label, (path, load) in runtimes.items() if path.exists()]
        results += [check(folder, label, load) for label, load in written] or [nothing_in(folder)]
    failed = results.count(False)
    if not results:
        print(f"no artefacts in {artefacts}")
    print(f"{results.count(True)} passed, {failed} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
