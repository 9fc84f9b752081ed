"""Calibration data from files and folders."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_graphs import BATCH, convnet, perceptron

from triport.exporter.errors import EnvironmentError_, FormatError, UsageError
from triport.exporter.graph import DType, Graph, TensorType
from triport.exporter.graph.npz import ROWS, read_npz, stream_npz
from triport.exporter.ops import Conv, Mul
from triport.exporter.preprocessing import Preprocessing
from triport.quantize import make_plan
from triport.quantize.files import samples_in

TABLE = np.random.default_rng(0).normal(0, 1, (150, 4)).astype(np.float32)


def everything(path: Path, graph: Graph) -> Any:
    """All samples of the only input, one after the other."""
    (name,) = (value.name for value in graph.inputs)
    return np.concatenate([part[name] for part in samples_in(path, graph)])


def test_every_kind_of_file_gives_the_same_samples(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=TABLE)
    np.savez_compressed(tmp_path / "b.npz", x=TABLE)
    np.save(tmp_path / "c.npy", TABLE)
    lines = [",".join(map(repr, map(float, row))) for row in TABLE]
    (tmp_path / "d.csv").write_text("a,b,c,d\n" + "\n".join(lines) + "\n\n")
    (tmp_path / "e.csv").write_text("\n".join(lines))
    for name in ("a.npz", "b.npz", "c.npy", "d.csv", "e.csv"):
        assert np.array_equal(everything(tmp_path / name, perceptron()), TABLE), name


def test_a_folder_gives_its_files_in_order_and_those_of_its_folders(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    np.save(tmp_path / "a.npy", TABLE[:50])
    np.save(tmp_path / "b" / "0.npy", TABLE[50])  # one sample without its first axis
    np.savez(tmp_path / "c.npz", x=TABLE[51:])
    (tmp_path / ".hidden").write_text("no sample")
    (tmp_path / "labels.txt").write_text("cat")
    assert np.array_equal(everything(tmp_path, perceptron()), TABLE)


def test_the_same_plan_from_a_file_as_from_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=TABLE[:40])
    assert make_plan(perceptron(), calibration=tmp_path / "data.npz") == make_plan(perceptron(), calibration=TABLE[:40])
    assert make_plan(perceptron(), calibration=str(tmp_path / "data.npz"), samples=33).notices == []


def test_rows_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=TABLE, y=np.arange(150))
    parts = list(stream_npz(tmp_path / "data.npz"))
    assert [len(part["x"]) for part in parts] == [ROWS, ROWS, 150 - 2 * ROWS]
    whole = read_npz(tmp_path / "data.npz")
    assert all(np.array_equal(np.concatenate([part[name] for part in parts]), whole[name]) for name in ("x", "y"))


@pytest.mark.parametrize(
    ("name", "content", "error", "told"),
    [
        ("a.csv", "1,2,3\n", UsageError, "line 1 has 3 columns"),
        ("a.csv", "1,2,3,4\n1,2,x,4\n", FormatError, "line 2 is not a row of numbers"),
        ("a.csv", "a;b;c;d\n1;2;3;4\n", UsageError, "line 2 separates columns by semicolons"),
        ("a.csv", "1,5;2,0;3,0;4,0\n" * 2, UsageError, "separates columns by semicolons"),
        ("a.csv", "1\t2\t3\t4\n" * 2, UsageError, "line 2 separates columns by tabs"),
        ("a.csv", "", UsageError, "no samples"),
        ("a.npz", "no zip", FormatError, "not an .npz file"),
        ("a.npy", "no array", FormatError, "not an .npz file"),
        ("a.txt", "1 2 3 4", UsageError, "files end in .npz, .npy or .csv"),
        ("a/readme.txt", "nothing", UsageError, "it holds 1 other files"),
        ("a/b/c.csv", "1,2,3,4", UsageError, "it holds 1 other files"),
    ],
)
def test_files_that_are_no_samples_are_told(
    tmp_path: Path, name: str, content: str, error: type[Exception], told: str
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(content)
    with pytest.raises(error) as raised:
        make_plan(perceptron(), calibration=tmp_path / name.split("/")[0])
    assert told in str(raised.value)


def test_damaged_and_foreign_archives_are_told(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=TABLE, y=TABLE[:3])
    with pytest.raises(UsageError, match='differ in their number of samples: "x" has 150, "y" has 3'):
        list(stream_npz(path))
    np.savez(path, x=np.array([{}], object))
    with pytest.raises(FormatError, match="Python objects"):
        list(stream_npz(path))
    np.savez_compressed(path, x=TABLE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(FormatError) as raised:
        list(stream_npz(path))
    assert raised.value.code == "TP422"


def images(*, rescaled: bool) -> Graph:
    """image [batch, 3, 4, 6] of pixels → convolution"""
    graph = Graph("images")
    shape = (BATCH, 3, 4, 6)
    x = graph.add_input("image", TensorType(DType.FLOAT32, shape))
    y = graph.add(Mul(), x, graph.add_constant(np.asarray(1 / 255, np.float32))) if rescaled else x
    weight, bias = graph.add_constant(np.ones((2, 3, 3, 3), np.float32)), graph.add_constant(np.zeros(2, np.float32))
    graph.set_output("y", graph.add(Conv((1, 1), ((1, 1), (1, 1)), (1, 1)), y, weight, bias))
    return graph


def test_images_need_a_model_that_rescales_them(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match="how pixels become the numbers") as raised:
        make_plan(images(rescaled=False), calibration=tmp_path)
    assert raised.value.help and "Rescaling" in raised.value.help
    with pytest.raises(UsageError, match="the folder holds images, and the input"):
        make_plan(perceptron(), calibration=tmp_path)
    np.save(tmp_path / "b.npy", TABLE)
    with pytest.raises(UsageError, match="1 files of arrays and 1 images"):
        make_plan(convnet(), calibration=tmp_path)


def test_images_are_resized_and_laid_out_as_the_model_takes_them(tmp_path: Path) -> None:
    if find_spec("PIL") is None:
        (tmp_path / "a.png").write_bytes(b"")
        with pytest.raises(EnvironmentError_, match="Pillow, which is not installed") as raised:
            make_plan(images(rescaled=True), calibration=tmp_path)
        assert raised.value.help == "pip install 'triport[images]'"
        return
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (33, 4, 6, 3), dtype=np.uint8)
    for i, array in enumerate(pixels):
        Image.fromarray(array).save(tmp_path / f"{i:03d}.png")
    graph = images(rescaled=True)
    assert np.array_equal(everything(tmp_path, graph), pixels.transpose(0, 3, 1, 2))
    Image.fromarray(pixels[0]).resize((12, 8), Image.Resampling.NEAREST).save(tmp_path / "000.png")
    assert everything(tmp_path, graph).shape == (33, 3, 4, 6)
    assert make_plan(graph, calibration=tmp_path).notices == []
    (tmp_path / "zzz.png").write_bytes(b"no picture")
    with pytest.raises(FormatError, match=r"zzz\.png is not an image"):
        make_plan(graph, calibration=tmp_path)


def test_images_are_prepared_as_the_model_declares(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (10, 5, 7, 3), dtype=np.uint8)
    for i, array in enumerate(pixels):
        Image.fromarray(array).save(tmp_path / f"{i:03d}.png")
    rules = Preprocessing(mean=(0.4, 0.5, 0.6), std=0.25, channels="bgr")
    graph = images(rescaled=False).describe(preprocessing=rules)
    expected = Preprocessing.of(graph)(pixels, layout="NCHW")
    assert expected.shape == (10, 3, 4, 6)
    np.testing.assert_array_equal(everything(tmp_path, graph), expected)
