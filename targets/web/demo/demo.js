// The page's script: the model's answer to what is drawn, chosen or typed, and its self-test.
(async () => {
  "use strict";
  const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array };
  const RANGES = { int32: [-(2 ** 31), 2 ** 31 - 1], uint8: [0, 255], int8: [-128, 127], bool: [0, 1] };
  const SHOWN = 48; // numbers of an output
  const TYPED = 2048; // numbers of an input that can be typed
  const $ = (id) => document.getElementById(id);
  const say = (text, kind = "") => Object.assign($("state"), { textContent: text, className: kind });
  const short = (x) => (Number.isInteger(x) ? String(x) : x.toPrecision(4));
  const pause = () => new Promise((resolve) => setTimeout(resolve));

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  /** The ES modules over http; from file://, where browsers refuse modules, the classic script. */
  async function bundle() {
    if (location.protocol !== "file:") {
      // What index.js is going to ask for comes beside it.
      for (const href of ["weights.bin"])
        document.head.append(make("link", { rel: "preload", as: "fetch", crossOrigin: "anonymous", href }));
      return Object.assign({}, ...(await Promise.all([import("./index.js"), import("./labels.js")])));
    }
    await new Promise((resolve, reject) => {
      const script = make("script", { src: "bundle.iife.js", onload: resolve });
      script.onerror = () => reject(new Error("bundle.iife.js could not be loaded: it belongs beside index.html"));
      document.head.append(script);
    });
    return Object.values(globalThis.triport)[0];
  }

  let model, tools, picture, rules; // picture: the spec of the input that holds images; rules: model.meta.images of it
  let feeds = {}; // what the next run is given: a recorded sample, until something is drawn, chosen or typed
  let source; // the canvas or file that the picture is taken from; undefined: `feeds` has it

  // -- the answer -------------------------------------------------------------------------------------------------

  /** Whether an output is scores of classes, one row a picture. */
  function isClasses(name, { data, shape }) {
    const { quantization } = model.meta.outputs.find((spec) => spec.name === name);
    const real = data instanceof Float32Array || Boolean(quantization);
    return real && shape.length === 2 && shape[1] > 1 && Boolean(model.meta.labels?.[name] || rules);
  }

  /** Classes as bars: up to 12 in their order, else the best six. Scores that are no shares are compared as exp(score). */
  function bars(name, output) {
    const scored = tools.topK(model, { [name]: output }, Infinity);
    const [best] = scored;
    const total = scored.reduce((sum, { score }) => sum + score, 0);
    const shares = scored.at(-1).score >= 0 && Math.abs(total - 1) < 0.01;
    const weight = ({ score }) => (shares ? score : Math.exp(score - best.score));
    const whole = scored.reduce((sum, each) => sum + weight(each), 0);
    const shown = scored.length > 12 ? scored.slice(0, 6) : scored.sort((a, b) => a.index - b.index);
    const lines = shown.map((each) => {
      const bar = make("i");
      bar.style.width = `${(100 * weight(each)) / whole}%`;
      const score = shares ? `${(100 * each.score).toFixed(1)} %` : short(each.score);
      const cells = [make("span", { textContent: each.label, title: each.label }), make("div", {}, bar), make("span", { textContent: score })];
      return make("li", { className: each === best ? "first" : "" }, ...cells);
    });
    return [best.label, make("ol", {}, ...lines)];
  }

  function showAnswer(outputs) {
    const several = Object.keys(outputs).length > 1;
    const parts = [];
    let best = "";
    for (const [name, output] of Object.entries(outputs)) {
      const { data, shape } = output;
      if (several) parts.push(make("h3", { textContent: name }));
      if (isClasses(name, output)) {
        const [label, list] = bars(name, output);
        best ||= label;
        parts.push(list);
        continue;
      }
      const more = data.length > SHOWN ? ` … (${data.length.toLocaleString("en")})` : "";
      const numbers = Array.from(data.subarray(0, SHOWN), short).join(", ");
      parts.push(make("code", { textContent: `[${shape.join(", ")}]: ${numbers}${more}` }));
    }
    $("answer").replaceChildren(...parts);
    if ($("best").textContent !== best) $("best").textContent = best; // a change is read out
  }

  /** The picture's tensor, its smallest number black and its largest white. */
  function showSeen() {
    const canvas = $("seen").firstElementChild;
    const { data } = feeds[picture.name];
    const [height, width] = pixels(), { count, layout } = rules;
    const cells = data.subarray(0, height * width * count);
    const low = cells.reduce((a, b) => Math.min(a, b)), high = cells.reduce((a, b) => Math.max(a, b));
    const image = new ImageData(width, height);
    const at = (i, c) => cells[layout === "NCHW" ? c * height * width + i : i * count + c];
    for (let i = 0; i < height * width; i++) {
      for (let c = 0; c < 3; c++)
        image.data[4 * i + c] = (255 * (at(i, rules.channels === "bgr" ? 2 - c : c % count) - low)) / (high - low || 1);
      image.data[4 * i + 3] = 255;
    }
    Object.assign(canvas, { width, height }).getContext("2d").putImageData(image, 0, 0);
    $("seen").hidden = false;
    return canvas;
  }

  /** [height, width] of the picture that the model is given. */
  function pixels() {
    const { shape } = feeds[picture.name];
    return shape.length === 2 ? rules.size : ["H", "W"].map((axis) => shape[rules.layout.indexOf(axis)]);
  }

  /** Clears the answer for what went wrong; a run that is under way shows nothing any more. */
  let failures = 0;
  function showFailure(problem, best = "") {
    failures++;
    $("answer").replaceChildren(...(problem ? [make("p", { className: "fail", textContent: problem })] : []));
    $("best").textContent = best;
    $("seen").hidden = true;
  }

  /** Runs the model; what is asked for while a run lasts comes after it, once. */
  let running, asked;
  async function answer() {
    asked = true;
    if (running) return;
    running = true;
    for (; asked; await pause()) {
      asked = false;
      const before = failures;
      try {
        if (source) feeds[picture.name] = await tools.fromImage(model, source, options());
        const outputs = await model.run(feeds);
        if (failures !== before) continue;
        showAnswer(outputs);
        if (picture) showSeen();
      } catch (error) {
        if (failures === before) showFailure(error.message);
      }
    }
    running = false;
  }

  // -- pictures ---------------------------------------------------------------------------------------------------

  const needsRange = () => !rules.range && (picture.dtype === "float32" || Boolean(picture.quantization));

  function options() {
    const range = needsRange() ? $("range").value.split(",").map(Number) : (rules.range ?? [0, 255]);
    const free = !rules.size && picture.shape.slice(1).some((dim) => typeof dim === "string");
    return { input: picture.name, range: $("invert").checked ? [...range].reverse() : range, size: free ? pixels() : undefined };
  }

  function offerPictures() {
    const stage = $("stage"), pen = stage.getContext("2d", { willReadFrequently: true });
    const [height, width] = pixels();
    const pad = rules.count === 1 && height <= 32 && width <= 32;
    const fit = (tall, wide) => {
      stage.height = Math.round((stage.width * tall) / wide);
    };
    const draw = (image, smooth = true) => {
      pen.imageSmoothingEnabled = smooth;
      pen.drawImage(image, 0, 0, stage.width, stage.height);
    };
    fit(height, width);
    for (const [id, shown] of Object.entries({ picture: true, clear: pad, inverted: rules.count === 1, ranged: needsRange() }))
      $(id).hidden = !shown;
    stage.classList.toggle("pad", pad);
    if (pad) offerPad(stage, pen, height);
    else $("hint").textContent = "or drop one here, or paste it. It stays in this browser.";

    const take = async (file) => {
      if (!file) return;
      const bitmap = await createImageBitmap(file).catch(() => undefined);
      if (!bitmap) return showFailure("", `${file.name} is no picture that this browser opens`);
      if (!pad) fit(bitmap.height, bitmap.width);
      draw(bitmap);
      source = file;
      answer();
    };
    $("file").addEventListener("change", ({ target }) => take(target.files[0]));
    for (const id of ["invert", "range"]) $(id).addEventListener("change", answer);
    addEventListener("paste", (event) => take(event.clipboardData.files[0]));
    for (const kind of ["dragover", "dragleave", "drop"])
      addEventListener(kind, (event) => {
        event.preventDefault();
        stage.classList.toggle("over", kind === "dragover");
        if (kind === "drop") take(event.dataTransfer.files[0]);
      });
    return () => {
      fit(...pixels());
      draw(showSeen(), false);
    };
  }

  /** White strokes on black, with a pointer or the arrow keys. */
  function offerPad(stage, pen, rows) {
    let at = [stage.width / 2, stage.width / 2];
    const begin = (clean) => {
      if (clean || source !== stage) pen.fillRect(0, 0, stage.width, stage.height);
      source = stage;
      Object.assign(pen, { strokeStyle: "#fff", lineCap: "round", lineWidth: stage.width * Math.max(0.08, 1.2 / rows) });
    };
    const move = (to, drawing = true) => {
      begin();
      pen.beginPath();
      pen.moveTo(...at);
      pen.lineTo(...to);
      if (drawing) pen.stroke();
      at = to;
      answer();
    };
    const place = ({ offsetX, offsetY }) => [offsetX, offsetY].map((pixel) => (pixel * stage.width) / stage.clientWidth);
    const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    stage.tabIndex = 0;
    stage.setAttribute("aria-label", "Drawing pad");
    $("hint").textContent = "Draw large, with a finger, the mouse or the arrow keys (shift only moves).";
    stage.addEventListener("pointerdown", (event) => {
      stage.setPointerCapture(event.pointerId);
      at = place(event);
      move(at);
    });
    stage.addEventListener("pointermove", (event) => event.buttons && move(place(event)));
    stage.addEventListener("keydown", (event) => {
      if (!keys[event.key]) return;
      event.preventDefault();
      const step = stage.width / 16;
      move(at.map((pixel, i) => Math.min(stage.width, Math.max(0, pixel + step * keys[event.key][i]))), !event.shiftKey);
    });
    $("clear").addEventListener("click", () => {
      begin(true);
      answer();
    });
  }

  // -- numbers ----------------------------------------------------------------------------------------------------

  /** The numbers of a text; TypeError for the first that is none, or none of the dtype: a typed array would hold another. */
  function numbersOf(text, dtype, where) {
    const [least, most] = RANGES[dtype] ?? [];
    return text.split(/[\s,;]+/).filter(Boolean).map((word) => {
      const number = Number(word);
      const fail = (expected) => {
        throw new TypeError(`${where}: not a ${expected}: ${word}`);
      };
      if (least === undefined) return Number.isNaN(number) && word !== "NaN" ? fail("number") : number;
      if (!Number.isInteger(number)) fail("whole number");
      return number < least || number > most ? fail(`whole number of ${least} to ${most}`) : number;
    });
  }

  /** A field for each input that is no picture; returns what fills them with `feeds`. */
  function offerFields() {
    const fields = model.meta.inputs.filter((spec) => spec !== picture).map((spec) => {
      const numbers = make("textarea", { id: `numbers-${spec.name}`, spellcheck: false });
      const shape = make("input", { id: `shape-${spec.name}`, spellcheck: false });
      const kind = `Shape of ${spec.name}, [${spec.shape.join(", ")}]`;
      $("form").append(make("label", { htmlFor: shape.id, textContent: kind }), shape);
      $("form").append(make("label", { htmlFor: numbers.id, textContent: `Numbers of ${spec.name}, ${spec.dtype}` }), numbers);
      return { spec, numbers, shape };
    });
    if (!fields.length) return () => {};
    $("form").append(make("button", { textContent: "Run" }));
    $("form").hidden = false;
    $("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const typed = {};
      try {
        for (const { spec: { name, dtype }, numbers, shape } of fields) {
          if (numbers.disabled) continue;
          const data = ARRAYS[dtype].from(numbersOf(numbers.value, dtype, `input "${name}"`));
          typed[name] = { data, shape: numbersOf(shape.value, "int32", `shape of input "${name}"`) };
        }
      } catch (error) {
        return showFailure(error.message);
      }
      Object.assign(feeds, typed);
      answer();
    });
    return () => {
      for (const { spec, numbers, shape } of fields) {
        const given = feeds[spec.name];
        shape.value = given.shape.join(", ");
        numbers.disabled = shape.disabled = given.data.length > TYPED;
        numbers.value = numbers.disabled ? `${given.data.length} numbers, as recorded` : Array.from(given.data, short).join(", ");
      }
    };
  }

  /** What the model is given before anything is recorded, drawn or typed. */
  const zeros = ({ dtype, shape }) => {
    const sizes = shape.map((dim) => (typeof dim === "number" ? dim : 1));
    return { data: new ARRAYS[dtype](sizes.reduce((a, b) => a * b, 1)), shape: sizes };
  };

  /** The first row of a batch. */
  function firstRow(inputs) {
    const cut = ({ name, shape: [dim] }) => {
      const { data, shape } = inputs[name];
      return dim === "batch" ? { data: data.slice(0, data.length / shape[0]), shape: [1, ...shape.slice(1)] } : inputs[name];
    };
    return Object.fromEntries(model.meta.inputs.map((spec) => [spec.name, cut(spec)]));
  }

  // -- the self-test ----------------------------------------------------------------------------------------------

  function showTest({ passed, samples }) {
    const rows = samples.flatMap((sample, i) =>
      Object.entries(sample.outputs).map(([name, { difference, tolerance, passed }]) => {
        const texts = [i + 1, name, difference.toExponential(1), tolerance.toExponential(1), passed ? "same" : "differs"];
        const row = make("tr", {}, ...texts.map((text) => make("td", { textContent: text })));
        row.lastChild.className = passed ? "pass" : "fail";
        return row;
      }),
    );
    $("samples").replaceChildren(...rows);
    const count = samples.length, wrong = samples.filter((sample) => !sample.passed).length;
    if (!count) say("Loaded. No samples were recorded.", "pass");
    else if (passed) say(`Passed: ${count} of ${count} samples answer as the original model did.`, "pass");
    else say(`Failed: ${wrong} of ${count} samples differ.`, "fail");
  }

  /** Median of a few rounds, each as long as the clock needs; the first one settles how many runs that are. */
  async function showSpeed() {
    const given = { ...feeds };
    const times = [];
    for (let runs = 1, spent = 0, round = 0; round < 10 && spent < 1000; round++) {
      const start = performance.now();
      for (let i = 0; i < runs; i++) await model.run(given);
      const ms = performance.now() - start;
      spent += ms;
      times.push(ms / runs);
      if (round === 1) runs = Math.ceil(10 / Math.max(ms, 0.05));
      await pause();
    }
    const [median] = times.slice(-8).sort((a, b) => a - b).slice(Math.floor(Math.min(times.length, 8) / 2));
    $("speed").textContent = `${Number(median.toPrecision(2))} ms an inference here, on one thread (median)`;
  }

  function fact({ name, dtype, shape }, kind) {
    $("facts").append(make("dt", { textContent: kind }), make("dd", { textContent: `${name}: ${dtype} [${shape.join(", ")}]` }));
  }

  try {
    tools = await bundle();
    model = await tools.load();
    const { inputs, outputs, images } = model.meta;
    inputs.forEach((spec) => fact(spec, "Input"));
    outputs.forEach((spec) => fact(spec, "Output"));
    picture = inputs.find((spec) => images?.[spec.name]);
    if (picture) {
      rules = images[picture.name];
      if (!tools.fromImage) tools.fromImage = (await import("./image.js")).fromImage;
    }
    feeds = Object.fromEntries(inputs.map((spec) => [spec.name, zeros(spec)]));
    const report = await model.selfTest();
    const { samples } = report;
    showTest(report);
    if (samples.length) feeds = firstRow(samples[0].inputs);
    const showPicture = picture ? offerPictures() : () => {};
    const fill = offerFields();
    const choose = (sample) => {
      source = undefined;
      feeds = firstRow(sample.inputs);
      if (picture) showPicture();
      fill();
      return answer();
    };
    samples.forEach((sample, i) => {
      const button = make("button", { type: "button", textContent: i + 1, ariaLabel: `Recorded sample ${i + 1}` });
      button.addEventListener("click", () => choose(sample));
      $("recorded").append(button);
    });
    if (samples.length) await choose(samples[0]);
    else fill();
    await showSpeed();
    $("again").disabled = false;
    $("again").addEventListener("click", async () => {
      $("again").disabled = true;
      showTest(await model.selfTest());
      await showSpeed();
      $("again").disabled = false;
    });
  } catch (error) {
    say(`Failed: ${error.message}`, "fail");
  }
})();
