"""The compiled kernels: what the sources make, and what is left of them when a plan calls few."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
import wasmtime

import triport.targets.web
from triport.targets.web.strip import CODE, EXPORT, FUNCTION, GLOBAL, TYPE, sections_of, strip

WEB = Path(triport.targets.web.__file__).resolve().parent
COMPILED = WEB / "compiled"
MEMORY, DATA = 5, 11
FILES = ("kernels.wasm", "kernels.relaxed.wasm")


def test_committed_kernels_are_what_the_sources_make_in_any_folder(tmp_path: Path) -> None:
    shutil.copytree(WEB / "kernels", tmp_path / "elsewhere")
    spec = importlib.util.spec_from_file_location("build_kernels", tmp_path / "elsewhere" / "build.py")
    assert spec is not None and spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    for built in build.build(tmp_path / "built"):
        assert built.read_bytes() == (COMPILED / built.name).read_bytes(), "run: make kernels"


def validates(module: bytes) -> list[str]:
    """Names that a valid module exports; WasmtimeError when it is not valid."""
    config = wasmtime.Config()
    config.wasm_relaxed_simd = True
    return [export.name for export in wasmtime.Module(wasmtime.Engine(config), module).exports]


@pytest.mark.parametrize("name", FILES)
def test_stripping_keeps_what_the_kept_kernels_call(name: str) -> None:
    whole = (COMPILED / name).read_bytes()
    small = strip(whole, {"sigmoid"})
    assert sorted(validates(small)) == ["__heap_base", "memory", "sigmoid"]
    assert len(small) < 2500 < len(whole)
    store = wasmtime.Store(wasmtime.Engine())
    if name == "kernels.wasm":
        exports = wasmtime.Instance(store, wasmtime.Module(store.engine, small), []).exports(store)
        memory, sigmoid = exports["memory"], exports["sigmoid"]
        assert isinstance(memory, wasmtime.Memory) and isinstance(sigmoid, wasmtime.Func)
        sigmoid(store, 64, 64, 4, 0.0, 0.0)  # of zeros; it calls vexp, which has no export
        assert bytes(memory.read(store, 64, 68)) == b"\0\0\0\x3f"


@pytest.mark.parametrize("name", FILES)
def test_stripping_nothing_leaves_a_valid_module(name: str) -> None:
    whole = (COMPILED / name).read_bytes()
    kernels = [export for export in validates(whole) if export not in ("memory", "__heap_base")]
    assert validates(strip(whole, kernels)) == validates(whole)


@pytest.mark.parametrize("name", FILES)
def test_nothing_stands_in_the_module_that_the_kept_kernels_do_not_use(name: str) -> None:
    names = b"\x04name\x00\x05\x04many"
    custom = bytes((0, len(names))) + names
    small = strip((COMPILED / name).read_bytes() + custom, {"clamp_to", "fill_f32"})
    assert b"name" not in small
    sections = dict(sections_of(small))
    assert set(sections) == {TYPE, FUNCTION, MEMORY, GLOBAL, EXPORT, CODE}
    counts = {number: body[0] for number, body in sections.items()}
    assert counts == {TYPE: 2, FUNCTION: 2, MEMORY: 1, GLOBAL: 1, EXPORT: 4, CODE: 2}


def test_the_compiled_kernels_have_no_data_which_no_stripping_could_divide() -> None:
    for name in FILES:
        assert DATA not in dict(sections_of((COMPILED / name).read_bytes()))


def test_stripping_refuses_a_kernel_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no kernel frobnicate"):
        strip((COMPILED / "kernels.wasm").read_bytes(), {"frobnicate", "tanh"})
