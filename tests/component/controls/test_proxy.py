"""The real registry behind the proxy, with and without faults: what is on the wire, and what our own client makes of
it."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from dhallmark.controls.faults import Effect, Fault, Place
from dhallmark.controls.proxy import Aim
from dhallmark.digest import Digest
from dhallmark.errors import RegistryError
from dhallmark.oci.client import DigestMismatchError, Registry
from dhallmark.oci.descriptor import OCI_INDEX, OCI_MANIFEST, fallback_tag

if TYPE_CHECKING:
    from tests.component.controls.conftest import Serve

    from dhallmark.controls.layout import Layout
    from dhallmark.oci.descriptor import Manifest

pytestmark = [pytest.mark.component, pytest.mark.anyio]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def artifact(make_artifact: Any) -> tuple[Layout, Manifest]:  # noqa: ANN401
    made: tuple[Layout, Manifest] = make_artifact()
    made[0].add_fallback_index(made[1].digest)
    return made


async def get(
    host: str, path: str, *, method: str = "GET", read: int | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body (`read` bytes of it), by the standard library's client."""

    def fetch() -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(host, timeout=60)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read(read)
        finally:
            connection.close()

    return await anyio.to_thread.run_sync(fetch)


async def test_without_faults_a_client_finds_all_there_is(serve: Serve, artifact: tuple[Layout, Manifest]) -> None:
    layout, manifest = artifact
    layer = manifest.blobs()[1].digest
    async with serve(layout) as host, Registry(host, plain_http=True) as registry:
        for repository in ("good", "mutant"):
            assert await registry.get_manifest(repository, manifest.digest) == manifest
            assert await registry.resolve(repository, "control") == manifest.digest
            assert await registry.get_blob(repository, layer) == layout.blobs[layer]
            listing = await registry.referrers(repository, manifest.digest)
            assert (listing.complete, listing.source, len(listing.descriptors)) == (True, "api", 4)
            assert len(await registry.bundles(repository, manifest.digest)) == 4
        status, headers, body = await get(host, f"/v2/good/manifests/{manifest.digest}", method="HEAD")
        assert (status, headers["content-length"], body) == (200, str(len(manifest.content)), b"")
        with pytest.raises(RegistryError, match="405"):
            await registry.push_blob("good", b"x")
        assert (await get(host, "/v2/"))[0] == 200
        assert (await get(host, "/v2/other/tags/list"))[0] == 404


async def test_a_false_blob_is_served_under_its_digest_and_only_in_its_repository(
    serve: Serve,
    make_artifact: Any,  # noqa: ANN401
) -> None:
    good, manifest = make_artifact()
    mutant, _ = make_artifact()
    layer = manifest.blobs()[1].digest
    mutant.blobs[layer] = b"other bytes"
    async with serve(mutant, good=good) as host, Registry(host, plain_http=True) as registry:
        assert await registry.get_blob("good", layer) == good.blobs[layer]
        with pytest.raises(DigestMismatchError):
            await registry.get_blob("mutant", layer)


CHALLENGE = {"WWW-Authenticate": 'Bearer realm="{origin}/token",service="x"'}
AWAY = {"Location": "http://192.0.2.1/elsewhere"}
LOOP = {"Location": "{origin}/v2/mutant/tags/list"}
UNHAD = [
    (Effect.STATUS, {"status": 401}, "401"),
    (Effect.STATUS, {"status": 401, "headers": CHALLENGE}, "401"),
    (Effect.STATUS, {"status": 303, "headers": AWAY}, "303"),
    (Effect.STATUS, {"status": 303, "headers": LOOP}, "303"),
    (Effect.STATUS, {"status": 403}, "403"),
    (Effect.STATUS, {"status": 429}, "429"),
    (Effect.STATUS, {"status": 500}, "500"),
    (Effect.STATUS, {"status": 503}, "503"),
    (Effect.GARBAGE, {}, "incomplete"),
    (Effect.EMPTY, {}, "incomplete"),
    (Effect.CONTENT_TYPE, {}, "text/html"),
    (Effect.SLOW, {}, "in time|too long"),
    (Effect.NEVER, {}, "in time"),
    (Effect.RESET, {}, "reached|cut off"),
    (Effect.CUT_OFF, {}, "cut off"),
    (Effect.ENDLESS, {}, "longer than"),
    (Effect.PAGE_LOST, {}, "500"),
    (Effect.PAGES_LOOP, {}, "do not end"),
    (Effect.PAGES_ENDLESS, {}, "do not end"),
    (Effect.CROWDED, {"count": 5000}, "more than 2000"),
]


@pytest.mark.parametrize(("effect", "more", "said"), UNHAD)
async def test_a_listing_that_cannot_be_had_whole_is_never_taken_for_an_empty_one(
    serve: Serve, artifact: tuple[Layout, Manifest], effect: Effect, more: dict[str, Any], said: str
) -> None:
    layout, manifest = artifact
    fault = Fault(place=Place.REFERRERS, effect=effect, **more)
    # Little patience with what never ends; with the others as much as a busy machine may ask for.
    limits: dict[str, Any] = {"timeout": 0.5, "deadline": 1.5} if effect in {Effect.SLOW, Effect.NEVER} else {}
    async with serve(layout, faults=[fault]) as host:
        async with Registry(host, plain_http=True, **limits) as registry:
            with pytest.raises(RegistryError, match=said):
                await registry.bundles("mutant", manifest.digest)
        async with Registry(host, plain_http=True) as registry:
            assert len(await registry.bundles("good", manifest.digest)) == 4


async def test_where_there_is_no_listing_the_fallback_index_is_read(
    serve: Serve, artifact: tuple[Layout, Manifest]
) -> None:
    layout, manifest = artifact
    async with (
        serve(layout, faults=[Fault(place=Place.REFERRERS, effect=Effect.STATUS, status=404)]) as host,
        Registry(host, plain_http=True) as registry,
    ):
        listing = await registry.referrers("mutant", manifest.digest)
        assert (listing.complete, listing.source, len(listing.descriptors)) == (True, "index", 4)


async def test_a_failure_that_passes_is_asked_again(serve: Serve, artifact: tuple[Layout, Manifest]) -> None:
    layout, manifest = artifact
    fault = Fault(place=Place.REFERRERS, effect=Effect.STATUS, status=503, headers={"Retry-After": "0"}, times=1)
    async with serve(layout, faults=[fault]) as host, Registry(host, plain_http=True) as registry:
        assert len(await registry.bundles("mutant", manifest.digest)) == 4


async def test_a_tag_moves_between_two_requests(serve: Serve, artifact: tuple[Layout, Manifest]) -> None:
    layout, manifest = artifact
    moved = next(digest for digest in layout.manifests if digest != manifest.digest)
    layout.tags["moved"] = moved
    fault = Fault(place=Place.TAG, effect=Effect.INSTEAD, instead="moved", skip=1)
    async with serve(layout, faults=[fault]) as host, Registry(host, plain_http=True) as registry:
        found = [await registry.resolve("mutant", "control") for _ in range(3)]
        assert found == [manifest.digest, moved, moved]
        assert await registry.resolve("good", "control") == manifest.digest


async def test_what_is_on_the_wire(serve: Serve, artifact: tuple[Layout, Manifest]) -> None:
    """What our own client hides: for consumers that look at it."""
    layout, manifest = artifact
    path, index = f"/v2/mutant/manifests/{manifest.digest}", f"/v2/mutant/manifests/{fallback_tag(manifest.digest)}"
    layer = f"/v2/mutant/blobs/{manifest.blobs()[1].digest}"
    faults = [
        Fault(place=Place.MANIFEST, effect=Effect.DIGEST_HEADER, times=1),
        Fault(place=Place.MANIFEST, effect=Effect.CONTENT_TYPE, skip=1, times=1),
        Fault(place=Place.MANIFEST, effect=Effect.EMPTY, skip=2, times=1),
        Fault(place=Place.FALLBACK, effect=Effect.CROWDED, count=7),
        Fault(place=Place.BLOB, effect=Effect.SLOW, times=1),
        Fault(place=Place.BLOB, effect=Effect.CUT_OFF, skip=1, times=1),
        Fault(place=Place.BLOB, effect=Effect.ENDLESS, skip=2),
        Fault(place=Place.TAGS, effect=Effect.STATUS, status=401, headers=CHALLENGE),
    ]
    async with serve(layout, faults=faults) as host:
        status, headers, body = await get(host, path)
        assert (status, body) == (200, manifest.content)
        assert headers["docker-content-digest"] == "sha256:" + "0" * 64
        assert (await get(host, path))[1]["content-type"].startswith("text/html")
        status, headers, body = await get(host, path)
        assert (status, headers["content-type"], body) == (200, OCI_MANIFEST, b"")
        status, headers, body = await get(host, index)
        assert (headers["content-type"], len(json.loads(body)["manifests"])) == (OCI_INDEX, 11)
        started = time.monotonic()
        assert (await get(host, layer, read=2))[2] == b"a "
        assert time.monotonic() - started > 0.9
        with pytest.raises(http.client.IncompleteRead):
            await get(host, layer)
        assert len((await get(host, layer, read=3_000_000))[2]) == 3_000_000
        status, headers, _ = await get(host, "/v2/mutant/tags/list")
        assert (status, headers["www-authenticate"]) == (401, f'Bearer realm="http://{host}/token",service="x"')


@pytest.mark.parametrize(
    ("target", "aim"),
    [
        ("/v2/", None),
        ("/v2/a/b/manifests/1.0", Aim("a/b", Place.TAG, "1.0")),
        (f"/v2/a/manifests/sha256:{'a' * 64}?x", Aim("a", Place.MANIFEST, f"sha256:{'a' * 64}")),
        (f"/v2/a/manifests/sha256-{'a' * 64}", Aim("a", Place.FALLBACK, f"sha256-{'a' * 64}")),
        (f"/v2/a/manifests/sha256-{'a' * 64}.sig", Aim("a", Place.LEGACY, f"sha256-{'a' * 64}.sig")),
        (f"/v2/a/referrers/{Digest.of(b'')}?artifactType=x", Aim("a", Place.REFERRERS, Digest.of(b""))),
        ("/v2/a/tags/list?n=5", Aim("a", Place.TAGS, "list")),
        ("/v2/a/blobs/x", Aim("a", Place.BLOB, "x")),
    ],
)
async def test_requests_are_told_apart_by_their_path(target: str, aim: Aim | None) -> None:
    assert Aim.of(target) == aim


async def test_what_is_no_request_ends_its_connection_and_nothing_else(
    serve: Serve, artifact: tuple[Layout, Manifest]
) -> None:
    layout, _ = artifact
    async with serve(layout) as host:
        name, _, port = host.partition(":")
        for junk in (b"\r\n\r\n", b"GET\r\n\r\n", b"x" * 100_000):
            async with await anyio.connect_tcp(name, int(port)) as stream:
                await stream.send(junk)
                with anyio.fail_after(60), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    while True:
                        await stream.receive()
        assert (await get(host, "/v2/"))[0] == 200
