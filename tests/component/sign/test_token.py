"""The token service of GitHub Actions and Fulcio's refusals, over HTTP on loopback and with the real Fulcio."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import pytest

from dhallmark.errors import SigningError
from dhallmark.lab.session import Lab
from dhallmark.sign.token import GitHubSource, IdToken, check_token, choose_source, explain_refusal, obtain_token

BEARER = "bearer-of-the-job"

Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def service(answer: Callable[[BaseHTTPRequestHandler, int], Answer | None]) -> Iterator[str]:
    """A token service on loopback that answers request number N as `answer` says; None drops the connection."""
    count = iter(range(100))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = answer(self, next(count))
            if given is None:
                self.connection.close()
                return
            status, headers, body = given
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/secret-path?api-version=2.0"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fetch(url: str, *, timeout: float = 10) -> IdToken:
    async def run() -> IdToken:
        return await obtain_token(GitHubSource(url, BEARER, timeout=timeout, retry_delay=0.01))

    return anyio.run(run)


def good(lab: Lab) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps({"count": 1, "value": lab.token()}).encode()


def test_the_request_is_as_github_documents_it(lab: Lab) -> None:
    seen: list[tuple[str, str | None]] = []

    def answer(request: BaseHTTPRequestHandler, number: int) -> Answer:
        seen.append((request.path, request.headers.get("Authorization")))
        return good(lab)

    with service(answer) as url:
        token = fetch(url)
    assert token.issuer == "https://token.actions.githubusercontent.com"
    assert seen == [("/secret-path?api-version=2.0&audience=sigstore", f"bearer {BEARER}")]


@pytest.mark.parametrize("fault", [(500, {}, b"oops"), (503, {}, b""), None])
def test_a_passing_fault_is_tried_again(lab: Lab, fault: Answer | None) -> None:
    with service(lambda _, number: good(lab) if number == 2 else fault) as url:
        assert fetch(url).subject == "repo:acme/platform:ref:refs/heads/main"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, {}, b"oops"), "failed 3 times, last: HTTP status 500"),
        (None, "failed 3 times, last: no answer (ProtocolError)"),
        ((401, {}, b'{"message": "bearer-of-the-job"}'), "HTTP status 401"),
        ((403, {}, b""), "HTTP status 403"),
        ((404, {}, b""), "HTTP status 404"),
        ((200, {}, b"<html>"), 'something else than {"value": token}'),
        ((200, {}, b""), 'something else than {"value": token}'),
        ((200, {}, b"[]"), 'something else than {"value": token}'),
        ((200, {}, b'{"value": null}'), 'something else than {"value": token}'),
        ((200, {}, b'{"value": ""}'), "empty: no OIDC token"),
        ((200, {}, b'{"value": "x"}'), "does not hold an OIDC token"),
        ((200, {}, b'{"value": "e30.e30.e30"}'), "lacks iss"),
        ((200, {}, b" " * (2 << 20)), "more than 1 MiB"),
    ],
)
def test_a_fault_that_stays_is_named_without_a_secret(answer: Answer | None, message: str) -> None:
    with service(lambda *_: answer) as url, pytest.raises(SigningError) as caught:
        fetch(url)
    assert message in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert BEARER not in shown
    assert "secret-path" not in shown


def test_a_redirect_is_not_followed_with_the_bearer(lab: Lab) -> None:
    seen: list[str] = []

    def elsewhere(request: BaseHTTPRequestHandler, number: int) -> Answer:
        seen.append(request.path)
        return good(lab)

    with (
        service(elsewhere) as other,
        service(lambda *_: (302, {"Location": other}, b"")) as url,
        pytest.raises(SigningError, match="HTTP status 302"),
    ):
        fetch(url)
    assert seen == []


@pytest.mark.parametrize("drip", [False, True])
def test_a_slow_service_costs_no_more_than_the_time_limit(drip: bool) -> None:  # noqa: FBT001
    done = threading.Event()

    def answer(request: BaseHTTPRequestHandler, number: int) -> Answer | None:
        if drip:
            # Always a byte before the limit of one read is over.
            request.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not done.wait(0.1):
                request.wfile.write(b"X: y\r\n")
        done.wait(60)
        return None

    start = time.monotonic()
    try:
        with service(answer) as url, pytest.raises(SigningError, match=r"did not answer within 0\.5 s"):
            fetch(url, timeout=0.5)
        assert time.monotonic() - start < 30
    finally:
        done.set()


def test_the_lab_plays_a_github_job(lab: Lab) -> None:
    async def run() -> IdToken:
        source = choose_source(environment=lab.github_job(claims={"repository": "acme/other"}))
        return await obtain_token(source)

    assert lab.call(anyio.run, run).claims["repository"] == "acme/other"


def test_the_lab_refuses_another_jobs_bearer(lab: Lab) -> None:
    async def run() -> IdToken:
        job = lab.github_job() | {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "other"}
        return await obtain_token(choose_source(environment=job))

    with pytest.raises(SigningError, match="HTTP status 401"):
        lab.call(anyio.run, run)


def test_the_lab_plays_a_gitlab_job(lab: Lab) -> None:
    async def run() -> IdToken:
        return await obtain_token(choose_source(environment=lab.gitlab_job()))

    assert anyio.run(run).issuer == "https://gitlab.com"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda lab: lab.token(claims={"iss": "https://stranger.test"}), "it takes tokens of https://accounts"),
        (lambda lab: lab.token(signed_by="gitlab"), "though issuer, audience and times are right"),
        (lambda lab: lab.token("email", claims={"email_verified": False}), "not verified (email_verified)"),
    ],
)
def test_fulcios_refusal_is_explained(lab: Lab, make: Callable[[Lab], str], message: str) -> None:
    token = check_token(make(lab))
    fulcio = lab.model.fulcio_url("main")
    body = json.dumps({"publicKeyRequest": {}, "credentials": {"oidcIdentityToken": token.reveal()}})
    refusal = lab.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", "@-", f"{fulcio}/api/v2/signingCert"], stdin=body
    )
    assert refusal.stdout in ("400", "401")
    error = lab.call(anyio.run, lambda: explain_refusal(token, fulcio=fulcio))
    assert message in str(error)
    assert token.reveal() not in str(error)


def test_a_refusal_for_the_audience_is_explained_by_fulcios_own(lab: Lab) -> None:
    token = check_token(lab.token(claims={"aud": "other"}), audience="other")
    error = lab.call(anyio.run, lambda: explain_refusal(token, fulcio=lab.model.fulcio_url("main")))
    assert "for the audience 'other', not for 'sigstore'" in str(error)


def test_a_fulcio_that_does_not_answer_leaves_the_refusal_unexplained(lab: Lab) -> None:
    token = check_token(lab.token())
    error = lab.call(anyio.run, lambda: explain_refusal(token, fulcio="http://localhost:1"))
    assert "does not say which issuers it takes" in str(error)


def test_a_clock_that_differs_is_named(lab: Lab) -> None:
    token = check_token(lab.token())
    entry = {"issuerUrl": token.issuer, "audience": "sigstore"}

    def answer(request: BaseHTTPRequestHandler, _number: int) -> Answer:
        request.date_time_string = lambda *_: "Mon, 01 Jan 2024 00:00:00 GMT"  # type: ignore[method-assign]
        return 200, {}, json.dumps({"issuers": [entry]}).encode()

    with service(answer) as url:
        error = anyio.run(lambda: explain_refusal(token, fulcio=url.partition("/secret")[0]))
    assert "its clock differs from this machine's by -" in str(error)


@pytest.mark.parametrize(
    ("wildcard", "message"),
    [
        ("https://token.actions.githubusercontent.com/*", "are right"),
        ("https://token.actions.githubusercontent.com/", "it takes tokens of"),
        ("https://*.githubusercontent.com/other-enterprise", "it takes tokens of"),
    ],
)
def test_a_wildcard_issuer_is_known(lab: Lab, wildcard: str, message: str) -> None:
    token = check_token(lab.token("github-other"))
    body = json.dumps({"issuers": [{"wildcardIssuerUrl": wildcard, "audience": "sigstore"}]}).encode()
    with service(lambda *_: (200, {}, body)) as url:
        error = anyio.run(lambda: explain_refusal(token, fulcio=url.partition("/secret")[0]))
    assert message in str(error)
