"""The elementary functions of both kernel files against float64, by running the WebAssembly from Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import wasmtime

import triport.targets.web

COMPILED = Path(triport.targets.web.__file__).parent / "compiled"
Floats = npt.NDArray[np.float32]
Kernel = Callable[[Floats], Floats]


@pytest.fixture(params=["kernels.wasm", "kernels.relaxed.wasm"])
def kernel(request: pytest.FixtureRequest) -> Callable[..., Floats]:
    """kernel(name, x, p, q) runs an elementwise kernel in place over x, or over its first ``cells`` cells."""
    config = wasmtime.Config()
    config.wasm_relaxed_simd = True
    store = wasmtime.Store(wasmtime.Engine(config))
    module = wasmtime.Module(store.engine, (COMPILED / request.param).read_bytes())
    exports = wasmtime.Instance(store, module, []).exports(store)
    memory, heap = exports["memory"], exports["__heap_base"]
    assert isinstance(memory, wasmtime.Memory) and isinstance(heap, wasmtime.Global)
    start = (heap.value(store) + 15) // 16 * 16

    def run(name: str, x: Floats, p: float = 0.0, q: float = 0.0, *, cells: int | None = None) -> Floats:
        missing = start + x.nbytes + 64 - memory.data_len(store)
        if missing > 0:
            memory.grow(store, missing // 65536 + 1)
        memory.write(store, x.tobytes(), start)
        function = exports[name]
        assert isinstance(function, wasmtime.Func)
        function(store, start, start, x.size if cells is None else cells, p, q)
        return np.frombuffer(bytes(memory.read(store, start, start + x.nbytes)), np.float32)

    return run


def spread(low: float, high: float) -> Floats:
    """Values over a range, denser towards zero."""
    rng = np.random.default_rng(1)
    even = rng.uniform(low, high, 40000)
    fine = rng.uniform(-1, 1, 20000) * 10 ** rng.uniform(-6, math.log10(max(abs(low), abs(high))), 20000)
    return np.concatenate([even, fine[(fine >= low) & (fine <= high)]]).astype(np.float32)


def ulps(got: Floats, exact: npt.NDArray[np.float64]) -> float:
    """Largest error in units in the last place of the exact result."""
    return float((np.abs(got - exact) / np.spacing(np.abs(exact).astype(np.float32))).max())


@pytest.mark.parametrize(
    ("name", "function", "low", "high", "limit"),
    [
        ("exp", torch.exp, -87.0, 88.0, 1.5),
        ("expm1", torch.expm1, -20.0, 80.0, 3.5),
        ("log", torch.log, 1e-30, 1e30, 1.5),
        ("tanh", torch.tanh, -12.0, 12.0, 2.0),
        ("erf", torch.erf, -5.0, 5.0, 2.0),
        ("sigmoid", torch.sigmoid, -80.0, 80.0, 3.0),
        ("softplus", lambda x: torch.logaddexp(x, torch.zeros_like(x)), -80.0, 80.0, 3.0),
        ("silu", torch.nn.functional.silu, -60.0, 60.0, 4.0),
        ("mish", torch.nn.functional.mish, -60.0, 60.0, 4.0),
    ],
)
def test_function_is_within_a_few_units_in_the_last_place(
    name: str,
    function: Callable[[torch.Tensor], torch.Tensor],
    low: float,
    high: float,
    limit: float,
    kernel: Callable[..., Floats],
) -> None:
    x = spread(low, high)
    exact = function(torch.from_numpy(x).double()).numpy()
    assert ulps(kernel(name, x), exact) <= limit


@pytest.mark.parametrize(("name", "approximate"), [("gelu", "none"), ("gelu_tanh", "tanh")])
def test_gelu_errs_by_less_than_three_parts_in_ten_million_of_its_operand(
    name: str, approximate: str, kernel: Callable[..., Floats]
) -> None:
    x = spread(-100.0, 100.0)
    x = np.concatenate([x, spread(-7.0, 7.0)])
    exact = torch.nn.functional.gelu(torch.from_numpy(x).double(), approximate=approximate).numpy()
    assert float((np.abs(kernel(name, x) - exact) / np.abs(x)).max()) < 3e-7


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("exp", [math.nan, math.inf, 0.0, 1.0, math.inf, 0.0]),
        ("log", [math.nan, math.inf, math.nan, -math.inf, np.log(np.float64(np.float32(3e38))), math.nan]),
        ("tanh", [math.nan, 1.0, -1.0, 0.0, 1.0, -1.0]),
        ("erf", [math.nan, 1.0, -1.0, 0.0, 1.0, -1.0]),
        ("gelu", [math.nan, math.inf, math.nan, 0.0, 3e38, 0.0]),
        ("gelu_tanh", [math.nan, math.inf, math.nan, 0.0, 3e38, 0.0]),
        ("sigmoid", [math.nan, 1.0, 0.0, 0.5, 1.0, 0.0]),
        ("softplus", [math.nan, math.inf, 0.0, math.log(2), 3e38, 0.0]),
        ("sqrt", [math.nan, math.inf, math.nan, 0.0, math.sqrt(3e38), math.nan]),
        ("cube", [math.nan, math.inf, -math.inf, 0.0, math.inf, -math.inf]),
        ("abs", [math.nan, math.inf, math.inf, 0.0, 3e38, 3e38]),
        ("sign", [math.nan, 1.0, -1.0, 0.0, 1.0, -1.0]),
    ],
)
def test_nan_and_infinities_pass_through(name: str, expected: list[float], kernel: Callable[..., Floats]) -> None:
    x = np.array([math.nan, math.inf, -math.inf, 0.0, 3e38, -3e38], np.float32)
    np.testing.assert_allclose(kernel(name, x), np.array(expected, np.float32), rtol=1e-6)


def test_clamp_lets_nan_through_and_keeps_its_bounds(kernel: Callable[..., Floats]) -> None:
    x = np.array([math.nan, -1.0, 3.0, 9.0, math.inf], np.float32)
    np.testing.assert_array_equal(kernel("clamp_to", x, 0.0, 6.0), np.array([math.nan, 0.0, 3.0, 6.0, 6.0], np.float32))


@pytest.mark.parametrize("cells", [1, 2, 3, 5])
def test_kernel_writes_no_cell_behind_the_last(cells: int, kernel: Callable[..., Floats]) -> None:
    x = np.arange(1, 9, dtype=np.float32)
    np.testing.assert_array_equal(kernel("neg", x, cells=cells), np.concatenate([-x[:cells], x[cells:]]))


def test_log_of_subnormal_numbers(kernel: Callable[..., Floats]) -> None:
    x = np.array([1e-45, 1e-40, 1.1e-38], np.float32)
    assert ulps(kernel("log", x), np.log(x.astype(np.float64))) <= 1.5


@pytest.mark.parametrize(("name", "function"), [("sin", np.sin), ("cos", np.cos)])
def test_sine_and_cosine_hold_for_every_number(
    name: str, function: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]], kernel: Callable[..., Floats]
) -> None:
    """numpy's own, in float64, are right for large numbers: less than an ulp of float32 is left beside rounding."""
    largest, infinity = (np.array(value, np.float32).view(np.uint32) for value in (np.finfo(np.float32).max, np.inf))
    bits = np.random.default_rng(1).integers(0, infinity, 60000, dtype=np.uint32)
    least_far = np.array(2.0**20, np.float32).view(np.uint32)  # from there on angles are taken apart in another way
    bits[:4] = largest, least_far, least_far - 1, least_far + 1
    # Close to multiples of pi/2; of all float32, none lies closer than the second.
    bits[4:6] = np.array([5.878692e9, 16367173 * 2.0**72], np.float32).view(np.uint32)
    x = np.concatenate([bits.view(np.float32), -bits.view(np.float32)])
    assert ulps(kernel(name, x), function(x.astype(np.float64))) < 0.51
    assert np.isnan(kernel(name, np.array([np.inf, -np.inf, np.nan, 0], np.float32))[:3]).all()
