"""ONNX files in ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...exporter.errors import CheckError, FormatError
from ...exporter.graph import Array, Dim, Sym, TensorType, parse_dim
from .base import FreeNames, Missing, Session, tensor_type

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}

LEVELS = {
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
"""Name of an optimisation level → ONNX Runtime's own."""

_QUIET = 3  # errors only; they are raised as well


class OnnxRuntime:
    """Loads ``.onnx`` files.

    threads   intra-op threads
    level     one of `LEVELS`: "off" runs the graph as written, "all" lets the runtime rewrite it as a server does
    """

    target = "onnx"

    def __init__(self, *, threads: int = 1, level: str = "all") -> None:
        self.threads = threads
        self.level = level
        self.name = {"all": "onnxruntime", "off": "onnxruntime-plain"}.get(level, f"onnxruntime-{level}")

    def missing(self) -> Missing | None:
        if find_spec("onnxruntime") is None:
            return Missing("ONNX Runtime is not installed", "pip install onnxruntime")
        return None

    def version(self) -> str:
        return version("onnxruntime")

    def load(self, artefact: Path) -> Session:
        if missing := self.missing():
            raise missing.error()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[self.level])
        try:
            session = onnxruntime.InferenceSession(str(artefact), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors descend from nothing more exact
            raise CheckError("TP504", f"ONNX Runtime refuses {artefact.name}", because=_first_line(error)) from error
        return _OnnxSession(session)


class _OnnxSession(Session):
    def __init__(self, session: Any) -> None:
        self._session: Any = session
        self.inputs = _types(session.get_inputs())
        self.outputs = _types(session.get_outputs())

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        try:
            results = self._session.run(list(self.outputs), arrays)
        except Exception as error:  # its errors descend from nothing more exact
            raise CheckError("TP505", "ONNX Runtime failed while running", because=_first_line(error)) from error
        return dict(zip(self.outputs, results, strict=True))

    def close(self) -> None:
        self._session = None


def _types(arguments: list[Any]) -> dict[str, TensorType]:
    free = FreeNames()
    types: dict[str, TensorType] = {}
    for argument in arguments:
        if argument.type not in _DTYPES:
            raise CheckError("TP504", f'"{argument.name}" is a {argument.type}, which no graph of triport holds')
        shape = [_dim(dim, free) for dim in argument.shape]
        types[argument.name] = tensor_type(_DTYPES[argument.type], shape, free)
    return types


def _dim(dim: int | str | None, free: FreeNames) -> Dim | str | None:
    if not isinstance(dim, str):
        return dim
    try:
        return parse_dim(dim)
    except FormatError:  # a file of another producer may name a dim as it likes
        return Sym.named(free())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
