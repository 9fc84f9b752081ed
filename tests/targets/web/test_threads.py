"""Calls divided into parts, and threads that run them: the same bits as one thread gives, in Node and Chromium."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cases import CASES
from cases.case import Const, Data, OpCase
from playwright.sync_api import Page
from torch import Tensor, nn
from web_in_node import RUNTIME, node

import triport as tp
from triport.exporter.graph import Array, DType, Graph, Sym, TensorType, Value
from triport.exporter.ops import (
    Activation,
    Add,
    AveragePool,
    Conv,
    ConvTranspose,
    Div,
    Layout,
    Linear,
    MaxPool,
    Mul,
    Pow,
    QuantizedConv,
    ReduceMean,
    Sigmoid,
    Sub,
)
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.bundle import COMPILED
from triport.targets.web.plan import Plan, plan_document
from triport.targets.web.target import kernels_of, make_plan
from triport.targets.web.weights_file import pack_weights

Write = Callable[[Graph], Path]
KERNELS = COMPILED / "kernels.wasm"
WINDOWS = (Conv, ConvTranspose, MaxPool, AveragePool, QuantizedConv)

DIVIDED = f"""
  import {{ readFileSync }} from "node:fs";
  import {{ makeSchedule }} from "{(RUNTIME / "schedule.js").as_uri()}";
  import {{ divide, RULES }} from "{(RUNTIME / "split.js").as_uri()}";
  const whole = new WebAssembly.Module(readFileSync("{KERNELS}"));
  const bytesOf = (text) => new Uint8Array(Buffer.from(text, "base64"));

  /** The outputs' bytes; with `most`, of calls in so many parts, the last part first. */
  function outputs({{ plan, sizes, weights, inputs, own }}, most, seen) {{
    const module = own ? new WebAssembly.Module(bytesOf(own)) : whole; // with chains, which no other plan has
    const kernels = new WebAssembly.Instance(module).exports;
    const {{ memory }} = kernels;
    const schedule = makeSchedule(plan, kernels, sizes, kernels.__heap_base.value);
    if (most) divide(schedule, plan, most, 1);
    memory.grow(Math.ceil(schedule.bytes / 65536));
    new Uint8Array(memory.buffer).fill(0x55);
    const write = (at, bytes) => new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
    const at = kernels.__heap_base.value;
    write(at, bytesOf(weights));
    for (const [name, ...args] of plan.weights.made ?? [])
      kernels[name](...args.map((arg) => (arg[0] === "#" ? at + Number(arg.slice(1)) : arg)));
    for (const {{ at, table }} of [{{ at: schedule.tablesAt, table: schedule.tables }}, schedule.own ?? []])
      if (table) new Int32Array(memory.buffer, at, table.length).set(table);
    schedule.inputs.forEach(({{ at }}, i) => write(at, bytesOf(inputs[i])));
    schedule.calls.forEach(({{ name, kernel, args }}, i) => {{
      const parts = schedule.parts?.[i];
      if (parts) seen.add(name);
      if (parts?.length > 254) throw new Error(`${{name}} in ${{parts.length}} parts`); // a ticket has 8 bits for them
      for (const own of parts?.reverse() ?? [args]) if (kernel(...own)) throw new Error(name);
    }});
    const count = ({{ shape, dtype }}) => shape.reduce((a, b) => a * b, 1) * (/32/.test(dtype) ? 4 : 1);
    return schedule.outputs.map((spec) => Buffer.from(memory.buffer, spec.at, count(spec)).toString("base64")).join();
  }}
"""


def more_cases() -> Iterator[OpCase]:
    """For kernels that no case of the ports' suite calls."""
    operands = Data((32, 19, 15)), Const((40, 32, 3, 3)), Const((40,))
    yield OpCase("conv/winograd", Conv((1, 1), ((1, 0), (1, 1)), (1, 1), 1), operands)
    for exponent in (2.0, 0.5, -0.5, -1.0):
        yield OpCase(f"pow/{exponent}", Pow(), (Data((3,), 0.5, 2.0), Const((1,), values=(exponent,))))
    depthwise = next(case for case in CASES if case.name == "quantized_conv/depthwise_relu6")
    x, weight, *others = depthwise.operands
    assert isinstance(weight, Const)
    yield replace(depthwise, name="quantized_conv/mean", operands=(x, replace(weight, values=(1.0,)), *others))


def taller(case: OpCase) -> OpCase:
    """The case over images with lines enough for several threads."""
    image = case.operands[0]
    assert isinstance(image, Data)
    axis = 0 if getattr(case.op, "layout", None) is Layout.CHANNELS_LAST else 1
    shape = tuple(size + 13 * (i == axis) for i, size in enumerate(image.shape))
    return replace(case, operands=(replace(image, shape=shape), *case.operands[1:]))


def divisible() -> Iterator[dict[str, Any]]:
    """Some cases for every kernel, with a batch at which they can be divided."""
    taken: Counter[str] = Counter()
    for case in (*CASES, *more_cases()):
        if "web" in case.refused:
            continue
        plan = plan_of(case.graph())
        windows = isinstance(case.op, WINDOWS) and len(case.operands[0].shape) == 3
        if all(taken[kernel] >= (12 if windows else 3) for kernel in plan.kernels()):
            continue
        taken.update(plan.kernels())
        yield spelled(case.name, plan, case.inputs(131), {"batch": 131})
        if windows:
            tall = taller(case)
            yield spelled(tall.name, plan_of(tall.graph()), tall.inputs(1), {"batch": 1})
    many = next(case for case in CASES if isinstance(case.op, WINDOWS) and len(case.operands[0].shape) == 3)
    yield spelled(f"{many.name}, 300 images", plan_of(many.graph()), many.inputs(300), {"batch": 300})
    for attention in ATTENTIONS:
        x = torch.randn(1, attention.heads, 41, 12)
        plan = plan_of(tp.capture(attention, (x, x, x)))
        yield spelled(str(attention), plan, {spec.name: x.numpy() for spec in plan.inputs}, {"batch": 1})
    for build in (gated, normalised):
        graph = build()
        plan = plan_of(graph)
        arrays = {s.name: np.random.default_rng(5).normal(size=(131, 8, 5)).astype(np.float32) for s in plan.inputs}
        yield spelled(build.__name__, plan, arrays, {"batch": 131})
    for kept in (False, True):
        x = torch.randn(131, 9)
        plan = plan_of(tp.capture(SumAndNorm(kept), (x, x)))
        yield spelled(f"sum and norm, {kept}", plan, {spec.name: x.numpy() for spec in plan.inputs}, {"batch": 131})


def gated() -> Graph:
    """A chain of two operands and one of a value a row."""
    graph = Graph("gated")
    x, y = (graph.add_input(name, TensorType(DType.FLOAT32, (Sym.named("batch"), 8, 5))) for name in "xy")
    each = graph.add(ReduceMean((1, 2), True), x)
    graph.set_output("z", graph.add(Mul(), graph.add(Add(), graph.add(Mul(), x, graph.add(Sigmoid(), x)), y), each))
    return graph


def normalised() -> Graph:
    """A chain whose short rows are put together."""
    graph = Graph("normalised")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 8, 5)))
    mean, scale = (graph.add_constant(np.arange(1, 6, dtype=np.float32) + i) for i in range(2))
    graph.set_output("y", graph.add(Div(), graph.add(Sub(), x, mean), scale))
    return graph


class SumAndNorm(nn.Module):
    """The norm of a sum; ``kept``: the sum is read afterwards as well."""

    def __init__(self, kept: bool) -> None:
        super().__init__()
        self.kept, self.norm = kept, nn.LayerNorm(9)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        total = x + y
        normed = cast(Tensor, self.norm(total))
        return normed * total if self.kept else normed


class Attention(nn.Module):
    """Torch's attention over some heads: masked by numbers, by what is left, by the keys behind, or not at all."""

    def __init__(self, heads: int, mask: str = "") -> None:
        super().__init__()
        self.heads, self.causal = heads, mask == "causal"
        masks = {"added": torch.randn(heads, 41, 41), "kept": torch.rand(41, 41) > 0.3}
        self.register_buffer("mask", masks.get(mask))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = None if self.mask is None else self.get_buffer("mask")
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=self.causal)


ATTENTIONS = [Attention(heads, mask) for heads in (1, 5) for mask in ("", "added", "kept", "causal")]


def plan_of(graph: Graph) -> Plan:
    return make_plan(prepare(graph, WebTarget()))


def spelled(name: str, plan: Plan, arrays: Mapping[str, Array], sizes: Mapping[str, int]) -> dict[str, Any]:
    inputs = [arrays[spec.name].astype(spec.dtype.numpy) for spec in plan.inputs]
    parts, weights = pack_weights(plan)
    return {
        "name": name,
        "plan": plan_document(plan, {}, parts, {}),
        "sizes": {**{dim: 1 for spec in plan.inputs for d in spec.shape for dim in getattr(d, "names", ())}, **sizes},
        "own": base64.b64encode(kernels_of(plan, KERNELS.read_bytes())).decode() if plan.chains else "",
        "weights": base64.b64encode(weights).decode(),
        "inputs": [base64.b64encode(np.ascontiguousarray(array).tobytes()).decode() for array in inputs],
    }


def test_divided_calls_write_the_same_bits_whatever_their_order(tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text(json.dumps(list(divisible())))
    wrong, without = node(f"""{DIVIDED}
      const cases = JSON.parse(readFileSync("{tmp_path / "cases.json"}", "utf8"));
      const wrong = [], seen = new Set();
      for (const one of cases) {{
        const whole = outputs(one);
        for (const most of [2, 3]) if (outputs(one, most, seen) !== whole) wrong.push(`${{one.name}} in ${{most}}`);
        const chained = JSON.stringify(one.plan).includes("chain0");
        if (chained && !seen.delete("chain0")) wrong.push(`the chain of ${{one.name}}`);
      }}
      console.log(JSON.stringify([wrong, Object.keys(RULES).filter((name) => !seen.has(name))]));
    """)
    assert wrong == []
    assert without == [], "kernels that no case divides"


def wide_cnn() -> Graph:
    """Two convolutions, a pool and a linear layer, with work enough to be divided."""
    rng = np.random.default_rng(3)

    def constant(*shape: int) -> Value:
        return graph.add_constant((rng.standard_normal(shape) / 8).astype(np.float32))

    graph = Graph("wide")
    x = graph.add_input("image", TensorType(DType.FLOAT32, (Sym.named("batch"), 34, 30, 4)))
    same, last = ((1, 1), (1, 1)), Layout.CHANNELS_LAST
    x = graph.add(Conv((1, 1), same, (1, 1), 1, last, Activation.RELU), x, constant(24, 3, 3, 4), constant(24))
    x = graph.add(Conv((1, 1), same, (1, 1), 1, last, Activation.RELU), x, constant(40, 3, 3, 24), constant(40))
    x = graph.add(MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), last), x)
    graph.set_output("y", graph.add(Sigmoid(), graph.add(Linear(), x, constant(32, 40))))
    return graph


BOTH = """
  const one = await load(base), several = await load({ ...base, threads: THREADS });
  const counts = [one.threads, several.threads];
  let equal = 0;
  for (let i = 0; i < 12; i++) {
    const image = Float32Array.from({ length: (1 + (i >> 1) % 3) * 34 * 30 * 4 }, (_, k) => Math.sin(k * (i + 1)));
    const [a, b] = [(await one.run({ image })).y.data, (await several.run({ image })).y.data];
    const same = new Uint8Array(a.buffer), other = new Uint8Array(b.buffer);
    equal += a.length === b.length && same.every((byte, k) => byte === other[k]);
  }
  several.dispose();
"""
"""Asked for THREADS: what there are, and how many of 12 answers, at three sizes, have the same bytes."""


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_give_the_same_bytes_in_node_which_ends_without_dispose(threads: int, bundle: Write) -> None:
    index = (bundle(wide_cnn()) / "index.js").as_uri()
    assert node(f"""
      import {{ load }} from "{index}";
      const base = {{}}, THREADS = {threads};
      {BOTH}
      const kept = await load({{ threads: 2 }});
      await kept.run({{ image: new Float32Array(34 * 30 * 4) }});
      console.log(JSON.stringify([counts, equal]));
    """) == [[1, threads], 12]


def test_a_model_that_calls_no_kernel_runs_on_threads_too(bundle: Write) -> None:
    index = (bundle(tp.capture(nn.Identity(), {"input": torch.randn(2, 3)})) / "index.js").as_uri()
    assert node(f"""
      import {{ load }} from "{index}";
      const model = await load({{ threads: 2 }});
      const {{ output }} = await model.run({{ input: Float32Array.of(1, 2, 3) }});
      console.log(JSON.stringify([...output.data]));
    """) == [1, 2, 3]


def test_what_is_no_number_of_threads_is_refused(bundle: Write) -> None:
    index = (bundle(wide_cnn()) / "index.js").as_uri()
    said = node(f"""
      import {{ load }} from "{index}";
      const text = (error) => `${{error.name}}: ${{error.message}}`;
      const said = [0, 1.5, "two"].map((threads) => load({{ threads }}).catch(text));
      console.log(JSON.stringify(await Promise.all(said)));
    """)
    assert said == [
        f'TypeError: load: threads is a number of threads or "auto", got {it}' for it in ("0", "1.5", "two")
    ]


def test_what_fails_in_a_thread_is_thrown_by_run_and_the_next_run_is_told_the_same(bundle: Write) -> None:
    folder = bundle(wide_cnn())
    script = folder / "index.js"
    text, changed = re.subn(rb'(\["conv2d",[^,]*,[^,]*),"[^"]*"', rb'\1,"#4200000000"', script.read_bytes())
    assert changed
    script.write_bytes(text)
    said = node(f"""
      import {{ load }} from "{(folder / "index.js").as_uri()}";
      const model = await load({{ threads: 3 }});
      const said = [];
      for (let i = 0; i < 5; i++)
        said.push(await model.run({{ image: new Float32Array(34 * 30 * 4) }}).catch((error) => error.message));
      console.log(JSON.stringify(said));
    """)
    expected = re.compile("memory access out of bounds|kernel conv2d failed in a worker")
    assert all(map(expected.fullmatch, said)), said


def test_a_thread_that_is_ended_in_the_middle_of_its_work_is_told(bundle: Write) -> None:
    folder = bundle(wide_cnn())
    patience, helper = (folder / name for name in ("threads.js", "threads-worker.js"))
    script, taken = helper.read_text(), "ticket + 1) !== ticket) continue;"
    assert taken in script and "PATIENCE = 30_000" in patience.read_text()
    helper.write_text(script.replace(taken, f"{taken} process.exit();"))
    patience.write_text(patience.read_text().replace("PATIENCE = 30_000", "PATIENCE = 200"))
    said = node(f"""
      import {{ load }} from "{(folder / "index.js").as_uri()}";
      const model = await load({{ threads: 2 }}), said = [];
      for (let i = 0; i < 200 && said.length < 2; i++) // whoever is free takes parts: often it is not the worker
        await model.run({{ image: new Float32Array(8 * 34 * 30 * 4) }}).catch(({{ message }}) => said.push(message));
      const other = await load();
      const {{ y }} = await other.run({{ image: new Float32Array(34 * 30 * 4) }});
      console.log(JSON.stringify([...said, y.data.length]));
    """)
    told = re.compile(r"a thread did not come back from kernel \w+: .*load\(\) the model again")
    assert told.fullmatch(said[0]) and said[1] == said[0] and said[2] > 0, said


ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
IN_PAGE = f"""async (THREADS) => {{
  const {{ load }} = await import("/index.js");
  const base = {{}};
  {BOTH}
  return [crossOriginIsolated, counts, equal];
}}"""
IN_WORKER = f"""
  import {{ load }} from "./index.js";
  const base = {{}}, THREADS = 2;
  {BOTH}
  postMessage([crossOriginIsolated, counts, equal]);
"""


def test_an_isolated_page_under_the_strict_policy_has_threads_with_the_same_bytes(
    page: Page, bundle: Write, serve: Callable[..., str]
) -> None:
    # Chromium before 114 makes no instance of kernels as large as these on a page's thread.
    page.add_init_script("WebAssembly.Instance = class { constructor() { throw new RangeError('larger than 4KB'); } };")
    page.goto(serve(bundle(wide_cnn()), ISOLATED) + "/index.html")
    assert page.evaluate(IN_PAGE, 2) == [True, [1, 2], 12]
    isolated, (_, several), equal = page.evaluate(IN_PAGE, "auto")
    assert isolated and 1 <= several <= 4 and equal == 12
    page.add_script_tag(url="/index.iife.js")
    classic = IN_PAGE.replace('await import("/index.js")', "Object.values(triport)[0]")
    assert page.evaluate(classic, 2) == [True, [1, 2], 12]


def test_a_page_that_is_not_isolated_runs_on_one_thread(page: Page, bundle: Write, serve: Callable[..., str]) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url.rsplit("/", 1)[1]))
    page.goto(serve(bundle(wide_cnn())) + "/index.html")
    page.evaluate("async () => (await (await import('/index.js')).load()).meta.name")
    assert not [name for name in fetched if "threads" in name]
    assert page.evaluate(IN_PAGE, 2) == [False, [1, 1], 12]
    assert "threads-worker.js" not in fetched


def test_a_module_worker_of_an_isolated_page_has_threads(page: Page, bundle: Write, serve: Callable[..., str]) -> None:
    folder = bundle(wide_cnn())
    (folder / "own.js").write_text(IN_WORKER)
    page.goto(serve(folder, ISOLATED) + "/index.html")
    script = """new Promise((done, fail) => {
      const worker = new Worker('/own.js', { type: 'module' });
      worker.onmessage = ({ data }) => done(data);
      worker.onerror = ({ message }) => fail(message);
    })"""
    assert page.evaluate(script) == [True, [1, 2], 12]
