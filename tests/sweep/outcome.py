"""How one sample went on one port."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from triport.exporter.errors import TriportError

PORTS = ("onnx", "tflite", "web")

DEFECTS = {"TP201": "crashed", "TP210": "wrong", "TP211": "wrong"}
"""Typed errors by which triport reports a defect of its own: they stop the user, but they are no refusal."""


ALL_OF_THEM = ": all of them: "
"""Stands in a reason between the error's message and its details."""


class Verdict(Enum):
    """From best to worst. The letter is what the baseline file holds."""

    SAME = "same"
    REFUSED = "refused"
    WRONG = "wrong"
    CRASHED = "crashed"

    @property
    def letter(self) -> str:
        return self.value[0]

    @property
    def badness(self) -> int:
        return list(Verdict).index(self)

    @classmethod
    def of(cls, letter: str) -> Verdict:
        return next(verdict for verdict in cls if verdict.letter == letter)


@dataclass(frozen=True)
class Outcome:
    """``reason`` is empty for `Verdict.SAME`, else one line: the error's code and message, or what differs."""

    verdict: Verdict
    reason: str = ""

    @property
    def good(self) -> bool:
        return self.verdict in (Verdict.SAME, Verdict.REFUSED)


SAME = Outcome(Verdict.SAME)


def outcome_of(error: Exception) -> Outcome:
    """The outcome when capture, conversion or a runtime raised."""
    if not isinstance(error, TriportError):
        return Outcome(Verdict.CRASHED, f"{type(error).__name__}: {first_line(str(error))}")
    if error.code in DEFECTS:
        verdict = Verdict(DEFECTS[error.code])
    elif error.code.startswith("TP5") or (error.code == "TP202" and error.__cause__ is not None):
        verdict = Verdict.CRASHED  # the runtime refused a file that was written, or a converter fell over
    else:
        verdict = Verdict.REFUSED
    because = f": {first_line(error.because)}" if error.because and verdict is Verdict.CRASHED else ""
    details = f"{ALL_OF_THEM}{'; '.join(error.details)}" if error.details else ""
    return Outcome(verdict, f"{error.code}: {first_line(error.message)}{because}{details}")


def first_line(text: str) -> str:
    """The first line that says something, at most 300 characters of it."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:300]
