"""Models in ``.triport`` files: the captured graph, and beside it what training on needs.

metadata["config"]     the model's description (config.py); absent when a layer holds code
metadata["training"]   what ``compile`` was told; absent when a part of it is code, or the model was not compiled
constants              weights, under their state-dict names
extra "weight/NAME"    a weight that the captured graph does not hold under its name and in its shape
extra "optimizer/I/K"  the optimizer's state K of the I-th trained weight, where it was asked for
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import FormatError, ModelError, UsageError
from .config import compile_from_config, model_from_config, model_to_config, setup_to_config
from .data import InputSpec
from .layers.base import Layer

if TYPE_CHECKING:
    from ..graph import Graph
    from .model import Model

FREE_SIZE = 32
"""The size that a free dimension has in an example made up for capture."""

Array = np.ndarray[Any, np.dtype[Any]]


def graph_of(model: Model) -> Graph:
    """The model captured as a portable graph; batch and other free sizes stay free. The weights are copied.

    Raises UsageError TP013 for a model that does not know its input yet, ModelError for what cannot be captured.
    """
    from ..capture import capture

    specs = model.input_specs
    examples = model.example_inputs or example_inputs(specs)
    shared = {spec.name: free_dims(spec) for spec in specs}
    names = [name for dims in shared.values() for axis, name in dims.items() if axis]
    device = model.device
    model.to("cpu")
    try:
        tensors = {name: torch.from_numpy(array) for name, array in examples.items()}
        if len(set(names)) == len(names):
            return capture(model, tensors, shared, name=model.name, **model.described)
        try:  # two sequences may be of two lengths, unless the model adds or compares them
            return capture(
                model,
                tensors,
                {spec.name: free_dims(spec, apart=True) for spec in specs},
                name=model.name,
                **model.described,
            )
        except ModelError as error:
            if error.code != "TP205":
                raise
            return capture(model, tensors, shared, name=model.name, **model.described)
    finally:
        model.to(device)


def free_dims(spec: InputSpec, apart: bool = False) -> dict[int, str]:
    """{axis: name} of an input's free dimensions: batch, height, width, steps, else the input's name and axis.

    ``apart`` puts the input's name in front of all but batch, so that two inputs may differ.
    """
    known = {4: {1: "height", 2: "width"}, 3: {1: "steps"}, 2: {1: "steps"}}.get(len(spec.shape), {})
    names = {axis: known.get(axis, f"{spec.name}_{axis}") for axis, size in enumerate(spec.shape) if size is None}
    if apart:
        names = {axis: f"{spec.name}_{known.get(axis, axis)}" for axis in names}
    return names | {0: "batch"}


def example_inputs(specs: list[InputSpec]) -> dict[str, Array]:
    """Inputs made up where no data was seen: two samples, normal numbers, zeros for integers; always the same."""
    generator = np.random.default_rng(0)
    examples: dict[str, Array] = {}
    for spec in specs:
        shape = (2, *(FREE_SIZE if size is None else size for size in spec.shape[1:]))
        is_float = spec.dtype.startswith("float")
        examples[spec.name] = (generator.normal(size=shape) if is_float else np.zeros(shape)).astype(spec.dtype)
    return examples


_OTHER_FORMATS = {
    **dict.fromkeys((".h5", ".hdf5", ".keras", ".pb", ".pt", ".pth", ".pt2", ".ckpt", ".safetensors"), ""),
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".lite": "tflite",
}
"""Suffixes of other formats → the port that writes such files; "" where none does."""


def _check_suffix(path: Path) -> None:
    """UsageError TP001 for a name that promises another format."""
    port = _OTHER_FORMATS.get(path.suffix.lower())
    if port is not None:
        own = path.with_suffix(".triport")
        raise UsageError(
            "TP001",
            f"save writes a .triport file, and {path.name} would be taken for another kind",
            help=f'model.save("{own}")' + (f', then triport export "{own}" --to {port}' if port else ""),
        )


def save_model(model: Model, path: str | Path, include_optimizer: bool = False) -> None:
    """Writes one ``.triport`` file. Without a description (a layer holds code) it exports and runs but cannot train on;
    that is said on stderr.

    Raises UsageError TP013, ModelError for what cannot be captured, EnvironmentError_ where the disk refuses.
    """
    _check_suffix(Path(path))
    graph = graph_of(model)
    try:
        graph.metadata["config"] = model_to_config(model)
    except UsageError as error:
        model.say(f"{path} will export and run, but load_model cannot train it on: {error.message}")
    held = {value.name: value.array() for value in graph.constants()}
    for name, weight in model.state_dict().items():
        array = weight.detach().cpu().numpy()
        if name not in held or held[name].shape != array.shape:
            graph.extra_tensors[f"weight/{name}"] = np.ascontiguousarray(array)
    if model.setup is not None and "config" in graph.metadata:
        training = setup_to_config(model.setup)
        if training is not None:
            graph.metadata["training"] = training
    if include_optimizer:
        graph.extra_tensors |= optimizer_state(model)
    graph.save(path)


def load_model(path: str | Path, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """The model in a ``.triport`` file, with its weights, compiled as it was: it predicts and trains on.

    No source of the user's is needed but for layers that the user wrote: ``custom_objects`` has their classes by name.
    Every weight's shape is compared with the file before memory is taken for it.
    Raises UsageError TP015 for a file that describes no model (a graph alone: tp.Graph.load reads it), and FormatError
    for a damaged one.
    """
    from ..graph import Graph
    from ..labels import labels_of
    from ..preprocessing import preprocessing_of

    graph = Graph.load(path)
    if "config" not in graph.metadata:
        raise UsageError(
            "TP015",
            f"{path} holds a graph and no description of a trainable model",
            help=f'it still runs and exports: tp.Graph.load("{path}"), triport export {path}',
        )
    arrays = {value.name: value.array() for value in graph.constants()}
    arrays |= {
        name.removeprefix("weight/"): array for name, array in graph.extra_tensors.items() if name.startswith("weight/")
    }
    config = graph.metadata["config"]
    if not isinstance(config, dict):
        raise FormatError("TP040", f"{path}: the description of the model is not an object")
    if not custom_objects:  # the user's own code may need real numbers
        with torch.device("meta"):
            planned = model_from_config(config).state_dict()
        _compare(path, planned, arrays)
    model = model_from_config(config, custom_objects)
    _check_built(path, model)
    _compare(path, model.state_dict(), arrays)
    with torch.no_grad():
        for name, slot in model.state_dict().items():
            slot.copy_(torch.from_numpy(np.array(arrays[name])))
    model.describe(labels_of(graph) or None, preprocessing_of(graph) or None)
    if "training" in graph.metadata:
        compile_from_config(model, graph.metadata["training"])
        _restore_optimizer(model, path, graph.extra_tensors)
    if graph.samples:
        sample = graph.samples[0].inputs
        if set(sample) == set(model.input_names):
            model.example_inputs = {name: np.array(sample[name]) for name in model.input_names}
    return model.eval()


def _check_built(path: str | Path, model: Model) -> None:
    """A layer that is not built has no weights yet, and would start from new ones."""
    for name, part in model.named_modules():
        if isinstance(part, Layer) and not part.built:
            raise UsageError(
                "TP015",
                f"{path}: the layer {name!r} gets its weights only when data comes, so those in the file cannot be set",
                at=part.where(),
                help="call it in the call of the layer that holds it, or leave it out",
            )


def _compare(path: str | Path, planned: dict[str, Tensor], arrays: dict[str, Array]) -> None:
    for name, slot in planned.items():
        if name not in arrays:
            raise FormatError("TP040", f"{path}: the weight {name!r} is missing")
        if tuple(arrays[name].shape) != tuple(slot.shape):
            raise FormatError(
                "TP040",
                f"{path}: the weight {name!r} has shape {list(arrays[name].shape)}, its layer wants {list(slot.shape)}",
            )


def optimizer_state(model: Model) -> dict[str, Array]:
    """The torch optimizer's tensors by ``optimizer/<position of the weight>/<key>``; empty before the first step."""
    if model.setup is None or model.setup.optimizer.bound is None:
        return {}
    optimizer = model.setup.optimizer
    assert optimizer.bound is not None
    arrays: dict[str, Array] = {"optimizer/iterations": np.array([optimizer.iterations], dtype=np.int64)}
    for position, parameter in enumerate(optimizer.parameters):
        for key, value in optimizer.bound.state.get(parameter, {}).items():
            if value is not None:
                tensor = torch.as_tensor(value).detach().cpu()
                arrays[f"optimizer/{position}/{key}"] = np.array(tensor.contiguous().numpy())
    return arrays


def _restore_optimizer(model: Model, path: str | Path, extra: dict[str, Array]) -> None:
    stored = {name.split("/", 1)[1]: array for name, array in extra.items() if name.startswith("optimizer/")}
    if not stored:
        return
    optimizer = model.optimizer
    bound = optimizer.bind(model.parameters())
    try:
        optimizer.iterations = int(stored.pop("iterations")[0])
        for name, array in stored.items():
            position, key = name.split("/")
            parameter = optimizer.parameters[int(position)]
            if array.ndim and array.shape != tuple(parameter.shape):
                raise FormatError("TP040", f"{path}: optimizer state {name!r} has shape {list(array.shape)}")
            bound.state[parameter][key] = torch.from_numpy(np.array(array))
    except (KeyError, ValueError, IndexError) as error:
        raise FormatError("TP040", f"{path}: the optimizer's state cannot be read: {error}") from error


__all__ = ["graph_of", "load_model", "save_model"]
