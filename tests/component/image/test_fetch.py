"""Debian packages from real mirrors: what is brought, what is gone, and a lock made anew."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from dhallmark.digest import Digest
from dhallmark.errors import ToolError
from dhallmark.image import apt
from dhallmark.image.build import fetch, lock_debian
from dhallmark.image.lock import DebianPackage, ImageLock, load_lock

pytestmark = pytest.mark.component

ROOT = Path(__file__).resolve().parents[3]
LOCK = ROOT / "ci" / "image" / "lock.json"


def package(name: str, content: bytes) -> DebianPackage:
    return DebianPackage(
        name=name, version="2.0", architecture="all", archive="debian", path=f"pool/main/{name}_2.0_all.deb",
        size=len(content), sha256=Digest.of(content).hex,
    )  # fmt: skip


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A mirror of two packages, `here` and `changed`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    pool = tmp_path / "mirror" / "pool" / "main"
    pool.mkdir(parents=True)
    (pool / "here_2.0_all.deb").write_bytes(b"as locked")
    (pool / "changed_2.0_all.deb").write_bytes(b"other bytes")
    handler = functools.partial(Quiet, directory=str(tmp_path / "mirror"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def bring(packages: list[DebianPackage], *, mirror: str, to: Path) -> tuple[DebianPackage, ...]:
    return anyio.run(functools.partial(apt.fetch, packages, mirrors={"debian": mirror}, destination=to))


def test_what_a_mirror_no_longer_has_is_told_apart_from_a_failure(mirror: str, tmp_path: Path) -> None:
    here, *gone = (package(name, b"as locked") for name in ("here", "older", "old"))
    assert bring([here, *gone], mirror=mirror, to=tmp_path / "debs") == tuple(reversed(gone))
    assert [path.name for path in (tmp_path / "debs").iterdir()] == [here.file]
    with pytest.raises(ExceptionGroup) as caught:
        bring([package("changed", b"as locked")], mirror=mirror, to=tmp_path / "debs")
    (error,) = caught.value.exceptions
    assert isinstance(error, ToolError)
    assert "changed 2.0" in error.message
    assert "Hash Sum mismatch" in error.message


@pytest.fixture(scope="module")
def mirrors() -> dict[str, str]:
    """Debian's, as this machine knows them."""
    return apt.machine_mirrors()


@pytest.fixture
def outdated() -> ImageLock:
    """The committed lock as it would be after Debian's next version of sed, of which alone it is."""
    lock = load_lock(LOCK)
    (sed,) = (package for package in lock.packages if package.name == "sed")
    old = sed.model_copy(update={"version": "0.1-1", "path": "pool/main/s/sed/sed_0.1-1_amd64.deb"})
    return lock.model_copy(update={"wanted": ("sed",), "packages": (old,)})


def test_a_lock_of_what_is_gone_is_an_error_that_says_what_to_do(
    mirrors: dict[str, str], outdated: ImageLock, tmp_path: Path
) -> None:
    bring_all = functools.partial(
        fetch, outdated, mirrors=mirrors, requirements=ROOT / "requirements.lock", source=ROOT, destination=tmp_path
    )
    with pytest.raises(Exception, match=r"1 of 1 locked packages: sed 0\.1-1") as caught:
        anyio.run(bring_all)
    assert "image lock" in str(caught.value)
    assert "--relock" in str(caught.value)


def test_debian_is_locked_anew_and_nothing_else(mirrors: dict[str, str], outdated: ImageLock, tmp_path: Path) -> None:
    locked = lock_debian(outdated, mirrors=mirrors)
    names = [package.name for package in locked.packages]
    assert {"sed", "libc6"} <= set(names)
    assert names == sorted(names)
    assert locked.epoch >= outdated.epoch
    changed = {"packages", "epoch"}
    assert json.loads(locked.model_dump_json(exclude=changed)) == json.loads(outdated.model_dump_json(exclude=changed))
    assert bring(
        [one for one in locked.packages if one.name == "sed"], mirror=mirrors["debian"], to=tmp_path / "debs"
    ) == ()  # fmt: skip
