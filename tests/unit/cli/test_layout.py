"""`dhallmark layout` and `dhallmark vsa`: what they write, show and refuse before anything is signed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhallmark.cli import layout, vsa
from dhallmark.cli.init import Platform, init
from dhallmark.cli.options import SigningOptions
from dhallmark.digest import Digest
from dhallmark.errors import ConfigError, Error, FormatError, InputError, UsageError
from dhallmark.sign.token import AUDIENCE
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject

OWNED = "\nlayout:\n  identities: [release]\n  minimumVersion: 2\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    init(directory=tmp_path, project="hello", source="https://github.com/acme/platform", ci=Platform.GITHUB)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask_for_a_layout(project: Path) -> None:
    policy = project / "policy.yaml"
    policy.write_text(policy.read_text() + OWNED)


def test_writes_a_layout_that_can_be_shown(project: Path) -> None:
    made = layout.init(version=7, days=10)
    assert made.data["version"] == 7
    shown = layout.show(layout=project / "layout.json")
    assert shown.data == made.data
    assert "step resolve: 1 of release" in str(shown.text)
    assert "MATCH build/resolve/* WITH PRODUCTS FROM resolve" in str(shown.text)
    assert "not verified" not in str(shown.text)


def test_shows_a_signed_layout_without_believing_it(project: Path) -> None:
    layout.init()
    payload = (project / "layout.json").read_bytes()
    (project / "bundle").write_text(json.dumps({"dsseEnvelope": {"payload": base64.b64encode(payload).decode()}}))
    assert "the signature was not verified" in str(layout.show(layout=project / "bundle").text)


def test_overwrites_nothing(project: Path) -> None:
    (project / "layout.json").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        layout.init()
    assert (project / "layout.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"identity": ("nobody",)}, "no identity 'nobody'"),
        ({"version": 0}, "at least 1"),
        ({"days": 0}, "at least 1"),
    ],
)
def test_refuses_to_write_a_layout_that_nobody_could_fulfil(words: dict[str, Any], said: str, project: Path) -> None:
    with pytest.raises(UsageError, match=said):
        layout.init(**words)
    assert not (project / "layout.json").exists()


def test_needs_to_know_who_does_the_steps(project: Path) -> None:
    policy = project / "policy.yaml"
    text = policy.read_text()
    start, end = text.index("  # What each step read"), text.index("source:")
    policy.write_text(text[:start] + text[end:])
    with pytest.raises(UsageError, match="who signs links"):
        layout.init()
    assert layout.init(identity=("release",)).data["version"] == 1


def change(project: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    body = json.loads((project / "layout.json").read_text())
    edit(body)
    (project / "layout.json").write_text(json.dumps(body))


@pytest.mark.parametrize(
    ("edit", "kind", "said"),
    [
        (lambda body: body.update(version=1), InputError, "version 2 or later"),
        (lambda body: body.update(version=2, expires="2020-01-01T00:00:00Z"), InputError, "has expired"),
        (lambda body: body.update(version=2, rootcas={}), FormatError, "rootcas"),
        (lambda body: body["steps"][0].update(identities=["other"]) or body.update(version=2), InputError, "'other'"),
    ],
)
def test_signs_no_layout_that_would_be_refused(
    edit: Callable[[dict[str, Any]], object], kind: type[Error], said: str, project: Path
) -> None:
    ask_for_a_layout(project)
    layout.init()
    change(project, edit)
    with pytest.raises(kind, match=said):
        layout.sign()


def test_signs_none_where_the_policy_asks_for_none(project: Path) -> None:
    layout.init()
    with pytest.raises(ConfigError, match="asks for no layout"):
        layout.sign()
    with pytest.raises(ConfigError, match="asks for no layout"):
        layout.verify(trusted_root=project / "trusted_root.json")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": "key.pem", "token_file": Path("token")}, "both a key and an OIDC token"),
        ({"key_password_env": "PASSWORD"}, "without a key"),
    ],
)
def test_signs_with_one_thing(options: dict[str, Any], said: str, project: Path) -> None:
    ask_for_a_layout(project)
    layout.init(version=2)
    with pytest.raises(UsageError, match=said):
        layout.sign(signing=SigningOptions(**options))


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_file_that_is_no_layout(content: bytes, project: Path) -> None:
    (project / "layout.json").write_bytes(content)
    with pytest.raises(FormatError):
        layout.show(layout=project / "layout.json")


def test_a_file_that_is_not_there(project: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        layout.show(layout=project / "layout.json")


def test_signs_nothing_as_a_summary_that_is_none(project: Path) -> None:
    subjects = [Subject("x", Digest.of(b"x"))]
    statement = Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=subjects, predicate={})
    for content in (statement.payload, b"{}"):
        (project / "vsa.json").write_bytes(content)
        with pytest.raises(FormatError):
            vsa.sign()


def test_the_audience_is_that_of_tokens() -> None:
    assert SigningOptions().audience == AUDIENCE
