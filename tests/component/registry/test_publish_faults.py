"""Publishing while something fails: a registry that loses or goes away, a kill at any write, three machines at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from dhallmark.errors import RegistryError

if TYPE_CHECKING:
    from tests.component.registry.conftest import Relay, Staged

pytestmark = pytest.mark.anyio


async def test_a_registry_that_loses_the_fallback_index_is_an_error(
    host_without_api: str, stage: Callable[..., Staged], relay: Callable[[str], Relay]
) -> None:
    staged = stage(host_without_api)
    between = relay(host_without_api)

    def swallow(_number: int, method: str, path: str) -> bytes | None:
        lost = method == "PUT" and "/manifests/sha256-" in path
        return b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" if lost else None

    between.before = swallow
    with pytest.raises(RegistryError, match="kept losing entries"):
        await staged.publish(host=between.host)
    assert set((await staged.tags()).values()) == {None}


async def test_a_kill_at_any_write_leaves_no_unsigned_tag_and_the_next_run_recovers(
    registry_host: str, stage: Callable[..., Staged], relay: Callable[[str], Relay]
) -> None:
    # Once before: a blob that the registry has is not written again, in whichever repository it is.
    await stage(registry_host).publish()
    counted = stage(registry_host)
    between = relay(registry_host)
    await counted.publish(host=between.host)
    total = between.writes
    assert total > 20
    # Every kind of write, and the last ones, among which the tags are, one by one.
    points = sorted({*range(2, total, max(1, total // 6)), *range(total - 3, total + 1)})
    for point in points:
        staged = stage(registry_host)
        between = relay(registry_host)
        process = staged.start(between.host)

        def kill(number: int, *, pid: int = process.pid, at: int = point) -> None:
            if number == at:
                os.kill(pid, signal.SIGKILL)

        # By turns before the registry has the request, and after.
        if point % 2:
            between.before = lambda number, _method, _path, kill=kill: kill(number)  # type: ignore[misc]
        else:
            between.after = kill
        status = await anyio.to_thread.run_sync(process.wait)
        assert status == -signal.SIGKILL, f"write {point} of {total}"
        await staged.signed_tags()
        await staged.publish()
        assert await staged.signed_tags() == 2


async def test_a_registry_that_goes_away_is_an_error_and_the_next_run_recovers(
    serving: Callable[..., AbstractContextManager[str]],
    stage: Callable[..., Staged],
    relay: Callable[[str], Relay],
    tmp_path: Path,
) -> None:
    with serving("distribution", tmp_path / "registry") as host:
        staged = stage(host)
        between = relay(host)
        between.before = lambda number, _method, _path: b"" if number > 25 else None
        with pytest.raises(RegistryError):
            await staged.publish(host=between.host)
        assert not (staged.build / "publish.json").exists()
        await staged.signed_tags()
        await staged.publish()
        assert await staged.signed_tags() == 2


async def test_publishing_from_two_machines_at_once_ends_whole(
    registry_host: str, stage: Callable[..., Staged]
) -> None:
    staged = stage(registry_host)
    processes = [staged.start(registry_host) for _ in range(3)]
    statuses = [await anyio.to_thread.run_sync(process.wait) for process in processes]
    assert statuses == [0, 0, 0]
    assert await staged.signed_tags() == 2
