"""TFLite files in LiteRT: with XNNPACK, which is what phones run, or with its plain kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...exporter.errors import CheckError
from ...exporter.graph import Array, TensorType
from .base import FreeNames, Missing, Session, tensor_type


class Kernels(Enum):
    """The kernels of a LiteRT build, as its interpreter calls them.

    XNNPACK     what phones run; its plain kernels where XNNPACK has none
    PLAIN       builds without XNNPACK
    REFERENCE   simple loops, such as microcontrollers run
    """

    XNNPACK = "AUTO"
    PLAIN = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
    REFERENCE = "BUILTIN_REF"


class LiteRT:
    """Loads ``.tflite`` files.

    threads   threads of the interpreter
    kernels   what computes
    """

    target = "tflite"

    def __init__(self, *, threads: int = 1, kernels: Kernels = Kernels.XNNPACK) -> None:
        self.threads = threads
        self.kernels = kernels
        self.name = {Kernels.XNNPACK: "litert", Kernels.PLAIN: "litert-plain"}.get(kernels, "litert-reference")

    def missing(self) -> Missing | None:
        if find_spec("ai_edge_litert") is None:
            return Missing("LiteRT is not installed", "pip install ai-edge-litert")
        return None

    def version(self) -> str:
        return version("ai-edge-litert")

    def load(self, artefact: Path) -> LiteRTSession:
        if missing := self.missing():
            raise missing.error()
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = getattr(OpResolverType, self.kernels.value)
        try:
            with _silenced_stderr():
                interpreter = Interpreter(
                    model_path=str(artefact),
                    num_threads=self.threads,
                    experimental_op_resolver_type=resolver,
                )
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise CheckError("TP504", f"LiteRT refuses {artefact.name}", because=str(error).strip()) from error
        return LiteRTSession(interpreter)


class LiteRTSession(Session):
    """A TFLite file in one interpreter."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter: Any = interpreter
        inputs, outputs = _named_details(interpreter)
        self._input_index = {name: detail["index"] for name, detail in inputs.items()}
        self._output_index = {name: detail["index"] for name, detail in outputs.items()}
        self._shapes = {name: tuple(detail["shape"]) for name, detail in inputs.items()}
        self.inputs = _types(inputs)
        self.outputs = _types(outputs)

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        try:
            self._resize(arrays)
            for name, array in arrays.items():
                self._interpreter.set_tensor(self._input_index[name], array)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise CheckError("TP505", "LiteRT failed while running", because=str(error).strip()) from error
        return {name: self._read(name, index) for name, index in self._output_index.items()}

    def _read(self, name: str, index: int) -> Array:
        """An output; LiteRT hands out no tensor without cells, so that one is made here."""
        try:
            array: Array = self._interpreter.get_tensor(index)
        except ValueError as error:
            _, outputs = _named_details(self._interpreter)
            shape, dtype = tuple(outputs[name]["shape"]), outputs[name]["dtype"]
            if 0 not in shape:
                raise CheckError("TP505", f"LiteRT does not give output {name!r}", because=str(error)) from error
            return np.empty(shape, dtype)
        return array

    def _resize(self, arrays: Mapping[str, Array]) -> None:
        changed = [name for name, array in arrays.items() if array.shape != self._shapes[name]]
        for name in changed:
            self._interpreter.resize_tensor_input(self._input_index[name], arrays[name].shape, strict=True)
            self._shapes[name] = arrays[name].shape
        if changed:
            with _silenced_stderr():
                self._interpreter.allocate_tensors()

    def close(self) -> None:
        self._interpreter = None


def _named_details(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """{name: detail} of inputs and outputs, by signature where the file has one, else by tensor name."""
    if interpreter.get_signature_list():
        signature = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))
        return signature.get_input_details(), signature.get_output_details()
    return (
        {detail["name"]: detail for detail in interpreter.get_input_details()},
        {detail["name"]: detail for detail in interpreter.get_output_details()},
    )


def _types(details: Mapping[str, Any]) -> dict[str, TensorType]:
    free = FreeNames()
    types: dict[str, TensorType] = {}
    for name, detail in details.items():
        signature = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
        dims = [None if size < 0 else int(size) for size in signature]
        types[name] = tensor_type(np.dtype(detail["dtype"]).name, list(dims), free)
    return types


@contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Keeps LiteRT's C++ notes ("Created TensorFlow Lite XNNPACK delegate") off the terminal; it has no switch.

    What is wrong comes as an exception as well.
    """
    try:
        saved = os.dup(2)
    except OSError:  # a process without stderr
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nothing)
