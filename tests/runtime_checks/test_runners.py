"""The runtimes themselves: what they load, what they refuse, and that none outlives its session."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from triport.exporter.errors import CheckError, EnvironmentError_, UsageError
from triport.exporter.graph import Array, DType, Graph
from triport.runtime_checks.runners import RUNNERS, Chromium, Node, Reference, ReferenceSession, Session, get_runner
from triport.targets.registry import get_target

NAMES = [
    "onnxruntime",
    "onnxruntime-plain",
    "litert",
    "litert-plain",
    "litert-reference",
    "node",
    "chromium",
    "reference",
]

INDEX = """
export async function load() {
  return {
    meta: {
      inputs: [{ name: "x", dtype: "float32", shape: ["batch", 2] }],
      outputs: [{ name: "y", dtype: "float32", shape: ["batch", 2] }],
    },
    async run({ x }) { %s },
  };
}
"""


def load(name: str, exported: Path, model_file: Path) -> Session:
    if name == "reference":
        return Reference().load(model_file)
    runner = get_runner(name)
    return runner.load(exported / get_target(runner.target).artefact)


@pytest.mark.parametrize("name", NAMES)
def test_every_runtime_answers_like_the_reference_at_any_batch(
    name: str, exported: Path, model_file: Path, graph: Graph
) -> None:
    reference = ReferenceSession(graph)
    with load(name, exported, model_file) as session:
        for batch in (1, 7, 2):
            image: Array = np.random.default_rng(batch).normal(size=(batch, 1, 8, 8)).astype(np.float32)
            got = session.run({"image": image})
            assert list(got) == ["scores"]
            wanted = reference.run({"image": image})["scores"]
            np.testing.assert_allclose(got["scores"].astype(float), wanted.astype(float), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_misfit_reads_the_same_in_every_runtime(name: str, exported: Path, model_file: Path) -> None:
    image = np.zeros((2, 1, 8, 8), np.float32)
    with load(name, exported, model_file) as session:
        with pytest.raises(UsageError, match=r"expected float32\[\w+, 1, 8, 8\], got float32\[2, 1, 8, 9\]") as shape:
            session.run({"image": np.zeros((2, 1, 8, 9), np.float32)})
        with pytest.raises(UsageError, match=r"expected float32\[\w+, 1, 8, 8\], got float64\[2, 1, 8, 8\]") as dtype:
            session.run({"image": image.astype(np.float64)})
        with pytest.raises(UsageError, match=r"missing: image; unknown: picture") as names:
            session.run({"picture": image})
        with pytest.raises(UsageError, match=r"expected float32\[\w+, 1, 8, 8\], got float32\[\]"):
            session.run({"image": np.array(1, np.float32)})
        assert session.run({"image": image})["scores"].shape == (2, 10)
    assert (shape.value.code, dtype.value.code, names.value.code) == ("TP002", "TP003", "TP004")


@pytest.mark.parametrize("name", NAMES[:-1])
def test_what_is_timed_takes_time(name: str, exported: Path, model_file: Path) -> None:
    with load(name, exported, model_file) as session:
        seconds = session.timed({"image": np.zeros((1, 1, 8, 8), np.float32)}, 3)
    assert len(seconds) == 3
    assert all(second > 0 for second in seconds)


@pytest.mark.parametrize("name", ["onnxruntime", "litert", "litert-plain"])
def test_a_damaged_file_is_a_failed_check_and_not_a_crash(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"\x1c\0\0\0TFL3 not a model")
    with pytest.raises(CheckError) as refused:
        get_runner(name).load(path)
    assert refused.value.code == "TP504"
    assert refused.value.because


@pytest.mark.parametrize("runner", [Node(), Chromium()], ids=lambda runner: runner.name)
def test_a_bundle_that_throws_is_quoted(runner: Node | Chromium, bundle: Path) -> None:
    (bundle / "index.js").write_text(INDEX % "throw new TypeError(`expected 2, got ${x.shape[1]}`)")
    with runner.load(bundle) as session, pytest.raises(CheckError, match="expected 2, got 2") as failed:
        session.run({"x": np.zeros((1, 2), np.float32)})
    assert failed.value.code == "TP505"


@pytest.mark.parametrize("runner", [Node(), Chromium()], ids=lambda runner: runner.name)
def test_a_bundle_that_does_not_load_is_quoted(runner: Node | Chromium, bundle: Path) -> None:
    (bundle / "index.js").write_text("export async function load() { throw new Error('no such kernel'); }")
    with pytest.raises(CheckError, match="no such kernel") as refused:
        runner.load(bundle)
    assert refused.value.code == "TP504"


def test_the_browser_keeps_a_bundle_from_evaluating_text(bundle: Path) -> None:
    (bundle / "index.js").write_text(
        INDEX % "return { y: { data: new Function('x', 'return x.data')(x), shape: x.shape } };"
    )
    x = {"x": np.ones((1, 2), np.float32)}
    with Node().load(bundle) as session:
        assert session.run(x)["y"].tolist() == [[1, 1]]
    with Chromium().load(bundle) as session, pytest.raises(CheckError, match=r"unsafe-eval|security policy"):
        session.run(x)


@pytest.mark.parametrize("runner", [Node(timeout=2), Chromium(timeout=2)], ids=lambda runner: runner.name)
def test_a_bundle_that_hangs_is_ended(runner: Node | Chromium, bundle: Path) -> None:
    (bundle / "index.js").write_text(INDEX % "for (;;) ;")
    with runner.load(bundle) as session, pytest.raises(CheckError, match="did not answer within 2 s"):
        session.run({"x": np.zeros((1, 2), np.float32)})


def test_a_node_that_ends_says_why(bundle: Path) -> None:
    (bundle / "index.js").write_text(INDEX % "console.log('on its way out'); process.exit(3)")
    with Node().load(bundle) as session, pytest.raises(CheckError, match="status 3") as failed:
        session.run({"x": np.zeros((1, 2), np.float32)})
    assert "on its way out" in (failed.value.because or "")


@pytest.mark.parametrize("dtype", [d for d in DType if d is not DType.FLOAT16], ids=lambda d: d.value)
def test_every_dtype_survives_the_way_to_javascript_and_back(dtype: DType, bundle: Path) -> None:
    source = INDEX.replace("float32", dtype.value) % "return { y: x };"
    (bundle / "index.js").write_text(source)
    x = np.array([[0, 1], [1, 100]]).astype(dtype.numpy)
    with Node().load(bundle) as session:
        y = session.run({"x": x})["y"]
    assert y.dtype == x.dtype
    assert np.array_equal(x, y)


@pytest.mark.parametrize("name", ["node", "chromium"])
def test_a_missing_runtime_comes_with_the_line_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROME", raising=False)
    runner = get_runner(name)
    missing = runner.missing()
    assert missing is not None
    with pytest.raises(EnvironmentError_) as error:
        runner.load(tmp_path)
    assert error.value.code == "TP310"
    assert "apt-get install" in (error.value.help or "")


def test_a_browser_that_opens_no_page_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentError_, match="ended with status") as error:
        Chromium(executable="/bin/false").load(tmp_path)
    assert error.value.code == "TP314"


def test_the_browser_ends_with_a_process_that_is_killed(exported: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from triport.runtime_checks.runners import Chromium\n"
        "session = Chromium().load(Path(sys.argv[1])); print(session._channel._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    child = subprocess.run(
        [sys.executable, "-c", script, str(exported / "web")], capture_output=True, text=True, check=False
    )
    browser = Path(f"/proc/{int(child.stdout)}")
    for _ in range(100):
        if not browser.exists() or "Z" in (browser / "stat").read_text().split()[2]:
            return
        time.sleep(0.1)
    pytest.fail("the browser is still there after 10 s")


def test_an_unknown_runtime_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        get_runner("safari")
    assert all(name in (error.value.help or "") for name in RUNNERS)
