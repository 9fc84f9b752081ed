"""Keeping torch's own account of a failure from the user's screen: the error says what a user can use."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """While it lasts, torch's loggers say nothing, and nothing is written to Python's stderr."""
    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if _is_torchs(name)]
    before = [(logger, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, disabled in before:
            logger.disabled = disabled


def _is_torchs(name: str) -> bool:
    return name.partition(".")[0] == "torch"
