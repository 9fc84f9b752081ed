"""Facts that hold for every layer there is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from models.layer_cases import CASES, Case

import triport as tp
from triport.exporter.capture import capture
from triport.exporter.errors import UsageError
from triport.exporter.models.config import model_from_config, model_to_config
from triport.exporter.reference import run_graph

BY_NAME = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
WITH_CODE = {"lambda", "torch_module"}


def model_of(case: Case) -> tp.Model:
    """The layer between named inputs and a model's output, its weights away from their initial zeros and ones."""
    dtype = "int32" if case.integers else "float32"
    inputs = [tp.Input(shape, dtype=dtype, name=f"x{i}") for i, shape in enumerate(case.shapes)]
    torch.manual_seed(1)
    model = tp.Model(inputs, case.call(case.make(), inputs))
    with torch.no_grad():
        for name, weight in model.state_dict().items():
            weight.add_(torch.rand_like(weight) * 0.3 if "var" in name else torch.randn_like(weight) * 0.3)
    return model.eval()


def test_no_layer_class_is_without_a_case() -> None:
    used = {type(case.make()) for case in CASES}
    assert set(tp.layers.CLASSES.values()) == used


@BY_NAME
def test_the_output_has_the_shape_that_was_announced(case: Case) -> None:
    model = model_of(case)
    for batch in (1, 2, 7):
        with torch.no_grad():
            output = model(case.inputs(batch))
        assert tuple(output.shape) == (batch, *model.output_shape[1:])


@BY_NAME
def test_free_sizes_stay_free_in_the_announced_shape(case: Case) -> None:
    layer = case.make()
    shapes = [(None, *shape) for shape in case.shapes]
    layer.ensure_built(shapes[0] if len(shapes) == 1 else shapes)
    announced = layer.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
    assert announced[0] is None and None not in announced[1:]


@BY_NAME
def test_a_description_makes_the_same_layer_again(case: Case) -> None:
    model = model_of(case)
    if case.name in WITH_CODE:
        with pytest.raises(UsageError, match="TP015") as error:
            model_to_config(model)
        assert model.layers[-1].name in str(error.value) and "layer_cases.py:" in str(error.value)
        return
    text = json.dumps(model_to_config(model), allow_nan=False)
    again = model_from_config(json.loads(text))
    assert json.dumps(model_to_config(again)) == text
    assert list(again.state_dict()) == list(model.state_dict())
    again.load_state_dict(model.state_dict())
    inputs = case.inputs(3)
    with torch.no_grad():
        assert torch.equal(again.eval()(inputs), model(inputs))


@BY_NAME
def test_weights_go_out_and_come_back(case: Case) -> None:
    model = model_of(case)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = model.get_weights()
    model.set_weights([np.zeros_like(weight) for weight in weights])
    assert not any(value.any() for name, value in model.state_dict().items() if name in before)
    model.set_weights(weights)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@BY_NAME
def test_weights_are_called_layer_dot_name(case: Case) -> None:
    model = model_of(case)
    layer = model.layers[-1]
    assert all(name.startswith(f"{layer.name}.") for name in model.state_dict())


@BY_NAME
def test_capture_keeps_the_batch_free_and_the_values(case: Case) -> None:
    model = model_of(case)
    graph = capture(model, case.inputs(1))
    inputs = case.inputs(3)
    with torch.no_grad():
        expected = model(inputs).numpy()
    outputs = run_graph(graph, {f"x{i}": value.numpy() for i, value in enumerate(inputs)})
    answer: np.ndarray = outputs[model.output_names[0]]
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)


@BY_NAME
def test_a_layer_alone_answers_the_same_on_every_port(case: Case, tmp_path: Path) -> None:
    """Alone, because runtimes move transposes past a layer with nothing around it to hold them."""
    report = tp.export(model_of(case), tmp_path, to=["onnx", "tflite", "web"])
    assert all(runtime is not None and runtime.status.value == "verified" for _, runtime in report.rows())


@BY_NAME
def test_gradients_reach_every_weight_and_the_layer_stays_exact_in_both_modes(case: Case) -> None:
    model = model_of(case).train()
    output = model(case.inputs(4))
    if output.requires_grad:
        (output * torch.randn_like(output)).sum().backward()
        for name, weight in model.named_parameters():
            assert weight.grad is not None and bool(weight.grad.isfinite().all()), name
