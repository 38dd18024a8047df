"""The same bytes from two engines that share nothing: no cache, no session, no folder, no time."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.dagger]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES_PORT = 8411
"""The port in the import of the example."""


class Server(socketserver.ThreadingTCPServer):
    """A server that can be started again at once."""

    allow_reuse_address = True
    daemon_threads = True


@pytest.fixture
def packages() -> Iterator[str]:
    """The example's Dhall packages on a port of this machine, as a service that `dagger call` takes."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(ROOT / "examples" / "packages"))
    with Server(("127.0.0.1", PACKAGES_PORT), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"tcp://127.0.0.1:{PACKAGES_PORT}"
        server.shutdown()
        thread.join()


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def elsewhere(project: Path, tmp_path: Path) -> Path:
    """The same commit in another folder, with other times and modes of files than the first checkout has."""
    copy = tmp_path / "another-place" / "checkout"
    shutil.copytree(project, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        if path.is_file() and ".git" not in path.parts:
            path.chmod(0o600)
    return copy


def test_images_and_packages_have_the_same_bytes_and_shards_of_two_engines_merge_to_them(
    call: Callable[..., str],
    second_engine: object,
    third_engine: object,
    project: Path,
    elsewhere: Path,
    packages: str,
    tmp_path: Path,
) -> None:
    """One test for all of it: an engine with an empty cache takes minutes to get this far."""
    # The shared engine may still have packages that mirrors have dropped; these two have nothing.
    lock = tmp_path / "lock.json"
    call("call", "--relock", "image", "file", "--path=lock.json", "export", f"--path={lock}", engine=second_engine)
    call = functools.partial(call, lock=lock)
    digests = {
        call("call", "image", "file", "--path=digest", "contents", engine=engine).strip()
        for engine in (second_engine, third_engine)
    }
    assert len(digests) == 1
    assert digests.pop().startswith("sha256:")

    remote = f"--packages={packages}"
    for engine, part, source in ((second_engine, "1/2", project), (third_engine, "2/2", elsewhere)):
        shard = tmp_path / part[0]
        call(
            "call",
            "render",
            f"--source={source}",
            f"--shard={part}",
            remote,
            "export",
            f"--path={shard}",
            engine=engine,
        )
    call(
        "call",
        "package",
        f"--source={elsewhere}",
        remote,
        "export",
        f"--path={tmp_path / 'whole'}",
        engine=third_engine,
    )
    shards = [f"--shards={tmp_path / name}" for name in ("1", "2")]
    merged = tmp_path / "merged"
    call("call", "merge", f"--source={project}", *shards, "export", f"--path={merged}", engine=second_engine)
    call(
        "call", "package", f"--source={project}", f"--build={merged}", "export", f"--path={tmp_path / 'packaged'}",
        engine=second_engine,
    )  # fmt: skip

    assert files_of(tmp_path / "packaged") == files_of(tmp_path / "whole")
    assert len(list((tmp_path / "whole" / "package").glob("*/*.tgz"))) == 48
