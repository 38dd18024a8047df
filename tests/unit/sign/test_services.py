"""The limits on the services that a signature needs, against servers with faults that real ones do not show."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from dhallmark.errors import SigningError
from dhallmark.sign.services import _LimitedAdapter, _Log, _Timestamper, describe


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler, int], None]) -> Iterator[tuple[str, list[int]]]:
    """A server whose n-th request is given to `answer`; its URL, and the numbers of the requests so far."""
    seen: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(len(seen) + 1)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self, seen[-1])

        def log_message(self, *_: object) -> None:
            """Quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}", seen
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def status(code: int) -> Callable[[BaseHTTPRequestHandler, int], None]:
    def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "2")
        handler.send_header("Retry-After", "3600")
        handler.end_headers()
        handler.wfile.write(b"{}")

    return answer


class Client:
    """Shaped like sigstore-python's clients: a session for each thread, and no limit of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def create_entry(self, request: Any) -> Any:  # noqa: ANN401
        response = self._session.post(self.url, json=request)
        response.raise_for_status()
        return response.json()

    request_timestamp = create_entry

    def other(self) -> str:
        return "kept"


@pytest.mark.parametrize(
    ("wrapper", "call", "message"),
    [(_Log, "create_entry", "took no entry"), (_Timestamper, "request_timestamp", "gave no timestamp")],
)
def test_a_service_that_never_answers_is_given_up(wrapper: type, call: str, message: str) -> None:
    released = threading.Event()

    def hang(_: BaseHTTPRequestHandler, __: int) -> None:
        released.wait(60)

    with server(hang) as (url, seen):
        started = time.monotonic()
        with pytest.raises(SigningError, match=message) as caught:
            getattr(wrapper(Client(url), 0.3), call)({})
        assert time.monotonic() - started < 30
        released.set()
    assert len(seen) == 1, "what was sent and not answered is not sent again"
    assert url in caught.value.message
    assert "timed out" in caught.value.message


@pytest.mark.parametrize("code", [429, 502, 503, 504])
def test_a_passing_fault_is_tried_again_without_an_hours_patience(code: int) -> None:
    def recovering(handler: BaseHTTPRequestHandler, number: int) -> None:
        status(code if number == 1 else 200)(handler, number)

    with server(recovering) as (url, seen):
        assert _Log(Client(url), 5).create_entry({}) == {}
    assert len(seen) == 2


@pytest.mark.parametrize("code", [400, 401, 500])
def test_a_lasting_fault_is_not_tried_again(code: int) -> None:
    with server(status(code)) as (url, seen), pytest.raises(SigningError, match=str(code)):
        _Log(Client(url), 5).create_entry({})
    assert len(seen) == 1


def test_a_passing_fault_that_lasts_is_an_error() -> None:
    with server(status(503)) as (url, seen), pytest.raises(SigningError, match="503"):
        _Log(Client(url), 5).create_entry({})
    assert len(seen) == 4


def test_nobody_listening_is_an_error_with_the_url() -> None:
    with server(status(200)) as (url, _):
        pass
    with pytest.raises(SigningError, match=url):
        _Timestamper(Client(url), 5).request_timestamp(b"x")


def test_the_log_is_otherwise_the_client_itself() -> None:
    log = _Log(Client("http://127.0.0.1:1"), 5)
    assert (log.other(), log.url) == ("kept", "http://127.0.0.1:1")


def test_an_explicit_limit_of_a_request_stands() -> None:
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", _LimitedAdapter(30))
    released = threading.Event()

    def hang(_: BaseHTTPRequestHandler, __: int) -> None:
        released.wait(60)

    with server(hang) as (url, _):
        started = time.monotonic()
        with pytest.raises(requests.Timeout):
            session.post(url, timeout=0.3)
        assert time.monotonic() - started < 30
        released.set()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 1000), "x" * 500),
    ],
)
def test_an_error_is_described_in_a_line(error: Exception, text: str) -> None:
    assert describe(error) == text


def test_an_empty_error_is_described_by_its_cause() -> None:
    outer = ValueError()
    outer.__cause__ = OSError("connection reset")
    assert describe(outer) == "connection reset"
