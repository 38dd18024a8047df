"""A proxy before a real registry that makes the faults which a control declares.

What it does not hit it hands on as it is, so the same path serves the good artifact and the mutant. It reads GET and
HEAD alone, and holds one answer in memory.
Source: OCI distribution-spec 1.1; RFC 9112 for what is wrong in a message on purpose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.abc
from anyio.abc import SocketAttribute, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from dhallmark import strictjson
from dhallmark.controls.faults import Effect, Fault, Place
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.oci.descriptor import OCI_INDEX

_PATH: Final = re.compile(
    r"/v2/(?P<repository>[a-z0-9/._-]+)/(?P<kind>manifests|blobs|referrers|tags)/(?P<reference>[^/?]+)"
)
_FALLBACK: Final = re.compile(r"sha256-[0-9a-f]{64}")
_LEGACY: Final = re.compile(r"sha256-[0-9a-f]{64}\.[a-z]+")
_MAX_HEAD: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
_SECOND: Final = 1.0
_GARBAGE: Final = bytes(range(256)) * 4
_WRONG_DIGEST: Final = "sha256:" + "0" * 64
_CLOSED: Final = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead)
_PAGE: Final = "dhallmark-page"
"""The query of pages that a fault invents."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, as far as it matters here."""

    method: str
    target: str
    """Path and query."""
    accept: str
    host: str

    @property
    def page(self) -> int:
        """Which of the invented pages it asks for, from 1."""
        asked = parse_qs(urlsplit(self.target).query).get(_PAGE, ["1"])[0]
        return int(asked) if asked.isascii() and asked.isdigit() else 1


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as a whole."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case; without the length, which follows from the body."""
    body: bytes
    length: int | None = None
    """Where the answer is to HEAD: the length of the body that is not there."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What a request is about."""

    repository: str
    place: Place
    reference: str

    @classmethod
    def of(cls, target: str) -> Aim | None:
        """None for a path that is about no repository."""
        match = _PATH.fullmatch(target.partition("?")[0])
        if match is None:
            return None
        reference = match["reference"]
        place = {"blobs": Place.BLOB, "referrers": Place.REFERRERS, "tags": Place.TAGS}.get(match["kind"])
        if place is None:
            if reference.startswith("sha256:"):
                place = Place.MANIFEST
            elif _FALLBACK.fullmatch(reference):
                place = Place.FALLBACK
            else:
                place = Place.LEGACY if _LEGACY.fullmatch(reference) else Place.TAG
        return cls(match["repository"], place, reference)


@dataclass(slots=True, kw_only=True)
class Proxy:
    """Hands requests on to the registry on port `upstream` of loopback, and makes `faults` in one repository."""

    upstream: int
    repository: str
    """The repository that faults are made in."""
    faults: Sequence[Fault] = ()
    blobs: Mapping[Digest, bytes] = field(default_factory=dict)
    """What is served there under digests of other bytes."""
    tags: Mapping[str, Digest] = field(default_factory=dict)
    """The tags there, for faults that answer with something else."""
    _seen: dict[int, int] = field(default_factory=dict)

    async def serve(self, port: int, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve on `port` of loopback, a free one where it is 0, until cancelled; starts with the port's number."""
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener:
            task_status.started(int(listener.extra(SocketAttribute.local_port)))  # noqa: S610  (anyio's, not Django's)
            await listener.serve(self._connection)

    async def _connection(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            buffered = BufferedByteReceiveStream(stream)
            try:
                while await self._exchange(buffered, stream):
                    pass
            except (*_CLOSED, anyio.DelimiterNotFound, ValueError):
                return

    async def _exchange(self, receiving: BufferedByteReceiveStream, stream: anyio.abc.SocketStream) -> bool:
        """One request and its answer. False where the connection is of no more use."""
        head = await receiving.receive_until(b"\r\n\r\n", _MAX_HEAD)
        line, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
        if method not in ("GET", "HEAD"):
            await _send(stream, _error(HTTPStatus.METHOD_NOT_ALLOWED), head_only=False)
            return False
        request = Request(method, target, headers.get("accept", "*/*"), headers.get("host", "127.0.0.1"))
        fault = self._fault(Aim.of(target))
        if fault is None:
            await _send(stream, await self._fetch(request), head_only=method == "HEAD")
            return headers.get("connection", "").lower() != "close"
        return await self._harm(fault, request, receiving, stream)

    def _fault(self, aim: Aim | None) -> Fault | None:
        """The first fault that hits a request about `aim`; each counts the requests of its kind."""
        if aim is None or aim.repository != self.repository:
            return None
        hit = None
        for number, fault in enumerate(self.faults):
            if fault.place not in (Place.ANY, aim.place):
                continue
            before = self._seen.get(number, 0)
            self._seen[number] = before + 1
            if before >= fault.skip and (fault.times is None or before < fault.skip + fault.times):
                hit = hit or fault
        return hit

    async def _harm(
        self, fault: Fault, request: Request, receiving: BufferedByteReceiveStream, stream: anyio.abc.SocketStream
    ) -> bool:
        """Answer with the fault. False where the connection ends with it."""
        if fault.effect is Effect.NEVER:
            await receiving.receive_exactly(1)  # until the client goes
            return False
        if fault.effect is Effect.RESET:
            return False
        if fault.effect is Effect.INSTEAD:
            request = replace(request, target=self._instead(request.target, fault.instead))
        answer = await self._fetch(request)
        if fault.effect in _TRANSPORTS:
            await _TRANSPORTS[fault.effect](stream, answer, request.method == "HEAD")
            return False
        await _send(stream, _CHANGES[fault.effect](answer, fault, request), head_only=request.method == "HEAD")
        return True

    def _instead(self, target: str, tag: str) -> str:
        aim = Aim.of(target)
        digest = self.tags.get(tag)
        if aim is None or digest is None:
            return target
        return target.replace(aim.reference, digest, 1)

    async def _fetch(self, request: Request) -> Answer:
        """What the registry says, or what stands in for it under a false digest."""
        aim = Aim.of(request.target)
        if aim is not None and aim.repository == self.repository and aim.place is Place.BLOB:
            for digest, content in self.blobs.items():
                if digest == aim.reference:
                    return Answer(HTTPStatus.OK, {"content-type": "application/octet-stream"}, content)
        try:
            return await _ask(self.upstream, request)
        except (OSError, *_CLOSED, anyio.DelimiterNotFound, ValueError):
            return _error(HTTPStatus.BAD_GATEWAY)


async def _ask(port: int, request: Request) -> Answer:
    """Send a request to the registry; HTTP/1.0, so that the answer ends with its connection."""
    text = f"{request.method} {request.target} HTTP/1.0\r\nHost: {request.host}\r\nAccept: {request.accept}\r\n\r\n"
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(text.encode("latin-1"))
        buffered = BufferedByteReceiveStream(stream)
        head = await buffered.receive_until(b"\r\n\r\n", _MAX_HEAD)
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        length = headers.pop("content-length", None)
        body = bytearray()
        try:
            while True:
                body += await buffered.receive()
        except anyio.EndOfStream:
            pass
    if request.method == "GET" and length is not None and int(length) != len(body):
        raise ValueError("the registry's answer was cut off")
    kept = {name: value for name, value in headers.items() if name not in ("connection", "date")}
    return Answer(int(status.split()[1]), kept, bytes(body), int(length or 0) if request.method == "HEAD" else None)


def _error(status: int) -> Answer:
    code = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NOT_FOUND", 429: "TOOMANYREQUESTS"}.get(status, "UNKNOWN")
    body = strictjson.dump_compact({"errors": [{"code": code, "message": "a fault on purpose"}]})
    return Answer(status, {"content-type": "application/json"}, body)


async def _send(stream: anyio.abc.SocketStream, answer: Answer, *, head_only: bool) -> None:
    length = len(answer.body) if answer.length is None else answer.length
    # In one packet: written in two, the second waits 40 ms for the first one's acknowledgement.
    await stream.send(_head(answer, {"content-length": str(length)}) + (b"" if head_only else answer.body))


def _head(answer: Answer, more: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in {**answer.headers, **more}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


# Effects on an answer as a whole


def _status(_: Answer, fault: Fault, request: Request) -> Answer:
    answer = _error(fault.status)
    origin = f"http://{request.host}"
    headers = {
        name.lower(): value.replace("{origin}", origin).replace("{target}", request.target)
        for name, value in fault.headers.items()
    }
    return replace(answer, headers={**answer.headers, **headers})


def _garbage(answer: Answer, _: Fault, __: Request) -> Answer:
    return Answer(HTTPStatus.OK, _type_of(answer), _GARBAGE)


def _empty(answer: Answer, _: Fault, __: Request) -> Answer:
    return Answer(HTTPStatus.OK, _type_of(answer), b"")


def _content_type(answer: Answer, _: Fault, __: Request) -> Answer:
    return replace(answer, headers={**answer.headers, "content-type": "text/html; charset=utf-8"})


def _digest_header(answer: Answer, _: Fault, __: Request) -> Answer:
    return replace(answer, headers={**answer.headers, "docker-content-digest": _WRONG_DIGEST})


def _page_lost(answer: Answer, _: Fault, request: Request) -> Answer:
    if request.page > 1:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR)
    listed = _listed(answer)
    return _linked(_listing(answer, listed[: len(listed) // 2]), request, page=2)


def _pages_loop(answer: Answer, _: Fault, request: Request) -> Answer:
    return _linked(answer, request, page=request.page)


def _pages_endless(answer: Answer, _: Fault, request: Request) -> Answer:
    return _linked(answer, request, page=request.page + 1)


def _crowded(answer: Answer, fault: Fault, _: Request) -> Answer:
    invented = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": str(Digest.of(f"referrer {number}".encode())),
            "size": 700,
            "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        }
        for number in range(fault.count)
    ]
    return _listing(answer, [*_listed(answer), *invented])


def _as_it_is(answer: Answer, _: Fault, __: Request) -> Answer:
    return answer


_CHANGES: Final[Mapping[Effect, Callable[[Answer, Fault, Request], Answer]]] = MappingProxyType(
    {
        Effect.STATUS: _status,
        Effect.GARBAGE: _garbage,
        Effect.EMPTY: _empty,
        Effect.CONTENT_TYPE: _content_type,
        Effect.DIGEST_HEADER: _digest_header,
        Effect.PAGE_LOST: _page_lost,
        Effect.PAGES_LOOP: _pages_loop,
        Effect.PAGES_ENDLESS: _pages_endless,
        Effect.CROWDED: _crowded,
        Effect.INSTEAD: _as_it_is,
    }
)


def _type_of(answer: Answer) -> Mapping[str, str]:
    return {"content-type": answer.headers.get("content-type", "application/octet-stream")}


def _listed(answer: Answer) -> list[Any]:
    try:
        listed = strictjson.parse(answer.body, what="listing")["manifests"]
    except (FormatError, KeyError, TypeError):
        return []
    return listed if isinstance(listed, list) else []


def _listing(answer: Answer, manifests: Sequence[Any]) -> Answer:
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests)}).encode()
    return Answer(HTTPStatus.OK, {**answer.headers, "content-type": OCI_INDEX}, body)


def _linked(answer: Answer, request: Request, *, page: int) -> Answer:
    path = request.target.partition("?")[0]
    return replace(answer, headers={**answer.headers, "link": f'<{path}?{_PAGE}={page}>; rel="next"'})


# Effects on how an answer is sent; the connection ends with each


async def _slow(stream: anyio.abc.SocketStream, answer: Answer, head_only: bool) -> None:  # noqa: FBT001
    await stream.send(_head(answer, {"content-length": str(len(answer.body))}))
    for byte in b"" if head_only else answer.body:
        await stream.send(bytes([byte]))
        await anyio.sleep(_SECOND)


async def _cut_off(stream: anyio.abc.SocketStream, answer: Answer, head_only: bool) -> None:  # noqa: FBT001
    half = b"" if head_only else answer.body[: len(answer.body) // 2]
    await stream.send(_head(answer, {"content-length": str(len(answer.body))}) + half)


async def _endless(stream: anyio.abc.SocketStream, answer: Answer, head_only: bool) -> None:  # noqa: FBT001
    await stream.send(_head(answer, {"transfer-encoding": "chunked"}))
    chunk = answer.body
    while not head_only:
        if chunk:
            await stream.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        chunk = b" " * _CHUNK


_TRANSPORTS: Final[Mapping[Effect, Callable[[anyio.abc.SocketStream, Answer, bool], Awaitable[None]]]] = (
    MappingProxyType({Effect.SLOW: _slow, Effect.CUT_OFF: _cut_off, Effect.ENDLESS: _endless})
)
