"""The same bytes from engines that share nothing: no cache, no session, no folder, no time.

Two engines with empty caches do for all of it, since each takes minutes to get going. First they are auditors', which
never saw a release and have no image but the one that they are given; then builders', which make image and packages.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagger
import pytest
from dagger import dag
from tests.dagger.commits import FIRST_CHARTS, FIRST_VERSION, LATER

from dhallmark.module import Dhallmark, Lab

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]

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


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is left of a release for an auditor who reaches no registry."""

    folder: Path
    """`deploy/`, the tree that a cluster follows; and `materials/` with the bundle."""
    revision: str
    charts: int


@pytest.fixture(scope="session")
async def history(
    module: Dhallmark,
    lab: Lab,
    make_project: Callable[..., Path],
    claims: Callable[[Path], dict[str, str]],
    builder_id: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[Kept]]:
    """Three commits of the example, each released by the shared engine; and a folder with what all have in common:
    `image/`, `policy.yaml` and `trusted_root.json`."""
    kept = tmp_path_factory.mktemp("kept")
    project = make_project(version=FIRST_VERSION)
    releases: list[Kept] = []
    tree: dagger.Directory | None = None
    for number, charts in enumerate([FIRST_CHARTS, *(change.charts for change in LATER)]):
        if number:
            before = LATER[number - 2].version if number > 1 else FIRST_VERSION
            LATER[number - 1].make(project, before=before)
        said = claims(project)
        # What controls say of the example is tested elsewhere: one that every release runs is enough here.
        released = await lab.release(
            source=dag.host().directory(str(project), no_cache=True),
            builder_id=builder_id,
            claims=[f"{name}={value}" for name, value in said.items()],
            controls=["S1"],
            tree=tree,
        )
        tree = released.deploy()
        folder = kept / str(number)
        await tree.export(str(folder / "deploy"))
        await released.build().file("package/materials.tar.gz").export(str(folder / "materials" / "bundle.tar.gz"))
        releases.append(Kept(folder=folder, revision=said["sha"], charts=charts))
    await module.image().export(str(kept / "image"))
    await lab.trusted_root().export(str(kept / "trusted_root.json"))
    shutil.copyfile(project / "policy.yaml", kept / "policy.yaml")
    return kept, releases


async def test_three_commits_of_the_example_are_rebuilt_equal_by_two_engines_that_never_saw_a_release(
    history: tuple[Path, list[Kept]],
    second_engine: object,
    third_engine: object,
    call: Callable[..., str],
    tmp_path: Path,
) -> None:
    """No registry is bound: the deploy tree, the materials and the image are files that somebody kept."""
    kept, releases = history
    digests: dict[str, set[tuple[str, str]]] = {}
    # The image of the record: the one that is installed here, or one that is given by an archive beside it.
    for engine, images in ((second_engine, ()), (third_engine, (f"--images={kept / 'image'}",))):
        for release in releases:
            report = tmp_path / "audit"
            call(
                "call",
                f"--built-image={kept / 'image'}",
                "audit",
                f"--tree={release.folder / 'deploy'}",
                f"--materials={release.folder / 'materials'}",
                f"--policy={kept / 'policy.yaml'}",
                f"--trusted-root={kept / 'trusted_root.json'}",
                "--require=equal",
                *images,
                "export",
                f"--path={report}",
                engine=engine,
            )
            found: dict[str, Any] = json.loads((report / "audit.json").read_text())
            assert found["counts"] == {"equal": release.charts, "equivalent": 0, "different": 0, "unknown": 0}
            assert {audit["record"]["revision"] for audit in found["audits"]} == {release.revision}
            made = {(audit["subject"], audit["digest"]) for audit in found["audits"]}
            assert digests.setdefault(release.revision, made) == made
            image = (kept / "image" / "digest").read_text().strip()
            assert {audit["rebuild"]["image"].partition("@")[2] for audit in found["audits"]} == {image}
    # Each commit makes other bytes of every chart: none of these answers was known from the one before.
    every = [{digest for _, digest in made} for made in digests.values()]
    assert len(every) == len(releases)
    assert len(set.union(*every)) == sum(map(len, every))


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
