"""Losses, metrics and optimizers against their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

import triport as tp
from triport.exporter.errors import UsageError

L, RNG = tp.layers, np.random.default_rng(0)
P = RNG.dirichlet(np.ones(4), size=6)
LABELS = RNG.integers(0, 4, size=6)
ONE_HOT = np.eye(4)[LABELS]
SCORES, TRUTH = RNG.uniform(0.01, 0.99, size=(50, 1)), RNG.integers(0, 2, size=(50, 1))


def value(loss: object, y_true: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The loss of float64 arrays; integers stay integers."""
    made = tp.losses.get(loss)
    given = None if weights is None else torch.from_numpy(weights)
    return float(made(torch.from_numpy(y_true), torch.from_numpy(y_pred), given))


def logits(p: np.ndarray) -> np.ndarray:
    shifted: np.ndarray = np.log(p) + 3
    return shifted


def test_losses_follow_their_formulas() -> None:
    y, p = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3)) * 2
    d = y - p
    assert value("mse", y, p) == pytest.approx((d**2).mean())
    assert value("mean_absolute_error", y, p) == pytest.approx(np.abs(d).mean())
    huber = np.where(np.abs(d) <= 0.7, d**2 / 2, 0.7 * (np.abs(d) - 0.35)).mean()
    assert value(tp.losses.Huber(delta=0.7), y, p) == pytest.approx(huber)
    binary = -(TRUTH * np.log(SCORES) + (1 - TRUTH) * np.log(1 - SCORES)).mean()
    assert value("binary_crossentropy", TRUTH.astype(float), SCORES) == pytest.approx(binary)
    as_logits = np.log(SCORES / (1 - SCORES))
    from_logits = tp.losses.BinaryCrossentropy(from_logits=True)
    assert value(from_logits, TRUTH.astype(float), as_logits) == pytest.approx(binary)
    categorical = -np.log(P[np.arange(6), LABELS]).mean()
    assert value("categorical_crossentropy", ONE_HOT, P * 7) == pytest.approx(categorical)
    assert value("sparse_categorical_crossentropy", LABELS, P) == pytest.approx(categorical)
    for kind, target in (
        (tp.losses.CategoricalCrossentropy, ONE_HOT),
        (tp.losses.SparseCategoricalCrossentropy, LABELS),
    ):
        assert value(kind(from_logits=True), target, logits(P)) == pytest.approx(categorical)
    smooth = -((ONE_HOT * 0.9 + 0.025) * np.log(P)).sum(-1).mean()
    assert value(tp.losses.CategoricalCrossentropy(label_smoothing=0.1), ONE_HOT, P) == pytest.approx(smooth)


@pytest.mark.parametrize("name", sorted(tp.losses.CLASSES))
def test_a_weighted_loss_is_the_mean_of_weighted_samples(name: str) -> None:
    weights = RNG.uniform(size=6)
    target = LABELS if name.startswith("Sparse") else ONE_HOT
    each = np.array([value(name, target[i : i + 1], P[i : i + 1]) for i in range(6)])
    assert value(name, target, P, weights) == pytest.approx((each * weights).mean())
    assert value(name, target, P) == pytest.approx(each.mean())


def test_sure_and_wrong_probabilities_give_a_finite_loss() -> None:
    assert value("binary_crossentropy", np.ones((1, 1)), np.zeros((1, 1))) == pytest.approx(-math.log(1e-7), rel=1e-3)
    wrong = value("sparse_categorical_crossentropy", np.array([0]), np.array([[0.0, 1.0]]))
    assert wrong == pytest.approx(-math.log(1e-7))


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "binary_crossentropy", "categorical_crossentropy"])
def test_a_loss_that_would_broadcast_names_both_shapes(name: str) -> None:
    with pytest.raises(UsageError, match=r"\[4\].*\[4, 1\]"):
        value(name, np.zeros(4), np.zeros((4, 1)))
    with pytest.raises(UsageError, match=r"\[4\].*\[4, 1\]"):
        tp.metrics.BinaryAccuracy().update(torch.zeros(4), torch.zeros(4, 1))
    with pytest.raises(UsageError, match=r"\[4, 4\].*\[4, 3\]"):
        value("sparse_categorical_crossentropy", np.zeros((4, 4), dtype=int), np.zeros((4, 3)))


def measured(metric: tp.metrics.Metric, y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """The metric over all samples, given in two parts."""
    half = len(y_true) // 2
    metric.update_state(y_true[:half], y_pred[:half])
    metric.update_state(y_true[half:], y_pred[half:])
    result = metric.result()
    metric.reset()
    return result


def test_class_numbers_for_one_hot_labels_are_told_of_the_loss_that_takes_them() -> None:
    made = tp.Sequential([tp.Input((2,)), tp.layers.Dense(3, activation="softmax")])
    made.compile("sgd", "categorical_crossentropy")
    with pytest.raises(UsageError, match=r'help: .*loss="sparse_categorical_crossentropy"'):
        made.fit(np.zeros((4, 2), np.float32), np.array([0, 1, 2, 1]), verbose=0)


def test_metrics_agree_with_scikit_learn() -> None:
    metrics = tp.metrics
    truth, scores, answers = TRUTH.ravel(), SCORES.ravel(), SCORES.ravel() > 0.5
    assert measured(metrics.Precision(), TRUTH, SCORES) == pytest.approx(precision_score(truth, answers))
    assert measured(metrics.Recall(), TRUTH, SCORES) == pytest.approx(recall_score(truth, answers))
    assert measured(metrics.Recall(0.3), TRUTH, SCORES) == pytest.approx(recall_score(truth, scores > 0.3))
    assert measured(metrics.AUC(), TRUTH, SCORES) == pytest.approx(roc_auc_score(truth, scores))
    assert measured(metrics.AUC(curve="PR"), TRUTH, SCORES) == pytest.approx(average_precision_score(truth, scores))
    assert measured(metrics.BinaryAccuracy(), TRUTH, SCORES) == pytest.approx((answers == truth).mean())
    assert measured(metrics.MeanSquaredError(), TRUTH, SCORES) == pytest.approx(((TRUTH - SCORES) ** 2).mean())
    assert measured(metrics.MeanAbsoluteError(), TRUTH, SCORES) == pytest.approx(np.abs(TRUTH - SCORES).mean())
    rmse = math.sqrt(((TRUTH - SCORES) ** 2).mean())
    assert measured(metrics.RootMeanSquaredError(), TRUTH, SCORES) == pytest.approx(rmse)
    right = (P.argmax(-1) == LABELS).mean()
    assert measured(metrics.SparseCategoricalAccuracy(), LABELS, P) == pytest.approx(right)
    assert measured(metrics.CategoricalAccuracy(), ONE_HOT, P) == pytest.approx(right)
    top2 = np.mean([label in np.argsort(row)[-2:] for label, row in zip(LABELS, P, strict=True)])
    assert measured(metrics.SparseTopKCategoricalAccuracy(k=2), LABELS, P) == pytest.approx(top2)
    assert measured(metrics.TopKCategoricalAccuracy(k=2), ONE_HOT, P) == pytest.approx(top2)


@pytest.mark.parametrize(
    ("loss", "target", "output", "kind"),
    [
        ("binary_crossentropy", (8, 1), (8, 1), "BinaryAccuracy"),
        ("categorical_crossentropy", (8, 3), (8, 3), "CategoricalAccuracy"),
        ("sparse_categorical_crossentropy", (8,), (8, 3), "SparseCategoricalAccuracy"),
        ("sparse_categorical_crossentropy", (8, 5), (8, 5, 3), "SparseCategoricalAccuracy"),
        ("binary_crossentropy", (8, 3), (8, 3), "BinaryAccuracy"),
    ],
)
def test_accuracy_by_name_takes_the_form_that_fits(
    loss: str, target: tuple[int, ...], output: tuple[int, ...], kind: str
) -> None:
    metric = tp.metrics.get("accuracy", tp.losses.get(loss), torch.Size(target), torch.Size(output))
    assert type(metric).__name__ == kind and metric.name == "accuracy"


def test_accuracy_of_a_single_logit_is_judged_at_zero() -> None:
    loss = tp.losses.BinaryCrossentropy(from_logits=True)
    metric = tp.metrics.get("accuracy", loss, torch.Size((4, 1)), torch.Size((4, 1)))
    assert measured(metric, np.array([[1], [0], [1], [0]]), np.array([[0.2], [-0.2], [2.0], [0.3]])) == 0.75


def test_losses_functions_and_torchmetrics_serve_as_metrics() -> None:
    from torchmetrics.classification import MulticlassAccuracy

    tp.set_seed(0)
    model = tp.Sequential([L.Dense(3, activation="softmax", input_shape=(5,))])
    spread = lambda y_true, y_pred: y_pred.max(dim=-1).values - y_pred.min(dim=-1).values  # noqa: E731
    extra = [MulticlassAccuracy(3, average="micro"), "sparse_categorical_crossentropy", spread, "accuracy"]
    model.compile("adam", torch.nn.NLLLoss(), metrics=extra)
    x, y = RNG.normal(size=(32, 5)), RNG.integers(0, 3, size=32)
    logs = model.evaluate(x, y, return_dict=True, verbose=0)
    assert logs["MulticlassAccuracy"] == pytest.approx(logs["accuracy"])
    assert logs["sparse_categorical_crossentropy"] > 0 and 0 < logs["<lambda>"] < 1
    model.fit(x, y, verbose=0)


def parameters_after(optimizer: object, steps: int) -> np.ndarray:
    """w after some steps on the loss w²/2, from w = 1."""
    made = tp.optimizers.get(optimizer)
    w = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    made.bind([w])
    for _ in range(steps):
        w.grad = w.detach().clone()
        made.step()
    return w.detach().numpy()


def test_optimizers_have_keras_defaults() -> None:
    assert parameters_after("sgd", 1) == pytest.approx(1 - 0.01)
    assert parameters_after("adam", 1) == pytest.approx(1 - 0.001)
    assert parameters_after("rmsprop", 1) == pytest.approx(1 - 0.001 / math.sqrt(0.1), rel=1e-6)
    assert parameters_after("adagrad", 1) == pytest.approx(1 - 0.001 / math.sqrt(1.1), rel=1e-6)
    assert parameters_after("adamw", 1) == pytest.approx(1 - 0.001 * 0.004 - 0.001)
    momentum = parameters_after(tp.optimizers.SGD(0.1, momentum=0.9), 2)
    assert momentum == pytest.approx(0.9 - 0.1 * (0.9 * 1 + 0.9))
    for name in tp.optimizers.KNOWN:
        assert parameters_after(name, 5) < 1
        assert tp.optimizers.get(name).get_config()["learning_rate"] == (0.01 if name == "sgd" else 0.001)


def test_gradients_are_clipped_as_asked() -> None:
    assert parameters_after(tp.optimizers.SGD(1.0, clipvalue=0.25), 1) == pytest.approx(0.75)
    assert parameters_after(tp.optimizers.SGD(1.0, clipnorm=0.5), 1) == pytest.approx(0.5, rel=1e-5)
    assert parameters_after(tp.optimizers.SGD(1.0, global_clipnorm=0.5), 1) == pytest.approx(0.5, rel=1e-5)


def test_learning_rates_follow_their_schedule() -> None:
    schedules = tp.schedules
    assert schedules.ExponentialDecay(0.1, 10, 0.5)(20) == pytest.approx(0.025)
    assert schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True)(19) == pytest.approx(0.05)
    assert schedules.CosineDecay(0.1, 10)(5) == pytest.approx(0.05)
    piecewise = schedules.PiecewiseConstantDecay([1, 3], [1.0, 0.5, 0.1])
    assert [piecewise(step) for step in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.1]
    assert parameters_after(tp.optimizers.SGD(schedules.PiecewiseConstantDecay([0], [0.5, 0.1])), 2) == pytest.approx(
        0.45
    )


def test_torch_optimizers_serve_too() -> None:
    x, y = RNG.normal(size=(16, 3)), RNG.normal(size=(16, 1))
    model = tp.Sequential([L.Dense(1, input_shape=(3,))])
    for optimizer in (torch.optim.SGD(model.parameters(), lr=0.1), lambda weights: torch.optim.Adamax(weights, lr=0.1)):
        model.compile(optimizer, "mse")
        losses = model.fit(x, y, epochs=5, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
    model.compile(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))]), "mse")
    with pytest.raises(UsageError, match="none of this model's parameters"):
        model.fit(x, y, verbose=0)


@pytest.mark.parametrize(
    "what", ["optimizer", "loss", "metrics", "activation", "kernel_initializer", "kernel_regularizer"]
)
def test_unknown_names_list_the_known_ones(what: str) -> None:
    model = tp.Sequential([L.Dense(1, input_shape=(3,))])
    with pytest.raises(UsageError, match=r"TP016.*'nothing'[\s\S]*help:"):
        if what in ("optimizer", "loss", "metrics"):
            arguments: dict[str, Any] = {"loss": "mse", what: ["nothing"] if what == "metrics" else "nothing"}
            model.compile(**arguments)
            model.fit(np.zeros((4, 3)), np.zeros(4), verbose=0)
        else:
            make: Any = L.Dense
            make(1, **{what: "nothing"})
