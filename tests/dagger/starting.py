"""Containers that died before they ran anything: told from those that failed, and tried again by another process.

The engine keeps how an exec ended for as long as the session lives (`sharedOp.Exec` of BuildKit's solver), so whoever
asks again in the same session gets the same failure. A run of tests in which nothing else failed therefore ends with
an exit code of its own, and the Makefile runs what failed once more, in a new session.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import dagger
import pytest

from dhallmark.cli.app import _leaves

RUN_AGAIN = 75
"""Exit code of such a run: EX_TEMPFAIL of sysexits.h. The Makefile knows it."""
_NOT_STARTED = re.compile(
    "unable to start container process: waiting for init preliminary setup"
    "|runc delete container.*container does not exist"
)
"""What runc, and the engine that called it, say where a container died before it ran anything: seen once in many
thousands, and no result of ours."""

_PROPERTY = ("container", "not started")


class ContainerNotStartedError(Exception):
    """A container died before it ran anything."""


@contextmanager
def telling_not_started() -> Iterator[None]:
    """Raise ContainerNotStartedError in place of what says so, in a group of exceptions or by itself."""
    try:
        yield
    except Exception as error:
        said = next((text for text in map(_said, _leaves(error)) if _NOT_STARTED.search(text)), None)
        if said is None:
            raise
        raise ContainerNotStartedError(said) from error


def _said(error: BaseException) -> str:
    """The message, and what the container's runtime printed: the message alone does not say why."""
    if isinstance(error, dagger.ExecError):
        return "\n".join(filter(None, (str(error), f"command: {error.command}", error.stdout, error.stderr)))
    return str(error)


class ContainersNotStarted:
    """The plug-in: names what did not start, counts it, and sets the exit code where nothing else failed."""

    def __init__(self) -> None:
        self.failures: list[bool] = []
        """Of each failed report, whether a container did not start."""

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self) -> Generator[None, object, object]:
        """A test."""
        with telling_not_started():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        """What a test needs."""
        with telling_not_started():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell the process that counts, in what goes to it with the report."""
        report = yield
        if call.excinfo is not None and call.excinfo.errisinstance(ContainerNotStartedError):
            report.user_properties.append(_PROPERTY)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count; a report of another making (a process that crashed) is a failure like any other."""
        if report.failed:
            self.failures.append(_PROPERTY in map(tuple, report.user_properties))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """All tests were run, and nothing failed but that."""
        if session.exitstatus == pytest.ExitCode.TESTS_FAILED and self.failures and all(self.failures):
            session.exitstatus = RUN_AGAIN
