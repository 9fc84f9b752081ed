"""The first of torch's samples of every module and function, on every port: none goes worse than the baseline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sweep.keys import Key
from sweep.outcome import Verdict
from sweep.samples import first_keys
from sweep.table import make_group, read_baseline, worse
from sweep.worker import Worker

BASELINE = read_baseline()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


@pytest.mark.parametrize("key", first_keys(), ids=lambda key: key.group)
def test_no_port_goes_worse_than_the_baseline(key: Key, worker: Worker) -> None:
    outcomes = worker.judge(key)
    assert key.group in BASELINE, "new in torch: run `make sweep`"
    lost = worse({key.group: make_group([outcomes])}, BASELINE)
    assert not lost, "; ".join(f"{port}: {outcome.reason}" for port, outcome in outcomes.items() if outcome.reason)


def test_no_sample_of_the_baseline_is_wrong_or_crashed() -> None:
    bad = {
        name: sum(group.count(port, verdict) for port in group.verdicts)
        for name, group in BASELINE.items()
        for verdict in (Verdict.WRONG, Verdict.CRASHED)
    }
    assert not {name for name, count in bad.items() if count}
