"""Saving and loading is identity; the file is plain safetensors and always the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from graph.random_graphs import BATCH, assert_same, graphs, small_graph
from hypothesis import HealthCheck, given, settings
from safetensors import safe_open
from safetensors.numpy import load_file, save

from triport.exporter.errors import EnvironmentError_, UsageError
from triport.exporter.graph import DType, Graph, Sample, Source, TensorType
from triport.exporter.graph.container import TensorTable, same_bytes
from triport.exporter.graph.file import load_graph, read_header, save_graph
from triport.exporter.ops import Add, Conv, Relu

ANY_GRAPH = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@ANY_GRAPH
@given(graphs())
def test_a_loaded_graph_is_the_saved_one_and_saves_to_the_same_bytes(folder: Path, graph: Graph) -> None:
    save_graph(graph, folder / "a.triport")
    loaded = load_graph(folder / "a.triport")
    assert_same(graph, loaded)
    save_graph(loaded, folder / "b.triport")
    assert (folder / "a.triport").read_bytes() == (folder / "b.triport").read_bytes()


@ANY_GRAPH
@given(graphs())
def test_safetensors_own_writer_gives_the_same_bytes(folder: Path, graph: Graph) -> None:
    path = folder / "c.triport"
    save_graph(graph, path)
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    assert list(metadata) == ["triport"]
    # save() takes a tensor apart by its own rules, so this compares layout, padding, order and escapes.
    assert save(load_file(path), metadata) == path.read_bytes()


def test_two_processes_with_other_hash_seeds_write_the_same_bytes(tmp_path: Path) -> None:
    script = "import sys; from graph.random_graphs import small_graph; small_graph().save(sys.argv[1])"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run([sys.executable, "-c", script, tmp_path / seed], env=environment, check=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_the_order_of_a_dict_leaves_no_trace(tmp_path: Path) -> None:
    # Equal arrays share a tensor, and its name must not be that of whichever came first.
    arrays = {name: np.full(3, 7.0, np.float32) for name in ("long name", "b", "a")}
    for name, order in (("1", sorted(arrays)), ("2", sorted(arrays, reverse=True))):
        graph = small_graph()
        graph.metadata = {key: key for key in order}
        graph.extra_tensors = {key: arrays[key] for key in order}
        graph.samples = [Sample({key: arrays[key] + 1 for key in order}, {key: arrays[key] + 2 for key in order})]
        graph.save(tmp_path / name)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_tied_and_equal_arrays_are_written_once(tmp_path: Path) -> None:
    graph = small_graph()
    equal = graph.add_constant(graph.constants()[0].array().copy(), "equal")
    graph.set_output("equal", equal)
    graph.save(tmp_path / "m.triport")
    header = read_header(tmp_path / "m.triport")
    assert "second.weight" not in header.places and "equal" not in header.places
    loaded = Graph.load(tmp_path / "m.triport")
    arrays = {value.name: value.array() for value in loaded.constants()}
    assert arrays["equal"] is arrays["first.weight"] is arrays["second.weight"]
    assert loaded.parameter_bytes() == 4 * (16 + 4)


def test_arrays_whose_checksums_collide_stay_apart() -> None:
    # Two words with the same CRC-32, found by search.
    table = TensorTable()
    a, b = np.frombuffer(b"plumless", np.uint8), np.frombuffer(b"buckeroo", np.uint8)
    assert table.add("a", a) != table.add("b", b)
    assert table.sums["a"] == table.sums["b"]
    assert not same_bytes(a, b)


def test_loaded_arrays_are_read_only_views_of_the_mapped_file(tmp_path: Path) -> None:
    graph = Graph()
    graph.set_output("y", graph.add_constant(np.arange(8, dtype=np.float32), "y"))
    graph.save(tmp_path / "m.triport")
    array = Graph.load(tmp_path / "m.triport").constants()[0].array()
    base: object = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of one process alone is told by Linux")
def test_saving_takes_no_second_copy_of_the_weights(tmp_path: Path) -> None:
    # VmHWM, because ru_maxrss starts at what the parent held: under pytest with torch in it nothing would ever grow.
    script = """
import re, sys, numpy as np
from pathlib import Path
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
from triport.exporter.graph import Graph
from triport.exporter.graph import file
graph = Graph()
for i in range(20):
    graph.set_output(str(i), graph.add_constant(np.full(2**20, i, np.float32), str(i)))
before = peak()
graph.save(sys.argv[1])
saved = peak()
held = [np.full(2**20, i, np.float32) for i in range(20)]  # what a second copy would take: is it seen at all?
print(saved - before, peak() - before)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "m.triport")]
    grown, copied = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert grown < 16 * 2**20 < copied  # the weights are 80 MB


def test_a_file_may_be_saved_over_the_one_it_was_loaded_from(tmp_path: Path) -> None:
    path = tmp_path / "m.triport"
    small_graph().save(path)
    loaded = Graph.load(path)
    loaded.metadata["more"] = True
    loaded.save(path)
    again = Graph.load(path)
    assert again.metadata.pop("more")
    assert_same(again, small_graph())


def test_who_has_the_old_file_open_reads_on_in_it(tmp_path: Path) -> None:
    # The new file takes the name; it is not written into the old one, so no moment shows half of it.
    path = tmp_path / "m.triport"
    small_graph().save(path)
    before = path.read_bytes()
    with path.open("rb") as reader:
        graph = small_graph()
        graph.name = "another"
        graph.save(path)
        assert reader.read() == before
    assert path.read_bytes() != before


def test_the_file_keeps_no_folder_of_the_machine_it_was_made_on(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (1,)))
    for location in ("/srv/someone/secret/net.py:3", r"D:\someone\net.py:4"):
        x = graph.add(Relu(), x, source=Source("layer", location))
    graph.set_output("y", x)
    graph.save(tmp_path / "m.triport")
    assert b"someone" not in (tmp_path / "m.triport").read_bytes()
    assert [node.source.location for node in Graph.load(tmp_path / "m.triport").nodes] == ["net.py:3", "net.py:4"]


@pytest.mark.parametrize(
    ("metadata", "where"),
    [
        ({"a": {"b": [1, float("nan")]}}, r"metadata\.a\.b\[1\]"),
        ({"a": object()}, r"metadata\.a"),
        ({"a": {1: 2}}, r"metadata\.a"),
        ({"a": 2**63}, r"metadata\.a"),
        ({"a": "\ud800"}, "Unicode"),
    ],
)
def test_metadata_without_a_form_in_json_is_refused_by_place(
    tmp_path: Path, metadata: dict[str, object], where: str
) -> None:
    graph = Graph()
    graph.metadata = metadata
    with pytest.raises(UsageError, match=where):
        graph.save(tmp_path / "m.triport")
    assert list(tmp_path.iterdir()) == []


def test_metadata_nested_without_end_is_refused(tmp_path: Path) -> None:
    graph = Graph()
    graph.metadata["self"] = graph.metadata
    with pytest.raises(UsageError, match="metadata"):
        graph.save(tmp_path / "m.triport")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.triport does not exist"):
        Graph.load(tmp_path / "nowhere.triport")
    with pytest.raises(UsageError, match=r"is a folder, and no \.triport file"):
        Graph.load(tmp_path)


def test_a_file_of_torch_save_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"...")
    with pytest.raises(UsageError, match=r"a zip archive, as torch\.save writes it") as refused:
        Graph.load(path)
    assert refused.value.help and "tp.capture" in refused.value.help


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system here")
def test_a_device_or_pipe_is_refused_and_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "m.triport"  # stands for /dev/null, which root would take away from the whole machine
    os.mkfifo(pipe)
    with pytest.raises(EnvironmentError_, match="a device or a pipe, not a file"):
        small_graph().save(pipe)
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


def test_a_disk_that_is_full_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m.triport"
    small_graph().save(path)
    before = path.read_bytes()
    # A limit on file sizes makes the system refuse in the middle of the data, as a full disk does.
    script = """
import resource, signal, sys, numpy as np
from triport.exporter.errors import EnvironmentError_
from triport.exporter.graph import Graph
graph = Graph()
graph.set_output("y", graph.add_constant(np.zeros(2**18, np.float32), "y"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    graph.save(sys.argv[1])
except EnvironmentError_ as error:
    print(error)
"""
    command = [sys.executable, "-B", "-c", script, str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "error[TP341]" in printed and str(path) in printed
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error_about_the_path(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentError_, match=r"none/m\.triport cannot be written") as caught:
        small_graph().save(tmp_path / "none" / "m.triport")
    assert caught.value.exit_code == 4


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.triport"
    small_graph().save(path)
    before = path.read_bytes()
    script = """
import os, signal, sys
from triport.exporter.graph.atomic import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9
    assert path.read_bytes() == before
    assert [p for p in tmp_path.iterdir() if not p.name.startswith(".")] == [path]


def test_a_thousand_nodes_of_a_network_take_about_400_kilobytes_of_header(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.add_input("image", TensorType(DType.FLOAT32, (BATCH, 4, 8, 8)))
    for i in range(333):
        source = Source(f"features.{i}.conv.0", "net.py:140")
        weight = graph.add_constant(np.full((4, 4, 1, 1), i, np.float32), f"features.{i}.conv.0.weight")
        bias = graph.add_constant(np.full(4, i, np.float32), f"features.{i}.conv.0.bias")
        conv = Conv((1, 1), ((0, 0), (0, 0)), (1, 1))
        y = graph.add(conv, x, weight, bias, name=f"features.{i}.conv.0", source=source)
        y = graph.add(Relu(), y, name=f"features.{i}.conv.1", source=source)
        x = graph.add(Add(), x, y, name=f"features.{i}.add", source=source)
    graph.set_output("y", x)
    graph.save(tmp_path / "m.triport")
    assert read_header(tmp_path / "m.triport").file_bytes - graph.parameter_bytes() < 420_000


def test_the_header_is_read_without_the_weights(tmp_path: Path) -> None:
    small_graph().save(tmp_path / "m.triport")
    header = read_header(tmp_path / "m.triport")
    assert header.document["name"] == "small"
    assert header.places["first.weight"].shape == (4, 4)
    assert json.dumps(header.document["inputs"]) == '[["x", "float32", ["batch", 4]]]'
