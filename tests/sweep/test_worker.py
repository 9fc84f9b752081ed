"""What the sweep does when a judging process ends, and that a sample is the same numbers whenever it is made."""

from __future__ import annotations

import pytest
import torch
from sweep.ending import aborts_in_tflite, exits_in_capture, lacks_a_runtime
from sweep.keys import Key, Kind
from sweep.outcome import SAME, Outcome, Verdict
from sweep.samples import build
from sweep.worker import Worker

from triport.exporter.errors import EnvironmentError_

KEY = Key(Kind.MODULE, "nn.Linear", 0)


def test_an_abort_crashes_its_port_and_the_others_are_judged() -> None:
    crash = Outcome(Verdict.CRASHED, "the process ended in tflite (SIGABRT)")
    with Worker(aborts_in_tflite) as worker:
        assert worker.judge(KEY) == {"onnx": SAME, "tflite": crash, "web": SAME}


def test_an_end_in_capture_crashes_every_port() -> None:
    with Worker(exits_in_capture) as worker:
        outcomes = worker.judge(KEY)
    assert set(outcomes) == {"onnx", "tflite", "web"}
    assert {o.reason for o in outcomes.values()} == {"the process ended in capture (status 3)"}


def test_a_missing_runtime_stops_the_sweep() -> None:
    with Worker(lacks_a_runtime) as worker, pytest.raises(EnvironmentError_):
        worker.judge(KEY)


@pytest.mark.parametrize(
    "key", [Key(Kind.MODULE, "nn.Conv2d", 1), Key(Kind.FUNCTION, "nn.functional.embedding_bag", 3)], ids=str
)
def test_a_sample_is_the_same_numbers_each_time(key: Key) -> None:
    first = build(key)
    build(Key(Kind.MODULE, "nn.Linear", 1))  # draws numbers in between
    second = build(key)
    tensors = [(*s.inputs.values(), *s.module.state_dict().values()) for s in (first, second)]
    assert all(torch.equal(a, b) for a, b in zip(*tensors, strict=True))


def test_weights_are_inputs_of_a_function_and_held_beside_it() -> None:
    free = build(Key(Kind.FUNCTION, "nn.functional.conv2d", 1))
    held = build(Key(Kind.HELD, "nn.functional.conv2d", 1))
    assert list(free.inputs) == ["input", "weight", "bias"]
    assert list(held.inputs) == ["input"]
    assert len(held.module.state_dict()) == 2


def test_inputs_inside_tuples_are_named_after_the_argument() -> None:
    assert list(build(Key(Kind.MODULE, "nn.LSTM", 1)).inputs) == ["input", "hx_0", "hx_1"]
