"""Running graphs as browser bundles in Node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from triport.exporter.graph import Array, DType, Graph
from triport.exporter.reference.run import run_graph
from triport.runtime_checks.runners.node import Node
from triport.runtime_checks.tolerance import CLOSE
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.dtypes import device_dtype

Write = Callable[[Graph], Path]
Close = Callable[[Graph, Mapping[str, Array], Mapping[str, Array]], None]
Check = Callable[[Graph, Sequence[Mapping[str, Array]]], None]


@pytest.fixture
def bundle(tmp_path: Path) -> Write:
    """Writes a graph's bundle and returns its folder."""

    def write(graph: Graph) -> Path:
        target = WebTarget()
        folder = tmp_path / "web"
        target.write(prepare(graph, target), folder, {})
        return folder

    return write


@pytest.fixture
def close() -> Close:
    """Compares outputs with the float64 reference: shape, dtype, then values within CLOSE."""
    return assert_close


@pytest.fixture
def check_in_node(bundle: Write) -> Check:
    """Compares a graph's bundle in Node with the float64 reference: shape, dtype, then values within CLOSE."""

    def check(graph: Graph, calls: Sequence[Mapping[str, Array]]) -> None:
        with Node().load(bundle(graph)) as session:
            for inputs in calls:
                assert_close(graph, inputs, session.run({name: in_browser(array) for name, array in inputs.items()}))

    return check


def in_browser(array: Array) -> Array:
    """The array as the bundle takes it: int64 is int32 there."""
    return array.astype(device_dtype(DType.of(array)).numpy)


def assert_close(graph: Graph, inputs: Mapping[str, Array], got: Mapping[str, Array]) -> None:
    exact = run_graph(graph, inputs, dtype=DType.FLOAT64)
    single = run_graph(graph, inputs)
    assert list(got) == list(exact)
    for name, expected in exact.items():
        assert got[name].shape == expected.shape
        if expected.dtype != np.float64:
            np.testing.assert_array_equal(got[name], expected)
            continue
        assert got[name].dtype == np.float32
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(got[name]), finite)
        if finite.any():
            assert_within_bound(got[name][finite], single[name][finite], expected[finite])


def assert_within_bound(got: Array, single: Array, exact: Array) -> None:
    truth = np.asarray(exact, np.float64)
    torch_error = np.abs(np.asarray(single, np.float64) - truth).max()
    bound = CLOSE.bound(float(np.ptp(truth)), float(torch_error), float(np.abs(truth).max()))
    assert np.abs(np.asarray(got, np.float64) - truth).max() <= bound
