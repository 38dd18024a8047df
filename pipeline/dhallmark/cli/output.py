"""What a person or a machine sees of a command: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

from dhallmark import strictjson
from dhallmark.errors import Error, RegistryError, ToolError, VerdictError
from dhallmark.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import TaskID

    from dhallmark.cli.result import Result

ERROR_SCHEMA = "dhallmark.dev/error/v1"
_WIDTH_OF_A_FILE = 160
"""Columns where the output is no terminal: rich's default of 80 would cut digests in tables."""
_TOOL_LINES = 20


class OutputFormat(StrEnum):
    """How results and errors are printed."""

    TEXT = "text"
    """For people."""
    JSON = "json"
    """For machines: one document, with a `schema` that names its format."""


@dataclass(slots=True)
class Output:
    """Where a command's result, its errors and its progress go."""

    format: OutputFormat = OutputFormat.TEXT
    progress: bool = True
    debug: bool = False
    """Whether an error's traceback is shown, too."""
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    def result(self, result: Result) -> None:
        """Print the result to standard output. A reader that went away (`| head`) is no error."""
        try:
            if self.format is OutputFormat.JSON:
                self.stdout.writelines(piece.decode() for piece in strictjson.dump_pieces(result.data))
            else:
                self._text(result.text() if callable(result.text) else result.text)
            self.stdout.flush()
        except BrokenPipeError:
            # Python flushes standard output once more at its end; give it something that takes it.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())

    def _text(self, text: RenderableType) -> None:
        if isinstance(text, str):
            # Not through rich: a path such as `[dev]` is no markup.
            self.stdout.write(text.rstrip("\n") + "\n" if text else "")
        else:
            # Commands to be copied are one line each, however long.
            console(self.stdout).print(text, crop=False)

    def errors(self, errors: list[Error]) -> None:
        """Print errors to standard error; at least one."""
        with contextlib.suppress(BrokenPipeError):
            if self.format is OutputFormat.JSON:
                body = {"schema": ERROR_SCHEMA, **error_to_json(errors[0])}
                if errors[1:]:
                    body["others"] = [error_to_json(error) for error in errors[1:]]
                self.stderr.write(strictjson.dump(body).decode())
            else:
                for error in errors:
                    self.stderr.write(error_to_text(error) + "\n")
            self.stderr.flush()

    @contextlib.contextmanager
    def reporting(self) -> Iterator[Progress]:
        """Show progress while the block runs: bars on a terminal, lines elsewhere, nothing beside JSON in a file."""
        terminal = self.stderr.isatty()
        reporter: Progress
        if not self.progress or (self.format is OutputFormat.JSON and not terminal):
            reporter = Silent()
        elif terminal:
            reporter = _Bars(console(self.stderr))
        else:
            reporter = _Lines(self.stderr)
        token = _PROGRESS.set(reporter)
        try:
            yield reporter
        finally:
            _PROGRESS.reset(token)
            if isinstance(reporter, _Bars):
                reporter.close()


_PROGRESS: ContextVar[Progress | None] = ContextVar("progress", default=None)


def progress() -> Progress:
    """The listener of the command that runs; a command passes it on to the library functions that it calls."""
    return _PROGRESS.get() or Silent()


def relay() -> Callable[[str], object]:
    """A function that shows what a program says to standard error: where progress is shown, and nowhere else.

    It may be called from any thread.
    """
    reporter = _PROGRESS.get()
    return reporter.write if isinstance(reporter, _Lines | _Bars) else lambda _: None


def console(file: TextIO) -> Console:
    """A rich console for `file`, wide enough for digests where it is no terminal."""
    from rich.console import Console

    width = None if file.isatty() or "COLUMNS" in os.environ else _WIDTH_OF_A_FILE
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False)


def error_to_json(error: Error) -> dict[str, object]:
    """`Error.to_json`, and what the kinds of errors that carry more have seen."""
    body = error.to_json()
    if isinstance(error, VerdictError):
        body["verdict"] = error.verdict.to_json()
    elif isinstance(error, ToolError):
        body |= {"command": list(error.command), "status": error.status, "stderr": error.stderr}
    elif isinstance(error, RegistryError):
        body |= {"method": error.method, "url": error.url, "status": error.status}
    return body


def error_to_text(error: Error) -> str:
    """An error for people: what and where, the tool's last words, what to do."""
    lines = [f"error: {error.where}: {error.message}" if error.where else f"error: {error.message}"]
    if isinstance(error, VerdictError):
        lines += [
            f"  {check.outcome.value}({check.reason.value}) {check.name}: {check.detail}"
            for check in error.verdict.walk()
            if check.reason is not None
        ]
    elif isinstance(error, ToolError):
        if error.command:
            lines.append(f"  command: {' '.join(error.command)}")
        if error.status is not None:
            lines.append(f"  exit code: {error.status}")
        lines += [f"  | {line}" for line in error.stderr.strip().splitlines()[-_TOOL_LINES:]]
    elif isinstance(error, RegistryError):
        lines.append(f"  {error.method} {error.url}: {error.status if error.status is not None else 'no answer'}")
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    return "\n".join(lines)


class _Lines:
    """One line when work starts, one when it is done: for logs."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._started: dict[str, float] = {}

    def start(self, name: str, *, total: int | None = None) -> None:
        self._started[name] = time.monotonic()
        self.write(f"{name} …\n" if total is None else f"{name} ({total}) …\n")

    def expect(self, name: str, *, by: int) -> None:
        """Nothing."""

    def advance(self, name: str, *, by: int = 1) -> None:
        """Nothing: a line for each part would fill a log."""

    def done(self, name: str, *, summary: str = "") -> None:
        seconds = time.monotonic() - self._started.pop(name, time.monotonic())
        self.write(f"{name}: {summary or 'done'} ({seconds:.1f} s)\n")

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.write(text)
            self._file.flush()


class _Bars:
    """A bar for each piece of work that runs, replaced by one line when it is done."""

    def __init__(self, target: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self._console = target
        self._view = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=target,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._started: dict[str, float] = {}

    def start(self, name: str, *, total: int | None = None) -> None:
        self._view.start()
        self._started[name] = time.monotonic()
        self._totals[name] = total or 0
        self._tasks[name] = self._view.add_task(name, total=total)

    def expect(self, name: str, *, by: int) -> None:
        if name in self._tasks:
            self._totals[name] += by
            self._view.update(self._tasks[name], total=self._totals[name])

    def advance(self, name: str, *, by: int = 1) -> None:
        if name in self._tasks:
            self._view.advance(self._tasks[name], by)

    def done(self, name: str, *, summary: str = "") -> None:
        if name in self._tasks:
            self._view.remove_task(self._tasks.pop(name))
        seconds = time.monotonic() - self._started.pop(name, time.monotonic())
        self._console.print(f"✓ {name}: {summary or 'done'} ({seconds:.1f} s)")

    def write(self, text: str) -> None:
        self._console.print(text, end="")

    def close(self) -> None:
        self._view.stop()
