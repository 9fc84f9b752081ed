// The page's script: loads the model, runs its self-test, shows what came out.
(async () => {
  "use strict";
  const element = (id) => document.getElementById(id);

  function say(text, kind) {
    element("state").textContent = text;
    element("state").className = kind ?? "";
  }

  /** The ES module over http; from file://, where browsers refuse modules, the classic script. */
  async function bundle() {
    if (location.protocol !== "file:") return import("./index.js");
    await new Promise((resolve, reject) => {
      const script = Object.assign(document.createElement("script"), { src: "bundle.iife.js", onload: resolve });
      script.onerror = () => reject(new Error("bundle.iife.js could not be loaded"));
      document.head.append(script);
    });
    return Object.values(globalThis.triport)[0];
  }

  function fact(name, text) {
    const term = Object.assign(document.createElement("dt"), { textContent: name });
    const description = Object.assign(document.createElement("dd"), { textContent: text });
    element("facts").append(term, description);
  }

  function row(cells, kind) {
    const line = document.createElement("tr");
    for (const text of cells) line.append(Object.assign(document.createElement("td"), { textContent: text }));
    line.lastChild.className = kind;
    element("samples").append(line);
  }

  function show(report) {
    element("samples").replaceChildren();
    report.samples.forEach((sample, i) => {
      for (const [name, output] of Object.entries(sample.outputs))
        row(
          [
            i + 1,
            name,
            output.difference.toExponential(1),
            output.tolerance.toExponential(1),
            `${sample.ms.toFixed(2)} ms`,
            output.passed ? "same" : "differs",
          ],
          output.passed ? "pass" : "fail",
        );
    });
    const count = report.samples.length;
    const fastest = Math.min(...report.samples.map((sample) => sample.ms));
    element("speed").textContent = count ? `fastest run ${fastest.toFixed(2)} ms` : "";
    if (!count) say("Loaded. No samples were recorded.", "pass");
    else if (report.passed) say(`Passed: ${count} of ${count} samples answer as the original model did.`, "pass");
    else say(`Failed: ${report.samples.filter((s) => !s.passed).length} of ${count} samples differ.`, "fail");
  }

  try {
    const model = await (await bundle()).load();
    for (const spec of model.meta.inputs) fact(`input ${spec.name}`, `${spec.dtype} [${spec.shape.join(", ")}]`);
    for (const spec of model.meta.outputs) fact(`output ${spec.name}`, `${spec.dtype} [${spec.shape.join(", ")}]`);
    const test = async () => show(await model.selfTest());
    await test();
    element("again").disabled = false;
    element("again").addEventListener("click", test);
  } catch (error) {
    say(`Failed: ${error.message}`, "fail");
  }
})();
