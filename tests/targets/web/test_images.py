"""Pictures as a model's inputs: the same tensor from Python (Pillow), Node and Chromium, to the last bit."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page
from small_graphs import convnet

import triport as tp
from triport.exporter import ops
from triport.exporter.errors import FormatError, TriportError, UsageError
from triport.exporter.graph import Array, Dim, DType, Graph, Quantization, Sym, TensorType
from triport.exporter.graph.file import save_graph
from triport.runtime_checks.manifest import describe
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.bundle import RUNTIME

BATCH = Sym.named("batch")
Write = Callable[[Graph], Path]


def reading(
    *shape: Dim, dtype: DType = DType.FLOAT32, quantization: Quantization | None = None, **declared: Any
) -> Graph:
    """A graph that hands on its image; declared is what its preprocessing is."""
    graph = Graph("reader")
    image = graph.add_input("image", TensorType(dtype, (BATCH, *shape), quantization))
    graph.set_output("same", graph.add(ops.Reshape((BATCH, *shape)), image))
    return graph.describe(preprocessing=tp.Preprocessing(**declared)) if declared else graph


def scene(height: int, width: int, channels: int = 3, seed: int = 0) -> Array:
    """uint8 [height, width, channels]: noise on slopes, so that every filter has something to do."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 200, height)[:, None, None] + np.linspace(0, 55, width)[None, :, None]
    pixels = np.broadcast_to(slope, (height, width, channels)) + rng.integers(-60, 60, (height, width, channels))
    return np.clip(pixels, 0, 255).astype(np.uint8)


IN_NODE = """
import { readFileSync } from "node:fs";
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));
const numbersOf = (value) => (Array.isArray(value) ? value.map(numbersOf) : value === "NaN" ? NaN : value);
const answers = [];
for (const { folder, pictures, options } of JSON.parse(readFileSync(0, "utf8"))) {
  const { load } = await import(`${folder}/index.js`);
  const { fromImage } = await import(`${folder}/image.js`);
  const model = await load();
  const sources = pictures.map(({ data, width, height }) => ({ data: bytes(data), width, height }));
  for (const key of Object.keys(options)) options[key] = numbersOf(options[key]);
  try {
    const { data, shape } = await fromImage(model, sources.length === 1 ? sources[0] : sources, options);
    const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
    answers.push({ type: data.constructor.name, shape, raw });
  } catch (error) {
    answers.push({ error: `${error.constructor.name}: ${error.message}` });
  }
}
console.log(JSON.stringify(answers));
"""

TYPES = {"Float32Array": np.float32, "Uint8Array": np.uint8, "Int8Array": np.int8, "Int32Array": np.int32}


def rgba(pixels: Array) -> Array:
    if pixels.shape[-1] == 1:
        pixels = np.repeat(pixels, 3, axis=-1)
    if pixels.shape[-1] == 3:
        pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=-1)
    return pixels


def in_node(*calls: tuple[Path, Any, dict[str, Any]]) -> list[Any]:
    """What fromImage of a bundle gives for pixels [H, W, C], or several, and options: arrays, or texts of errors."""
    asked = []
    for folder, given, options in calls:
        pictures = [
            {"data": base64.b64encode(rgba(x).tobytes()).decode(), "width": x.shape[1], "height": x.shape[0]}
            for x in (given if isinstance(given, list) else [given])
        ]
        asked.append({"folder": folder.as_uri(), "pictures": pictures, "options": options})
    done = subprocess.run(
        ["node", "--input-type=module", "-e", IN_NODE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    return [answer.get("error") or array_of(answer) for answer in json.loads(done.stdout)]


def array_of(answer: dict[str, Any]) -> Array:
    return np.frombuffer(base64.b64decode(answer["raw"]), TYPES[answer["type"]]).reshape(answer["shape"])


DECLARED: list[dict[str, Any]] = [
    {"size": (7, 9)},
    {"size": (40, 31), "range": (0, 255)},
    {"size": (7, 9), "resize": "bicubic", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    {"size": (61, 67), "resize": "bicubic", "channels": "bgr", "range": (-1, 1)},
    {"size": (8, 13), "resize": "nearest", "range": (1, 0), "mean": 0.1307, "std": 0.3081},
    {"size": (50, 41), "resize": "nearest"},
    {"size": (16, 16), "shorter_side": 19, "background": (10, 20, 250)},
    {"size": (16, 12), "shorter_side": 18, "resize": "bicubic"},
    {"size": (37, 29)},
    {"size": (5, 41)},
    {"size": (4, 28), "resize": "bicubic"},
]


PICTURES = [scene(37, 29), scene(37, 29, 4, seed=1), scene(29, 37, 1, seed=2), scene(3, 200, seed=3)]


def test_node_prepares_pictures_as_python_does(bundle: Write) -> None:
    folder = bundle(reading(Sym.named("height"), Sym.named("width"), 3))
    cases = [(declared, picture) for declared in DECLARED for picture in PICTURES]
    got = in_node(*((folder, picture, {"range": (0, 1)} | declared) for declared, picture in cases))
    for (declared, picture), array in zip(cases, got, strict=True):
        expected = tp.Preprocessing(**declared)(picture)
        assert array.dtype == np.float32 and array.shape == expected.shape
        assert array.tobytes() == expected.tobytes(), declared


LAYOUTS: list[tuple[tuple[int, ...], dict[str, Any], str]] = [
    ((3, 9, 11), {}, "NCHW"),
    ((1, 9, 11), {"channels": "grey"}, "NCHW"),
    ((9, 11, 1), {"channels": "grey"}, "NHWC"),
    ((9, 11, 4), {"channels": "rgba", "resize": "bicubic"}, "NHWC"),
    ((9, 11), {"channels": "grey"}, "NHWC"),
    ((297,), {"size": (9, 11), "channels": "bgr", "background": (10, 20, 250)}, "NHWC"),
    ((99,), {"size": (9, 11), "channels": "grey"}, "NHWC"),
]


def test_layouts_and_channels(tmp_path: Path) -> None:
    graphs = [reading(*shape, **{"range": (0, 1)} | declared) for shape, declared, _ in LAYOUTS]
    pictures = [scene(20, 30, 4), scene(20, 30, seed=5)]
    target = WebTarget()
    for i, graph in enumerate(graphs):
        target.write(prepare(graph, target), tmp_path / str(i), {})
    got = in_node(*((tmp_path / str(i), pictures, {}) for i in range(len(graphs))))
    for graph, array, (shape, _, layout) in zip(graphs, got, LAYOUTS, strict=True):
        rules = tp.Preprocessing.of(graph)
        assert rules.size == (9, 11)
        assert array.shape == (2, *shape)
        assert array.tobytes() == rules(pictures, layout=layout).tobytes(), shape


def test_grey_and_bilinear_are_pillows(bundle: Write) -> None:
    """The rule itself, against Pillow without a line of ours between."""
    picture = Image.fromarray(scene(50, 64))
    expected = np.asarray(picture.convert("L").resize((12, 10), Image.Resampling.BILINEAR), np.float32)
    declared: dict[str, Any] = {"channels": "grey", "range": (0, 255)}
    (got,) = in_node((bundle(reading(10, 12, 1, **declared)), np.asarray(picture), {}))
    np.testing.assert_array_equal(got[0, ..., 0], expected)
    np.testing.assert_array_equal(tp.Preprocessing(size=(10, 12), **declared)(picture)[0, ..., 0], expected)


def test_free_sizes_take_the_pictures(bundle: Write) -> None:
    folder = bundle(reading(Sym.named("height"), Sym.named("width"), 3, range=(0, 1)))
    got, sized, two = in_node(
        (folder, scene(5, 6), {}), (folder, scene(5, 6), {"size": [8, 4]}), (folder, [scene(5, 6), scene(6, 5)], {})
    )
    assert got.shape == (1, 5, 6, 3) and sized.shape == (1, 8, 4, 3)
    assert two == "TypeError: fromImage: pictures of one batch have to be of one size: pass size: [height, width]"


def test_inputs_of_codes_get_codes(tmp_path: Path) -> None:
    picture = scene(6, 5)
    quantization = Quantization(0.0078125, -3)
    graph = reading(6, 5, 3, dtype=DType.INT8, quantization=quantization, range=(-1, 1))
    target = WebTarget()
    for name, each in {"plain": reading(6, 5, 3, dtype=DType.UINT8), "coded": graph}.items():
        target.write(prepare(each, target), tmp_path / name, {})
    plain, coded = in_node((tmp_path / "plain", picture, {}), (tmp_path / "coded", picture, {}))
    assert plain.dtype == np.uint8
    np.testing.assert_array_equal(plain[0], picture)
    real = np.asarray(tp.Preprocessing.of(graph)(picture, dtype="float32"), np.float32)
    codes = np.clip(np.rint(real / np.float32(quantization.scale)) + quantization.zero_point, -128, 127)
    np.testing.assert_array_equal(coded, codes.astype(np.int8))


@pytest.fixture(scope="module", params=["uint8", "int8"])
def quantized(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A network quantized with codes at its borders, as its file gives it."""
    rules = tp.Preprocessing(mean=0.3, std=0.35, channels="grey", shorter_side=9)
    pictures = [scene(20, 30, seed=i) for i in range(8)]
    calibration = {"image": rules_of_size(rules, 8)(pictures, layout="NCHW")}
    coded = tp.quantize(convnet().describe(preprocessing=rules), "int8", calibration=calibration, io=request.param)
    file = tmp_path_factory.mktemp("coded") / "coded.triport"
    coded.save(file)
    return Graph.load(file)


def rules_of_size(rules: tp.Preprocessing, size: int) -> tp.Preprocessing:
    return tp.Preprocessing.from_json(rules.to_json() | {"size": [size, size]})


def test_a_model_that_takes_codes_gets_those_of_the_page_in_python(
    quantized: Graph, bundle: Write, page: Page, serve: Callable[[Path], str]
) -> None:
    dtype, codes = quantized.inputs[0].type.dtype, quantized.inputs[0].type.quantization
    assert codes is not None
    folder = bundle(quantized)
    prepare_pictures = tp.Preprocessing.of(quantized)
    pictures = [scene(40, 30, 4), scene(40, 30, seed=5)]
    expected = prepare_pictures(pictures, layout="NCHW")
    assert expected.dtype == dtype.numpy and len(np.unique(expected)) > 20
    layout = json.loads((folder / "plan.json").read_text())["meta"]["images"]["image"]["layout"]
    (in_page,) = in_node((folder, pictures, {}))
    assert in_page.dtype == expected.dtype
    assert in_page.tobytes() == prepare_pictures(pictures, layout=layout).tobytes()
    Image.fromarray(pictures[1]).save(folder / "scene.png")
    (folder / "page.html").write_text('<!doctype html><link rel="icon" href="icon.svg">')
    page.goto(serve(folder) + "/page.html")
    answer = array_of(page.evaluate(IN_PAGE, ["scene.png", "img"]))
    assert answer.dtype == expected.dtype
    assert answer.tobytes() == prepare_pictures(pictures[1], layout=layout).tobytes()
    assert quantized.run({"image": expected})["scores"].shape == (2, 10)
    real = prepare_pictures(pictures, layout="NCHW", dtype="float32")
    assert real.dtype == np.float32
    least = -128 if dtype is DType.INT8 else 0
    wanted, back = np.asarray(real, np.float64) / codes.scale, np.asarray(expected, np.float64)
    inside = (back > least) & (back < least + 255)
    steps = np.abs(back - codes.zero_point - wanted)
    assert inside.any() and steps[inside].max() <= 0.501


def test_what_is_taken_from_a_graph_is_the_declaration_all_the_same(quantized: Graph) -> None:
    rules = tp.Preprocessing.of(quantized)
    declared = tp.Preprocessing(size=8, mean=0.3, std=0.35, channels="grey", shorter_side=9)
    assert rules == declared and hash(rules) == hash(declared) and repr(rules) == repr(declared)
    assert tp.Preprocessing.from_json(rules.to_json()) == rules
    assert declared(scene(9, 9)).dtype == np.float32


def test_an_input_of_bytes_gets_bytes_in_python() -> None:
    picture = scene(6, 5)
    graph = reading(6, 5, 3, dtype=DType.UINT8, range=(0, 255))
    np.testing.assert_array_equal(tp.Preprocessing.of(graph)(picture), picture[np.newaxis], strict=True)


def test_options_say_what_is_not_declared_and_mistakes_are_named(bundle: Write) -> None:
    folder, picture, ranged = bundle(reading(6, 5, 3)), scene(6, 5), {"range": [0, 1]}
    given: list[tuple[Any, dict[str, Any]]] = [
        (picture, {"range": [0, 1], "mean": 0.5, "std": [0.5, 0.25, 0.125], "channels": "bgr"}),
        (picture, {}),
        (picture, ranged | {"size": [3, 3]}),
        (picture, ranged | {"mean": [1, 2]}),
        (picture, ranged | {"channels": "grey"}),
        (picture, ranged | {"scale": 2}),
        (picture, {"input": "other"}),
        (picture, ranged | {"resize": "lanczos"}),
        ([], ranged),
    ]
    got, *problems = in_node(*((folder, *each) for each in given))
    rules = tp.Preprocessing(mean=0.5, std=(0.5, 0.25, 0.125), channels="bgr")
    assert got.tobytes() == rules(picture).tobytes()
    assert [problem.removeprefix("TypeError: fromImage: ").split(",")[0] for problem in problems] == [
        'input "image" declares no range: pass range: [0',
        'input "image" is of 6x5 pixels',
        'input "image": mean has to be 1 or 3 finite numbers',
        'input "image" has 3 channels',
        "unknown option scale; there are channels",
        "expected options.input to be one of image",
        'input "image": resize has to be one of bilinear',
        "expected an ImageData or {data",
    ]


NAN = float("nan")


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"mean": NAN}, "got NaN"),
        ({"mean": [0.5, NAN, 0]}, "got [0.5, NaN, 0]"),
        ({"mean": [1, 2]}, "got [1, 2]"),
        ({"std": 0}, "got 0"),
        ({"std": [1, 0, 1]}, "got [1, 0, 1]"),
        ({"range": [0]}, "got [0]"),
        ({"range": [1, 1]}, "got [1, 1]"),
        ({"background": [300, 0, 0]}, "got [300, 0, 0]"),
        ({"background": [0.5, 0, 0]}, "got [0.5, 0, 0]"),
        ({"background": [255]}, "got [255]"),
        ({"size": [0, 3]}, "got [0, 3]"),
        ({"size": [2.5, 3]}, "got [2.5, 3]"),
        ({"size": [9, 9], "shorter_side": 8}, "got 8"),
        ({"size": [9, 9], "shorter_side": 0}, "got 0"),
        ({"size": [9, 9], "shorter_side": 9.5}, "got 9.5"),
        ({"shorter_side": 9}, "pass size: [height, width]"),
        ({"resize": "lanczos"}, 'got "lanczos"'),
        ({"resize": "toString"}, 'got "toString"'),
        ({"channels": "hsv"}, 'got "hsv"'),
    ],
)
def test_what_has_no_meaning_is_refused_in_the_words_of_python(
    options: dict[str, Any], shown: str, bundle: Write
) -> None:
    folder = bundle(reading(Sym.named("height"), Sym.named("width"), 3))
    with pytest.raises(UsageError) as caught:
        tp.Preprocessing(**options)(scene(12, 12))
    (problem,) = in_node((folder, scene(12, 12), {"range": [0, 1]} | {k: spelled(v) for k, v in options.items()}))
    assert isinstance(problem, str), "no error"
    words = caught.value.message.rpartition(", got ")[0]
    assert problem.startswith(f'TypeError: fromImage: input "image": {words}') and problem.endswith(shown)


def spelled(value: Any) -> Any:
    """NaN, which JSON has not, for the script in Node."""
    return [spelled(each) for each in value] if isinstance(value, list) else "NaN" if value != value else value


def test_one_channel_has_one_number() -> None:
    with pytest.raises(UsageError, match="mean has to be 1 finite number, got"):
        tp.Preprocessing(channels="grey", mean=(1, 2))


def test_a_model_without_pictures_says_so() -> None:
    script = """
    const { fromImage } = await import(process.argv[1]);
    const tokens = { name: "tokens", dtype: "int32", shape: ["batch", 16] };
    const model = { meta: { inputs: [tokens, { name: "mask", dtype: "bool", shape: [] }] } };
    const pixels = { data: new Uint8Array(8), width: 2, height: 1 };
    for (const options of [{}, { input: "tokens" }])
      await fromImage(model, pixels, options).catch((error) => console.log(`${error.name}: ${error.message}`));
    """
    command = ["node", "--input-type=module", "-e", script, (RUNTIME / "image.js").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = "TypeError: fromImage: the model takes no pictures: its inputs are tokens int32[batch,16], mask bool[]"
    assert done.stdout.splitlines() == [f"{said}; in Python preprocessing= declares which holds one"] * 2


IN_PAGE = """
async ([address, kind]) => {
  const { load } = await import("./index.js");
  const { fromImage } = await import("./image.js");
  const model = await load();
  const blob = await (await fetch(address)).blob();
  const canvasOf = async () => {
    const bitmap = await createImageBitmap(blob);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    return canvas;
  };
  const sources = {
    blob: async () => blob,
    img: async () => Object.assign(new Image(), { src: address }),
    ImageBitmap: () => createImageBitmap(blob),
    OffscreenCanvas: canvasOf,
    canvas: async () => {
      const bitmap = await createImageBitmap(blob);
      const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      return canvas;
    },
    ImageData: async () => {
      const canvas = await canvasOf();
      return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    },
    VideoFrame: async () => new VideoFrame(await canvasOf(), { timestamp: 0 }),
    words: async () => "cat.png",
    empty: async () => document.createElement("video"),
    broken: async () => new Blob(["no picture"]),
  };
  try {
    const { data, shape } = await fromImage(model, await sources[kind]());
    let text = "";
    for (const byte of new Uint8Array(data.buffer)) text += String.fromCharCode(byte);
    return { type: data.constructor.name, shape, raw: btoa(text) };
  } catch (error) {
    return { error: `${error.constructor.name}: ${error.message}` };
  }
}
"""


def test_a_png_gives_the_same_tensor_in_chromium_and_in_python(
    page: Page, bundle: Write, serve: Callable[[Path], str]
) -> None:
    declared: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "shorter_side": 40}
    graph = reading(32, 36, 3, **declared)
    folder = bundle(graph)
    picture = Image.fromarray(scene(75, 101))
    picture.save(folder / "scene.png")
    expected = tp.Preprocessing.of(graph)(Image.open(folder / "scene.png"))
    (folder / "page.html").write_text('<!doctype html><link rel="icon" href="icon.svg">')
    page.goto(serve(folder) + "/page.html")
    for kind in ("blob", "img", "ImageBitmap", "OffscreenCanvas", "canvas", "ImageData", "VideoFrame"):
        answer = page.evaluate(IN_PAGE, ["scene.png", kind])
        assert "error" not in answer, (kind, answer)
        assert array_of(answer).tobytes() == expected.tobytes(), kind
    problems = [page.evaluate(IN_PAGE, ["scene.png", kind])["error"] for kind in ("words", "empty", "broken")]
    assert problems[0].startswith("TypeError: fromImage: expected an ImageData or {") and "got String" in problems[0]
    assert problems[1] == "TypeError: fromImage: HTMLVideoElement has no pixels yet, or has been closed"
    assert problems[2].startswith("TypeError: fromImage: no picture: ")


LAZY = """
async ([address, place]) => {
  const { load } = await import("./index.js");
  const { fromImage } = await import("./image.js");
  const model = await load();
  const img = Object.assign(new Image(3, 3), { loading: "lazy", src: address });
  img.style.display = place === "hidden" ? "none" : "block";
  img.style.marginTop = "100000px";
  if (place !== "outside") document.body.append(img);
  const { data, shape } = await fromImage(model, img);
  let text = "";
  for (const byte of new Uint8Array(data.buffer)) text += String.fromCharCode(byte);
  return { type: data.constructor.name, shape, raw: btoa(text) };
}
"""


@pytest.mark.parametrize("place", ["hidden", "below", "outside"])
def test_an_img_that_the_browser_puts_off_is_loaded(
    place: str, page: Page, bundle: Write, serve: Callable[[Path], str]
) -> None:
    """With loading="lazy", where it is not to be seen, decode() waits for ever."""
    graph = reading(6, 5, 3, range=(0, 1))
    folder = bundle(graph)
    Image.fromarray(scene(6, 5)).save(folder / "scene.png")
    (folder / "page.html").write_text('<!doctype html><link rel="icon" href="icon.svg">')
    page.goto(serve(folder) + "/page.html")
    answer = page.evaluate(
        f"call => Promise.race([({LAZY})(call), new Promise((end) => setTimeout(end, 60000))])", ["scene.png", place]
    )
    assert answer is not None, "fromImage never settled"
    assert array_of(answer).tobytes() == tp.Preprocessing.of(graph)(scene(6, 5)).tobytes()


# -- what a graph declares ---------------------------------------------------------------------------------------------


def test_what_is_declared_travels_through_files_and_into_the_manifest(tmp_path: Path, bundle: Write) -> None:
    graph = reading(6, 5, 3, mean=0.5, channels="bgr")
    save_graph(graph, tmp_path / "reader.triport")
    loaded = Graph.load(tmp_path / "reader.triport")
    rules = tp.Preprocessing.of(loaded, "image")
    assert rules == tp.Preprocessing(size=(6, 5), mean=0.5, channels="bgr")
    assert describe(loaded, "")["preprocessing"] == {"image": rules.to_json()}
    plan = json.loads((bundle(loaded) / "plan.json").read_text())
    assert plan["meta"]["images"]["image"] == {
        "layout": "NHWC", "count": 3, "size": [6, 5], "range": [0, 1], "mean": [0.5], "channels": "bgr"
    }  # fmt: skip


def test_a_model_keeps_its_labels_and_preprocessing(tmp_path: Path) -> None:
    model = tp.Sequential(
        [tp.Input((6, 5, 1), name="image"), tp.layers.Flatten(), tp.layers.Dense(3, name="kind")], name="small"
    )
    model.describe(["cat", "dog", "owl"], tp.Preprocessing(range=(0, 255), channels="grey"))
    model.save(tmp_path / "small.triport")
    again = tp.load_model(tmp_path / "small.triport")
    again.save(tmp_path / "again.triport")
    graph = Graph.load(tmp_path / "again.triport")
    assert graph.metadata["labels"] == {"kind": ["cat", "dog", "owl"]}
    assert tp.Preprocessing.of(graph).size == (6, 5)


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda: tp.Preprocessing(std=0), "TP001", "other than 0"),
        (lambda: tp.Preprocessing(range=(1, 1)), "TP001", "two different numbers"),
        (lambda: tp.Preprocessing.from_json({"channels": "hsv"}), "TP001", "one of grey, rgb, bgr, rgba"),
        (lambda: tp.Preprocessing(mean=(1, 2)), "TP001", "mean has to be 1 or 3 finite numbers"),
        (lambda: tp.Preprocessing(size=(0, 3)), "TP001", "2 whole numbers of 1 to"),
        (lambda: tp.Preprocessing(size=8, shorter_side=7), "TP001", "at least as large"),
        (lambda: tp.Preprocessing.from_json({"scale": 2}), "TP001", "no 'scale'"),
        (lambda: tp.Preprocessing(shorter_side=7)(np.zeros((9, 9), np.uint8)), "TP001", "size has to be given"),
        (lambda: tp.Preprocessing()(np.zeros((2, 2), np.float32)), "TP003", "uint8"),
        (lambda: tp.Preprocessing()(Image.new("I;16", (2, 2))), "TP003", "8 bits a channel"),
        (lambda: reading(6, 5, 3, channels="grey"), "TP002", '3 channels, and "grey"'),
        (lambda: reading(6, 5, 3, size=(5, 6)), "TP002", "size [5, 6] is declared"),
        (lambda: reading(Sym.named("h"), 5, 3, shorter_side=9), "TP002", "no size is declared to cut out"),
        (lambda: reading(6, 5, 7, size=(6, 5)), "TP002", "none holds such images"),
        (lambda: reading(6, 5, 3).describe(preprocessing={"other": tp.Preprocessing()}), "TP004", "'other'"),
        (lambda: tp.Preprocessing.of(reading(6, 5, 3)), "TP004", "declares no preprocessing"),
        (lambda: reading(6).describe(labels=["a", "b"]), "TP002", "no output has so many classes"),
        (lambda: reading(1).describe(labels="a"), "TP001", "texts in a list"),
        (lambda: reading(1).describe(labels={"other": ["a"]}), "TP004", "'other'"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], object], code: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert caught.value.code == code and words in str(caught.value)


@pytest.mark.parametrize(
    "metadata",
    [{"labels": {"same": ["a"]}}, {"labels": 3}, {"preprocessing": "ToTensor"}, {"preprocessing": {"x": {}}}],
)
def test_metadata_that_fit_nothing_are_refused_before_a_byte_is_written(
    metadata: dict[str, Any], bundle: Write, tmp_path: Path
) -> None:
    graph = reading(6)
    graph.metadata |= metadata
    with pytest.raises((FormatError, TriportError)) as caught:
        bundle(graph)
    assert caught.value.code == "TP408"
    assert not (tmp_path / "web").exists()


MISUSED = """
const { fromImage } = await import(process.argv[1]);
const inputs = [{ name: "image", dtype: "float32", shape: [1, 1, 2, 1] }];
const images = { image: { layout: "NHWC", count: 1, range: [0, 1] } };
const model = { meta: { inputs, images } }, pixels = { data: new Uint8Array(8), width: 2, height: 1 };
const said = (...given) => fromImage(...given).then(() => "no error", (error) => `${error.name}: ${error.message}`);
console.log(JSON.stringify([await said(pixels, model), await said(Promise.resolve(model), pixels), await said(),
  await said(model, new Blob([pixels.data])), await said(model, pixels.data)]));
"""


def test_a_picture_where_the_model_belongs_and_a_blob_in_node_are_told_so() -> None:
    done = subprocess.run(
        ["node", "--input-type=module", "-e", MISUSED, (RUNTIME / "image.js").as_uri()],
        capture_output=True,
        text=True,
        check=True,
    )
    first = "TypeError: fromImage: expected (model, picture), first what load() resolves to, got {} first"
    pixels = "{data, width, height} of RGBA bytes"
    swapped, pending, nothing, blob, bare = json.loads(done.stdout)
    assert [swapped, pending, nothing] == [first.format(got) for got in ("Object", "Promise", "undefined")]
    assert blob == (
        f"TypeError: fromImage: there is no createImageBitmap here that reads a Blob: decode it, and pass {pixels}"
    )
    assert bare.startswith(f"TypeError: fromImage: expected an ImageData or {pixels}")
    assert bare.endswith("got Uint8Array")
