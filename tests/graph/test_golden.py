"""Golden samples: small inputs are stored, large ones made by a rule that is the same bits in Python and JavaScript."""

from __future__ import annotations

import json
import re
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from graph.random_graphs import BATCH
from hypothesis import given, settings
from hypothesis import strategies as st

from triport.exporter.errors import UsageError
from triport.exporter.graph import Array, DType, Graph, Recipe, Sample, TensorType
from triport.exporter.graph.golden import (
    MAX_ELEMENTS,
    STORED_BYTES,
    generated_input,
    golden_inputs_for,
    plan_golden,
    within_budget,
)

SPECIFICATION = Path(__file__).parents[2] / "docs" / "format.md"

RECIPES = [
    Recipe(DType.FLOAT32, (3, 5, 7), 0, 0.0, 1.0),
    Recipe(DType.FLOAT32, (1000,), 2**32 - 1, -2.117904, 2.64),
    Recipe(DType.FLOAT32, (4,), 9, 1e-45, 3e-45),
    Recipe(DType.FLOAT64, (200,), 77, -1e300, 1e-300),
    Recipe(DType.FLOAT16, (3000,), 1, -65504.0, 65504.0),
    Recipe(DType.FLOAT16, (3000,), 2, -1e-4, 1e-4),
    Recipe(DType.FLOAT16, (3000,), 3, -2.0, 2.0),
    Recipe(DType.INT64, (500,), 4, -(2**53), -(2**53) + 2**32 - 1),
    Recipe(DType.INT64, (500,), 5, 0, 30521),
    Recipe(DType.INT32, (500,), 6, -(2**31), 2**31 - 1),
    Recipe(DType.INT16, (500,), 7, -32768, 32767),
    Recipe(DType.INT8, (500,), 8, -128, 127),
    Recipe(DType.UINT8, (2, 0, 3), 9, 0, 255),
    Recipe(DType.UINT8, (500,), 9, 0, 255),
    Recipe(DType.BOOL, (500,), 10, 0, 1),
    Recipe(DType.FLOAT32, (), 11, 5.0, 5.0),
]


# CRC-32 of the arrays that these recipes make.
PINNED = [
    *(1142397240, 133098635, 3783473340, 3676646574, 3506049608, 3882737904, 470369001, 137564991),
    *(3463618163, 1341751431, 1089653313, 3593655694, 0, 4038436907, 1679646298, 4187955813),
]


def as_json(recipe: Recipe) -> dict[str, object]:
    return {**vars(recipe), "dtype": recipe.dtype.value}


def test_the_javascript_in_the_specification_gives_the_same_bits(tmp_path: Path) -> None:
    (source,) = re.findall(r"```js\n(.*?)```", SPECIFICATION.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "golden.mjs").write_text(source)
    (tmp_path / "recipes.json").write_text(json.dumps([as_json(recipe) for recipe in RECIPES]))
    script = """
import { golden } from "./golden.mjs";
import { readFileSync } from "node:fs";
const recipes = JSON.parse(readFileSync("recipes.json"));
const bytes = (recipe) => Buffer.from(Float64Array.from(golden(recipe)).buffer).toString("hex");
console.log(JSON.stringify(recipes.map(bytes)));
"""
    (tmp_path / "run.mjs").write_text(script)
    answer = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    for recipe, found in zip(RECIPES, json.loads(answer), strict=True):
        # As float64, which holds every value here exactly and tells -0.0 from 0.0.
        assert generated_input(recipe).astype("<f8").tobytes().hex() == found, recipe


def test_the_rule_is_the_one_written_down() -> None:
    def mix(x: int) -> int:
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    hashes = [mix(i ^ mix(42)) for i in range(6)]
    floats = generated_input(Recipe(DType.FLOAT32, (2, 3), 42, -1.0, 3.0)).reshape(-1)
    assert floats.tolist() == [float(np.float32((h >> 8) / 2**24 * 4 - 1)) for h in hashes]
    integers = generated_input(Recipe(DType.INT32, (6,), 42, -5, 5))
    assert integers.tolist() == [h % 11 - 5 for h in hashes]


def test_the_bits_never_change() -> None:
    # Files in the world hold outputs for these inputs: a changed rule would make every port look wrong.
    sums = [zlib.crc32(generated_input(recipe).tobytes()) for recipe in RECIPES]
    assert sums == PINNED


def test_elements_do_not_depend_on_how_many_there_are() -> None:
    # 300,000 elements are made in more than one piece.
    long = generated_input(Recipe(DType.FLOAT32, (300_000,), 3, 0.0, 1.0))
    short = generated_input(Recipe(DType.FLOAT32, (70,), 3, 0.0, 1.0))
    assert np.array_equal(long[:70], short)
    assert len(np.unique(long)) > 290_000


@settings(deadline=None)
@given(st.sampled_from(list(DType)), st.integers(0, 2**32 - 1), st.data())
def test_every_element_lies_in_the_range(dtype: DType, seed: int, data: st.DataObject) -> None:
    if dtype.is_float:
        width = {DType.FLOAT16: 16, DType.FLOAT32: 32}.get(dtype, 64)
        limits = st.floats(-60000, 60000, width=width)  # type: ignore[arg-type]
        low, high = sorted(data.draw(st.tuples(limits, limits)))
    else:
        info = (0, 1) if dtype is DType.BOOL else (np.iinfo(dtype.value).min // 2, np.iinfo(dtype.value).max // 2)
        whole = st.integers(max(info[0], -(2**31)), min(info[1] or 1, 2**31 - 1))
        low, high = sorted(data.draw(st.tuples(whole, whole)))
    array = generated_input(Recipe(dtype, (50,), seed, low, high)).astype(np.float64)
    assert array.min() >= low
    assert array.max() <= high


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(DType.FLOAT32, (2**40, 2**40), 0, 0.0, 1.0), f"more than {MAX_ELEMENTS} elements"),
        (Recipe(DType.FLOAT32, (2,), 2**32, 0.0, 1.0), "seed"),
        (Recipe(DType.FLOAT32, (2,), 0, 1.0, 0.0), "not a range"),
        (Recipe(DType.FLOAT32, (2,), 0, float("nan"), 0.0), "not a range"),
        (Recipe(DType.FLOAT32, (2,), 0, 0.0, 1e39), "not a range of float32"),
        (Recipe(DType.FLOAT64, (2,), 0, -1.7e308, 1.7e308), "not a range of float64"),
        (Recipe(DType.INT8, (2,), 0, 0, 128), "not a range of int8"),
        (Recipe(DType.INT64, (2,), 0, 0, 2**32), "not a range of int64"),
        (Recipe(DType.BOOL, (2,), 0, 0, 2), "not a range of bool"),
        (Recipe(DType.INT8, (2,), 0, 0.5, 2), "not a range of int8"),
    ],
)
def test_an_unusable_recipe_is_refused_before_memory_is_taken(recipe: Recipe, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        generated_input(recipe)


def test_recipes_follow_the_example() -> None:
    example: dict[str, Array] = {
        "image": np.linspace(-2, 3, 24, dtype=np.float32).reshape(2, 3, 4),
        "ids": np.array([[5, 900]], np.int64),
        "mask": np.ones((1, 3), np.bool_),
        "blank": np.zeros(3, np.float32),
        "odd": np.array([np.nan, np.inf, 2.0, 4.0], np.float32),
        "lost": np.array([np.nan], np.float32),
        "wide": np.array([-(2**62), 2**62]),
        "none": np.zeros((0, 2), np.int32),
    }
    recipes = golden_inputs_for(example)
    assert {name: (r.low, r.high) for name, r in recipes.items()} == {
        "image": (-2.0, 3.0),
        "ids": (5, 900),
        "mask": (1, 1),
        "blank": (0.0, 1.0),
        "odd": (2.0, 4.0),
        "lost": (0.0, 1.0),
        "wide": (-(2**53), -(2**53) + 2**32 - 1),
        "none": (0, 0),
    }
    for name, recipe in recipes.items():
        made = generated_input(recipe)
        assert (made.dtype, made.shape) == (example[name].dtype, example[name].shape)
    assert len({recipe.seed for recipe in recipes.values()}) == len(recipes)


def test_small_inputs_are_stored_and_large_ones_generated() -> None:
    example: dict[str, Array] = {
        "image": np.random.default_rng(0).random((1, 3, 64, 64), np.float32),
        "scale": np.array([0.5], np.float32),
        "ids": np.arange(6),
    }
    first, second = plan_golden(example)
    assert list(first.recipes) == ["image"]
    assert np.array_equal(first.inputs["scale"], example["scale"])
    assert first.stored_bytes < STORED_BYTES
    # The second sample has other floats, so that a port that ignores its input is found out, but the same integers.
    assert list(second.recipes) == ["image", "scale"]
    assert np.array_equal(second.inputs["ids"], example["ids"])
    assert not np.array_equal(first.inputs["image"], second.inputs["image"])
    assert {name: array.shape for name, array in second.inputs.items()} == {n: a.shape for n, a in example.items()}


def test_a_large_batch_is_cut_along_every_axis_that_has_it() -> None:
    types = {
        "x": TensorType(DType.FLOAT32, (BATCH, 3)),
        "pairs": TensorType(DType.FLOAT32, (5, BATCH)),
        "scale": TensorType(DType.FLOAT32, ()),
    }
    example: dict[str, Array] = {
        "x": np.ones((7, 3), np.float32),
        "pairs": np.ones((5, 7), np.float32),
        "scale": np.array(3, np.float32),
    }
    for sample in plan_golden(example, types):
        assert {name: array.shape for name, array in sample.inputs.items()} == {
            "x": (2, 3),
            "pairs": (5, 2),
            "scale": (),
        }


def test_samples_that_do_not_fit_the_budget_are_left_out_but_the_first() -> None:
    def sample(outputs: int) -> Sample:
        return Sample({}, {"y": np.zeros(outputs, np.float32)})

    assert len(within_budget([sample(10), sample(10)], 0)) == 2
    assert len(within_budget([sample(10**6), sample(10)], 0)) == 1
    assert len(within_budget([sample(1000), sample(1500)], 0)) == 1
    assert len(within_budget([sample(1000), sample(1500)], 10**6)) == 2


def test_a_file_keeps_recipes_and_no_generated_array(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 3, 64, 64)))
    graph.set_output("y", x)
    graph.samples = plan_golden({"x": np.random.default_rng(0).random((1, 3, 64, 64), np.float32)})
    for sample in graph.samples:
        assert sample.inputs["x"].nbytes > 40_000  # made here, and still not stored
        sample.outputs = {"y": np.zeros(3, np.float32)}
    graph.save(tmp_path / "m.triport")
    assert (tmp_path / "m.triport").stat().st_size < 2000
    for before, after in zip(graph.samples, Graph.load(tmp_path / "m.triport").samples, strict=True):
        assert np.array_equal(before.inputs["x"], after.inputs["x"])
