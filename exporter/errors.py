"""The one exception tree of triport.

    TriportError
    ├── UsageError        exit 2   what was passed cannot be meant: wrong name, shape, dtype, argument (a ValueError)
    ├── ModelError        exit 3   the model cannot be captured, or a port cannot express it
    ├── EnvironmentError_ exit 4   a runtime, a browser, a disk: something outside the model is missing
    ├── FormatError       exit 5   a file is corrupt, unsafe, or of another version
    └── CheckError        exit 1   a check ran and failed: parity, accuracy

Every error carries a code (``TP103``) that ``triport explain TP103`` spells out; ``error_catalog.py`` holds the texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from .error_catalog import CATALOG


class TriportError(Exception):
    """Base of everything triport raises on purpose.

    message   what was given and what was expected, in one sentence
    at        where the *user* wrote it: ``model.py:41, layer "stem"``
    because   the reason, when the message alone does not give it
    details   a line for each of several things that are wrong in the same way
    help      what to do next; a command that works, where there is one
    """

    exit_code = 1

    def __init__(
        self,
        code: str,
        message: str,
        *,
        at: str | None = None,
        because: str | None = None,
        details: Sequence[str] = (),
        help: str | None = None,
    ) -> None:
        if code not in CATALOG:
            raise KeyError(f"error code {code} is not in exporter/error_catalog.py")
        self.code = code
        self.message = message
        self.at = at
        self.because = because
        self.details = tuple(details)
        self.help = help
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [f"error[{self.code}]: {self.message}"]
        lines += [f"  {label}: {text}" for label, text in (("at", self.at), ("because", self.because)) if text]
        lines += [f"  - {detail}" for detail in self.details]
        lines += [f"  help: {self.help}"] if self.help else []
        return "\n".join(lines)

    def placed(self, at: str) -> Self:
        """The same error with the place where the user wrote it, unless it names one already."""
        if self.at or not at:
            return self
        return type(self)(self.code, self.message, at=at, because=self.because, details=self.details, help=self.help)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.at, self.because, self.details, self.help))


def _rebuild(
    cls: type[TriportError],
    code: str,
    message: str,
    at: str | None,
    because: str | None,
    details: tuple[str, ...],
    help: str | None,
) -> TriportError:
    return cls(code, message, at=at, because=because, details=details, help=help)


class CheckError(TriportError):
    """A check ran and failed: ports disagree, accuracy fell."""

    exit_code = 1


class UsageError(TriportError, ValueError):
    """What was passed cannot be meant: wrong name, shape, dtype or argument."""

    exit_code = 2


class ModelError(TriportError):
    """The model cannot be captured, or a port cannot express it."""

    exit_code = 3


class EnvironmentError_(TriportError):
    """Something outside the model is missing or refuses: a runtime, a browser, a disk."""

    exit_code = 4


class FormatError(TriportError):
    """A file is corrupt, unsafe to read, or written for another version."""

    exit_code = 5
