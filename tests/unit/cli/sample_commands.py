"""Commands for the tests of the application: each ends in another way."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter
from rich.table import Table

from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.errors import (
    ConfigError,
    ExitCode,
    Location,
    RegistryError,
    SigningError,
    ToolError,
    UnavailableError,
    VerdictError,
)
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict


def good(*, name: Annotated[str, Parameter(help="Who is greeted.")] = "world", number: int = 1) -> Result:
    """Greet someone.

    The long description of the command.
    """
    progress().start("greet", total=2)
    progress().advance("greet")
    progress().done("greet", summary="1 greeting")
    return Result(data={"schema": "test/v1", "name": name, "number": number}, text=f"hello [red]{name}")


def table() -> Result:
    """Print a table with a digest in each of two columns."""
    shown = Table("a", "b")
    shown.add_row("sha256:" + "a" * 64, "sha256:" + "b" * 64)
    return Result(data={"schema": "test/v1"}, text=shown)


def words(*words: str) -> Result:
    """Return the words after `--`."""
    return Result(data={"words": list(words)}, text=" ".join(words))


def rejected() -> Result:
    """Return a verdict that is not `accepted`."""
    return Result(data={"schema": "test/v1"}, text="rejected", exit_code=ExitCode.REJECTED)


def _verdict(reason: Reason) -> Verdict:
    return Verdict.of("x@sha256:0", checks=[Check(name="the.check", reason=reason, detail="what was seen")])


async def _in_task_group(*errors: BaseException) -> None:
    async def fail_with(error: BaseException) -> None:
        raise error

    async with anyio.create_task_group() as group:
        for error in errors:
            group.start_soon(fail_with, error)


def _raise(error: BaseException) -> None:
    raise error


def _recurse() -> None:
    _recurse()


_FAILURES: dict[str, Callable[[], object]] = {
    "config": lambda: _raise(
        ConfigError("bad", where=Location(file="f.yaml", line=3, column=5, field="a.b"), hint="mend it")
    ),
    "rejected": lambda: _raise(VerdictError(_verdict(Reason.SIGNATURE_NONE))),
    "indeterminate": lambda: _raise(VerdictError(_verdict(Reason.REGISTRY_UNAVAILABLE))),
    "tool": lambda: _raise(ToolError("helm failed", command=("helm", "lint"), status=7, stderr="line 1\nline 2\n")),
    "registry": lambda: _raise(RegistryError("no", method="GET", url="http://r/v2/", status=503)),
    "signing": lambda: _raise(SigningError("no token")),
    "group": lambda: anyio.run(_in_task_group, UnavailableError("first"), UnavailableError("second")),
    "defect in a group": lambda: anyio.run(_in_task_group, UnavailableError("first"), ValueError("defect")),
    "defect": lambda: _raise(ValueError("some detail")),
    "interrupt": lambda: _raise(KeyboardInterrupt()),
    "disk": lambda: _raise(OSError(errno.ENOSPC, "No space left on device", "build/plan.json")),
    "file": lambda: Path("/nonexistent/file").read_bytes(),
    "recursion": _recurse,
}


def fail(*, how: str) -> Result:
    """Fail in one of the ways there are."""
    _FAILURES[how]()
    raise AssertionError(how)
