"""Looking into a written file while it runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..exporter.graph import Array, Graph
from .parity import fit_inputs
from .runners import Runner


def probe_onnx(artefact: Path, prepared: Graph, runner: Runner, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """{value name: array} of everything in the prepared graph that the file computes."""
    import onnx

    from ..targets.onnx.names import tensor_names

    model = onnx.load(str(artefact), load_external_data=False)
    present = {output.name for output in model.graph.output}
    shown = tensor_names(prepared, model.graph.node)
    for value, name in shown.items():
        if name not in present:
            element = onnx.helper.np_dtype_to_tensor_dtype(value.type.dtype.numpy)
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, element, None))
    folder = Path(tempfile.mkdtemp(prefix="triport-probe-"))
    try:
        for beside in artefact.parent.glob(f"{artefact.name}.data*"):  # external weights are found beside the file
            (folder / beside.name).symlink_to(beside.resolve())
        onnx.save(model, str(folder / "probe.onnx"))
        with runner.load(folder / "probe.onnx") as session:
            results = session.run(fit_inputs(session, inputs))
        return {value.name: results[name] for value, name in shown.items()}
    finally:
        shutil.rmtree(folder)


def probe_tflite(artefact: Path, runner: Runner, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """{tensor name: array} of everything the file computes, in the runner's kernels: XNNPACK shows outputs alone."""
    from ..targets.tflite.schema import FILE_IDENTIFIER, Builder, schema

    model = schema.ModelT.InitFromPackedBuf(artefact.read_bytes(), 0)
    main, signature = model.subgraphs[0], model.signatureDefs[0]
    present = set(main.outputs)
    computed = [index for operator in main.operators for index in operator.outputs if index not in present]
    main.outputs = [*main.outputs, *computed]
    for index in computed:
        shown = schema.TensorMapT()
        shown.name, shown.tensorIndex = main.tensors[index].name, index
        signature.outputs.append(shown)
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    folder = Path(tempfile.mkdtemp(prefix="triport-probe-"))
    try:
        (folder / artefact.name).write_bytes(builder.Output())
        with runner.load(folder / artefact.name) as session:
            return session.run(fit_inputs(session, inputs))
    finally:
        shutil.rmtree(folder)
