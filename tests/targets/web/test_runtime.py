"""The bundle's JavaScript: what it says to wrong inputs, free dims, memory, golden samples; in Node."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from web_in_node import RUNTIME, in_bundle, node

from triport.exporter import ops
from triport.exporter.graph import DType, Graph, Quantization, Recipe, Sample, Sym, TensorType, parse_dim
from triport.exporter.graph.conditions import RELATIONS
from triport.exporter.graph.golden import generated_input
from triport.exporter.reference.run import run_graph

BATCH, TIME = Sym.named("batch"), Sym.named("time")
Write = Callable[[Graph], Path]


def doubled(*shape: Any, dtype: DType = DType.FLOAT32) -> Graph:
    graph = Graph("doubled")
    image = graph.add_input("image", TensorType(dtype, shape))
    graph.set_output("y", graph.add(ops.Add(), image, image))
    return graph


def test_wrong_length_says_what_was_expected_and_given(bundle: Write) -> None:
    said = in_bundle(bundle(doubled(1, 28, 28, 1)), "return said({ image: new Float32Array(100) });")
    assert said == 'TypeError: input "image": expected Float32Array(784) for [1,28,28,1], got Float32Array(100)'


def test_a_free_size_beyond_its_limit_is_refused(bundle: Write) -> None:
    graph = doubled(BATCH, TIME)
    graph.metadata["limits"] = {"time": [2, 4], "batch": [2, None]}
    said = in_bundle(
        bundle(graph),
        """
        const feed = (...shape) => ({ image: { data: new Float32Array(shape[0] * shape[1]), shape } });
        return [await said(feed(9, 4)), await said(feed(9, 5)), await said(feed(1, 4)), model.meta.limits.time];
        """,
    )
    assert said == [
        "no error",
        'TypeError: "time" is 5, and the model takes 2 to 4',
        'TypeError: "batch" is 1, and the model takes 2 at least',
        [2, 4],
    ]


def test_a_free_size_of_nothing_is_refused_by_its_name(bundle: Write) -> None:
    graph = doubled(BATCH, TIME * 4)
    graph.metadata["limits"] = {"time": [2, 8]}
    said = in_bundle(
        bundle(graph),
        """
        const feed = (...shape) => ({ image: { data: new Float32Array(Math.abs(shape[0] * shape[1])), shape } });
        return [await said(feed(0, 8)), await said(feed(-1, 8)), await said(feed(1, 0)), await said(feed(1, 36))];
        """,
    )
    assert said == [
        'TypeError: "batch" is 0, and the model takes 1 at least',
        'TypeError: "batch" is -1, and the model takes 1 at least',
        'TypeError: "time*4" is 0, and the model takes 8 to 32',
        'TypeError: "time*4" is 36, and the model takes 8 to 32',
    ]


def test_a_free_size_may_be_called_what_every_object_has(bundle: Write) -> None:
    folder = bundle(doubled(Sym.named("constructor")))
    assert in_bundle(folder, "return (await model.run({ image: new Float32Array(3) })).y.shape;") == [3]


def test_a_folder_is_found_by_its_path_and_a_missing_file_is_named(bundle: Write, tmp_path: Path) -> None:
    folder = bundle(doubled(2))
    said = node(f"""
      import {{ load }} from "{(folder / "index.js").as_uri()}";
      process.chdir({json.dumps(str(tmp_path))});
      const text = (error) => `${{error.name}}: ${{error.message}}`;
      const said = [];
      for (const place of ["./web", "web/", {json.dumps(str(folder))}, "./nope/", "{tmp_path.as_uri()}/none"])
        said.push(await load(place).then((model) => model.meta.inputs[0].name, text));
      console.log(JSON.stringify(said));
    """)
    assert said[:3] == ["image"] * 3
    for name, answer in zip(("nope", "none"), said[3:], strict=True):
        assert answer.startswith(f"LoadError: weights.bin: no such file at {tmp_path.as_uri()}/{name}/weights.bin;")
        assert "load(folder) takes the web/ that triport export wrote" in answer


def test_an_input_that_shares_a_free_size_is_told_what_it_is_by_now(bundle: Write) -> None:
    graph = Graph("shared")
    a, b = (graph.add_input(name, TensorType(DType.FLOAT32, (BATCH, TIME))) for name in "ab")
    graph.set_output("y", graph.add(ops.Add(), a, b))
    feed = "{ a: { data: new Float32Array(6), shape: [2, 3] }, b: { data: new Float32Array(8), shape: [2, 4] } }"
    said = in_bundle(bundle(graph), f"return said({feed});")
    assert said == 'TypeError: input "b": expected shape [2,3], got [2,4]'


def test_feeds_from_another_window_and_of_another_runtime_are_taken(bundle: Write) -> None:
    """Their classes have the names of ours; onnxruntime-web says dims, and some say their sizes as BigInt."""
    got = in_bundle(
        bundle(doubled(BATCH, 2)),
        """
        const { runInNewContext } = await import("node:vm");
        const data = runInNewContext("Float32Array.of(1, 2, 3, 4)"), given = [{ dims: [2, 2] }, { shape: [2n, 2n] }];
        const answers = [await model.run({ image: data })];
        for (const sizes of given) answers.push(await model.run({ image: { data, ...sizes } }));
        const turned = await said({ image: { data, dims: [1, 4] } });
        return [...answers.map(({ y }) => [y.shape, [...y.data]]), turned];
        """,
    )
    assert got == [[[2, 2], [2, 4, 6, 8]]] * 3 + ['TypeError: input "image": expected shape [1,2], got [1,4]']


def test_a_size_that_is_no_multiple_of_its_step_is_refused(bundle: Write) -> None:
    said = in_bundle(
        bundle(doubled(BATCH, TIME * 4)),
        """
        const feed = (...shape) => ({ image: { data: new Float32Array(shape[0] * shape[1]), shape } });
        return [await said(feed(1, 8)), await said(feed(1, 9))];
        """,
    )
    assert said == ["no error", 'TypeError: input "image": expected a multiple of 4 along axis 1, got [1,9]']


def test_steps_with_a_rest(bundle: Write) -> None:
    said = in_bundle(
        bundle(doubled(BATCH, TIME * 4 + 1)),
        """
        const feed = (...shape) => ({ image: { data: new Float32Array(shape[0] * shape[1]), shape } });
        return [await said(feed(2, 9)), await said(feed(1, 8)), await said(feed(1, 1))];
        """,
    )
    assert said == [
        "no error",
        'TypeError: input "image": expected 1 and a multiple of 4 along axis 1, got [1,8]',
        'TypeError: "time*4+1" is 1, and the model takes 5 at least',
    ]


def test_a_length_settles_steps_with_a_rest(bundle: Write) -> None:
    said = in_bundle(
        bundle(doubled(TIME * 4 - 3, 2)),
        """
        const { y } = await model.run({ image: new Float32Array(10) });
        return [y.shape, await said({ image: new Float32Array(8) })];
        """,
    )
    expected = "expected Float32Array(2) for [1,2], or one of more steps, got Float32Array(8)"
    assert said == [[5, 2], f'TypeError: input "image": {expected}']


def test_relations_mean_what_they_mean_in_python(bundle: Write) -> None:
    for relation, compare in RELATIONS.items():
        graph = doubled(BATCH)
        graph.metadata["conditions"] = [["batch", relation, "2", "…"]]
        feeds = [f"await said({{ image: new Float32Array({n}) }})" for n in (1, 2, 3)]
        said = in_bundle(bundle(graph), f"return [{', '.join(feeds)}];")
        assert [text == "no error" for text in said] == [compare(n, 2) for n in (1, 2, 3)], relation


def test_sizes_against_a_condition_are_refused(bundle: Write) -> None:
    graph = doubled(BATCH, TIME)
    graph.metadata["conditions"] = [["batch*2", "<", "time", "the batch is small"], ["time%3", "!=", "0", "it is not"]]
    said = in_bundle(
        bundle(graph),
        """
        const feed = (...shape) => ({ image: { data: new Float32Array(shape[0] * shape[1]), shape } });
        return [await said(feed(2, 5)), await said(feed(3, 5)), await said(feed(1, 6))];
        """,
    )
    assert said == [
        "no error",
        'TypeError: the model takes sizes for which the batch is small; these are {"batch":3,"time":5}',
        'TypeError: the model takes sizes for which it is not; these are {"batch":1,"time":6}',
    ]


@pytest.mark.parametrize(
    ("feeds", "expected"),
    [
        (
            "{ image: new Float32Array(7) }",
            'TypeError: input "image": expected Float32Array(6) for [1,2,3], or a multiple of it, got Float32Array(7)',
        ),
        (
            "{ image: new Float64Array(6) }",
            'TypeError: input "image": expected Float32Array for [batch,2,3], got Float64Array(6)',
        ),
        ("{ image: [1, 2, 3] }", 'TypeError: input "image": expected Float32Array for [batch,2,3], got Array(3)'),
        (
            "{ image: { data: new Float32Array(6), shape: [1, 3, 2] } }",
            'TypeError: input "image": expected shape [1,2,3], got [1,3,2]',
        ),
        (
            "{ image: { data: new Float32Array(6), shape: [2, 3] } }",
            'TypeError: input "image": expected shape [batch,2,3], got [2,3]',
        ),
        (
            "{ image: { data: new Float32Array(6), shape: [2, 2, 3] } }",
            'TypeError: input "image": expected Float32Array(12) for [2,2,3], got Float32Array(6)',
        ),
        (
            "{ image: { data: new Float32Array(0), shape: [0, 2, 3] } }",
            'TypeError: "batch" is 0, and the model takes 1 at least',
        ),
        (
            "{ imago: new Float32Array(6) }",
            "TypeError: inputs: expected {image: float32[batch,2,3]}, missing image, got imago",
        ),
        (
            "undefined",
            "TypeError: inputs: expected {image: float32[batch,2,3]}, missing image",
        ),
        (
            "new Float32Array(150528)",
            "TypeError: inputs: expected {image: float32[batch,2,3]}, missing image, got Float32Array(150528)",
        ),
        (
            "{ image: new Float32Array(6), mask: new Float32Array(6) }",
            "TypeError: inputs: expected {image: float32[batch,2,3]}, got mask",
        ),
        (
            "new Array(150528).fill(0.5)",
            "TypeError: inputs: expected {image: float32[batch,2,3]}, missing image, "
            "got 0, 1, 2, 3, 4, 5, 6, 7, 8, ...",
        ),
        (
            '{ image: "data:image/png;base64," + "A".repeat(150528) }',
            f'TypeError: input "image": expected Float32Array for [batch,2,3], got {"data:image/png;base64,":A<40}',
        ),
    ],
)
def test_wrong_input_is_refused_with_expected_and_got(feeds: str, expected: str, bundle: Write) -> None:
    assert in_bundle(bundle(doubled(BATCH, 2, 3)), f"return said({feeds});") == expected


def test_two_free_dims_need_a_shape(bundle: Write) -> None:
    folder = bundle(doubled(BATCH, TIME, 2))
    said = in_bundle(folder, "return said({ image: new Float32Array(12) });")
    assert said.startswith('TypeError: input "image": expected {data, shape}, because a length does not settle')
    shape = in_bundle(
        folder, "return (await model.run({ image: { data: new Float32Array(12), shape: [2, 3, 2] } })).y.shape;"
    )
    assert shape == [2, 3, 2]


def test_a_free_dim_must_be_the_same_in_all_inputs(bundle: Write) -> None:
    graph = Graph("sum")
    a, b = (graph.add_input(name, TensorType(DType.FLOAT32, (BATCH, 2))) for name in "ab")
    graph.set_output("y", graph.add(ops.Add(), a, b))
    said = in_bundle(bundle(graph), "return said({ a: new Float32Array(4), b: new Float32Array(6) });")
    assert said == 'TypeError: input "b": expected Float32Array(4) for [2,2], got Float32Array(6)'


def test_index_outside_the_table_is_an_error_that_names_the_node(bundle: Write) -> None:
    graph = Graph("lookup")
    index = graph.add_input("index", TensorType(DType.INT64, (BATCH,)))
    table = graph.add_constant(np.ones((5, 2), np.float32))
    graph.set_output("y", graph.add(ops.Gather(0), table, index, name="words"))
    folder = bundle(graph)
    for bad in (5, -1):
        said = in_bundle(folder, f"return said({{ index: Int32Array.of(0, {bad}) }});")
        assert said == 'RangeError: gather "words": an index is out of range'


def test_shapes_may_change_from_call_to_call(bundle: Write) -> None:
    graph = Graph("sums")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, TIME)))
    mean = graph.add(ops.ReduceMean((1,), True), x)
    graph.set_output("y", graph.add(ops.Sub(), x, mean))
    shapes = [[1, 1], [7, 300], [2, 3], [7, 300], [40, 5000], [1, 1]]
    worst = in_bundle(
        bundle(graph),
        f"""
        const worst = [];
        for (const [batch, time] of {shapes}) {{
          const data = Float32Array.from({{ length: batch * time }}, (_, i) => Math.cos(i));
          const {{ y }} = await model.run({{ x: {{ data, shape: [batch, time] }} }});
          let most = 0;
          for (let b = 0; b < batch; b++) {{
            let mean = 0;
            for (let t = 0; t < time; t++) mean += data[b * time + t] / time;
            for (let t = b * time; t < (b + 1) * time; t++) most = Math.max(most, Math.abs(y.data[t] - data[t] + mean));
          }}
          worst.push(most);
        }}
        return worst;
        """,
    )
    assert max(worst) < 1e-6 and len(worst) == len(shapes)


def test_concurrent_runs_do_not_mix(bundle: Write) -> None:
    folder = bundle(doubled(BATCH, 3))
    body = """
      const calls = [1, 2, 3, 4].map((n) => model.run({ image: new Float32Array(3 * n).fill(n) }));
      return (await Promise.all(calls)).map(({ y }) => Array.from(y.data));
    """
    assert in_bundle(folder, body) == [[2 * n] * 3 * n for n in (1, 2, 3, 4)]


def test_run_after_dispose_is_an_error(bundle: Write) -> None:
    folder = bundle(doubled(BATCH, 3))
    assert in_bundle(folder, "model.dispose(); return said({});") == (
        "Error: run() after dispose(): load() gives another model"
    )


def test_float_results_are_the_same_from_both_kernel_files_within_rounding(bundle: Write) -> None:
    graph = Graph("linear")
    rng = np.random.default_rng(5)
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 50)))
    weight = graph.add_constant(rng.standard_normal((20, 50)).astype(np.float32))
    graph.set_output("y", graph.add(ops.Linear(), x, weight))
    graph.samples = [golden(graph, {"x": rng.standard_normal((2, 50)).astype(np.float32)})]
    index = (bundle(graph) / "index.js").as_uri()
    passed = node(f"""
      import {{ load }} from "{index}";
      const results = [];
      for (const relaxed of [undefined, true, false])
        results.push((await (await load({{ relaxed }})).selfTest()).passed);
      console.log(JSON.stringify(results));
    """)
    assert passed == [True] * 3


def golden(graph: Graph, inputs: dict[str, Any]) -> Sample:
    return Sample(inputs, run_graph(graph, inputs))


def test_recipes_make_the_same_inputs_in_javascript(bundle: Write) -> None:
    graph = Graph("inputs")
    recipes = {
        "a": Recipe(DType.FLOAT32, (3, 5), 4_000_000_000, -1.5, 2.5),
        "b": Recipe(DType.INT64, (3, 7), 17, -3, 40),
        "c": Recipe(DType.BOOL, (3, 9), 18, 0, 1),
    }
    for name, recipe in recipes.items():
        x = graph.add_input(name, TensorType(recipe.dtype, (BATCH, *recipe.shape[1:])))
        graph.set_output(f"same_{name}", graph.add(ops.Identity(), x))
    outputs = {f"same_{name}": generated_input(recipe) for name, recipe in recipes.items()}
    graph.samples = [Sample({}, outputs, recipes)]
    body = """
      const test = await model.selfTest();
      return Object.values(test.samples[0].outputs).map((output) => output.difference);
    """
    assert in_bundle(bundle(graph), body) == [0, 0, 0]


def test_self_test_sees_a_nan_in_the_wrong_place(bundle: Write) -> None:
    graph = doubled(BATCH, 3)
    inputs = {"image": np.ones((1, 3), np.float32)}
    graph.samples = [Sample(inputs, {"y": np.array([[2, np.nan, 2]], np.float32)})]
    assert in_bundle(bundle(graph), "return (await model.selfTest()).passed;") is False


EXPRESSIONS = [
    "7",
    "batch",
    "batch*49",
    "-batch+5",
    "batch*time+3*batch-2",
    "(batch+1)//2",
    "((batch+1)//2)%3*4",
    "7-(time)//(batch)",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_size_expressions_mean_the_same_in_javascript(text: str) -> None:
    sizes = [{"batch": b, "time": t} for b in (1, 2, 9) for t in (5, 64)]
    dim = parse_dim(text)
    got = node(f"""
      import {{ parseDim }} from "{(RUNTIME / "dims.js").as_uri()}";
      console.log(JSON.stringify({json.dumps(sizes)}.map(parseDim({json.dumps(str(dim))}))));
    """)
    assert got == [dim if isinstance(dim, int) else dim.evaluate(size) for size in sizes]


def test_buffers_that_live_at_the_same_time_do_not_overlap() -> None:
    rng = np.random.default_rng(2)
    buffers = []
    for _ in range(60):
        first = int(rng.integers(-1, 30))
        buffers.append([int(rng.integers(1, 5000)), first, first + int(rng.integers(0, 8))])
    placed = node(f"""
      import {{ placeBuffers }} from "{(RUNTIME / "schedule.js").as_uri()}";
      console.log(JSON.stringify(placeBuffers({buffers})));
    """)
    live = max(sum(size for size, first, last in buffers if first <= op <= last) for op in range(-1, 40))
    assert placed["bytes"] < 1.6 * live
    for i, (size, first, last) in enumerate(buffers):
        start, end = placed["offsets"][i], placed["offsets"][i] + size
        assert end <= placed["bytes"]
        for j in range(i):
            other, from_op, to_op = buffers[j]
            apart = placed["offsets"][j] >= end or placed["offsets"][j] + other <= start
            assert apart or from_op > last or to_op < first


def test_codes_go_in_and_come_out_and_meta_says_what_they_stand_for(bundle: Write) -> None:
    graph = Graph("codes")
    of, to = Quantization(0.5, -3), Quantization(0.25, 7)
    x = graph.add_input("x", TensorType(DType.INT8, (BATCH, 3), of))
    graph.set_output("y", graph.add(ops.QuantizedAdd(to, of=(of, of)), x, x))
    script = """
        const { y } = await model.run({ x: Int8Array.of(-128, -3, 5) });
        const floats = await said({ x: new Float32Array(3) });
        return [y.data.constructor.name, [...y.data], floats, model.meta.inputs, model.meta.outputs[0].quantization];
    """
    kind, cells, floats, inputs, quantization = in_bundle(bundle(graph), script)
    assert (kind, cells) == ("Int8Array", [-128, 7, 39])
    assert floats == 'TypeError: input "x": expected Int8Array for [batch,3], got Float32Array(3)'
    stands_for = {"scale": 0.5, "zero_point": -3}
    assert inputs == [{"name": "x", "dtype": "int8", "shape": ["batch", 3], "quantization": stands_for}]
    assert quantization == {"scale": 0.25, "zero_point": 7}
