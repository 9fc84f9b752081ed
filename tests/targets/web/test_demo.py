"""The demo page in headless Chromium, under the strict policy: draw, choose, type, and what the model makes of it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Page
from small_graphs import convnet, perceptron

import triport as tp
from triport.exporter import ops
from triport.exporter.graph import Array, DType, Graph, Sample, Sym, TensorType
from triport.exporter.reference.run import run_graph

Write = Callable[[Graph], Path]
Serve = Callable[[Path], str]
Scores = npt.NDArray[np.float32]

LABELS = [f"digit {i}" for i in range(10)]
STAGE = "document.getElementById('stage').toDataURL().split(',')[1]"


def digits() -> Graph:
    return convnet().describe(LABELS, tp.Preprocessing(range=(-2, 2), channels="grey"))


def scores(graph: Graph, image: Array) -> Scores:
    return np.asarray(run_graph(graph, {"image": image})["scores"][0], np.float32)


def scores_of(graph: Graph, picture: Array) -> Scores:
    return scores(graph, tp.Preprocessing.of(graph)(picture, layout="NCHW"))


def opened(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#state.pass, #state.fail")
    page.wait_for_selector("#again:enabled")


def stage_of(page: Page) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(page.evaluate(STAGE)))))


def stroke(page: Page, *points: tuple[float, float]) -> None:
    """Drawn with the mouse; points are shares of the pad."""
    box = page.locator("#stage").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def shown(page: Page) -> dict[str, float]:
    """{label: percent} of the bars."""
    lines = page.locator("#answer li").all()
    cells = [(line.locator("span").first.inner_text(), line.locator("span").last.inner_text()) for line in lines]
    return {label: float(text.removesuffix(" %")) for label, text in cells}


def assert_shows(page: Page, expected: Scores) -> None:
    best = LABELS[int(expected.argmax())]
    page.wait_for_function("label => document.getElementById('best').textContent === label", arg=best)
    bars = shown(page)
    assert list(bars) == LABELS
    np.testing.assert_allclose(list(bars.values()), 100 * expected, atol=0.051)


def test_a_drawing_is_answered_as_python_answers_the_same_pixels(page: Page, bundle: Write, serve: Serve) -> None:
    graph = digits()
    opened(page, serve(bundle(graph)) + "/index.html")
    assert_shows(page, scores(graph, graph.samples[0].inputs["image"][:1]))
    stroke(page, (0.2, 0.2), (0.8, 0.2), (0.4, 0.9))
    drawn = stage_of(page)
    assert 0.1 < (drawn[..., 0] > 0).mean() < 0.9
    assert_shows(page, scores_of(graph, drawn))
    page.check("#invert")
    inverted = Image.fromarray(255 - drawn[..., :3])
    assert_shows(page, scores_of(graph, np.asarray(inverted)))
    page.uncheck("#invert")
    page.click("#clear")
    assert (stage_of(page)[..., :3] == 0).all()
    assert_shows(page, scores_of(graph, np.zeros((8, 8), np.uint8)))
    page.focus("#stage")
    for key in ("ArrowUp", "ArrowLeft", "Shift+ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    assert (stage_of(page)[..., 0] > 0).any()
    assert_shows(page, scores_of(graph, stage_of(page)))


def test_a_chosen_picture_is_answered_as_in_python_at_the_width_of_a_phone(
    page: Page, bundle: Write, tmp_path: Path
) -> None:
    """From a file, where only the classic script can be loaded."""
    graph = digits()
    noise = np.random.default_rng(5).integers(0, 256, (40, 56, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    page.set_viewport_size({"width": 360, "height": 740})
    opened(page, (bundle(graph) / "index.html").as_uri())
    page.set_input_files("#file", tmp_path / "noise.png")
    assert_shows(page, scores_of(graph, noise))
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    (tmp_path / "words.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "words.png")
    page.wait_for_function("() => document.getElementById('best').textContent.startsWith('words.png is no picture')")
    assert (page.inner_text("#answer"), page.locator("#seen").is_hidden()) == ("", True)
    page.set_input_files("#file", tmp_path / "noise.png")
    assert_shows(page, scores_of(graph, noise))
    assert page.locator("#seen").is_visible()


def test_a_broken_picture_leaves_no_answer_that_comes_later(
    page: Page, bundle: Write, serve: Serve, tmp_path: Path
) -> None:
    """The run for the picture before it may still be under way."""
    opened(page, serve(bundle(digits())) + "/index.html")
    Image.fromarray(np.eye(8, dtype=np.uint8) * 200).save(tmp_path / "eye.png")
    (tmp_path / "words.png").write_text("no picture")
    page.evaluate(
        """() => {
          const make = createImageBitmap;
          let held = 0;
          globalThis.createImageBitmap = async (file, ...options) => {
            const wait = options.length ? 400 : 0; // fromImage's own reading of the picture
            if (wait) held++;
            await new Promise((done) => setTimeout(done, wait));
            return make(file, ...options);
          };
          globalThis.held = () => held;
        }"""
    )
    page.set_input_files("#file", tmp_path / "eye.png")
    page.wait_for_function("() => held() === 1")
    page.set_input_files("#file", tmp_path / "words.png")
    page.wait_for_function("() => document.getElementById('best').textContent.startsWith('words.png is no picture')")
    page.wait_for_timeout(1000)
    assert page.inner_text("#best").startswith("words.png is no picture")
    assert (page.inner_text("#answer"), page.locator("#seen").is_hidden()) == ("", True)


def test_where_no_range_is_declared_the_page_asks_for_it(
    page: Page, bundle: Write, serve: Serve, tmp_path: Path
) -> None:
    graph = convnet()
    Image.fromarray(np.eye(8, dtype=np.uint8) * 200).save(tmp_path / "eye.png")
    opened(page, serve(bundle(graph)) + "/index.html")
    page.set_input_files("#file", tmp_path / "eye.png")
    for choice, low, high in (("0,1", 0, 1), ("-1,1", -1, 1)):
        page.select_option("#range", choice)
        image = np.where(np.eye(8) == 1, low + 200 / 255 * (high - low), low).astype(np.float32).reshape(1, 1, 8, 8)
        expected = scores(graph, image)
        page.wait_for_function(
            "text => document.querySelector('#answer li').textContent.endsWith(text)", arg=f"{100 * expected[0]:.1f} %"
        )
        np.testing.assert_allclose(list(shown(page).values()), 100 * expected, atol=0.051)


def test_numbers_can_be_typed_and_mistakes_are_named(page: Page, bundle: Write, serve: Serve) -> None:
    graph = perceptron()
    inputs = {"x": np.asarray([[0.5, -1, 2, 0]], np.float32)}
    graph.samples = [Sample(inputs, run_graph(graph, inputs))]
    opened(page, serve(bundle(graph)) + "/index.html")
    assert page.locator("#picture").is_hidden()
    assert page.get_by_label("Numbers of x, float32").input_value() == "0.5000, -1, 2, 0"
    page.get_by_label("Numbers of x, float32").fill("1 2 3 4; 5 6 7 8")
    page.get_by_label("Shape of x, [batch, 4]").fill("2, 4")
    page.click("text=Run >> nth=0")
    page.wait_for_function("() => document.getElementById('answer').textContent.startsWith('[2, 3]: ')")
    numbers = [float(text) for text in page.inner_text("#answer").split(": ")[1].split(", ")]
    given = np.arange(1, 9, dtype=np.float32).reshape(2, 4)
    expected = np.asarray(run_graph(graph, {"x": given})["y"], np.float32)
    np.testing.assert_allclose(numbers, expected.ravel(), rtol=1e-3)
    page.get_by_label("Shape of x, [batch, 4]").fill("2, 3")
    page.click("text=Run >> nth=0")
    page.wait_for_selector("#answer .fail")
    assert page.inner_text("#answer").startswith('input "x": expected ')


def handed_on(type: TensorType) -> Graph:
    """A model whose output "y" is its input "x"."""
    graph = Graph("same")
    x = graph.add_input("x", type)
    graph.set_output("y", graph.add(ops.Reshape(type.shape), x))
    return graph


@pytest.mark.parametrize(
    ("dtype", "typed", "said"),
    [
        (DType.INT32, "a b c", "not a whole number: a"),
        (DType.INT32, "1.5 2 3", "not a whole number: 1.5"),
        (DType.INT32, "1 2 3000000000", "not a whole number of -2147483648 to 2147483647: 3000000000"),
        (DType.UINT8, "1 2 300", "not a whole number of 0 to 255: 300"),
        (DType.INT8, "1 NaN 3", "not a whole number: NaN"),
        (DType.INT8, "1 -129 3", "not a whole number of -128 to 127: -129"),
        (DType.BOOL, "0 1 2", "not a whole number of 0 to 1: 2"),
        (DType.FLOAT32, "1 a 3", "not a number: a"),
        (DType.FLOAT32, "1 2 3 4..", "not a number: 4.."),
    ],
)
def test_what_is_typed_has_to_be_numbers_of_the_input(
    dtype: DType, typed: str, said: str, page: Page, bundle: Write, serve: Serve
) -> None:
    opened(page, serve(bundle(handed_on(TensorType(dtype, (Sym.named("n"),))))) + "/index.html")
    numbers, shape = page.get_by_label(f"Numbers of x, {dtype.value}"), page.get_by_label("Shape of x, [n]")
    numbers.fill("1, 0 1")
    shape.fill("3")
    page.click("text=Run >> nth=0")
    page.wait_for_function("() => document.getElementById('answer').textContent === '[3]: 1, 0, 1'")
    numbers.fill(typed)
    page.click("text=Run >> nth=0")
    page.wait_for_selector("#answer .fail")
    assert page.inner_text("#answer") == f'input "x": {said}'
    numbers.fill("1 0 1")
    shape.fill("three")
    page.click("text=Run >> nth=0")
    page.wait_for_function("() => document.getElementById('answer').textContent.includes('three')")
    assert page.inner_text("#answer") == 'shape of input "x": not a whole number: three'


def test_nan_and_infinity_can_be_typed(page: Page, bundle: Write, serve: Serve) -> None:
    """They are how the page writes them itself, such as in masks of a recorded sample."""
    opened(page, serve(bundle(handed_on(TensorType(DType.FLOAT32, (Sym.named("n"),))))) + "/index.html")
    page.get_by_label("Numbers of x, float32").fill("NaN -Infinity 1e3")
    page.get_by_label("Shape of x, [n]").fill("3")
    page.click("text=Run >> nth=0")
    page.wait_for_function("() => document.getElementById('answer').textContent === '[3]: NaN, -Infinity, 1000'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str, page: Page, bundle: Write, serve: Serve) -> None:
    """WCAG AA: 4.5 to 1 for text, on pages and cards."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    opened(page, serve(bundle(digits())) + "/index.html")
    names = ("--text", "--quiet", "--pass", "--fail", "--accent", "--card", "--page")
    found = page.evaluate(
        "names => names.map((name) => getComputedStyle(document.documentElement).getPropertyValue(name))", names
    )
    *texts, card, ground = [luminance(colour) for colour in found]
    for name, text in zip(names, texts, strict=False):
        for behind in (card, ground):
            light, dark = max(text, behind), min(text, behind)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb (WCAG 2.1)."""
    digits = colour.strip().removeprefix("#")
    digits = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
