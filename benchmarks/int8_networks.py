"""The networks that quantization is judged by, trained here: small, but not toys.

Their proportions are those of the networks they are named after: nearly all weights are in wide, late layers, where
maps are small.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/int8_networks.py [NETWORK ...]

prints parameters, accuracy on the whole test set and the CPU time of training. Each network is trained once, on one
thread and from a fixed seed, and kept as build/int8/NAME.triport.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from int8_data import DATA, FOLDER, Array, Data, MissingData

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from triport import Graph
    from triport.exporter.models.structure import SymbolicTensor

BATCH = 128
CALIBRATION, SAMPLES = 512, 1_000


@dataclass(frozen=True)
class Network:
    """How a network is made and trained.

    shape   of one sample, as the network takes it; the cells of a picture are the same in any of its shapes
    factor  what the data are multiplied by before they go in
    probabilities  whether it answers with these, else with logits
    reach   by how many cells samples are moved at most, along both axes, while training
    wanted  least accuracy in float32
    """

    data: str
    build: Callable[[], Module]
    shape: tuple[int, ...]
    epochs: int
    rate: float = 3e-3
    factor: float = 1.0
    decay: float = 0.02
    probabilities: bool = False
    reach: tuple[int, int] = (0, 0)
    wanted: float = 0.91


# -- the networks ---------------------------------------------------------------------------------------------------


def _digits_cnn() -> Module:
    from digits_demo import digits_cnn

    return digits_cnn()


def _mlp() -> Module:
    import triport as tp

    layers = tp.layers
    return tp.Sequential(
        [
            tp.Input((28, 28, 1), name="image"),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(10, name="scores"),
        ],
        name="mlp",
    )


def _mobilenet_v2() -> Module:
    """Inverted residuals with relu6, five of them with an addition; from 14x14 behind the stem to 2x2."""
    from mobilenet_v2 import inverted_residual, normalized

    import triport as tp

    layers = tp.layers
    image = tp.Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = normalized(x, "stem")
    narrow = ((1, 16, 1), (3, 24, 1), (3, 24, 1), (3, 48, 2), (3, 48, 1), (3, 96, 2))
    stages = (*narrow, (3, 384, 2), (2, 384, 1), (2, 384, 1))
    for block, (expansion, channels, stride) in enumerate(stages):
        x = inverted_residual(x, channels, expansion=expansion, stride=stride, name=f"block_{block}")
    x = normalized(layers.Conv2D(1024, 1, use_bias=False, name="head")(x), "head")
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling2D(name="pool")(x))
    return tp.Model(image, layers.Dense(10, name="scores")(x), name="mobilenet_v2")


def _bottleneck(
    x: SymbolicTensor,
    expanded: int,
    channels: int,
    *,
    kernel: int,
    stride: int,
    excite: bool,
    activation: str,
    name: str,
) -> SymbolicTensor:
    """MobileNetV3's (arXiv:1905.02244): expand, filter each channel, weigh the channels, project."""
    from triport import layers

    given, block_input = x.shape[-1], x
    x = layers.Conv2D(expanded, 1, use_bias=False, name=f"{name}_expand")(x)
    x = layers.Activation(activation)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = layers.Activation(activation)(layers.BatchNormalization()(x))
    if excite:
        weight = layers.GlobalAveragePooling2D(keepdims=True)(x)
        weight = layers.Conv2D(expanded // 4, 1, activation="relu", name=f"{name}_squeeze")(weight)
        weight = layers.Conv2D(expanded, 1, activation="hard_sigmoid", name=f"{name}_excite")(weight)
        x = layers.Multiply()([x, weight])
    x = layers.BatchNormalization()(layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project")(x))
    return layers.Add()([block_input, x]) if stride == 1 and given == channels else x


def _mobilenet_v3() -> Module:
    """Squeeze-and-excite, hard-swish and 5x5 depthwise filters."""
    import triport as tp

    layers = tp.layers
    image = tp.Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.Activation("hard_swish")(layers.BatchNormalization()(x))
    x = _bottleneck(x, 32, 16, kernel=3, stride=1, excite=True, activation="relu", name="block_0")
    x = _bottleneck(x, 64, 24, kernel=3, stride=1, excite=False, activation="relu", name="block_1")
    x = _bottleneck(x, 96, 40, kernel=5, stride=2, excite=True, activation="hard_swish", name="block_2")
    x = _bottleneck(x, 120, 40, kernel=5, stride=1, excite=True, activation="hard_swish", name="block_3")
    x = _bottleneck(x, 160, 96, kernel=5, stride=2, excite=True, activation="hard_swish", name="block_4")
    x = _bottleneck(x, 288, 160, kernel=5, stride=2, excite=True, activation="hard_swish", name="block_5")
    x = layers.Conv2D(960, 1, use_bias=False, name="head")(x)
    x = layers.Activation("hard_swish")(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.1)(layers.Dense(1280, activation="hard_swish", name="hidden")(x))
    return tp.Model(image, layers.Dense(10, activation="softmax", name="probabilities")(x), name="mobilenet_v3")


def _resnet_8() -> Module:
    """MLPerf Tiny's network as plain torch code, channels first, its stem with stride 2."""
    from torch import nn

    def normalized_conv(given: int, channels: int, kernel: int, stride: int) -> list[Module]:
        conv = nn.Conv2d(given, channels, kernel, stride, padding=kernel // 2, bias=False)
        return [conv, nn.BatchNorm2d(channels)]

    class Block(nn.Module):
        def __init__(self, given: int, channels: int, stride: int) -> None:
            super().__init__()
            self.first = nn.Sequential(*normalized_conv(given, channels, 3, stride), nn.ReLU())
            self.second = nn.Sequential(*normalized_conv(channels, channels, 3, 1))
            same = stride == 1 and given == channels
            self.short_cut = nn.Identity() if same else nn.Sequential(*normalized_conv(given, channels, 1, stride))

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.relu(self.short_cut(x) + self.second(self.first(x)))

    return nn.Sequential(
        *normalized_conv(1, 24, 3, 2),
        nn.ReLU(),
        Block(24, 24, 1),
        Block(24, 48, 2),
        Block(48, 96, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, 10),
    )


def _conv_1d() -> Module:
    import triport as tp

    layers = tp.layers
    return tp.Sequential(
        [
            tp.Input((50, 32), name="bands"),
            layers.Normalization(),
            layers.Conv1D(48, 5, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling1D(2),
            layers.Conv1D(128, 5, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.AveragePooling1D(2),
            layers.SeparableConv1D(256, 5, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv1D(256, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalMaxPooling1D(),
            layers.Dropout(0.2),
            layers.Dense(10, name="scores"),
        ],
        name="conv_1d",
    )


def _transformer() -> Module:
    """Two blocks of attention over the rows of what convolutions see."""
    from sequence_demo import Places, TransformerBlock

    import triport as tp

    layers = tp.layers
    image = tp.Input((28, 28, 1), name="image")
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="stem")(image)
    x = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu", name="patches")(x)
    x = layers.Dense(256, name="tokens")(layers.Reshape((7, 7 * 64))(x))
    x = Places(7, 256)(x)
    x = TransformerBlock(256, 4, 512)(x)
    x = TransformerBlock(256, 4, 512)(x)
    x = layers.Flatten()(x)
    return tp.Model(image, layers.Dense(10, name="scores")(layers.Dropout(0.2)(x)), name="transformer")


def _recurrent(kind: str, units: int) -> Module:
    import triport as tp

    layers = tp.layers
    return tp.Sequential(
        [
            tp.Input((50, 32), name="bands"),
            layers.Normalization(),
            getattr(layers, kind)(units),
            layers.Dropout(0.2),
            layers.Dense(10, name="scores"),
        ],
        name=kind.lower(),
    )


NETWORKS: dict[str, Network] = {
    "digits": Network("digits", _digits_cnn, (8, 8, 1), epochs=60, probabilities=True, wanted=0.97),
    "mlp": Network("fashion", _mlp, (28, 28, 1), epochs=20, factor=1 / 255, wanted=0.88),
    "mobilenet_v2": Network("fashion", _mobilenet_v2, (28, 28, 1), epochs=6, rate=1e-2, reach=(1, 1)),
    "mobilenet_v3": Network(
        "fashion", _mobilenet_v3, (28, 28, 1), epochs=5, rate=1e-2, reach=(1, 1), probabilities=True
    ),
    "resnet_8": Network("fashion", _resnet_8, (1, 28, 28), epochs=6, rate=1e-2, reach=(1, 1), factor=1 / 255),
    "transformer": Network("fashion", _transformer, (28, 28, 1), epochs=14, rate=2e-3, reach=(1, 1), factor=1 / 255),
    "conv_1d": Network("keywords", _conv_1d, (50, 32), epochs=10, reach=(3, 2)),
    "lstm": Network("keywords", lambda: _recurrent("LSTM", 320), (50, 32), epochs=6, rate=4e-3, reach=(3, 2)),
    "gru": Network("keywords", lambda: _recurrent("GRU", 352), (50, 32), epochs=6, rate=4e-3, reach=(3, 2)),
}


# -- data as the networks take them ---------------------------------------------------------------------------------


@cache
def data(name: str) -> Data:
    """A data set, read once."""
    return DATA[name]()


def prepared(network: Network, x: Array) -> Array:
    """Samples as the network takes them, float32."""
    return np.ascontiguousarray(x.reshape(-1, *network.shape), np.float32) * np.float32(network.factor)


def test_set(name: str) -> tuple[Array, Array]:
    """The whole test set: inputs and classes."""
    held = data(NETWORKS[name].data)
    return prepared(NETWORKS[name], held.test_x), held.test_y


def samples(name: str) -> Array:
    """1,000 real samples on which outputs are compared, from the test set as far as that goes."""
    known = data(NETWORKS[name].data)
    return prepared(NETWORKS[name], np.concatenate([known.test_x, known.train_x[:SAMPLES]])[:SAMPLES])


def calibration(name: str) -> Array:
    """512 samples of the training set."""
    known = data(NETWORKS[name].data)
    chosen = np.random.default_rng(0).choice(len(known.train_x), CALIBRATION, replace=False)
    return prepared(NETWORKS[name], known.train_x[chosen])


# -- training -------------------------------------------------------------------------------------------------------


def moved(x: Array, reach: tuple[int, int], random: np.random.Generator, mirror: bool) -> Array:
    """Each sample [n, height, width] moved by up to ``reach`` cells, one in two mirrored; edges are repeated."""
    count, height, width = x.shape
    padded = np.pad(x, ((0, 0), *((cells, cells) for cells in reach)), mode="edge")
    down, right = (random.integers(0, 2 * cells + 1, (count, 1, 1)) for cells in reach)
    columns = np.tile(np.arange(width), (count, 1, 1))
    if mirror:
        columns = np.where(random.random((count, 1, 1)) < 0.5, columns, width - 1 - columns)
    return np.asarray(padded[np.arange(count)[:, None, None], down + np.arange(height)[:, None], right + columns])


def train(name: str) -> Module:
    """One cycle of AdamW over all epochs, in batches of 128, with smoothed labels; the model in eval mode."""
    import torch
    from torch.nn.functional import log_softmax, nll_loss

    import triport as tp

    network, random = NETWORKS[name], np.random.default_rng(0)
    known = data(network.data)
    torch.set_num_threads(1)
    tp.set_seed(0)
    model = network.build()
    for layer in model.modules():
        if isinstance(layer, tp.layers.Normalization):
            layer.adapt(prepared(network, known.train_x))
    steps = network.epochs * (len(known.train_x) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=network.decay, fused=True)
    order = np.arange(0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, network.rate, total_steps=steps, pct_start=0.2)
    model.train()
    for _ in range(steps):
        if len(order) < BATCH:
            order = random.permutation(len(known.train_x))
        chosen, order = order[:BATCH], order[BATCH:]
        batch = moved(known.train_x[chosen], network.reach, random, mirror=network.data == "fashion")
        answer = model(torch.from_numpy(prepared(network, batch)))
        chances = log_softmax(torch.log(answer + 1e-7) if network.probabilities else answer, dim=-1)
        loss = 0.9 * nll_loss(chances, torch.from_numpy(known.train_y[chosen])) - 0.1 * chances.mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        cycle.step()
    return settled(model, prepared(network, known.train_x[: 60 * BATCH]))


def settled(model: Module, x: Array) -> Module:
    """The model in eval mode, its batch norms with what they see under the final weights.

    Keras's momenta, 0.99 and for MobileNet 0.999, are for longer trainings than these.
    """
    import torch

    from triport import layers

    model.eval()
    for layer in model.modules():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9
            layer.train()
    with torch.no_grad():
        for batch in torch.split(torch.from_numpy(x), BATCH):
            model(batch)
    return model.eval()


# -- the files ------------------------------------------------------------------------------------------------------


def file_of(name: str) -> Path:
    """The network's .triport file; the network is trained where it is not there yet. Raises MissingData."""
    path = FOLDER / f"{name}.triport"
    if not path.exists():
        import triport as tp

        capture = tp.capture  # loaded now, so that nothing can be missing after the training
        inputs, _ = test_set(name)
        started = time.process_time()
        model = train(name)
        seconds = time.process_time() - started
        graph = capture(model, inputs[:2], name=name)
        graph.metadata["benchmark"] = {"seconds": seconds}
        FOLDER.mkdir(parents=True, exist_ok=True)
        graph.save(path)
    return path


def graph_of(name: str) -> Graph:
    """The trained network in float32. Raises MissingData where the data set is not installed."""
    from triport import Graph

    return Graph.load(file_of(name))


def accuracy(graph: Graph, name: str) -> float:
    """The share of the whole test set that the graph's reference tells rightly."""
    inputs, classes = test_set(name)
    (entry,) = graph.inputs
    told = [
        next(iter(graph.run({entry.name: part}).values())).argmax(axis=-1)
        for part in np.array_split(inputs, -(-len(inputs) // 500))
    ]
    return float((np.concatenate(told) == classes).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    options = parser.parse_args()
    unknown = set(options.networks) - set(NETWORKS)
    if unknown:
        parser.error(f"no network is called {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    from triport.runtime_checks.inspection import parameter_count

    failed = False
    print(f"{'network':14} {'data':10} {'parameters':>10} {'accuracy':>9} {'training, s':>12}")
    for name in options.networks:
        try:
            graph = graph_of(name)
        except MissingData as missing:
            print(f"{name:14} {missing}")
            continue
        share = accuracy(graph, name)
        weights = parameter_count(graph)
        seconds = graph.metadata["benchmark"]["seconds"]
        print(f"{name:14} {NETWORKS[name].data:10} {weights:10,} {share:9.2%} {seconds:12.0f}", flush=True)
        failed |= share < NETWORKS[name].wanted
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
