"""How much WebAssembly memory whole networks take: buffers beside what is alive at once, and all of it in Node."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_networks import NETWORKS, SMALL
from web_in_node import RUNTIME, in_bundle, node

import triport as tp
from triport.exporter.graph import Graph
from triport.exporter.graph.dims import evaluate_dim
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.plan import Plan
from triport.targets.web.target import make_plan

Write = Callable[[Graph], Path]
Network = tuple[Callable[[], nn.Module], Callable[[], Tensor]]


def _lenet() -> nn.Module:
    features = [
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
    ]
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Linear(84, 10))


NETS: dict[str, Network] = {
    "MLP": (lambda: nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)), lambda: torch.randn(1, 784)),
    "LeNet": (_lenet, lambda: torch.randn(1, 1, 28, 28)),
    "MobileNetV2": (SMALL["MobileNetV2"], lambda: torch.randn(1, 3, 224, 224)),
    "ResNet-18": (SMALL["ResNet-18"], lambda: torch.randn(1, 3, 96, 96)),
    "U-Net": (SMALL["U-Net"], lambda: torch.randn(1, 3, 64, 64)),
    "transformer": (SMALL["encoder, free length"], lambda: torch.randint(0, 50, (1, 64))),
    "LSTM": (NETWORKS["LSTM"].build, NETWORKS["LSTM"].example),
    "Swin": (NETWORKS["Swin"].build, NETWORKS["Swin"].example),
    "ConvNeXt": (NETWORKS["ConvNeXt"].build, NETWORKS["ConvNeXt"].example),
}


def graph_of(name: str) -> Graph:
    build, example = NETS[name]
    return tp.capture(build().eval(), example())


def alive(plan: Plan, batch: int) -> tuple[list[list[int]], int]:
    """The buffers as [bytes, first op, last op], and the most bytes that are needed at once."""
    sizes = {name: batch for spec in plan.inputs for dim in spec.shape for name in getattr(dim, "names", ())}
    buffers = [[int(evaluate_dim(b.bytes, sizes)), b.first, b.last] for b in plan.buffers]
    calls = range(-1, len(plan.calls) + 1)
    return buffers, max(sum(size for size, first, last in buffers if first <= call <= last) for call in calls)


@pytest.mark.parametrize("name", NETS)
def test_buffers_take_a_tenth_more_at_most_than_what_is_alive_at_once(name: str) -> None:
    plan = make_plan(prepare(graph_of(name), WebTarget()))
    for batch in (1, 3):
        buffers, least = alive(plan, batch)
        placed = node(f"""
          import {{ placeBuffers }} from "{(RUNTIME / "schedule.js").as_uri()}";
          console.log(placeBuffers({json.dumps(buffers)}).bytes);
        """)
        assert least <= placed <= 1.1 * least


def test_a_loaded_model_says_how_much_memory_it_takes_and_takes_no_more_than_it_needs(bundle: Write) -> None:
    graph = graph_of("MobileNetV2")
    folder: Path = bundle(graph)
    plan = make_plan(prepare(graph, WebTarget()))
    size = 3 * 224 * 224
    loaded, after, disposed = in_bundle(
        folder,
        f"""
        const loaded = model.memory;
        await model.run({{ {graph.inputs[0].name}: new Float32Array({size}) }});
        const after = model.memory;
        model.dispose();
        return [loaded, after, model.memory];
        """,
    )
    weights = len(plan.weights)
    assert weights < loaded < weights + 2**17
    assert after <= weights + 1.1 * alive(plan, 1)[1] + 256 * 1024
    assert disposed == 0
