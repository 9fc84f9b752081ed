"""Saved torch.export programs: captured like any module, and refused when they could run code."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import triport as tp
from triport.exporter.capture.archive import load_program
from triport.exporter.errors import FormatError, ModelError, UsageError
from triport.exporter.graph import Graph, Sym
from triport.exporter.graph.limits import Limit, limits_of
from triport.exporter.reference import run_graph

Record = Callable[[str, bytes], bytes]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: torch.Tensor, shifts: dict[str, torch.Tensor], power: int = 2) -> dict[str, torch.Tensor]:
        return {"y": self.linear(x) * self.scale + shifts["by"] * power}


class Touches:
    """Unpickled without restriction, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return (os.system, (f"touch {self.path}",))


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def saved(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        net,
        (torch.randn(3, 4), {"by": torch.randn(3, 3)}),
        dynamic_shapes={"x": {0: batch}, "shifts": {"by": {0: batch}}},
    )
    path = tmp_path_factory.mktemp("saved") / "net.pt2"
    torch.export.save(program, path)
    return path


def rewritten(saved: Path, target: Path, change: Record) -> Path:
    """The archive with every record passed through ``change``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as copy:
        for name in source.namelist():
            copy.writestr(name, change(name, source.read(name)))
    target.write_bytes(buffer.getvalue())
    return target


def test_a_saved_program_answers_as_the_module_at_any_batch(net: Net, saved: Path) -> None:
    graph = tp.capture_saved(saved)
    assert graph.name == "net"
    assert [value.name for value in graph.inputs] == ["x", "shifts_by"]
    assert all(value.type.shape[0] == Sym.named("batch") for value in graph.inputs)
    x, by = np.random.default_rng(0).normal(size=(2, 7, 4)).astype(np.float32)[..., :4], np.ones((7, 3), np.float32)
    with torch.no_grad():
        told = net(torch.from_numpy(x[0]), {"by": torch.from_numpy(by)})["y"].numpy()
    got = run_graph(graph, {"x": x[0], "shifts_by": by})
    np.testing.assert_allclose(got["y"].astype(np.float32), told, rtol=0, atol=1e-6)


def test_a_saved_program_goes_to_every_port(saved: Path, tmp_path: Path) -> None:
    report = tp.export(saved, tmp_path / "dist")
    assert report.passed
    assert all(port.passed for port in tp.check(saved))


@pytest.mark.parametrize("record", ["data/sample_inputs/model.pt", "data/weights/model.pt"])
def test_a_pickle_that_runs_code_is_refused_unopened(saved: Path, tmp_path: Path, record: str) -> None:
    proof = tmp_path / "ran"

    def plant(name: str, data: bytes) -> bytes:
        return pickle.dumps(Touches(proof)) if name.endswith("sample_inputs/model.pt") else data

    bad = rewritten(saved, tmp_path / "bad.pt2", plant)
    if record != "data/sample_inputs/model.pt":
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(bad, "w") as archive:
            for name in source.namelist():
                archive.writestr(name, source.read(name))
            archive.writestr(f"{source.namelist()[0].partition('/')[0]}/{record}", pickle.dumps(Touches(proof)))
    with pytest.raises(FormatError) as refused:
        load_program(bad)
    assert refused.value.code == "TP432"
    assert not proof.exists()


def test_a_size_that_is_python_is_refused(saved: Path, tmp_path: Path) -> None:
    def plant(name: str, data: bytes) -> bytes:
        return data.replace(b"Symbol('", b"__import__('os').system('") if name.endswith("models/model.json") else data

    with pytest.raises(FormatError, match="not arithmetic on sizes"):
        load_program(rewritten(saved, tmp_path / "bad.pt2", plant))


@pytest.mark.parametrize("target", ["torch.os.system", "builtins.eval", "torch.ops.mine.op.default", "_operator.a.b"])
def test_a_call_of_anything_but_aten_is_refused_by_name(saved: Path, tmp_path: Path, target: str) -> None:
    def plant(name: str, data: bytes) -> bytes:
        return data.replace(b"torch.ops.aten.linear.default", target.encode())

    with pytest.raises(FormatError, match=target.replace(".", r"\.")) as refused:
        load_program(rewritten(saved, tmp_path / "bad.pt2", plant))
    assert refused.value.code == "TP431"


def test_a_pickled_constant_is_refused(saved: Path, tmp_path: Path) -> None:
    def plant(name: str, data: bytes) -> bytes:
        entry = b'{"config": {"evil": {"path_name": "opaque_obj_0", "is_param": false, "use_pickle": true}}}'
        return entry if name.endswith("model_constants_config.json") else data

    with pytest.raises(FormatError, match=r'"evil" is a pickled Python object'):
        load_program(rewritten(saved, tmp_path / "bad.pt2", plant))


def test_two_records_of_one_name_are_refused(saved: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pt2"
    bad.write_bytes(saved.read_bytes())
    with zipfile.ZipFile(bad, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(archive.namelist()[0], b"other")
    with pytest.raises(FormatError, match="one name"):
        load_program(bad)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_corrupt(saved: Path, tmp_path: Path, share: float) -> None:
    data = saved.read_bytes()
    bad = tmp_path / "bad.pt2"
    bad.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(FormatError) as refused:
        load_program(bad)
    assert refused.value.code == "TP430"


def test_a_flipped_bit_in_a_record_is_found(saved: Path, tmp_path: Path) -> None:
    data = bytearray(saved.read_bytes())
    with zipfile.ZipFile(saved) as archive:
        (weight,) = (entry for entry in archive.infolist() if entry.filename.endswith("weights/weight_0"))
    data[weight.header_offset + 200] ^= 1
    bad = tmp_path / "bad.pt2"
    bad.write_bytes(data)
    with pytest.raises(FormatError):
        load_program(bad)


def captured_again(module: nn.Module, folder: Path, *examples: torch.Tensor, **options: object) -> Graph:
    """The graph of a module by way of a saved program that torch has decomposed as far as it does."""
    program = torch.export.export(module.eval(), examples, **options).run_decompositions()  # type: ignore[arg-type]
    torch.export.save(program, folder / "net.pt2")
    return tp.capture_saved(folder / "net.pt2")


DECOMPOSED = {
    "convolutions": (nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1, groups=2), nn.BatchNorm2d(6), nn.ReLU()), (2, 4, 8, 8)),
    "transposed": (nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1), (2, 4, 5, 5)),
    "over one axis": (nn.Conv1d(4, 4, 3, dilation=2), (2, 4, 9)),
    "adaptive pools": (nn.AdaptiveAvgPool2d((3, 2)), (2, 4, 8, 8)),
    "norms and attention": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("which", DECOMPOSED)
def test_a_program_saved_after_its_decomposition_answers_as_the_module(which: str, tmp_path: Path) -> None:
    module, shape = DECOMPOSED[which]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    graph = captured_again(module, tmp_path, x)
    (name,) = (value.name for value in graph.inputs)
    with torch.no_grad():
        told = module(x).numpy()
    np.testing.assert_allclose(
        run_graph(graph, {name: x.numpy()})["output"].astype(np.float32), told, rtol=0, atol=1e-5
    )


class Regions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor | None]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.dense(x)
        return {"y": y.float(), "nothing": None}


def test_regions_and_results_of_none_may_be_saved(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(Regions(), (torch.randn(2, 4),)), tmp_path / "net.pt2")
    graph = tp.capture_saved(tmp_path / "net.pt2")
    assert list(graph.outputs) == ["y"]
    assert any("instead of bfloat16" in notice for notice in graph.notices)


def test_the_length_that_torch_fixed_in_a_recurrent_layer_is_said(tmp_path: Path) -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memory = nn.LSTM(3, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.memory(x)[0]
            return y

    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own about the weights of recurrent layers
        program = torch.export.export(Reads(), (torch.randn(2, 5, 3),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "net.pt2")
    graph = tp.capture_saved(tmp_path / "net.pt2")
    assert [str(value.type) for value in graph.inputs] == ["float32[batch, 5, 3]"]
    (notice,) = graph.notices
    assert 'layer "memory"' in notice and "sequence length of 5" in notice


def test_the_range_that_a_dim_was_saved_with_is_a_limit(tmp_path: Path) -> None:
    length = torch.export.Dim("length", min=3, max=64)
    program = torch.export.export(nn.Linear(4, 3), (torch.randn(2, 5, 4),), dynamic_shapes=({1: length},))
    torch.export.save(program, tmp_path / "net.pt2")
    graph = tp.capture_saved(tmp_path / "net.pt2")
    assert limits_of(graph) == {"input_1": Limit(3, 64)}


def test_a_program_that_is_not_there_is_a_mistake_in_the_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.pt2 does not exist") as refused:
        load_program(tmp_path / "gone.pt2")
    assert refused.value.code == "TP001"


def test_a_file_of_torch_save_is_not_taken_for_a_damaged_program(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "weights.pt2")
    with pytest.raises(FormatError, match=r"torch\.save wrote it, and not torch\.export\.save") as refused:
        load_program(tmp_path / "weights.pt2")
    assert refused.value.code == "TP430"


def test_what_torch_logs_of_a_file_that_it_cannot_load_is_not_shown(saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved) as whole, zipfile.ZipFile(tmp_path / "cut.pt2", "w") as cut:
        for entry in whole.infolist():
            if not entry.filename.endswith("archive_format"):
                cut.writestr(entry, whole.read(entry))
    command = [sys.executable, "-m", "triport", "inspect", str(tmp_path / "cut.pt2")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert done.stderr.startswith("error[TP430]: cut.pt2 is no usable .pt2 file: torch cannot load it")
    assert "warnings above" not in done.stderr


class WritesThroughViews(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.view(x.shape[0], 2, 6).permute(0, 2, 1).clone()
        y[..., 0:1] = y[..., 0:1].sigmoid() * 2
        y[..., 1:].tanh_()
        y.reshape(-1, 12)[:, 3:5].add_(7)
        return y


def test_writes_through_views_are_seen_in_a_file_where_tensors_share_no_memory(tmp_path: Path) -> None:
    module = WritesThroughViews()
    program = torch.export.export(module, (torch.randn(2, 12),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, tmp_path / "m.pt2")
    graph = tp.capture_saved(tmp_path / "m.pt2")
    x = torch.randn(5, 12)
    told: Any = next(iter(graph.run({"x": x.numpy()}).values()))
    np.testing.assert_allclose(told, module(x.clone()).numpy(), rtol=1e-6)


def _narrowed(y: torch.Tensor) -> None:
    y.narrow(1, 0, 2).relu_()


def _squeezed(y: torch.Tensor) -> None:
    y.squeeze(2).relu_()


def _flattened(y: torch.Tensor) -> None:
    y.flatten(1).relu_()


def _chunked(y: torch.Tensor) -> None:
    y.chunk(2, 1)[0].relu_()


@pytest.mark.parametrize("write", [_narrowed, _squeezed, _flattened, _chunked])
def test_every_kind_of_view_is_seen_in_a_file(write: Callable[[torch.Tensor], None], tmp_path: Path) -> None:
    class Writes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            write(y)
            return y + 0

    x = torch.randn(2, 4, 1)
    program = torch.export.export(Writes(), (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, tmp_path / "m.pt2")
    told: Any = next(iter(tp.capture_saved(tmp_path / "m.pt2").run({"x": x.numpy()}).values()))
    np.testing.assert_array_equal(told, Writes()(x.clone()).numpy())


class StrideThenSteps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 5, stride=2, padding=2)
        self.gru = nn.GRU(6, 5, batch_first=True)
        self.last = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, _ = self.gru(self.conv(x.transpose(1, 2)).transpose(1, 2))
        answer: torch.Tensor = self.last(steps)
        return answer


def test_steps_that_torch_fixed_behind_a_free_size_are_said(tmp_path: Path) -> None:
    free = {"x": {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's own, about how it traces a GRU
        program = torch.export.export(StrideThenSteps().eval(), (torch.randn(2, 31, 4),), dynamic_shapes=free)
    torch.export.save(program, tmp_path / "m.pt2")
    with pytest.raises(ModelError, match=r"is 16 in this program: torch fixed it") as refused:
        tp.capture_saved(tmp_path / "m.pt2")
    assert refused.value.code == "TP205"
    assert "tp.capture(" in str(refused.value.help)
