"""Arrays in few bits: found again wherever their cells have gone, exact, and refused when a file is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from graph.edited_files import Edit, edited
from hypothesis import given, settings
from hypothesis import strategies as st

from triport.exporter.errors import FormatError
from triport.exporter.graph import Array, DType, Graph, TensorType
from triport.exporter.graph.file import load_graph
from triport.exporter.graph.stored import (
    CODE_RANGES,
    StoredForm,
    pack_halves,
    rounded_step,
    stored_form_of,
    stored_forms,
    unpack_halves,
)
from triport.exporter.ops import Linear


def rounded(shape: tuple[int, ...], bits: int, block: int = 0, seed: int = 0) -> npt.NDArray[np.float32]:
    """Weights that are codes times steps: one a slice of the first axis, or one a block of the last."""
    array = np.random.default_rng(seed).normal(0, 1, shape)
    rows = array.reshape(-1, block) if block else array.reshape(shape[0], -1)
    steps = rounded_step(np.abs(rows).max(1), bits)[:, None]
    least, most = CODE_RANGES[bits]
    return (np.clip(np.rint(rows / steps), least, most).astype(np.float32) * steps).reshape(shape)


MOVES: dict[str, Any] = {
    "as it is": lambda x: x,
    "transposed": lambda x: x.T,
    "with an axis in front": lambda x: x[None],
    "rows in another order": lambda x: x[::-1],
    "some rows": lambda x: x[8:24],
    "panels of 8 columns": lambda x: x.reshape(-1, 8, x.shape[1]).transpose(0, 2, 1),
    "filled up with zeros": lambda x: np.pad(x, ((0, 8), (0, 0))),
    "channels of a flattened image turned to the front": lambda x: x.reshape(-1, 4, 16).swapaxes(1, 2).reshape(x.shape),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("form", [StoredForm(8), StoredForm(4), StoredForm(4, 32)])
def test_the_form_is_found_wherever_cells_are_moved(form: StoredForm, move: str) -> None:
    array = np.ascontiguousarray(MOVES[move](rounded((32, 64), form.bits, form.block)))
    stored = stored_form_of(array, [form])
    assert stored is not None and stored.expanded().tobytes() == (array + 0.0).tobytes()
    assert stored.nbytes < array.nbytes * (form.bits / 32 + 0.07)


@pytest.mark.parametrize("perm", [(0, 1, 2, 3), (0, 2, 3, 1), (1, 0, 2, 3), (2, 3, 1, 0)])
def test_filters_are_found_in_every_layout(perm: tuple[int, ...]) -> None:
    array = np.ascontiguousarray(rounded((16, 8, 3, 3), 8).transpose(perm))
    stored = stored_form_of(array, [StoredForm(8)])
    assert stored is not None and np.array_equal(stored.expanded(), array)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.sampled_from([4, 8]),
    rows=st.integers(1, 12),
    cells=st.integers(8, 90),
    scale=st.floats(1e-30, 1e30),
    seed=st.integers(0, 99),
)
def test_codes_and_steps_give_the_cells_back(bits: int, rows: int, cells: int, scale: float, seed: int) -> None:
    array = np.float32(2.0 ** np.round(np.log2(scale))) * rounded((rows, cells), bits, seed=seed)
    stored = stored_form_of(array, [StoredForm(bits)])
    if array.size < 64:
        assert stored is None
    else:
        assert stored is not None and np.array_equal(stored.expanded(), array)
        assert np.array_equal(unpack_halves(pack_halves(stored.codes), stored.codes.shape), stored.codes) or bits == 8


@settings(max_examples=100, deadline=None)
@given(
    above=st.integers(-9, 9),
    below=st.integers(1, 127),
    bits=st.sampled_from([4, 8]),
    block=st.sampled_from([0, 16]),
    seed=st.integers(0, 99),
)
def test_whatever_has_a_form_is_given_back(above: int, below: int, bits: int, block: int, seed: int) -> None:
    """Fractions: 7 times float32(1 / 7) rounds to 1, which does not make it a step."""
    counts = np.random.default_rng(seed).integers(min(above, 0), max(above, 0) + 1, (6, 32))
    array = counts.astype(np.float32) / np.float32(below)
    stored = stored_form_of(array, [StoredForm(bits, block)])
    if stored is not None:
        assert np.array_equal(stored.expanded(), array)
        exact = stored.codes.astype(np.float64).reshape(stored.view)
        assert stored.steps is not None
        assert np.array_equal(exact * stored.steps[:, None, :, None].astype(np.float64), array.reshape(stored.view))
    if below == 1 and bits == 8:
        assert stored is not None


def test_a_bias_of_ones_stays_as_it_is() -> None:
    assert stored_form_of(np.ones(128, np.float32), [StoredForm(4), StoredForm(8)]) is None


def test_what_is_not_rounded_has_no_form() -> None:
    forms = [StoredForm(4), StoredForm(4, 32), StoredForm(8), StoredForm(16)]
    array = np.random.default_rng(0).normal(0, 1, (32, 64)).astype(np.float32)
    assert stored_form_of(array, forms) is None
    one_off = rounded((32, 64), 8)
    one_off[17, 5] = np.nextafter(one_off[17, 5], np.float32(9))
    assert stored_form_of(one_off, forms) is None
    assert stored_form_of(np.full((32, 64), np.nan, np.float32), forms) is None
    assert stored_form_of(rounded((32, 64), 8).astype(np.float64), forms) is None


def test_float16_is_the_same_number_or_none() -> None:
    array = np.random.default_rng(0).normal(0, 1, (9, 11)).astype(np.float16).astype(np.float32)
    stored = stored_form_of(array, [StoredForm(16)])
    assert stored is not None and stored.codes.dtype == np.float16 and np.array_equal(stored.expanded(), array)
    assert stored_form_of(array * 1e5, [StoredForm(16)]) is None


def test_halves_are_packed_low_first() -> None:
    assert pack_halves(np.array([1, -1, -8], np.int8)).tolist() == [0xF1, 0x08]


# -- files -------------------------------------------------------------------------------------------------------------


def network(weight: Array, form: StoredForm) -> Graph:
    graph = Graph("stored")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (2, weight.shape[1])))
    graph.set_output("y", graph.add(Linear(), x, graph.add_constant(weight, "w")))
    graph.metadata["quantization"] = {"scheme": "test", "stored": [[form.bits, form.block]]}
    return graph


@pytest.mark.parametrize("form", [StoredForm(16), StoredForm(8), StoredForm(4), StoredForm(4, 32)])
def test_files_are_small_and_give_the_same_graph(form: StoredForm, tmp_path: Path) -> None:
    weight = rounded((64, 96), form.bits, form.block) if form.bits < 16 else np.float32(0.5) * np.ones((64, 96), "f4")
    graph = network(weight, form)
    graph.save(tmp_path / "m.triport")
    loaded = load_graph(tmp_path / "m.triport")
    assert np.array_equal(loaded.constants()[0].array(), weight)
    assert (tmp_path / "m.triport").stat().st_size < weight.nbytes * (form.bits / 32 + 0.05) + 1200
    assert loaded.stored_bytes() == graph.stored_bytes() < loaded.parameter_bytes() == weight.nbytes
    loaded.save(tmp_path / "again.triport")
    assert (tmp_path / "again.triport").read_bytes() == (tmp_path / "m.triport").read_bytes()


def _change(**changes: Any) -> Edit:
    return lambda document, table: document["constants"][0][2].update(changes)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_change(bits=5), "stored in 4, 8 or 16 bits"),
        (_change(bits=[4]), "whole number|integer"),
        (_change(bits=8), "does not hold 6144 codes of 8 bits"),
        (_change(shape=[64, 97]), "does not hold 6208 codes"),
        (_change(view=[1, 1, 64, 95]), "do not fit the shape"),
        (_change(view=[1, 64, 1, 96]), "do not fit the shape"),
        (_change(view=[1, 1, 64]), "a list of 4"),
        (_change(steps="w"), "do not fit the shape"),
        (_change(steps="gone"), "missing from the file"),
        (_change(more=1), "more"),
        (lambda document, table: document["constants"][0].__setitem__(2, {"bits": 16}), "no float16"),
        (lambda document, table: document["metadata"]["quantization"].update(stored=[["a", 0]]), "no list of"),
        (lambda document, table: document["metadata"]["quantization"].update(stored=[[3, 0]]), "does not exist"),
    ],
)
def test_files_that_contradict_themselves_are_refused(edit: Edit, says: str, tmp_path: Path) -> None:
    network(rounded((64, 96), 4), StoredForm(4)).save(tmp_path / "m.triport")
    path = edited((tmp_path / "m.triport").read_bytes(), tmp_path / "edited.triport", edit)
    with pytest.raises(FormatError, match=says):
        stored_forms(load_graph(path).metadata)
