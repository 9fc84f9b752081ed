"""Wrong shapes, dtypes and names: one typed error that says what was expected, what was given, and where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import triport as tp
from triport.exporter.errors import UsageError

L = tp.layers
ANY: Any = tp.layers
"""The layers for calls that no type checker lets pass."""
X, Y = np.zeros((8, 4), dtype="float32"), np.zeros((8, 1), dtype="float32")


def model() -> tp.Model:
    made = tp.Sequential([tp.Input((4,), name="row"), L.Dense(1)])
    made.compile("sgd", "mse")
    return made


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict", "train_on_batch", "test_on_batch"])
def test_a_wrong_shape_names_expected_received_and_the_line(call: str) -> None:
    arguments = (np.zeros((8, 5)),) if call == "predict" else (np.zeros((8, 5)), Y)
    with pytest.raises(UsageError, match=r"'row' expects shape \[batch, 4\], received \[8, 5\]") as error:
        getattr(model(), call)(*arguments)
    assert "at: test_bad_input.py:" in str(error.value)


def test_calling_on_a_wrong_shape_or_dtype_names_the_layer_and_its_line() -> None:
    with pytest.raises(UsageError, match=r"\[batch, 4\], received \[8, 5\]"):
        model()(torch.zeros(8, 5))
    layer = L.Dense(1, name="head")
    layer(torch.zeros(2, 4))
    with pytest.raises(UsageError, match=r'"head" expects an input of shape \[batch, 4\], received \[2, 5\]') as error:
        layer(torch.zeros(2, 5))
    assert "test_bad_input.py:" in str(error.value) and 'layer "head"' in str(error.value)
    with pytest.raises(UsageError, match="computes in float32, received float64"):
        layer(torch.zeros(2, 4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("x", "code"),
    [
        (np.array([["a"] * 4]), "TP003"),
        (np.zeros((2, 4), dtype=complex), "TP003"),
        ([[1, 2, 3, 4], [1, 2]], "TP002"),
        (np.zeros((0, 4)), "TP017"),
        (np.zeros((2, 4, 1)), "TP002"),
        ({"column": X}, "TP004"),
        (None, "TP00"),
    ],
)
def test_data_that_is_no_input_is_refused(x: object, code: str) -> None:
    with pytest.raises(UsageError, match=code):
        model().predict(x)


def test_integers_and_doubles_are_accepted_where_floats_are_wanted() -> None:
    for dtype in ("float64", "uint8", "int64", "bool", ">f4"):
        assert model().predict(X.astype(dtype)).dtype == np.float32


def test_floats_are_refused_where_integers_are_wanted() -> None:
    made = tp.Sequential([tp.Input((3,), dtype="int32", name="words"), L.Embedding(5, 2)])
    with pytest.raises(UsageError, match="'words' expects int32, received float32"):
        made.predict(np.zeros((1, 3), dtype="float32"))
    with pytest.raises(UsageError, match="values run from"):
        made.predict(np.full((1, 3), 2**40))


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (np.zeros((7, 1)), "different numbers of samples"),
        (np.zeros((8, 3)), r"\[8, 3\].*\[8, 1\]"),
        (None, "y is missing"),
    ],
)
def test_targets_that_do_not_fit_are_refused_before_training(y: object, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        model().fit(X, y, verbose=0)


def test_a_flat_target_is_only_stretched_for_a_single_output() -> None:
    made = model()
    made.fit(X, Y.ravel(), verbose=0)
    wide = tp.Sequential([tp.Input((4,)), L.Dense(8)])
    wide.compile("sgd", "mse")
    with pytest.raises(UsageError, match="have to be the same"):
        wide.fit(X, Y.ravel(), verbose=0)


def test_class_numbers_have_to_have_a_place() -> None:
    made = tp.Sequential([tp.Input((4,)), L.Dense(3)])
    made.compile("sgd", tp.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(UsageError, match=r"0 to 7; the output has 3 classes[\s\S]*needs 8 units"):
        made.fit(X, np.arange(8), verbose=0)
    with pytest.raises(UsageError, match="received fractions"):
        made.fit(X, np.full(8, 0.5), verbose=0)
    made.fit(X, np.ones((8, 1)), verbose=0)


def test_training_needs_compile_a_loss_and_weights() -> None:
    plain = tp.Sequential([tp.Input((4,)), L.Dense(1)])
    with pytest.raises(UsageError, match=r"TP014[\s\S]*model.compile"):
        plain.fit(X, Y)
    plain.compile("sgd")
    with pytest.raises(UsageError, match="without a loss"):
        plain.fit(X, Y)
    with pytest.raises(UsageError, match="no argument"):
        plain.compile("sgd", "mse", lost="mse")
    empty = tp.Sequential([tp.Input((1,)), L.ReLU()])
    empty.compile("sgd", "mse")
    with pytest.raises(UsageError, match="no weights to train"):
        empty.fit(Y, Y, verbose=0)


@pytest.mark.parametrize(
    "build",
    [
        lambda: L.Dense(0),
        lambda: L.Dense(3, kernel_constraint="x"),  # type: ignore[call-arg]
        lambda: L.Dense(3, dtype="float16"),
        lambda: L.Conv2D(3, (3, 3, 3)),
        lambda: L.Conv2D(3, 3, padding="full"),
        lambda: L.Conv2D(3, 3, data_format="channels_first"),
        lambda: L.Conv2D(3, 3, strides=2, dilation_rate=2),
        lambda: L.Conv2D(3, 3, groups=2),
        lambda: L.Dropout(1.0),
        lambda: L.Permute((0, 1)),
        lambda: L.UpSampling2D(2, interpolation="cubic"),
        lambda: L.Reshape((-1, -1)),
        lambda: L.Normalization(mean=1.0),
        lambda: tp.Input((0, 3)),
        lambda: tp.Input(),
        lambda: tp.Sequential([3]),
    ],
)
def test_arguments_without_meaning_are_refused_with_the_users_line(build: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match=r"test_bad_input\.py:\d+"):
        build()


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((4,), lambda: L.Conv2D(3, 3)),
        ((2, 2, 1), lambda: L.Conv2D(3, 3)),
        ((2, 2, 1), lambda: L.MaxPooling2D(3)),
        ((5, 5, 3), lambda: L.Conv2D(4, 3, groups=2)),
        ((5, 5, None), lambda: L.Conv2D(4, 3)),
        ((5,), lambda: L.Reshape((2, 3))),
        ((5, 5), lambda: L.Permute((1, 2, 3))),
        ((3, 3, 1), lambda: L.Cropping2D(2)),
        ((3,), lambda: L.Add()),
        ((None, 3), lambda: L.PReLU()),
    ],
)
def test_layers_that_do_not_fit_their_input_say_so_when_built(
    shape: tuple[int | None, ...], layer: Callable[[], tp.Layer]
) -> None:
    with pytest.raises(UsageError, match=r"TP011[\s\S]*test_bad_input\.py:\d+"):
        layer()(tp.Input(shape))


@pytest.mark.parametrize(
    ("shape", "last"),
    [((2, 2, 1), lambda: L.Conv2D(1, 5)), ((5,), lambda: L.Reshape((2, 3)))],
)
def test_a_last_layer_that_does_not_fit_is_refused_as_it_is_added(
    shape: tuple[int, ...], last: Callable[[], tp.Layer]
) -> None:
    with pytest.raises(UsageError, match=r"TP011[\s\S]*test_bad_input\.py:\d+"):
        tp.Sequential([tp.Input(shape), last()])


def test_an_embedding_names_the_numbers_it_has_rows_for() -> None:
    words = tp.Sequential([tp.Input((2,), dtype="int32"), L.Embedding(5, 3, name="words")])
    with pytest.raises(UsageError, match=r'"words" looks up numbers from 0 to 4; received numbers from 1 to 7'):
        words.predict(np.array([[1, 7]]), verbose=0)


def test_merging_layers_name_both_shapes() -> None:
    a, b = tp.Input((3,)), tp.Input((4,))
    with pytest.raises(UsageError, match=r"\[batch, 3\] and \[batch, 4\]"):
        L.Add()([a, b])
    with pytest.raises(UsageError, match="along axis 1"):
        L.Concatenate(axis=1)([tp.Input((3, 2)), tp.Input((3, 3))])


def test_models_need_all_their_inputs() -> None:
    a, b = tp.Input((3,), name="a"), tp.Input((3,), name="b")
    with pytest.raises(UsageError, match="depend on input 'b'"):
        tp.Model(a, L.Add()([a, b]))
    made = tp.Model([a, b], L.Add()([a, b]))
    with pytest.raises(UsageError, match=r"2 inputs, \['a', 'b'\]"):
        made.predict(np.zeros((2, 3)))
    with pytest.raises(UsageError, match="symbolic"):
        tp.Model(torch.zeros(1), torch.zeros(1))


@pytest.mark.parametrize(("loss", "measures"), [("mea_squared", None), ("mse", ["acuracy"]), ({"y": "hinje"}, None)])
def test_a_misspelt_name_is_found_when_the_model_is_compiled(loss: Any, measures: Any) -> None:
    with pytest.raises(UsageError, match="is not known") as refused:
        tp.Sequential([tp.Input((4,)), tp.layers.Dense(1)]).compile(loss=loss, metrics=measures)
    assert refused.value.code == "TP016"
    assert refused.value.help


@pytest.mark.parametrize(("name", "advice"), [("m.h5", "m.triport"), ("m.keras", "m.triport"), ("m.onnx", "--to onnx")])
def test_a_name_of_another_format_is_refused(name: str, advice: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would be taken for another kind") as refused:
        tp.Sequential([tp.Input((4,)), tp.layers.Dense(1)]).save(tmp_path / name)
    assert advice in str(refused.value.help)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ANY.Conv2D(16), r"Conv2D: missing a required argument: 'kernel_size'"),
        (lambda: ANY.MaxPooling2D(2, 2, "same", None, 5), r"MaxPooling2D: too many positional arguments"),
        (lambda: ANY.LSTM(), r"LSTM: missing a required argument: 'units'"),
        (lambda: ANY.LSTM(3, "tanh", "sigmoid", True), r"LSTM: too many positional arguments"),
    ],
)
def test_arguments_that_a_layer_does_not_take_name_the_layer(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        make()
    assert "test_bad_input.py:" in str(error.value) and "help: " in str(error.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ANY.LSTM(3, retrun_sequences=True), "did you mean return_sequences?"),
        (lambda: ANY.Dense(3, activaton="relu"), "did you mean activation?"),
        (lambda: ANY.GRU(3, zzz=1), "its arguments: units, activation, recurrent_activation, reset_after, use_bias, "),
    ],
)
def test_a_misspelt_argument_is_told_with_the_one_that_was_meant(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match="has no argument") as error:
        make()
    assert str(error.value.help).startswith(said)


def test_a_mistake_inside_a_layers_own_init_is_not_explained_away() -> None:
    class Broken(L.Layer):
        def __init__(self) -> None:
            super().__init__()
            ANY.Dense(3) + 1

    with pytest.raises(TypeError, match="unsupported operand"):
        Broken()
