"""What runs with an API server in a network and a PID namespace of its own: `python -m dhallmark.prove.inside`.

It reads one request, a line of JSON, from standard input, and writes one answer, a line of JSON, to standard output.
Standard input is also the leash: when it ends, because whoever asked is gone, so does this process, and with it, as
the first of its PID namespace, whatever it started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from dhallmark.errors import Error, ExitCode
from dhallmark.kubernetes import apply
from dhallmark.kubernetes.servers import Access, running_api_server
from dhallmark.lab.namespace import raise_loopback
from dhallmark.prove.controller import reconcile_all
from dhallmark.verdict import Check

Json = dict[str, Any]
_GRACE_SECONDS: Final = 15.0


class Gone(BaseException):
    """Whoever asked is gone."""


def _apply(access: Access, request: Mapping[str, Any], folder: Path) -> Json:
    """Install the definitions, apply the objects, and tell what became of each."""
    del folder
    apply.define(access.api, request["definitions"])
    version = access.api.get("/version")
    return {
        "kubernetes": str(version.get("gitVersion", "")),
        "applied": [
            {"checks": [_check_to_json(check) for check in one.checks], "stored": one.stored}
            for one in apply.apply_all(access.api, request["objects"])
        ],
    }


def _serve(access: Access, request: Mapping[str, Any], folder: Path) -> Json:
    """Install the definitions, say that the server is ready, and wait for the end."""
    del folder
    apply.define(access.api, request["definitions"])
    _say({"ready": True, "kubeconfig": str(access.kubeconfig)})
    threading.Event().wait()
    return {}


def _control(access: Access, request: Mapping[str, Any], folder: Path) -> Json:
    apply.define(access.api, request["definitions"])
    return reconcile_all(access.api, request, folder=folder, kubeconfig=access.kubeconfig)


_TASKS: Final[Mapping[str, Callable[[Access, Mapping[str, Any], Path], Json]]] = {
    "apply": _apply,
    "controller": _control,
    "serve": _serve,
}


def _check_to_json(check: Check) -> Json:
    return {
        "name": check.name,
        "reason": check.reason.value if check.reason else None,
        "detail": check.detail,
        "evidence": dict(check.evidence),
    }


def _say(answer: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _leash() -> None:
    """End this process when standard input does."""
    while os.read(0, 4096):
        pass
    # If the main thread does not come to an end by itself, the kernel ends all there is below the first process.
    threading.Timer(_GRACE_SECONDS, os._exit, [1]).start()
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Gone


def _read_line() -> bytes:
    """The request, byte for byte from the descriptor: nothing of it may stay in a buffer of Python's."""
    line = bytearray()
    while not line.endswith(b"\n"):
        chunk = os.read(0, 1 << 20)
        if not chunk:
            raise Gone
        line += chunk
    return bytes(line)


def main(folder: Path) -> int:
    """Run the one task that is asked for in the empty folder `folder`."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        request = json.loads(_read_line())
        threading.Thread(target=_leash, daemon=True).start()
        if request["isolated"]:
            raise_loopback()
        with running_api_server(folder) as access:
            _say(_TASKS[request["task"]](access, request, folder))
    except Error as error:
        _say({"error": str(error), "stderr": getattr(error, "stderr", "")})
        return int(error.exit_code)
    except Gone:
        return int(ExitCode.INTERRUPTED)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
