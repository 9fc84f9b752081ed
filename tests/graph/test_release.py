"""Memory of a mapped file is given back and read again when it is needed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from triport.exporter.graph import DType, Graph, TensorType
from triport.exporter.graph.container import release_pages
from triport.exporter.ops import Add


def resident_kilobytes(path: Path) -> int:
    """How much of a mapped file is in this process's memory."""
    found = re.findall(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss:\s+(\d+) kB", Path("/proc/self/smaps").read_text())
    return sum(map(int, found))


@pytest.mark.skipif(sys.platform != "linux", reason="the resident part of a mapping is read from /proc")
def test_pages_of_a_file_leave_memory_and_come_back(tmp_path: Path) -> None:
    weight = np.arange(250_000, dtype=np.float32)
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (250_000,)))
    graph.set_output("y", graph.add(Add(), x, graph.add_constant(weight, "w")))
    graph.save(tmp_path / "m.triport")
    (constant,) = Graph.load(tmp_path / "m.triport").constants()
    assert constant.array().sum() > 0
    assert resident_kilobytes(tmp_path / "m.triport") >= 900
    release_pages([constant.array()])
    assert resident_kilobytes(tmp_path / "m.triport") < 100
    np.testing.assert_array_equal(constant.array(), weight)


def test_arrays_of_this_process_are_left_alone() -> None:
    array = np.ones(3, np.float32)
    release_pages([array, array[1:]])
    assert array.sum() == 3
