"""What is read from a token before Fulcio sees it, and where one is looked for."""

from __future__ import annotations

import base64
import json
import os
import pickle
import re
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import SigningError, UsageError
from dhallmark.sign.token import (
    DescriptorSource,
    FileSource,
    GitHubSource,
    IdToken,
    TokenSource,
    VariableSource,
    check_token,
    choose_source,
    obtain_token,
)

NOW = 1_800_000_000.0
GOOD: dict[str, object] = {
    "iss": "https://token.actions.githubusercontent.com",
    "sub": "repo:acme/platform:ref:refs/heads/main",
    "aud": "sigstore",
    "iat": NOW - 10,
    "nbf": NOW - 10,
    "exp": NOW + 290,
}
GITLAB = {"iss": "https://gitlab.com", "pipeline_source": "push"}


def make(**changes: object) -> str:
    claims = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    return jwt.PyJWS().encode(json.dumps(claims).encode(), "k" * 32, algorithm="HS256")


def test_a_good_token_says_who_and_until_when() -> None:
    token = check_token(make(), now=NOW)
    assert token.issuer == GOOD["iss"]
    assert token.subject == GOOD["sub"]
    assert token.expires.timestamp() == NOW + 290
    assert token.reveal() == make()


@pytest.mark.parametrize(
    ("changes", "audience", "message", "hint"),
    [
        ({"aud": "https://github.com/acme"}, "sigstore", "'https://github.com/acme', not for 'sigstore'", "getIDToken"),
        ({"aud": ["a", "b"]}, "sigstore", "'a', 'b', not for 'sigstore'", "getIDToken('sigstore')"),
        ({"aud": "x"} | GITLAB, "sigstore", "for the audience 'x'", "id_tokens: {SIGSTORE_ID_TOKEN: {aud: sigstore}}"),
        ({"aud": "x", "iss": "https://idp.example"}, "sigstore", "for the audience 'x'", "audience 'sigstore'"),
        ({}, "private-fulcio", "for the audience 'sigstore', not for 'private-fulcio'", "private-fulcio"),
        ({"aud": 7}, "sigstore", "for the audience '7'", "getIDToken"),
        ({"exp": NOW - 312}, "sigstore", "expired 312 s ago (2027-01-15T07:54:48+00:00)", "when signing starts"),
        ({"exp": NOW}, "sigstore", "expired 0 s ago", "when signing starts"),
        ({"nbf": NOW + 40}, "sigstore", "valid only in 40 s", "clock"),
        ({"nbf": ..., "iat": NOW + 40}, "sigstore", "valid only in 40 s", "clock"),
        ({"exp": "soon"}, "sigstore", "claim exp is not a time", None),
        ({"exp": True}, "sigstore", "claim exp is not a time", None),
        ({"exp": 1e300}, "sigstore", "claim exp is not a time", None),
        ({"nbf": [NOW]}, "sigstore", "claim nbf is not a time", None),
        ({"sub": ...}, "sigstore", "lacks sub", "no access token"),
        ({"iss": ..., "aud": ..., "iat": None}, "sigstore", "lacks iss, aud, iat", "no access token"),
        ({"sub": 12}, "sigstore", "claim sub is not text", None),
    ],
)
def test_what_fulcio_would_refuse_is_named(
    changes: dict[str, object], audience: str, message: str, hint: str | None
) -> None:
    with pytest.raises(SigningError, match=re.escape(message)) as caught:
        check_token(make(**changes), audience=audience, now=NOW)
    if hint is None:
        assert caught.value.hint is None
    else:
        assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("changes", [{"aud": ["other", "sigstore"]}, {"nbf": NOW + 4}, {"nbf": ..., "exp": NOW + 1}])
def test_what_fulcio_takes_passes(changes: dict[str, object]) -> None:
    assert check_token(make(**changes), now=NOW).issuer == GOOD["iss"]


@pytest.mark.parametrize(
    "raw", ["a.b.c", "e30.W10.x", "e30.eyJhIjoxLCJhIjoyfQ.x", "e30._____.x", "e30.////.x", "", "x"]
)
def test_what_is_no_token_is_refused(raw: str) -> None:
    with pytest.raises(SigningError):
        check_token(raw, now=NOW)


@given(st.text())
def test_any_text_gives_a_token_or_a_signing_error(raw: str) -> None:
    with suppress(SigningError):
        check_token(raw, now=NOW)


@pytest.mark.parametrize("changes", [{"exp": 1.0}, {"aud": "other"}, {"sub": ...}, {"iss": 5}])
def test_the_token_is_in_no_message_and_no_traceback(changes: dict[str, object]) -> None:
    raw = make(**changes)
    with pytest.raises(SigningError) as caught:
        check_token(raw, now=NOW)
    assert caught.value.__context__ is None
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value.to_json())
    _, payload, signature = raw.split(".")
    assert payload not in shown
    assert signature not in shown


def test_a_payload_that_cannot_be_read_is_not_quoted() -> None:
    payload = base64.urlsafe_b64encode(b'{"email": "someone@example.com", "email": 2}').decode().rstrip("=")
    with pytest.raises(SigningError) as caught:
        check_token(f"e30.{payload}.e30", now=NOW)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_a_token_prints_without_itself() -> None:
    token = check_token(make(), now=NOW)
    shown = f"{token!r} {token} {[token]}"
    assert shown.count("<IdToken of https://token.actions.githubusercontent.com for repo:acme/platform") == 3
    assert not set(make().split(".")) & set(re.split(r"\W", shown))


def test_a_token_cannot_be_stored() -> None:
    with pytest.raises(TypeError, match="not to be stored"):
        pickle.dumps(check_token(make(), now=NOW))


def _file(folder: Path, content: bytes) -> TokenSource:
    (folder / "token").write_bytes(content)
    return FileSource(folder / "token")


def _variable(folder: Path, content: bytes) -> TokenSource:
    return VariableSource("TOKEN", {"TOKEN": content.decode("latin-1")})


def _descriptor(folder: Path, content: bytes) -> TokenSource:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(content[:60000])
    return DescriptorSource(reading)


SOURCES = pytest.mark.parametrize("source", [_file, _variable, _descriptor])


@SOURCES
def test_a_token_is_read_with_white_space_around_it(
    source: Callable[[Path, bytes], TokenSource], tmp_path: Path
) -> None:
    fetch = partial(source(tmp_path, b" " + make().encode() + b"\n").fetch, audience="sigstore")
    assert anyio.run(fetch) == make()


@SOURCES
@pytest.mark.parametrize("content", [b"", b" \n", b"not a token", b"a.b.c\nd.e.f", b"a.b", b"\xff\xfe", b"a.b\x00.c"])
def test_other_content_is_refused_and_not_quoted(
    source: Callable[[Path, bytes], TokenSource], content: bytes, tmp_path: Path
) -> None:
    async def fetch() -> IdToken:
        return await obtain_token(source(tmp_path, content))

    with pytest.raises(SigningError, match="OIDC token") as caught:
        anyio.run(fetch)
    if content.strip():
        assert content.strip().decode("latin-1") not in str(caught.value)


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async def fetch() -> IdToken:
        return await obtain_token(_file(tmp_path, b"a" * 70000))

    with pytest.raises(SigningError, match="more than 65536 bytes"):
        anyio.run(fetch)


def test_a_missing_file_and_a_closed_descriptor_are_named(tmp_path: Path) -> None:
    async def fetch(source: TokenSource) -> IdToken:
        return await obtain_token(source)

    with pytest.raises(SigningError, match=r"cannot read the token file .*/none: No such file"):
        anyio.run(fetch, FileSource(tmp_path / "none"))
    with pytest.raises(SigningError, match="cannot read the token from descriptor 9999"):
        anyio.run(fetch, DescriptorSource(9999))


GITHUB_JOB = {
    "GITHUB_ACTIONS": "true",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://secret.invalid/x",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret-bearer",
}


def test_what_is_named_goes_before_the_ci_around_it() -> None:
    assert choose_source(environment=GITHUB_JOB, file=Path("t")) == FileSource(Path("t"))
    assert choose_source(environment=GITHUB_JOB, descriptor=3) == DescriptorSource(3)
    assert choose_source(environment={"T": "x"}, variable="T") == VariableSource("T", {"T": "x"})


def test_ambient_tokens_are_found() -> None:
    assert isinstance(choose_source(environment=GITHUB_JOB), GitHubSource)
    source = choose_source(environment={"GITLAB_CI": "true", "SIGSTORE_ID_TOKEN": make()})
    assert isinstance(source, VariableSource)
    assert source.name == "SIGSTORE_ID_TOKEN"


def test_a_source_does_not_print_its_secret() -> None:
    shown = repr(choose_source(environment=GITHUB_JOB)) + repr(VariableSource("T", {"T": "secret-token"}))
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("environment", "error", "message", "hint"),
    [
        ({}, UsageError, "no OIDC token", "name a file"),
        ({"GITHUB_ACTIONS": "true"}, SigningError, "may not have an OIDC token", "id-token: write"),
        (GITHUB_JOB | {"ACTIONS_ID_TOKEN_REQUEST_URL": ""}, SigningError, "may not have", "id-token: write"),
    ],
)
def test_no_source_is_an_error_that_helps(
    environment: dict[str, str], error: type[Exception], message: str, hint: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        choose_source(environment=environment)
    assert hint in str(caught.value)


def test_a_gitlab_job_without_id_tokens_is_told_how() -> None:
    async def fetch() -> IdToken:
        return await obtain_token(choose_source(environment={"GITLAB_CI": "true"}), audience="private")

    with pytest.raises(SigningError, match="SIGSTORE_ID_TOKEN is empty or not set") as caught:
        anyio.run(fetch)
    assert caught.value.hint == "add to the job: id_tokens: {SIGSTORE_ID_TOKEN: {aud: private}}"


def test_two_named_sources_are_refused() -> None:
    with pytest.raises(UsageError, match="more than one source"):
        choose_source(file=Path("t"), variable="T", environment={})
