"""topK: the best classes of a row of an output, along whichever axis they lie."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triport.exporter import ops
from triport.exporter.graph import Dim, DType, Graph, Sym, TensorType
from triport.targets.web.bundle import RUNTIME

BATCH = Sym.named("batch")
Write = Callable[[Graph], Path]

TOP = """
import { load } from "FOLDER/index.js";
import { topK } from "FOLDER/labels.js";
const model = await load();
const outputs = { scores: { data: Float32Array.of(1, 5, NaN, 5, 2, 9, 8, 7), shape: [2, 4] } };
const answers = [topK(model, outputs, 3), topK(model, outputs, 9, { row: 1 })];
const calls = [[model, outputs, 1, { row: 2 }], [model, outputs, 1, { output: "other" }],
  [model, outputs, { output: "scores" }], [model, outputs, -1], [model, outputs, 1.5], [model, outputs, NaN],
  [model, outputs, 1, { row: 0.5 }], [model, outputs, 1, { axis: 2 }], [model, outputs, 1, { rows: 1 }],
  [outputs, model], [Promise.resolve(model), outputs], [model, Promise.resolve(outputs)], [model]];
for (const call of calls)
  try { answers.push(topK(...call)); } catch ({ name, message }) { answers.push(`${name}: ${message}`); }
console.log(JSON.stringify(answers));
"""


def test_top_classes_with_their_labels(bundle: Write) -> None:
    graph = Graph("classes")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    graph.set_output("scores", graph.add(ops.Softmax(-1), x))
    folder = bundle(graph.describe(labels=["ant", "bee", "cat", "dog"]))
    assert not (folder / "image.js").exists()
    script = TOP.replace("FOLDER", folder.as_uri())
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True, check=True)
    first, second, *problems = json.loads(done.stdout)
    assert first == [
        {"label": "bee", "index": 1, "score": 5},
        {"label": "dog", "index": 3, "score": 5},
        {"label": "ant", "index": 0, "score": 1},
    ]
    assert [entry["label"] for entry in second] == ["bee", "cat", "dog", "ant"]
    assert problems == [
        'RangeError: topK: "scores" has 2 rows, got row 2',
        "TypeError: topK: expected output to be one of scores, got other",
        "TypeError: topK: expected k, a whole number of classes, before the options, got Object",
        "TypeError: topK: expected k, a whole number of classes, before the options, got -1",
        "TypeError: topK: expected k, a whole number of classes, before the options, got 1.5",
        "TypeError: topK: expected k, a whole number of classes, before the options, got NaN",
        'RangeError: topK: "scores" has 2 rows, got row 0.5',
        'RangeError: topK: "scores" [batch,4] has 2 axes, got axis 2',
        "TypeError: topK: unknown option rows; there are output, row, axis",
        "TypeError: topK: expected (model, outputs), first what load() resolves to, got Object first",
        "TypeError: topK: expected (model, outputs), first what load() resolves to, got Promise first",
        "TypeError: topK: expected outputs, what run() resolves to, got Promise",
        "TypeError: topK: expected outputs, what run() resolves to, got undefined",
    ]


MAPS = """
import { readFileSync } from "node:fs";
const { topK } = await import(process.argv[1]);
const said = (...call) => {
  try { return topK(...call).map(({ label, score }) => [label, score]); }
  catch ({ name, message }) { return `${name}: ${message}`; }
};
const answers = JSON.parse(readFileSync(0, "utf8")).map(({ spec, labels, shape, options }) => {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (7 * i) % 101);
  const model = { meta: { outputs: [{ name: "map", shape: spec }], labels: labels && { map: labels } } };
  return said(model, { map: { data, shape } }, Infinity, options);
});
console.log(JSON.stringify(answers));
"""


def top_of(*calls: tuple[Sequence[Dim | str], str, Sequence[int], dict[str, Any]]) -> list[Any]:
    """What topK says of outputs: their shape in meta, their labels, a letter each, their sizes, the options."""
    asked = [
        {"spec": list(spec), "labels": list(labels) or None, "shape": list(shape), "options": options}
        for spec, labels, shape, options in calls
    ]
    command = ["node", "--input-type=module", "-e", MAPS, (RUNTIME / "labels.js").as_uri()]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("spec", "labels", "shape", "options", "axis"),
    [
        (("batch", 4, 2, 3), "abcd", (2, 4, 2, 3), {}, 1),
        (("batch", 4, "height", "width"), "abcd", (2, 4, 2, 4), {}, 1),
        (("batch", "tokens", 4), "abcd", (2, 4, 4), {}, 2),
        (("batch", 2, 3, 4), "abcd", (2, 2, 3, 4), {}, 3),
        (("batch", 4, 5), "", (2, 4, 5), {}, 2),
        (("batch", 4, 5), "", (2, 4, 5), {"axis": 1}, 1),
        (("batch", 4, 2, 4), "abcd", (2, 4, 2, 4), {"axis": 1}, 1),
        (("batch", 4, 2, 4), "abcd", (2, 4, 2, 4), {"axis": -1}, 3),
        ((4,), "abcd", (4,), {}, 0),
    ],
)
def test_classes_lie_along_the_axis_of_as_many_as_there_are_labels(
    spec: Sequence[Dim | str], labels: str, shape: Sequence[int], options: dict[str, Any], axis: int
) -> None:
    """Rows are the places of the other axes in order; numpy moves the axis of the classes to the end."""
    cells = (7 * np.arange(np.prod(shape)) % 101).reshape(shape)
    table = np.moveaxis(cells, axis, -1).reshape(-1, shape[axis])
    got = top_of(*((spec, labels, shape, options | {"row": row}) for row in range(len(table))))
    for scored, expected in zip(got, table, strict=True):
        order = np.argsort(-expected, kind="stable")
        assert scored == [[labels[i] if labels else str(i), expected[i]] for i in order]


def test_a_map_of_classes_is_no_row_of_them_and_a_size_that_fits_twice_is_asked_for() -> None:
    image, twice = ("batch", 4, 8, 8), ("batch", 4, 2, 4)
    pixels, either, tokens, single = top_of(
        (image, "abcd", (1, 4, 8, 8), {}),
        (twice, "abcd", (1, 4, 2, 4), {"row": 0}),
        (("batch", "tokens", 3), "", (1, 2, 3), {}),
        (("batch", 4, 1, 1), "abcd", (2, 4, 1, 1), {}),
    )
    assert pixels == (
        'TypeError: topK: "map" [1,4,8,8] has its classes along axis 1, so 64 rows, the places of [1,8,8] in order: '
        "pass row, 0 to 63, or axis where the classes lie along another"
    )
    assert either == (
        'TypeError: topK: "map" [batch,4,2,4] has 4 classes along axis 1 or the last: pass axis: 1 or axis: -1'
    )
    assert tokens.startswith('TypeError: topK: "map" [1,2,3] has its classes along axis 2, so 2 rows')
    assert single == [["d", 21], ["c", 14], ["b", 7], ["a", 0]]
