from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dhallmark.errors import ConfigError, ToolError
from dhallmark.oci.credentials import Credentials, find_credentials

HOST = "registry.example:5000"
_AUTH = base64.b64encode(b"ann:s3:cret").decode()


def find(folder: Path, config: object) -> Credentials | None:
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return find_credentials(HOST, environ={"DOCKER_CONFIG": str(folder)})


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A real program by the helpers' protocol, `docker-credential-test`."""
    program = folder / "docker-credential-test"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_without_a_configuration_there_is_nobody(tmp_path: Path) -> None:
    assert find_credentials(HOST, environ={"DOCKER_CONFIG": str(tmp_path / "none")}) is None


@pytest.mark.parametrize("config", [{}, {"auths": {}}, {"auths": {"other": {"auth": _AUTH}}}, {"auths": {HOST: {}}}])
def test_a_host_that_is_not_there_has_nobody(tmp_path: Path, config: Any) -> None:  # noqa: ANN401
    assert find(tmp_path, config) is None


def test_a_password_may_hold_a_colon(tmp_path: Path) -> None:
    assert find(tmp_path, {"auths": {HOST: {"auth": _AUTH}}}) == Credentials("ann", "s3:cret")


def test_a_helper_is_asked_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, 'read host; printf \'{"Username":"%s","Secret":"pw"}\' "$host"')
    for config in ({"credHelpers": {HOST: "test"}}, {"credsStore": "test"}):
        assert find(tmp_path, config) == Credentials(HOST, "pw")


def test_a_helper_that_knows_nothing_has_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, "echo credentials not found in native keychain; exit 1")
    assert find(tmp_path, {"credsStore": "test"}) is None


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo my-secret; exit 3", "failed"),
        ("echo my-secret", "cannot be read"),
        ('echo \'{"Username":"a"}\'', "cannot be read"),
        ('echo \'{"Username":"<token>","Secret":"my-secret"}\'', "identity token"),
    ],
)
def test_a_helper_that_fails_is_an_error_that_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, problem: str
) -> None:
    helper(tmp_path, monkeypatch, script)
    with pytest.raises(ToolError, match=problem) as caught:
        find(tmp_path, {"credsStore": "test"})
    assert "my-secret" not in f"{caught.value} {caught.value.stderr} {caught.value.command}"


def test_a_helper_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dhallmark.oci.credentials._HELPER_TIMEOUT", 0.2)
    helper(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(ToolError, match="no answer"):
        find(tmp_path, {"credsStore": "test"})


def test_a_helper_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="docker-credential-nowhere is not there"):
        find(tmp_path, {"credsStore": "nowhere"})


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("{", r"config\.json"),
        ("[]", "object"),
        ({"auths": []}, "object"),
        ({"auths": {HOST: {"auth": "%%%"}}}, "base64"),
        ({"auths": {HOST: {"auth": base64.b64encode(b"nobody").decode()}}}, "base64"),
        ({"credsStore": "../../bin/sh"}, "not the name"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_an_error(tmp_path: Path, config: object, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        find(tmp_path, config)


def test_a_secret_is_not_printed() -> None:
    assert "s3cret" not in repr(Credentials("ann", "s3cret"))
