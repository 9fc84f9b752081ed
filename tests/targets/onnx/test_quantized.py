"""Codes in ONNX Runtime: the same bits at every optimisation level and with every number of threads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from cases.case import BATCH, OpCase
from cases.quantized import CASES
from cases.quantized_network import quantized_images, quantized_network

from triport.exporter.graph import Array, DType, Graph, Quantization, TensorType
from triport.exporter.ops import Dequantize, MaxPool, Quantize, QuantizedAdd, Reshape, Sigmoid
from triport.exporter.reference import run_graph
from triport.quantize.arithmetic import nudged, unary_margin
from triport.quantize.solve import TABLE_MARGIN
from triport.runtime_checks.parity import same_bits
from triport.targets.onnx import OnnxTarget
from triport.targets.prepare import prepare

LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")
THREADS = (1, 2)

KERNELS = {
    "quantized_conv/same": "QLinearConv",
    "quantized_conv/depthwise": "QLinearConv",
    "quantized_conv/mean": "QLinearGlobalAveragePool",
    "quantized_conv/mean_with_ties": "QGemm",
    "quantized_linear/matrix": "QGemm",
    "quantized_linear/rank_3": "QGemm",
    "quantized_matmul/heads": "QLinearMatMul",
    "lookup/clamp": "Clip",
    "quantized_add/image": "QLinearAdd",
    "quantized_sub/image": "QLinearAdd",
    "quantized_mul/image": "QLinearMul",
}
"""What has to be left of a case after ONNX Runtime has optimised it."""

FLOAT_KERNELS = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "Add", "Sub", "Mul"}


def _written(graph: Graph, folder: Path) -> Path:
    target = OnnxTarget()
    path = folder / target.artefact
    target.write(prepare(graph, target), path, {})
    return path


def _session(path: Path, level: str, threads: int, optimized: Path | None = None) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _differences(graph: Graph, path: Path, samples: Sequence[dict[str, Array]]) -> list[str]:
    """Runs everywhere, and says where the bits are not the reference's."""
    found = []
    wanted = [run_graph(graph, sample) for sample in samples]
    for level, threads in itertools.product(LEVELS, THREADS):
        session = _session(path, level, threads)
        for i, sample in enumerate(samples):
            for name, got in zip(wanted[i], session.run(list(wanted[i]), sample), strict=True):
                if not same_bits(got, wanted[i][name]):
                    found.append(f"{level}, {threads} threads, sample {i}: {name}")
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_bits_are_the_same_however_it_is_run(case: OpCase, tmp_path: Path) -> None:
    graph = case.graph()
    assert not _differences(graph, _written(graph, tmp_path), [case.inputs(batch) for batch in (1, 7)])


@pytest.mark.parametrize("io", [DType.FLOAT32, DType.INT8])
def test_a_network_has_the_same_bits_however_it_is_run(io: DType, tmp_path: Path) -> None:
    """What stands between two layers is what the optimiser rewrites."""
    graph = quantized_network(io=io)
    assert not _differences(graph, _written(graph, tmp_path), [quantized_images(batch, io=io) for batch in (1, 7)])


def _optimised(path: Path, folder: Path) -> list[str]:
    """The ops of the model that ONNX Runtime runs, but for those at its border."""
    optimized = folder / "optimized.onnx"
    _session(path, "ORT_ENABLE_ALL", 1, optimized)
    return [node.op_type for node in onnx.load(optimized).graph.node]


@pytest.mark.parametrize("name", KERNELS)
def test_onnx_runtime_keeps_the_integer_kernel(name: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == name)
    kernels = _optimised(_written(case.graph(), tmp_path), tmp_path)
    assert KERNELS[name] in kernels
    assert not FLOAT_KERNELS & {*kernels}


@pytest.mark.parametrize(("settled", "kernel"), [(True, "QLinearSigmoid"), (False, "Sigmoid")])
def test_a_function_of_a_code_is_onnx_runtimes_where_no_result_is_near_a_tie(
    settled: bool, kernel: str, tmp_path: Path
) -> None:
    """At 1 / 255 sigmoid(0) lies half way between two codes."""

    def is_safe(scale: float) -> bool:
        return unary_margin(lambda x: 1 / (1 + np.exp(-x)), of, Quantization(scale, -128)) >= TABLE_MARGIN

    of = Quantization(0.0625, 3)
    scale = nudged(1 / 255, is_safe) if settled else float(np.float32(1 / 255))
    assert scale is not None
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.INT8, (BATCH, 16), of))
    y = graph.add(Sigmoid(), graph.add(Dequantize(of), x))
    graph.set_output("y", graph.add(Quantize(Quantization(scale, -128)), y))
    path = _written(graph, tmp_path)
    codes: Array = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    assert kernel in _optimised(path, tmp_path) and not _differences(graph, path, [{"x": codes}])


def test_int8_at_the_border_is_uint8_inside_and_moved_once(tmp_path: Path) -> None:
    """Also where an output is read by other nodes, and where two outputs are one value."""
    of = Quantization(0.5, 3)
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.INT8, (BATCH, 2, 4, 4), of))
    both = graph.add(QuantizedAdd(of, of=(of, of)), x, x)
    pooled = graph.add(MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), both)
    for name, value in {"sum": both, "again": both, "flat": graph.add(Reshape((BATCH, 8)), pooled), "x_too": x}.items():
        graph.set_output(name, value)
    path = _written(graph, tmp_path)
    written = onnx.load(path).graph
    assert {value.type.tensor_type.elem_type for value in (*written.input, *written.output)} == {onnx.TensorProto.INT8}
    assert sum(node.op_type == "QuantizeLinear" for node in written.node) == 5
    codes: Array = np.arange(-128, 128, dtype=np.int8).reshape(8, 2, 4, 4)
    assert not _differences(graph, path, [{"x": codes}])


def test_files_over_codes_load_in_runtimes_of_2023(tmp_path: Path) -> None:
    """onnxruntime 1.17 takes IR 9 and opset 20 at most."""
    model = onnx.load(_written(quantized_network(), tmp_path))
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    assert opsets.keys() == {"", "com.microsoft"} and opsets["com.microsoft"] == 1
    assert model.ir_version <= 9 and opsets[""] <= 20
