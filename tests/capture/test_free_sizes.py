"""Sizes that shall stay free: counted in the multiples that a model needs, and what is said when they cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.eager import Function, Function2, captured, sample
from capture.ports import assert_ports_agree
from torch import nn

import triport as tp
from triport.exporter.capture import capture
from triport.exporter.capture.explain import advised
from triport.exporter.errors import EnvironmentError_, ModelError, UsageError
from triport.exporter.graph.bind import bind_sizes
from triport.exporter.graph.limits import Limit, limits_of
from triport.exporter.reference import run_graph

IMAGE = {"x": {0: "batch", 2: "height", 3: "width"}}


def _patches(x: torch.Tensor) -> torch.Tensor:
    b, c, h, w = x.shape
    return x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).flatten(1, 2).flatten(2)


def _skip(x: torch.Tensor) -> torch.Tensor:
    half = F.interpolate(F.max_pool2d(x, 2), scale_factor=2.0)
    return torch.cat([x, half], 1)


def _windows(x: torch.Tensor) -> torch.Tensor:
    """Windows whose padding follows from the size; a port needs the number."""
    return F.avg_pool2d(x, 2, padding=(x.shape[2] % 2, x.shape[3] % 2))


MULTIPLES: dict[str, tuple[Callable[[torch.Tensor], Any], int]] = {
    "patches": (_patches, 4),
    "pixel unshuffle": (lambda x: F.pixel_unshuffle(x, 2), 2),
    "skip over a pooled image": (_skip, 2),
    "padding of a window": (_windows, 2),
}


@pytest.mark.parametrize("which", MULTIPLES)
def test_sizes_are_counted_in_the_multiple_that_the_model_needs(which: str, tmp_path: Path) -> None:
    function, n = MULTIPLES[which]
    graph = assert_ports_agree(
        tmp_path, Function(function), [sample(1, 3, 8, 12)], IMAGE, others=[[sample(2, 3, 16, 4)]]
    )
    assert str(graph.inputs[0].type) == f"float32[batch, 3, height_over_{n}*{n}, width_over_{n}*{n}]"
    for dim in ("height", "width"):
        assert any(f'"{dim}" has to be a multiple of {n}' in notice for notice in graph.notices)
    with pytest.raises(UsageError, match="height_over"):
        run_graph(graph, {"x": sample(1, 3, 7, 12).numpy()})


class PaddedUNet(nn.Module):
    """Pads in its decoder what pooling lost; for sizes that are multiples of 4 nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(n, 4, 3, padding=1) for n in (3, 4, 4)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(4, 4, 2, 2) for _ in range(2)])
        self.out = nn.ModuleList([nn.Conv2d(8, 4, 3, padding=1) for _ in range(2)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [F.relu(self.down[0](x))]
        for down in self.down[1:]:
            maps.append(F.relu(down(F.max_pool2d(maps[-1], 2))))
        y = maps.pop()
        for up, out in zip(self.up, self.out, strict=True):
            y, across = up(y), maps.pop()
            if y.shape != across.shape:
                y = F.pad(y, (0, across.shape[3] - y.shape[3], 0, across.shape[2] - y.shape[2]))
            y = F.relu(out(torch.cat([y, across], 1)))
        return y


PADDED: dict[tuple[int, int], tuple[str, tuple[int, int], tuple[int, int]]] = {
    (16, 16): ("height_over_4*4, width_over_4*4", (20, 8), (18, 16)),
    (17, 19): ("height_over_4*4+1, width", (21, 10), (18, 19)),
    (18, 18): ("height_over_2*2, width_over_2*2", (14, 20), (16, 18)),
    (19, 16): ("height, width", (23, 9), (18, 16)),  # heights differ first: widths are not asked for
}


@pytest.mark.parametrize("size", PADDED)
def test_a_unet_that_pads_takes_the_sizes_that_go_the_way_of_its_example(size: tuple[int, int], tmp_path: Path) -> None:
    dims, other, beyond = PADDED[size]
    torch.manual_seed(0)
    graph = assert_ports_agree(tmp_path, PaddedUNet(), [sample(1, 3, *size)], IMAGE, others=[[sample(2, 3, *other)]])
    assert str(graph.inputs[0].type) == f"float32[batch, 3, {dims}]"
    ways = [notice for notice in graph.notices if "takes another way" in notice]
    assert ways and all("test_free_sizes.py:" in way and "(if y.shape != across.shape:)" in way for way in ways)
    assert not [inside for inside in ("Eq(", "Ne(", "//", "s0") if any(inside in notice for notice in graph.notices)]
    with pytest.raises(UsageError):
        run_graph(graph, {"x": sample(1, 3, *beyond).numpy()})


def test_the_size_of_a_multiple_is_read_off_the_array() -> None:
    graph = capture(Function(lambda x: F.pixel_unshuffle(x, 2)), sample(1, 1, 4, 4), IMAGE)
    sizes = bind_sizes(graph, {"x": sample(3, 1, 10, 6).numpy()})
    assert sizes == {"batch": 3, "height_over_2": 5, "width_over_2": 3}


def test_limits_are_counted_in_the_same_steps() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = F.pixel_unshuffle(x, 2)
        return y * 2 if x.shape[2] > 8 else y

    graph = capture(Function(function), sample(1, 1, 12, 4), IMAGE)
    assert limits_of(graph) == {"height_over_2": Limit(5)}


def test_conditions_of_torch_itself_are_not_told() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(2), nn.Flatten(2))
    graph = capture(net, sample(1, 3, 16, 16), {"input": {0: "batch", 2: "height", 3: "width"}})
    assert graph.notices == ('"height" is free, with 3 at least', '"width" is free, with 3 at least')


class Fixes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, 6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.position  # the line that fixes the size


def test_a_fixed_size_names_the_dim_the_number_and_the_line() -> None:
    with pytest.raises(ModelError) as refused:
        capture(Fixes(), sample(2, 6, 3), {"x": {0: "batch", 1: "time"}})
    error = refused.value
    with open(__file__, encoding="utf-8") as source:
        line = next(n for n, text in enumerate(source, 1) if text.endswith("# the line that fixes the size\n"))
    assert (error.code, error.at) == ("TP205", f"test_free_sizes.py:{line}")
    for word in ('"time"', 'axis 1 of input "x"', "to 6", "x + self.position"):
        assert word in error.message
    assert 'leave "time" out' in str(error.help)


def test_a_layer_without_a_line_of_the_users_is_named() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(18, 2))
    with pytest.raises(ModelError, match='dimension "time"') as refused:
        capture(module, sample(2, 6, 3), {"input": {0: "batch", 1: "time"}})
    assert (refused.value.code, refused.value.at) == ("TP205", 'layer "1"')
    with pytest.raises(ModelError, match="fails on the example inputs") as failed:
        capture(nn.Sequential(module, Fixes()), sample(2, 6, 4))
    assert (failed.value.code, failed.value.at) == ("TP213", 'layer "0.1"')
    with pytest.raises(ModelError) as inside:
        capture(nn.Sequential(nn.ReLU(), Fixes()), sample(2, 6, 3), {"input": {1: "time"}})
    assert inside.value.at is not None and inside.value.at.endswith(', layer "1"')


def _blocks_and_their_neighbours(x: torch.Tensor) -> torch.Tensor:
    """Local attention: each block of 8 meets itself and the blocks beside it."""
    if x.shape[1] % 8 != 0:
        x = F.pad(x, (0, -x.shape[1] % 8))
    blocks = x.reshape(x.shape[0], x.shape[1] // 8, 8)
    padded = F.pad(blocks, (0, 0, 1, 1))
    three = torch.cat([padded[:, i : i + blocks.shape[1]] for i in range(3)], 2)
    return blocks.unsqueeze(-1) * three.unsqueeze(-2)


def test_an_example_of_one_block_is_told_how_long_it_has_to_be() -> None:
    module, free = Function(_blocks_and_their_neighbours), {"x": {0: "batch", 1: "length"}}
    with pytest.raises(ModelError, match='size that depends on "length" is 1 at the example') as refused:
        capture(module, sample(2, 5), free)
    assert refused.value.code == "TP205" and 'an example with "length" of 9 or more' in str(refused.value.help)
    captured(module, sample(2, 9), dynamic=free, others=[[sample(1, 20)]])


def test_sizes_that_the_model_makes_equal_are_to_have_one_name() -> None:
    with pytest.raises(ModelError, match='dimension "b" equal to "a"') as refused:
        capture(Function2(torch.add), [sample(2, 6), sample(2, 6)], {"x": {1: "a"}, "y": {1: "b"}})
    assert refused.value.help == 'give both the name "a" in dynamic='


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.mean() > 0:
            return x
        return -x


REFUSED: dict[str, tuple[nn.Module, str, str]] = {
    "branch": (nn.Sequential(nn.Linear(4, 4), Branches()), "TP206", "if x.mean() > 0:"),
    "number": (Function(lambda x: x * float(x.max())), "TP206", "a Python number"),
    "numpy": (Function(lambda x: torch.from_numpy(x.numpy() * 2)), "TP207", "with numpy"),
    "item": (Function(lambda x: x * x.max().item()), "TP206", "aten.item"),
    "place in a list": (Function(lambda x: [x, -x][int(x.argmax()) % 2]), "TP206", "a Python number"),
    "unique": (Function(torch.unique), "TP206", "_unique2"),
    "mask as an index": (Function(lambda x: x[x > 0]), "TP206", "how many cells"),
    "noise": (Function(lambda x: x + torch.randn_like(x)), "TP202", "randn_like"),
    "spectrum": (Function(lambda x: torch.fft.hfft(x)), "TP202", "hfft"),
    "factorisation": (Function(lambda x: torch.linalg.svdvals(x)), "TP202", "svd"),
}


@pytest.mark.parametrize("which", REFUSED)
def test_refusals_say_where_why_and_what_instead_and_nothing_of_torchs_insides(which: str) -> None:
    module, code, words = REFUSED[which]
    with pytest.raises(ModelError) as refused:
        capture(module, sample(1, 4))
    error = refused.value
    assert error.code == code
    assert words in error.message
    assert error.at is not None and ".py:" in error.at
    assert error.because and error.help
    for inside in ("u0", "zuf", "s77", "FakeTensor", "GuardOn", "unhinted", "Traceback"):
        assert inside not in str(error)


def test_nothing_is_printed_when_a_capture_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError):
        capture(Branches(), sample(1, 4))
    assert capfd.readouterr() == ("", "")


class TakesBoxes(nn.Module):
    def forward(self, boxes: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        places = scores.topk(4, dim=1)[1]
        return torch.gather(boxes, 1, places[..., None].expand(-1, -1, 4))


BOXES = [torch.arange(2 * 30 * 4.0).reshape(2, 30, 4), torch.arange(60.0).mul(7).remainder(60).reshape(2, 30)]


def test_a_size_that_may_not_exceed_another_is_said_and_kept(tmp_path: Path) -> None:
    graph = capture(TakesBoxes(), BOXES, {"boxes": {0: "n"}, "scores": {0: "m"}})
    assert any('"m" is at most "n"' in notice for notice in graph.notices)
    assert "n" not in limits_of(graph)
    cut = {"boxes": BOXES[0].numpy(), "scores": BOXES[1].numpy()[:1]}
    assert next(iter(run_graph(graph, cut).values())).shape == (1, 4, 4)
    with pytest.raises(UsageError, match='"m"'):
        run_graph(graph, {"boxes": cut["boxes"][:1], "scores": BOXES[1].numpy()})
    assert tp.export(graph, tmp_path).status.value == "verified"


def test_sizes_that_the_model_cannot_take_are_left_out_and_said(tmp_path: Path) -> None:
    """Places of scores are looked up in boxes: random sizes of both need not go together."""
    graph = capture(TakesBoxes(), BOXES, {"boxes": {1: "n"}, "scores": {1: "m"}})
    report = tp.export(graph, tmp_path)
    assert report.status.value == "verified"
    assert any(note.startswith("not compared at n 1") for note in report.notes)
    graph.samples = []
    with pytest.raises(EnvironmentError_, match="nothing was compared: n 1"):
        tp.export(graph, tmp_path / "none", to=["onnx"], strict_verify=True)
    assert not (tmp_path / "none" / "model.onnx").exists()


class Meets(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b


def test_two_names_for_one_size_are_advised_against(tmp_path: Path) -> None:
    free = torch.export.Dim.AUTO
    program = torch.export.export(Meets(), (torch.ones(3, 5), torch.ones(5, 2)), dynamic_shapes=({1: free}, {0: free}))
    torch.export.save(program, tmp_path / "m.pt2")
    graph = tp.capture_saved(tmp_path / "m.pt2")  # torch itself has joined them
    assert len(graph.free_names()) == 1
    error = advised(ModelError("TP201", "mat_mul: inner sizes must agree (float32[3, a], float32[b, 2])"), ["a", "b"])
    assert "one name" in str(error.help)
    assert advised(ModelError("TP201", "of a alone"), ["a", "b"]).help is None
