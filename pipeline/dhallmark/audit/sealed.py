"""A rebuild in namespaces without a network, as its caller sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio

import dhallmark
from dhallmark import strictjson
from dhallmark.audit.conditions import Conditions
from dhallmark.audit.inside import RESULT, Request
from dhallmark.errors import FormatError
from dhallmark.files import read_regular
from dhallmark.reasons import Reason
from dhallmark.render.causes import reason_of
from dhallmark.verify.refusal import Refusal

_SECONDS: Final = 1800.0
_MAX_RESULT: Final = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """What came of a rebuild."""

    build: Path
    """The build directory that it made."""
    tools: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    """The image that it was made in; empty for this installation."""
    sealed: bool = True
    attempts: int | None = 0
    """How often something tried the network; None where the kernel does not say."""


async def rebuild_sealed(
    work: Path, output: Path, *, config: str, epoch: int, conditions: Conditions, seconds: float = _SECONDS
) -> Rebuild:
    """Rebuild from `work` (`source/` and `cache/`) into the new folder `output`, with this installation.

    Refuses with the reason for which there is no rebuild: what is wrong in the sources, a tool that is missing, an
    isolation that the kernel does not give, a network that was tried.
    """
    with tempfile.TemporaryDirectory(prefix="dhallmark-audit-") as folder:
        request = _request(Path(folder), work, output, config=config, epoch=epoch, conditions=conditions)
        log = Path(folder) / "log"
        said = await _run(request, log, seconds=seconds)
        printed = _tail(log)
    body = _read(output)
    if not said.get("isolated"):
        raise Refusal(Reason.ISOLATION_UNAVAILABLE, str(said.get("detail") or printed or "it ended without a word"))
    attempts = said.get("attempts")
    _require_steps(body, printed)
    if isinstance(attempts, int) and attempts > 0:
        raise Refusal(
            Reason.REBUILD_NETWORK, "something in the rebuild tried to reach the network", attempts=str(attempts)
        )
    return Rebuild(
        build=output / "build",
        tools={str(name): str(found) for name, found in body["tools"].items()},
        conditions=conditions.to_text(),
        attempts=attempts if isinstance(attempts, int) else None,
    )


def _request(folder: Path, work: Path, output: Path, *, config: str, epoch: int, conditions: Conditions) -> Request:
    """A request, with the folders that it needs."""
    output.mkdir(parents=True)
    if os.geteuid() == 0:
        try:
            os.chown(output, conditions.user, conditions.user)
        except OSError as error:
            # Root of a user namespace that knows no other user.
            detail = f"no user {conditions.user} to rebuild as: {error.strerror}"
            raise Refusal(Reason.ISOLATION_UNAVAILABLE, detail) from error
    root = folder / "root"
    root.mkdir()
    return Request(
        root=root,
        work=work.absolute(),
        output=output.absolute(),
        config=config,
        epoch=epoch,
        programs=program_folders(),
        conditions=conditions,
    )


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:].strip()


async def _run(request: Request, log: Path, *, seconds: float) -> Mapping[str, Any]:
    """What the program said; what it prints beside that goes to `log`. Refuses where its time is up."""
    program = [sys.executable, "-P", "-m", "dhallmark.audit.inside"]
    environment = {
        "PATH": os.pathsep.join(map(str, request.programs)),
        "PYTHONPATH": str(Path(str(dhallmark.__file__)).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
    }
    with log.open("wb") as errors:
        process = await anyio.open_process(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd="/",
            start_new_session=True,
        )  # fmt: skip
    said = b""
    try:
        with anyio.move_on_after(seconds) as scope:
            if process.stdin is not None:
                await process.stdin.send(request.model_dump_json().encode())
                await process.stdin.aclose()
            if process.stdout is not None:
                async for piece in process.stdout:
                    said += piece
            await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            await process.aclose()
    if scope.cancelled_caught:
        raise Refusal(Reason.RENDER_TOO_LARGE, f"the rebuild did not end in {seconds:.0f} s")
    try:
        body = strictjson.parse(said, what="rebuild")
    except FormatError:
        return {}
    return body if isinstance(body, dict) else {}


def program_folders() -> tuple[Path, ...]:
    """The folders of PATH that are there: what a rebuild finds programs in."""
    named = [Path(part) for part in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    return tuple(dict.fromkeys(path for path in named if path.is_absolute() and path.is_dir()))


def _read(output: Path) -> Mapping[str, Any]:
    """What the steps wrote; they are not believed more than that it is JSON."""
    try:
        body = strictjson.parse(read_regular(output / RESULT, max_bytes=_MAX_RESULT), what=RESULT)
    except FormatError:
        return {}
    except Exception:  # noqa: BLE001  whatever stands there
        return {}
    return body if isinstance(body, dict) else {}


def _require_steps(body: Mapping[str, Any], printed: str) -> None:
    """Refuse a rebuild of which a step failed, for what that step said."""
    steps = body.get("steps")
    failed = next((step for step in steps if step.get("status")), None) if isinstance(steps, list) else {}
    if failed is None and isinstance(body.get("tools"), dict):
        return
    raise step_refusal(failed or {}, printed)


def step_refusal(step: Mapping[str, Any], printed: str) -> Refusal:
    """The finding that a failed step amounts to: its name, status, and error as the command line prints it."""
    error = step.get("error")
    said = error if isinstance(error, dict) else {}
    message = str(said.get("message", "")) or printed or "it ended without a word"
    where = said.get("where")
    place = f"{where.get('file')}:{where.get('line')}: " if isinstance(where, dict) and where.get("line") else ""
    detail = f"{step.get('step', 'rebuild')}: {place}{message}"
    if said.get("error") in ("RenderError", "ConfigError", "FormatError", "InputError", "UsageError"):
        reason = reason_of(message) if said["error"] == "RenderError" else Reason.RENDER_INVALID
        return Refusal(reason, detail)
    return Refusal(Reason.TOOL_UNAVAILABLE, detail)
