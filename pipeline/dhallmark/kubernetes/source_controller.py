"""A source-controller beside an API server: started, and waited for until it has come to an end with an object."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from dhallmark.errors import ToolError
from dhallmark.kubernetes.api import Api
from dhallmark.kubernetes.servers import running
from dhallmark.lab.state import tail

Json = dict[str, Any]
PROGRAM: Final = "source-controller"
_STORAGE: Final = "127.0.0.1:9090"
_POLL: Final = 0.1


@contextmanager
def running_source_controller(
    program: str, folder: Path, *, kubeconfig: Path, variables: Mapping[str, str]
) -> Iterator[Callable[[], bool]]:
    """Run `program` for all namespaces while the block runs; gives whether it still does.

    What it stores, and its log, are in the empty folder `folder`; `variables` are its deployment's. Raises ToolError.
    """
    storage = folder / "storage"
    storage.mkdir()
    command = [
        program,
        f"--storage-path={storage}",
        f"--storage-addr={_STORAGE}",
        f"--storage-adv-addr={_STORAGE}",
        "--enable-leader-election=false",
        "--watch-all-namespaces=true",
        "--metrics-addr=127.0.0.1:8080",
        "--health-addr=127.0.0.1:9440",
    ]
    environment = {**variables, "KUBECONFIG": str(kubeconfig), "RUNTIME_NAMESPACE": "flux-system"}
    with running(PROGRAM, command, folder, env=environment) as still:
        yield still


def await_end(api: Api, path: str, *, still: Callable[[], bool], folder: Path, seconds: float, until: str = "") -> Json:
    """The status of the object at `path`, once the controller has come to an end with its current generation.

    With `until`, an end is that `Ready` says so; if it never does, what it says when `seconds` are over. `folder` is
    the controller's. Raises ToolError where it comes to no end, ApiError where the API server does not answer.

    The controller writes conditions by a request of their own, and the rest of the status by the next one (Source:
    github.com/fluxcd/pkg/runtime/patch, `Patch`): ready and without an artifact is no end, either.
    """
    end = time.monotonic() + seconds
    told: Json | None = None
    while time.monotonic() < end and still():
        found = api.get(path)
        status = found.get("status") or {}
        conditions: Sequence[Mapping[str, Any]] = status.get("conditions") or ()
        ready = next((item for item in conditions if item["type"] == "Ready"), None)
        current = ready is not None and ready.get("observedGeneration") == found["metadata"]["generation"]
        if ready is not None and current and ready["status"] != "Unknown":
            told = {"conditions": conditions, "artifact": status.get("artifact")}
            whole = ready["status"] != "True" or bool(told["artifact"])
            if whole and (not until or ready["status"] == until):
                return told
        time.sleep(_POLL)
    if told is not None and still():
        return told
    what = f"comes to no end with {path} in {seconds:.0f} s" if still() else "ended by itself"
    raise ToolError(f"source-controller {what}", command=(PROGRAM,), stderr=tail(folder / f"{PROGRAM}.log"))
