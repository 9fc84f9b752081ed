"""What ports are run on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_graphs import BATCH, convnet

from triport.exporter.errors import FormatError, UsageError
from triport.exporter.graph import DType, Graph, Sample, Sym, TensorType
from triport.exporter.ops import Cast, Gather, Relu
from triport.runtime_checks.samples import batch_name, generated_cases, given_cases, golden_cases

TYPES = {"x": TensorType(DType.FLOAT32, (BATCH, 3)), "t": TensorType(DType.FLOAT32, (BATCH,))}


def one_input(type: TensorType) -> Graph:
    graph = Graph()
    graph.set_output("y", graph.add(Relu(), graph.add_input("x", type)))
    return graph


def test_generated_samples_have_batch_1_2_and_7_and_are_the_same_every_time() -> None:
    graph = convnet()
    cases = generated_cases(graph)
    assert [case.label for case in cases] == ["batch 1", "batch 2", "batch 7"]
    assert [case.inputs["image"].shape[0] for case in cases] == [1, 2, 7]
    assert all(case.inputs["image"].dtype == np.float32 for case in cases)
    for case, again in zip(cases, generated_cases(graph), strict=True):
        np.testing.assert_array_equal(case.inputs["image"], again.inputs["image"])


def test_each_column_of_integers_keeps_its_own_range() -> None:
    graph = one_input(TensorType(DType.INT64, (BATCH, 3)))
    rows = np.array([[0, 900, 5], [1, 901, 5], [2, 902, 5]])
    graph.samples = [Sample({"x": rows}, {})]
    for case in generated_cases(graph):
        for column in range(3):
            assert set(case.inputs["x"][:, column]) <= set(rows[:, column])


def test_samples_without_names_are_refused_with_the_names() -> None:
    unnamed = np.zeros((2, 3), np.float32)
    for given in (unnamed, [unnamed]):
        with pytest.raises(UsageError, match=r"received ndarray\n +help: samples=\{\"x\": array, \"t\": array\}"):
            given_cases(given, TYPES)  # type: ignore[arg-type]


def test_a_graph_without_free_dims_is_run_once() -> None:
    (case,) = generated_cases(one_input(TensorType(DType.FLOAT32, (3, 4))))
    assert (case.label, case.inputs["x"].shape) == ("random", (3, 4))


TIME = Sym.named("time")


def test_other_free_dims_take_the_size_of_the_golden_sample_and_once_a_smaller_one() -> None:
    graph = one_input(TensorType(DType.FLOAT32, (BATCH, TIME, 2)))
    graph.samples.append(Sample({"x": np.zeros((1, 5, 2), np.float32)}))
    cases = generated_cases(graph)
    assert [case.inputs["x"].shape for case in cases] == [(1, 5, 2), (2, 5, 2), (7, 5, 2), (1, 3, 2)]
    assert [case.label for case in cases][2:] == ["batch 7, time 5", "batch 1, time 3"]


def test_the_other_size_is_larger_where_integers_may_be_places() -> None:
    graph = one_input(TensorType(DType.INT64, (BATCH, TIME)))
    graph.samples.append(Sample({"x": np.full((1, 5), 4)}))
    assert generated_cases(graph)[-1].inputs["x"].tolist() == [[4] * 6]


def test_the_other_size_keeps_limits_and_conditions() -> None:
    graph = one_input(TensorType(DType.FLOAT32, (BATCH, TIME * 2 + 1, Sym.named("width"))))
    graph.samples.append(Sample({"x": np.zeros((1, 13, 9), np.float32)}))
    graph.metadata["limits"] = {"time": [5, None], "width": [9, 9]}
    graph.metadata["conditions"] = [["time", "!=", "5", "…"], ["batch%2", "==", "1", "…"]]
    assert [case.inputs["x"].shape for case in generated_cases(graph)] == [
        (1, 13, 9),
        (3, 13, 9),
        (7, 13, 9),
        (1, 15, 9),
    ]


def test_generated_floats_stay_in_the_range_of_the_golden_ones() -> None:
    graph = one_input(TensorType(DType.FLOAT32, (BATCH, 1000)))
    graph.samples.append(Sample({"x": np.linspace(200, 255, 100, dtype=np.float32).reshape(1, 100)}))
    values = generated_cases(graph)[0].inputs["x"]
    assert values.min() >= 200
    assert values.max() <= 255
    assert values.std() > 5


@pytest.mark.parametrize("through_cast", [False, True])
def test_generated_indices_lie_inside_the_table(through_cast: bool) -> None:
    graph = Graph()
    indices = graph.add_input("i", TensorType(DType.INT32, (BATCH, 500)))
    table = graph.add_constant(np.zeros((5, 2), np.float32), "table")
    read = graph.add(Cast(DType.INT64), indices) if through_cast else indices
    graph.set_output("y", graph.add(Gather(0), table, read))
    values = generated_cases(graph)[0].inputs["i"]
    assert set(np.unique(values)) == {0, 1, 2, 3, 4}


def test_generated_integers_are_drawn_from_the_golden_ones() -> None:
    graph = one_input(TensorType(DType.INT64, (BATCH, 50)))
    graph.samples.append(Sample({"x": np.array([[3, 17, 40]], np.int64)}))
    assert set(np.unique(generated_cases(graph)[2].inputs["x"])) == {3, 17, 40}


def test_golden_samples_keep_what_the_model_answered() -> None:
    graph = convnet(samples=2)
    cases = golden_cases(graph.samples)
    assert [(case.label, case.golden) for case in cases] == [("golden 1", True), ("golden 2", True)]
    assert cases[0].outputs["scores"].shape == (2, 10)


def test_given_samples_run_in_slices_that_lose_no_row() -> None:
    x, t = np.arange(390, dtype=np.float32).reshape(130, 3), np.arange(130, dtype=np.float32)
    cases = given_cases({"x": x, "t": t}, TYPES)
    assert [case.label for case in cases] == ["given, rows 0–63", "given, rows 64–127", "given, rows 128–129"]
    np.testing.assert_array_equal(np.concatenate([case.inputs["x"] for case in cases]), x)
    np.testing.assert_array_equal(np.concatenate([case.inputs["t"] for case in cases]), t)


def test_given_samples_are_cut_to_a_fixed_batch() -> None:
    types = {"x": TensorType(DType.FLOAT32, (2, 3))}
    cases = given_cases({"x": np.zeros((6, 3), np.float32)}, types)
    assert [case.inputs["x"].shape for case in cases] == [(2, 3)] * 3
    with pytest.raises(UsageError, match=r"expected float32\[2, 3\], got float32\[5, 3\]"):
        given_cases({"x": np.zeros((5, 3), np.float32)}, types)


def test_several_sets_of_samples_are_told_apart() -> None:
    sets = [{"x": np.zeros((n, 3), np.float32), "t": np.zeros(n, np.float32)} for n in (1, 4)]
    assert [case.label for case in given_cases(sets, TYPES)] == ["given 1", "given 2"]


def test_a_given_sample_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="missing: t; unknown: z"):
        given_cases({"x": np.zeros((1, 3), np.float32), "z": np.zeros(1)}, TYPES)
    with pytest.raises(UsageError, match=r'input "t": expected float32\[batch\], got float32\[3\]'):
        given_cases({"x": np.zeros((2, 3), np.float32), "t": np.zeros(3, np.float32)}, TYPES)


def test_samples_come_from_an_npz_file(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.ones((2, 3), np.float32), t=np.ones(2, np.float32))
    (case,) = given_cases(path, TYPES)
    assert case.inputs["x"].shape == (2, 3)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.array([{"code": 1}], object))
    with pytest.raises(FormatError) as error:
        given_cases(path, TYPES)
    assert error.value.code == "TP422"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY", b"text"])
def test_a_file_that_is_no_npz_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(FormatError) as error:
        given_cases(path, TYPES)
    assert error.value.code == "TP422"


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        given_cases(tmp_path / "nothing.npz", TYPES)


def test_the_batch_is_the_free_dim_that_every_input_begins_with() -> None:
    assert batch_name(TYPES) == "batch"
    assert batch_name({**TYPES, "other": TensorType(DType.FLOAT32, (Sym.named("n"),))}) is None
    assert batch_name({"x": TensorType(DType.FLOAT32, (BATCH * 2, 3))}) is None
    assert batch_name({"x": TensorType(DType.FLOAT32, ())}) is None
