"""The baseline and the page made from it."""

from __future__ import annotations

from pathlib import Path

from sweep.outcome import SAME, Outcome, Verdict, outcome_of
from sweep.table import PAGE, make_group, page, read_baseline, worse, write_baseline

from triport.exporter.errors import CheckError, ModelError

REFUSED = Outcome(Verdict.REFUSED, 'TP102: conv2d "stem" cannot be written to web: its 3 weights are computed')
WRONG = Outcome(Verdict.WRONG, "TP500: output: differs by 0.25, allowed are 1e-05 (CLOSE)")


def test_the_page_is_made_from_the_baseline() -> None:
    assert PAGE.read_text() == page(read_baseline())


def test_a_baseline_reads_back_as_it_was_written(tmp_path: Path) -> None:
    table = {"nn.A": make_group([_row(SAME), _row(REFUSED), _row(REFUSED)]), "nn.B": make_group([_row(SAME)])}
    write_baseline(table, tmp_path / "baseline.json")
    assert read_baseline(tmp_path / "baseline.json") == table


def test_a_sample_that_was_the_same_and_is_refused_went_worse() -> None:
    before = {"nn.A": make_group([_row(SAME), _row(REFUSED)])}
    now = {"nn.A": make_group([_row(REFUSED), _row(SAME)])}
    assert worse(now, before) == ["nn.A #0 on web: refused, was same"]


def test_a_refusal_that_becomes_wrong_went_worse() -> None:
    before = {"nn.A": make_group([_row(REFUSED)])}
    assert worse({"nn.A": make_group([_row(WRONG)])}, before) == ["nn.A #0 on web: wrong, was refused"]


def test_samples_that_were_not_there_before_say_nothing() -> None:
    before = {"nn.A": make_group([_row(SAME)])}
    assert worse({"nn.A": make_group([_row(SAME), _row(WRONG)]), "nn.B": make_group([_row(WRONG)])}, before) == []


def test_reasons_are_counted_without_names_and_numbers() -> None:
    other = Outcome(Verdict.REFUSED, REFUSED.reason.replace("stem", "head").replace("3", "4"))
    group = make_group([_row(REFUSED), _row(other)])
    assert group.reasons == {"TP102: conv2d: its n weights are computed": [0, 0, 2]}


def test_of_unknown_ops_every_name_is_kept() -> None:
    listed = ["aten.zeros.default (model.py:3)", 'aten.lstm.input (model.py:4, layer "rnn")']
    error = ModelError("TP202", "the torch op aten.zeros.default has no meaning here (and 1 more)", details=listed)
    group = make_group([dict.fromkeys(("onnx", "tflite", "web"), outcome_of(error))])
    assert list(group.reasons) == ["TP202: aten.zeros, aten.lstm"]


def test_an_error_that_reports_a_defect_is_no_refusal() -> None:
    assert outcome_of(ModelError("TP202", "no such op")).verdict is Verdict.REFUSED
    assert outcome_of(ModelError("TP211", "other numbers")).verdict is Verdict.WRONG
    assert outcome_of(ModelError("TP201", "operands")).verdict is Verdict.CRASHED
    assert outcome_of(CheckError("TP504", "LiteRT refuses it")).verdict is Verdict.CRASHED
    assert outcome_of(KeyError("x")).verdict is Verdict.CRASHED
    fell_over = ModelError("TP202", "aten.conv2d is called in a way that has no meaning here: list index out of range")
    fell_over.__cause__ = IndexError("list index out of range")
    assert outcome_of(fell_over).verdict is Verdict.CRASHED


def _row(web: Outcome) -> dict[str, Outcome]:
    return {"onnx": SAME, "tflite": SAME, "web": web}
