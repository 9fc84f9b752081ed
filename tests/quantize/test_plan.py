"""A plan is data: saved, read, compared, edited, followed, and refused where it contradicts itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import BATCH, convnet, perceptron

from triport.exporter.errors import FormatError, UsageError
from triport.exporter.graph import DType, Graph, Quantization, Source, TensorType
from triport.exporter.ops import Add, Conv, Linear, MaxPool, QuantizedConv, QuantizedLinear
from triport.quantize import NodePlan, Plan, ValuePlan, make_plan, plan_rows, quantize
from triport.quantize.forms import Form
from triport.quantize.plan import IO

IMAGES = {"image": np.random.default_rng(0).normal(0, 1, (40, 1, 8, 8)).astype(np.float32)}

names = st.text(min_size=1, max_size=12)
singles = st.floats(2.0**-40, 2.0**40, width=32)
plans = st.builds(
    Plan,
    scheme=st.just("int8"),
    nodes=st.dictionaries(names, st.builds(NodePlan, st.sampled_from(Form), st.text(max_size=20)), max_size=5),
    values=st.dictionaries(
        names,
        st.builds(
            ValuePlan,
            st.builds(Quantization, singles, st.integers(-128, 127)),
            st.floats(-1e6, 0),
            st.floats(0, 1e6),
        ),
        max_size=5,
    ),
    io=st.sampled_from(IO),
    notices=st.lists(st.text(max_size=20), max_size=2),
    accuracy=st.dictionaries(names, st.floats(0, 1), max_size=2),
)


@given(plan=plans)
@settings(max_examples=60, deadline=None)
def test_reading_gives_what_was_written(plan: Plan) -> None:
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).to_json() == plan.to_json()


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(convnet(), calibration=IMAGES)


def changed(plan: Plan, node: str = "", form: Form = Form.FLOAT, **values: Quantization) -> Plan:
    """A copy with another form of one node, and other scales of values (``pool`` is the value pool:out)."""
    nodes = plan.nodes | ({node: NodePlan(form)} if node else {})
    others = {f"{name}:out": replace(plan.values[f"{name}:out"], quantization=q) for name, q in values.items()}
    return replace(plan, nodes=nodes, values=plan.values | others)


def test_a_saved_plan_gives_the_same_graph(plan: Plan, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan.json")
    first = quantize(convnet(), plan=plan)
    second = quantize(convnet(), plan=Plan.load(tmp_path / "plan.json"))
    assert str(first) == str(second)
    assert all(np.array_equal(a.array(), b.array()) for a, b in zip(first.constants(), second.constants(), strict=True))


def test_an_edited_node_is_float_and_its_neighbours_are_not(plan: Plan) -> None:
    quantized = quantize(convnet(), plan=changed(plan, "head"))
    by_name = {node.name: node.op for node in quantized.nodes}
    assert isinstance(by_name["head"], Linear) and not isinstance(by_name["head"], QuantizedLinear)
    assert isinstance(by_name["stem"], QuantizedConv)
    assert quantized.metadata["quantization"]["float"] == [["the plan was edited so", ["head"]]]


def test_an_edited_scale_is_followed(plan: Plan) -> None:
    wide = Quantization(0.125, 3)
    quantized = quantize(convnet(), plan=changed(plan, head=wide))
    assert next(node.output.quantization for node in quantized.nodes if node.name == "head") == wide


def test_a_difference_names_each_node_and_value(plan: Plan) -> None:
    other = replace(changed(plan, "head", head=Quantization(0.5, 0)), io="int8")
    before, after = plan.values["head:out"].quantization, Quantization(0.5, 0)
    assert list(plan.difference(other)) == [
        "io: float32 → int8",
        "node head: int8 → float",
        f"value head:out: {before} → {after}",
    ]
    assert not list(plan.difference(plan))


def test_a_move_whose_scales_differ_is_a_contradiction(plan: Plan) -> None:
    with pytest.raises(UsageError, match="contradicts itself at max_pool") as raised:
        quantize(convnet(), plan=changed(plan, pool=Quantization(0.5, 0)))
    assert raised.value.code == "TP052"
    assert raised.value.at == 'model.py:43, layer "pool"'


def test_a_form_that_a_node_does_not_have_is_a_contradiction(plan: Plan) -> None:
    with pytest.raises(
        UsageError, match='the form "int8" of max_pool2d "pool", which has "float" or "moves"'
    ) as raised:
        quantize(convnet(), plan=changed(plan, "pool", Form.INTEGER))
    assert raised.value.code == "TP052"


def test_a_scale_that_runtimes_round_in_different_ways_is_a_contradiction() -> None:
    images = convnet()
    total = images.add(
        Add(), images.nodes[0].output, images.nodes[0].output, name="twice", source=Source("", "net.py:9")
    )
    images.set_output("twice", total)
    plan = make_plan(images, calibration=IMAGES)
    scale = plan.values["twice:out"].quantization.scale
    of = plan.values[next(name for name in plan.values if name.startswith("stem"))].quantization.scale
    assert scale != of * 2
    tie = Quantization(float(np.float32(of * 2)), plan.values["twice:out"].quantization.zero_point)
    with pytest.raises(UsageError, match='"twice:out" results of add "twice" come so near') as raised:
        quantize(images, plan=changed(plan, twice=tie))
    assert (raised.value.code, raised.value.at) == ("TP052", "net.py:9")
    safe = Quantization(_advised(raised.value, "twice:out"), tie.zero_point)
    assert abs(safe.scale / tie.scale - 1) < 0.01
    assert quantize(images, plan=changed(plan, twice=safe)).nodes


def _one(name: str, value: Quantization) -> dict[str, Any]:
    return {name: value}


def _advised(error: UsageError, name: str) -> float:
    """The scale that an error's help names for a value."""
    found = re.match(rf'take (\S+) for "{name}", or calibrate again', str(error.help))
    assert found is not None, error.help
    return float(found[1])


@pytest.fixture(scope="module")
def summed() -> Graph:
    """Two linear layers and their sum."""
    graph = Graph("sum")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    rng = np.random.default_rng(0)
    branches = []
    for name in ("left", "right"):
        weight = graph.add_constant(rng.normal(0, 1, (4, 4)).astype(np.float32), f"{name}.weight")
        branches.append(graph.add(Linear(), x, weight, name=name))
    graph.set_output("y", graph.add(Add(), *branches, name="both", source=Source("", "net.py:9")))
    return graph


@pytest.fixture(scope="module")
def plan_of_sum(summed: Graph) -> Plan:
    return make_plan(summed, calibration={"x": np.random.default_rng(1).normal(0, 1, (40, 4)).astype(np.float32)})


@pytest.mark.parametrize(("operand", "other"), [("left", "right"), ("right", "left")])
@pytest.mark.parametrize("factor", [1.003, 0.9123])
def test_an_operand_in_no_ratio_is_named_with_the_nearest_scale_that_is(
    summed: Graph, plan_of_sum: Plan, operand: str, other: str, factor: float
) -> None:
    known = plan_of_sum.values[f"{operand}:out"].quantization
    edited = replace(known, scale=float(np.float32(known.scale * factor)))
    with pytest.raises(UsageError, match=rf'"{other}:out", .* whole numbers up to 127') as raised:
        quantize(summed, plan=changed(plan_of_sum, **_one(operand, edited)))
    assert raised.value.message.startswith(f'the plan\'s scale of "{operand}:out", {edited.scale!r}, is')
    assert (raised.value.code, raised.value.at) == ("TP052", "net.py:9")
    safe = _advised(raised.value, f"{operand}:out")
    assert abs(safe / edited.scale - 1) < 0.05
    assert quantize(summed, plan=changed(plan_of_sum, **_one(operand, replace(known, scale=safe)))).nodes


@pytest.mark.parametrize("factor", [1.003, 0.9123])
def test_all_values_that_share_a_scale_are_named_with_the_one_to_take(factor: float) -> None:
    graph = Graph("pooled sum")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 3, 4, 4)))
    rng = np.random.default_rng(0)
    none = ((0, 0), (0, 0))
    branches = []
    for name in ("left", "right"):
        weight = graph.add_constant(rng.normal(0, 1, (4, 3, 1, 1)).astype(np.float32), f"{name}.weight")
        conv = graph.add(Conv((1, 1), none, (1, 1)), x, weight, name=name)
        branches.append(graph.add(MaxPool((2, 2), (2, 2), none, (1, 1)), conv, name=f"{name}.pool"))
    graph.set_output("y", graph.add(Add(), *branches, name="both"))
    plan = make_plan(graph, calibration={"x": rng.normal(0, 1, (40, 3, 4, 4)).astype(np.float32)})
    known = plan.values["left:out"].quantization
    assert plan.values["left.pool:out"].quantization == known
    wrong = replace(known, scale=float(np.float32(known.scale * factor)))
    edited = changed(plan, left=wrong, **_one("left.pool", wrong))
    with pytest.raises(UsageError, match="whole numbers up to 127") as raised:
        quantize(graph, plan=edited)
    found = re.fullmatch(r"take (\S+) for (.* and .*), or calibrate again", str(raised.value.help))
    assert found is not None, raised.value.help
    pair = [name.removesuffix(":out") for name in re.findall(r'"([^"]+)"', found[2])]
    assert pair in (["left", "left.pool"], ["right", "right.pool"])
    safe: dict[str, Any] = {
        name: replace(edited.values[f"{name}:out"].quantization, scale=float(found[1])) for name in pair
    }
    assert quantize(graph, plan=changed(edited, **safe)).nodes


@pytest.mark.parametrize("factor", [2.0**-4, 2.0**10])
def test_a_result_far_from_what_it_adds_is_told(summed: Graph, plan_of_sum: Plan, factor: float) -> None:
    known = plan_of_sum.values["both:out"].quantization
    edited = replace(known, scale=known.scale * factor)
    with pytest.raises(UsageError, match=r"from 1/256 to 2 times is what kernels for sums are made for") as raised:
        quantize(summed, plan=changed(plan_of_sum, both=edited))
    safe = _advised(raised.value, "both:out")
    assert quantize(summed, plan=changed(plan_of_sum, both=replace(known, scale=safe))).nodes


def test_a_scale_of_many_bits_is_refused_where_kernels_are_strict() -> None:
    plan = make_plan(convnet(), "int8-strict", calibration=IMAGES)
    long = Quantization(float(np.float32(0.1)), 3)
    with pytest.raises(UsageError, match=r'scale of "head:out".* more than 16 significant bits') as raised:
        quantize(convnet(), plan=changed(plan, head=long))
    advice = str(raised.value.help)
    assert raised.value.code == "TP052" and advice.startswith("take 0.1")
    short = Quantization(float(advice.split()[1]), 3)
    assert quantize(convnet(), plan=changed(plan, head=short)).nodes


def test_a_missing_scale_is_a_contradiction(plan: Plan) -> None:
    values = {name: value for name, value in plan.values.items() if name != "head:out"}
    with pytest.raises(UsageError, match='no scale for "head:out"') as raised:
        quantize(convnet(), plan=replace(plan, values=values))
    assert raised.value.code == "TP052"


def test_a_plan_for_another_graph_is_refused(plan: Plan) -> None:
    with pytest.raises(UsageError, match="for another graph") as raised:
        quantize(perceptron(), plan=plan)
    assert raised.value.code == "TP052"


def _with(plan: Plan, **changes: Any) -> str:
    return json.dumps(json.loads(plan.to_json()) | changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": "recipe"}, "'recipe'"),
        ({"version": 99}, "version 99"),
        ({"nodes": [{"name": "a", "form": "int7"}]}, "int7"),
        ({"nodes": 3}, "nodes is 3, and has to be a list"),
        ({"values": [{"name": "a", "scale": 0.0, "zero_point": 0, "range": [0, 1]}]}, "scale 0.0"),
        ({"values": [{"name": "a", "scale": float("nan"), "zero_point": 0, "range": [0, 1]}]}, "scale nan"),
        (
            {"values": [{"name": "a", "scale": 1e39, "zero_point": 0, "range": [0, 1]}]},
            "not a positive, finite float32",
        ),
        ({"values": [{"name": "a", "scale": 1e-60, "zero_point": 0, "range": [0, 1]}]}, 'value "a" has scale 1e-60'),
        ({"values": [{"name": "a", "scale": 10**400, "zero_point": 0, "range": [0, 1]}]}, "scale inf"),
        ({"values": [{"name": "a", "scale": "big", "zero_point": 0, "range": [0, 1]}]}, 'value "a" has "big" as its'),
        ({"values": [{"name": "a", "scale": 0.5, "zero_point": 1.5, "range": [0, 1]}]}, "zero point 1.5, which is no"),
        ({"values": [{"name": "a", "zero_point": 0, "range": [0, 1]}]}, 'value "a" has no "scale"'),
        ({"values": [{"name": "a", "scale": 1, "zero_point": 0, "range": [0, 1]}] * 2}, 'values lists "a" twice'),
        ({"nodes": [{"name": "a", "form": "int8"}, {"name": "a", "form": "float"}]}, 'nodes lists "a" twice'),
        ({"nodes": [{"name": "a", "form": "int4"}]}, "one of: int8, moves, table, exact float, float"),
        ({"nodes": ["stem"]}, 'entry 1 of nodes is "stem", and has to be an object'),
        ({"nodes": [{"name": 3, "form": "int8"}]}, "the name of entry 1 of nodes is 3"),
        ({"nodes": None}, "nodes is null, and has to be a list"),
        ({"scheme": "int9"}, "scheme is 'int9', and has to be one of: int8, int8-strict"),
        ({"values": [{"name": "a", "scale": 0.5, "zero_point": 900, "range": [0, 1]}]}, "zero point 900"),
        ({"values": [{"name": "a", "scale": 0.5, "zero_point": 0, "range": [0]}]}, 'the range of value "a" is [0]'),
        ({"io": "int4"}, "'int4'"),
    ],
)
def test_what_is_no_plan_is_told(plan: Plan, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(FormatError, match="is not a plan of triport") as raised:
        Plan.from_json(_with(plan, **changes))
    assert raised.value.code == "TP053"
    assert told in str(raised.value)


def test_a_scale_is_rounded_to_the_float32_that_runtimes_hold(plan: Plan) -> None:
    data = json.loads(plan.to_json())
    next(value for value in data["values"] if value["name"] == "head:out")["scale"] = 0.04
    edited = Plan.from_json(json.dumps(data))
    assert edited.values["head:out"].quantization.scale == float(np.float32(0.04)) != 0.04
    assert quantize(convnet(), plan=edited).nodes


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", "{" * 10_000, "[" * 100_000])
def test_texts_that_are_no_plan_are_refused(text: str) -> None:
    with pytest.raises(FormatError) as raised:
        Plan.from_json(text)
    assert raised.value.code == "TP053"


def test_files_that_are_no_plan_are_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="no text"):
        Plan.load(tmp_path / "plan.json")
    with pytest.raises(UsageError, match="cannot be read") as raised:
        Plan.load(tmp_path / "missing.json")
    assert raised.value.code == "TP001"


def test_every_float_node_has_its_reason() -> None:
    plan = make_plan(convnet(), calibration=IMAGES, keep_float=["stem", "soft*"])
    rows = plan_rows(convnet(), plan)
    assert {row.node: row.reason for row in rows if row.form == "float"} == {
        "stem": 'kept float by "stem"',
        "pool": "what it reads is float",
        "flatten": "what it reads is float",
        "softmax": 'kept float by "soft*"',
    }
    assert [row.node for row in rows if row.quantization is not None] == ["flatten", "head"]
    assert plan.counts() == {"int8": 1, "float": 4}
