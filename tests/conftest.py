"""Rules for the whole run: a skip that nobody expected fails it.

A skip hides a check. A test may skip for a reason listed here, which says why a machine of ours can lack the thing; any
other skip turns the run red and is named at its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

# Reason (a regular expression matched from its start) → why a machine that runs the tests may be without.
EXPECTED_SKIPS: dict[str, str] = {
    r"needs a CUDA device": "most machines have none; the same code runs on the CPU in the tests beside",
    r"needs a user other than root": "root may write everywhere, so a folder cannot be made unwritable for it",
}

_UNEXPECTED = pytest.StashKey[list[tuple[str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_UNEXPECTED] = []
    config.pluginmanager.register(SkipWatch(config), "skip-watch")


class SkipWatch:
    """Collects skips from tests and from whole files; under xdist the controller sees the reports of all workers."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):  # an expected failure is reported as a skip too
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped:
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not any(re.match(expected, reason) for expected in EXPECTED_SKIPS):
            self.config.stash[_UNEXPECTED].append((report.nodeid, reason))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        yield
        if self.config.stash[_UNEXPECTED] and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        unexpected = self.config.stash[_UNEXPECTED]
        if unexpected:
            terminalreporter.section("skips that nobody expected", red=True)
            for nodeid, reason in unexpected:
                terminalreporter.write_line(f"{nodeid}: {reason}")
            terminalreporter.write_line("fix what is missing, or list the reason in tests/conftest.py and say why")
