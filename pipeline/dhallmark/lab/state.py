"""`state.json`: what the supervisor says of a running lab (schema `dhallmark.dev/lab-state/v1`)."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from dhallmark.files import write_atomic
from dhallmark.lab.model import LabPaths

_TAIL_BYTES = 8192
_TAIL_LINES = 40
"""Enough to reach the message above the stack trace of a Go program."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class ServiceState(_Model):
    """One program."""

    status: Literal["starting", "running", "stopped", "died"]
    """`stopped` on request; `died` without one."""
    pid: int | None = None
    exit_code: int | None = None
    """Exit status, or the negative number of the signal that ended it."""
    log_tail: str | None = None
    """The last lines of its log, where it died."""


class LabState(_Model):
    """The whole of `state.json`."""

    schema_name: Annotated[Literal["dhallmark.dev/lab-state/v1"], Field(alias="schema")] = "dhallmark.dev/lab-state/v1"
    status: Literal["starting", "ready", "failed", "stopped"]
    pid: int
    """The supervisor's."""
    isolated: bool
    """True where the lab has a network namespace of its own."""
    ready_after: float | None = None
    """Seconds from the supervisor's start until every service took requests."""
    services: dict[str, ServiceState] = {}
    error: str | None = None
    """Why it failed."""


def write_state(paths: LabPaths, state: LabState) -> None:
    write_atomic(paths.state, json.dumps(state.model_dump(mode="json", by_alias=True), indent=2) + "\n", mode=0o600)


def read_state(paths: LabPaths) -> LabState | None:
    """The last state that was written, or None where the lab was never started."""
    try:
        return LabState.model_validate_json(paths.state.read_bytes())
    except FileNotFoundError:
        return None


def is_alive(paths: LabPaths) -> bool:
    """True while a supervisor lives: it holds the lock, which no crash leaves behind and no other pid can have."""
    try:
        with paths.lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def tail(log: Path) -> str:
    """The last lines of a log; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-_TAIL_LINES:])
