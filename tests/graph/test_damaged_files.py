"""Files that are cut, flipped or forged: every one is refused by name, without a large allocation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph.edited_files import Edit, edited, put, put_in_table, sealed
from graph.random_graphs import graph_of_many_ops, small_graph
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from triport.exporter.errors import FormatError, UsageError
from triport.exporter.graph import DType, Graph, Quantization, TensorType
from triport.exporter.graph.attributes import dim_from_json
from triport.exporter.graph.file import load_graph, read_header
from triport.exporter.graph.verify import verify
from triport.exporter.ops import QuantizedAdd

SMALL_ALLOCATION = 2_000_000
"""Bytes that refusing a file of a few kB may take at its peak."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "m.triport"
    small_graph().save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "m.triport"


def refusal(path: Path) -> FormatError:
    """The error that loading gives, after it was seen to cost little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as caught:
            load_graph(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < SMALL_ALLOCATION
    assert caught.value.exit_code == 5
    assert str(path) in caught.value.message
    return caught.value


def test_a_file_cut_at_any_length_is_refused(path: Path, whole: bytes) -> None:
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            load_graph(path)


def test_a_file_with_bytes_added_is_refused(path: Path, whole: bytes) -> None:
    path.write_bytes(whole + b"\0")
    assert "bytes that belong to no tensor" in refusal(path).message


def test_any_flipped_bit_is_found(path: Path, whole: bytes) -> None:
    generator = np.random.default_rng(0)
    bits = generator.choice(len(whole) * 8, 1500, replace=False)
    for bit in [*range(64), *map(int, bits)]:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(FormatError):
            load_graph(path)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_header_forged_with_a_right_checksum_loads_soundly_or_is_refused(
    path: Path, whole: bytes, data: st.DataObject
) -> None:
    length = int.from_bytes(whole[:8], "little")
    header = bytearray(whole[8 : 8 + length])
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, length - 1))
        header[position] = data.draw(st.one_of(st.sampled_from(b'0129"[]{},:-\\ntx'), st.integers(0, 255)))
    forged = sealed(bytes(header))
    path.write_bytes(len(forged).to_bytes(8, "little") + forged + whole[8 + length :])
    try:
        graph = load_graph(path)
    except FormatError:
        return
    verify(graph)
    for sample in graph.samples:
        assert all(array.size < 2**20 for array in sample.inputs.values())


# Values that a program may trip over wherever they stand.
POISON: list[Any] = [
    *(None, True, -1, 0, 2**40, 2**63, 1e308, "", "x", "nan", "batch//0"),
    *([], [[]], [2**40] * 3, {}, {"x": 1}),
]


def _places(data: Any, trail: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every place in JSON data, objects and lists included."""
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else []
    return [trail] * bool(trail) + [leaf for key in keys for leaf in _places(data[key], (*trail, key))]


def _survives(whole: bytes, path: Path, edit: Edit) -> None:
    """The edited file is refused as a FormatError, or loads as a graph that is sound."""
    edited(whole, path, edit)
    try:
        loaded = load_graph(path)
    except FormatError:
        return
    verify(loaded)


def test_every_place_in_the_document_withstands_every_kind_of_value(path: Path, whole: bytes) -> None:
    path.write_bytes(whole)
    places = _places(read_header(path).document)
    assert len(places) > 80
    for trail in places:
        for value in POISON:
            _survives(whole, path, put(*trail, value))


def test_every_attribute_of_every_kind_of_op_withstands_every_kind_of_value(path: Path) -> None:
    graph_of_many_ops().save(path)
    whole = path.read_bytes()
    nodes = read_header(path).document["nodes"]
    assert isinstance(nodes, list)
    for i, node in enumerate(nodes):
        assert isinstance(node, dict)
        for trail in _places(node.get("attrs", {})):
            for value in POISON:
                _survives(whole, path, put("nodes", i, "attrs", *trail, value))


def test_every_place_in_the_table_of_tensors_withstands_every_kind_of_value(path: Path, whole: bytes) -> None:
    for name in ("first.weight", "extra/adam/done"):
        for trail in [(name,), (name, "dtype"), (name, "shape"), (name, "shape", 0), (name, "data_offsets", 1)]:
            for value in POISON:
                edited(whole, path, put_in_table(*trail, value))
                with pytest.raises(FormatError):
                    load_graph(path)


def _newer(document: dict[str, Any], table: dict[str, Any]) -> None:
    document.update(format=2, producer="triport 9.1.0", unheard_of=1)


def _rename_tensor(document: dict[str, Any], table: dict[str, Any]) -> None:
    table["first.biaz"] = table.pop("first.bias")


def _add_tensor(document: dict[str, Any], table: dict[str, Any]) -> None:
    table["zzz"] = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    document["crc32"].append(0)


def _overlap(document: dict[str, Any], table: dict[str, Any]) -> None:
    begin, end = table["first.weight"]["data_offsets"]
    table["first.weight"].update(shape=[4, 5], data_offsets=[begin - 16, end])


def _hole(document: dict[str, Any], table: dict[str, Any]) -> None:
    begin, end = table["first.weight"]["data_offsets"]
    table["first.weight"].update(shape=[4, 3], data_offsets=[begin + 16, end])


def _larger_than_the_file(document: dict[str, Any], table: dict[str, Any]) -> None:
    last = max(table.keys() - {"__metadata__"}, key=lambda name: int(table[name]["data_offsets"][1]))
    begin = table[last]["data_offsets"][0]
    table[last].update(dtype="U8", shape=[2**40], data_offsets=[begin, begin + 2**40])


def _no_document(document: dict[str, Any], table: dict[str, Any]) -> None:
    del table["__metadata__"]


# What is done to the file → the code of the refusal, and a pattern that its message has.
FORGERIES: dict[str, tuple[Edit, str, str]] = {
    "another version": (_newer, "TP401", "format 2 and was written by triport 9.1.0; triport .* reads format 1"),
    "no version": (put("format", None), "TP403", "graph.format: expected a whole number, got null"),
    "missing key": (lambda document, _: document.pop("nodes"), "TP403", 'the key "nodes" is missing'),
    "unknown key": (put("surprise", 1), "TP403", "unknown key 'surprise'"),
    "unknown op": (put("nodes", 0, "op", "fly"), "TP404", "unknown op 'fly'"),
    "op named like Python's insides": (put("nodes", 0, "op", "__class__"), "TP404", "unknown op '__class__'"),
    "unknown attribute": (put("nodes", 0, "attrs", "speed", 1), "TP403", r"\(linear\): unknown key 'speed'"),
    "missing attribute": (put("nodes", 0, "attrs", {}), "TP403", 'the key "activation" is missing'),
    "attribute of another type": (put("nodes", 0, "attrs", "activation", 1), "TP403", "activation: expected one of"),
    "two values of one name": (put("inputs", "+", ["x", "int8", []]), "TP405", 'two values are named "x"'),
    "two nodes of one name": (put("nodes", 1, "name", "first"), "TP405", 'two nodes are named "first"'),
    "two outputs of one name": (put("outputs", "+", ["scores", "x"]), "TP405", '"scores" is listed twice'),
    "forward reference": (put("nodes", 0, "inputs", 0, "second:out"), "TP405", "not a value known at this place"),
    "node that reads itself": (put("nodes", 0, "inputs", 0, "first:out"), "TP405", "not a value known at this place"),
    "shape that does not follow": (
        put("nodes", 0, "outputs", 0, 2, ["batch", 5]),
        "TP405",
        r"the op gives float32\[batch, 4\], the file says float32\[batch, 5\]",
    ),
    "too few operands": (put("nodes", 0, "inputs", []), "TP405", "takes x, weight, bias"),
    "dimension bomb": (put("inputs", 0, 2, 0, "*".join(["(a+b+c+d+e+f+g+h+i+j+k)"] * 30)), "TP402", "4096 terms"),
    "deep dimension": (put("inputs", 0, 2, 0, "(" * 400 + "a"), "TP402", "not an expression"),
    "long dimension": (put("inputs", 0, 2, 0, "a+" * 4000 + "a"), "TP402", "8001 characters"),
    "dimension in another spelling": (put("inputs", 0, 2, 0, "b+a"), "TP402", "must be spelled 'a[+]b'"),
    "negative size": (put("inputs", 0, 2, 0, -1), "TP403", "-1 must not be negative"),
    "recipe of a huge input": (
        put("samples", 1, "inputs", "x", "shape", [2**40, 2**40]),
        "TP405",
        "more than 67108864 elements",
    ),
    "missing tensor": (put("constants", "+", "gone"), "TP406", 'its tensor "gone" is missing from the file'),
    "renamed tensor": (_rename_tensor, "TP406", 'its tensor "first.bias" is missing from the file'),
    "tensor nobody refers to": (_add_tensor, "TP406", '"zzz" is in the file, but nothing refers to it'),
    "constant nobody reads": (put("constants", "+", ["spare", "first.bias"]), "TP405", '"spare" is read by nothing'),
    "unknown dtype": (put_in_table("first.bias", "dtype", "F4"), "TP406", "dtype 'F4'; known are I64"),
    "shape bomb": (put_in_table("first.bias", "shape", [2**40, 2**40]), "TP406", "larger than any memory"),
    "empty shape bomb": (put_in_table("first.bias", "shape", [0, 2**62, 2**62]), "TP406", "larger than any memory"),
    "shape beyond the bytes": (put_in_table("first.bias", "shape", [5]), "TP406", r"\[5\] needs 20 bytes, it has 16"),
    "tensor beyond the file": (_larger_than_the_file, "TP406", "cut short: its tensors take 1099511627"),
    "overlap": (_overlap, "TP406", "overlaps the one before it"),
    "hole": (_hole, "TP406", "leaves a hole before it"),
    "missing checksum": (lambda document, _: document["crc32"].pop(), "TP403", "graph.crc32: expected a list of"),
    "wrong checksum": (put("crc32", 0, 1), "TP407", "is damaged: its CRC-32 is"),
    "two metadata keys": (put_in_table("__metadata__", "format", "pt"), "TP400", "keys beside triport: format"),
    "weights alone": (_no_document, "TP400", "holds no graph"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_file_is_refused_with_what_is_wrong(path: Path, whole: bytes, forgery: str) -> None:
    edit, code, words = FORGERIES[forgery]
    error = refusal(edited(whole, path, edit))
    assert (error.code, bool(re.search(words, error.message))) == (code, True), error.message


@pytest.mark.parametrize(
    ("quantization", "words"),
    [
        ([0.0, 3], "not a positive, finite float32"),
        ([0.1, 3], "not a positive, finite float32"),
        (["inf", 3], "not a positive, finite float32"),
        ([0.5, 128], "no int8"),
        ([0.5], "expected a list of 2, got one of 1"),
        ({"scale": 0.5}, "expected a list"),
    ],
)
def test_forged_quantization_is_refused_with_what_is_wrong(path: Path, quantization: object, words: str) -> None:
    graph = Graph()
    graph.set_output("y", graph.add_input("x", TensorType(DType.INT8, (4,), Quantization(0.5, 3))))
    graph.save(path)
    edited(path.read_bytes(), path, put("inputs", 0, 3, quantization))
    assert words in refusal(path).message


def test_a_quantized_float_is_refused(path: Path) -> None:
    graph = Graph()
    graph.set_output("y", graph.add_input("x", TensorType(DType.INT8, (4,), Quantization(0.5, 3))))
    graph.save(path)
    edited(path.read_bytes(), path, put("inputs", 0, 1, "float32"))
    assert "float32 cannot be quantized" in refusal(path).message


def test_a_model_that_an_earlier_version_quantized_has_to_be_quantized_again(path: Path) -> None:
    """Sums of codes had one scale for both operands once, and no attribute that tells them."""
    graph, codes = Graph(), Quantization(0.5, 0)
    a, b = (graph.add_input(name, TensorType(DType.INT8, (2,), codes)) for name in "ab")
    graph.set_output("y", graph.add(QuantizedAdd(codes, of=(codes, codes)), a, b))
    graph.save(path)
    error = refusal(edited(path.read_bytes(), path, put("nodes", 0, "attrs", {"to": [0.5, 0], "activation": "none"})))
    assert error.code == "TP404" and "has activation, of, to, in the file it has activation, to" in error.message
    assert "another version of triport quantized the model" in str(error.because)
    assert "triport quantize MODEL.triport --calibration DATA -o FILE.triport" in str(error.help)


def _raw(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def _with_document(text: str) -> bytes:
    return _raw(json.dumps({"__metadata__": {"triport": text}}).encode())


RAW: dict[str, tuple[bytes, str, str]] = {
    "empty file": (b"", "TP400", "it has 0 bytes"),
    "header of 2**63 bytes": (
        (2**63).to_bytes(8, "little") + b"{}",
        "TP400",
        "claims a header of 9223372036854775808 bytes",
    ),
    "header above the cap": ((100_000_001).to_bytes(8, "little") + b"{}", "TP400", "at most 100000000"),
    "header that is no object": (_raw(b"[1, 2]  "), "TP400", "not a JSON object"),
    "header that is no JSON": (_raw(b'{"a":   '), "TP403", "is not JSON"),
    "header that is no UTF-8": (_raw(b'{"\xff": 1}'), "TP400", "not UTF-8"),
    "key given twice": (_raw(b'{"a":1,"b":2,"a":3}'), "TP403", "'a' occurs twice"),
    "deep nesting": (_raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "TP403", "nested too deeply"),
    "number of 100,000 digits": (_raw(b'{"a":' + b"9" * 100_000 + b"}"), "TP403", "is not JSON"),
    "NaN": (_with_document('{"format":NaN}'), "TP403", "NaN is not a finite number"),
    "number beyond float64": (_with_document('{"format":1e999}'), "TP403", "1e999 is not a finite number"),
    "document key given twice": (_with_document('{"format":1,"format":1}'), "TP403", "'format' occurs twice"),
    "document that is no object": (_with_document("3"), "TP403", "expected an object, got 3"),
    "document nested deeply": (_with_document("[" * 90_000), "TP403", "nested too deeply|is not JSON"),
}


def test_a_zip_archive_is_named_as_what_it_is(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + b"\0" * 60)
    with pytest.raises(UsageError, match="is a zip archive") as refused:
        load_graph(path)
    assert refused.value.code == "TP008"


@pytest.mark.parametrize("kind", RAW)
def test_what_is_no_graph_at_all_is_refused(path: Path, kind: str) -> None:
    content, code, words = RAW[kind]
    path.write_bytes(content)
    error = refusal(path)
    assert (error.code, bool(re.search(words, error.message))) == (code, True), error.message


def test_a_header_checksum_that_does_not_match_is_named(path: Path, whole: bytes) -> None:
    # A stride or a name may change into another valid one; only the checksum can tell.
    path.write_bytes(whole.replace(b'\\"name\\":\\"small\\"', b'\\"name\\":\\"smell\\"'))
    error = refusal(path)
    assert error.code == "TP407"
    assert "header is damaged" in error.message


def test_damage_to_weights_is_named_by_tensor(path: Path, whole: bytes) -> None:
    position = whole.index(small_graph().constants()[0].array().tobytes())
    path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
    assert 'tensor "first.weight" is damaged' in refusal(path).message
    load_graph(path, check_sums=False)


def test_a_bool_that_is_neither_0_nor_1_is_refused(path: Path, whole: bytes) -> None:
    def without_sums(document: dict[str, Any], table: dict[str, Any]) -> None:
        del document["crc32"]

    def poisoned(data: bytes) -> bytes:
        return data[:-1] + b"\x02"  # booleans lie last

    edited(whole, path, without_sums, data=poisoned)
    assert "neither 0 nor 1" in refusal(path).message


@pytest.mark.parametrize("key", ["checksum", "crc32"])
def test_checksums_are_optional_for_other_writers(path: Path, whole: bytes, key: str) -> None:
    edited(whole, path, lambda document, _: document.pop(key))
    load_graph(path)


@example("0")
@example("9" * 30)
@given(st.text("ab0123456789+-*/%() ", max_size=40))
@settings(deadline=None)
def test_any_text_for_a_dimension_is_read_or_refused(text: str) -> None:
    try:
        dim = dim_from_json(text, "here")
    except FormatError:
        return
    assert str(dim) == text


def test_refusing_a_shape_bomb_takes_no_memory(path: Path, whole: bytes) -> None:
    def bomb(document: dict[str, Any], table: dict[str, Any]) -> None:
        size = 2**46
        table["first.bias"].update(shape=[size], data_offsets=[0, 4 * size])

    edited(whole, path, bomb)
    script = """
import resource, sys
from triport.exporter.errors import FormatError
from triport.exporter.graph.file import load_graph
resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
try:
    load_graph(sys.argv[1])
except FormatError as error:
    print(error.code)
"""
    command = [sys.executable, "-c", script, str(path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "TP406\n"
