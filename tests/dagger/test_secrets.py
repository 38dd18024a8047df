"""The token that a release is signed with is nowhere but in the memory of the job that signs."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagger import dag

from dhallmark.lab.session import make_token
from dhallmark.module import Dhallmark, Lab, Released

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]


@contextmanager
def sampled_command_lines() -> Iterator[set[bytes]]:
    """The command lines of all processes of the machine, read again and again until the block ends."""
    seen: set[bytes] = set()
    done = threading.Event()

    def sample() -> None:
        while not done.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue
            time.sleep(0.02)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def files_with(needle: str, *places: Path, since: float) -> list[Path]:
    """The files below `places`, written since then, that hold `needle`."""
    found = []
    for place in places:
        # Not rglob: the engine throws folders away while they are walked, which os.walk takes for empty ones.
        below = (Path(folder) / name for folder, _, names in os.walk(place) for name in names)
        for path in below if place.is_dir() else [place]:
            try:
                status = path.lstat()
                # The change time cannot be set back, as the modification time of an unpacked layer is.
                if stat.S_ISREG(status.st_mode) and status.st_ctime >= since and needle.encode() in path.read_bytes():
                    found.append(path)
            except FileNotFoundError:
                continue
    return found


async def test_a_token_leaves_no_trace(
    module: Dhallmark,
    lab: Lab,
    released: Released,
    project: Path,
    claims: Callable[[Path], dict[str, str]],
    engine_places: tuple[Path, ...],
    session_log: Path,
    tmp_path: Path,
) -> None:
    began = time.time() - 1
    await lab.directory().export(str(tmp_path / "lab"))
    token = make_token(tmp_path / "lab", "github", claims=claims(project))
    secret = tmp_path / "token"
    secret.write_text(token)
    marker = "marker-that-is-no-secret-" + token[-12:].replace("_", "x").replace("-", "y")

    with sampled_command_lines() as command_lines:
        await module.sign(
            source=dag.host().directory(str(project)),
            build=released.build(),
            token=dag.secret(f"file://{secret}"),
            trust_config=lab.trust_config(),
            sigstore=lab.service(),
        )
        image = await module.ci_image()
        await image.with_exec(["sh", "-c", f"echo {marker} | tee /marker; sleep 5"]).file("/marker").sync()

    signature = token.rpartition(".")[2]
    places = (*engine_places, session_log)
    # The search finds what is there: in the state, in the logs, among the command lines.
    assert files_with(marker, *places, since=began)
    assert any(marker.encode() in line for line in command_lines)
    assert files_with(signature, *places, since=began) == []
    assert not [line for line in command_lines if signature.encode() in line]
