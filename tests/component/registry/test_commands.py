"""`dhallmark package`, `merge` and `push`, as a CI job runs them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest

from dhallmark.cli.app import run
from dhallmark.errors import ExitCode


class Release(Protocol):
    """What `make_small_release` makes."""

    root: Path
    build: Path


def dhallmark(*words: str | Path) -> tuple[ExitCode, dict[str, Any], str]:
    """Exit code, the JSON of whichever of result and error there is, and what stood on standard error."""
    out, err = io.StringIO(), io.StringIO()
    code = run([*map(str, words), "--output", "json", "--quiet"], stdout=out, stderr=err)
    return ExitCode(code), json.loads(out.getvalue() or err.getvalue()), err.getvalue()


@pytest.fixture
def release(make_small_release: Callable[..., Release], host_with_api: str, tmp_path: Path) -> Release:
    made = make_small_release(tmp_path / "whole", registry=host_with_api)
    config = made.root / "dhallmark.yaml"
    settings = json.loads(config.read_text())
    prefix = f"c{uuid4().hex[:10]}"
    settings["publish"].update(repository=f"{prefix}/charts", staging=f"{prefix}/staging")
    config.write_text(json.dumps(settings))
    return made


def options(release: Release) -> list[str | Path]:
    return ["--config", release.root / "dhallmark.yaml", "--build", release.build]


def test_package_then_push_stages_every_artifact(release: Release, host_with_api: str) -> None:
    code, packaged, _ = dhallmark("package", *options(release), "--source-date-epoch", "1700000000")
    assert code is ExitCode.OK
    assert packaged["schema"] == "dhallmark.dev/artifacts/v1"
    assert packaged["sourceDateEpoch"] == 1_700_000_000
    code, pushed, _ = dhallmark("push", *options(release))
    assert code is ExitCode.OK
    assert [one["digest"] for one in pushed["artifacts"]] == [one["digest"] for one in packaged["artifacts"]]
    assert all(one["staging"].startswith(f"{host_with_api}/c") for one in pushed["artifacts"])


def test_the_time_comes_from_the_environment(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234567890")
    assert dhallmark("package", *options(release))[1]["sourceDateEpoch"] == 1234567890


def test_without_a_time_and_without_a_commit_there_is_an_error(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    code, error, _ = dhallmark("package", *options(release))
    assert code in {ExitCode.INPUT, ExitCode.UNAVAILABLE}
    assert "Git" in error["message"] or "git" in error["message"]


def test_push_without_a_package_says_what_to_run(release: Release) -> None:
    code, error, _ = dhallmark("push", *options(release))
    assert code is ExitCode.INPUT
    assert "dhallmark package" in error["hint"]


def test_push_to_a_registry_that_is_away_is_an_outage(release: Release) -> None:
    dhallmark("package", *options(release), "--source-date-epoch", "1")
    config = release.root / "dhallmark.yaml"
    settings = json.loads(config.read_text())
    settings["publish"]["registry"] = "127.0.0.1:1"
    config.write_text(json.dumps(settings))
    code, error, _ = dhallmark("push", *options(release))
    assert code is ExitCode.UNAVAILABLE
    assert error["error"] == "RegistryError"
    assert not (release.build / "publish").exists()


def test_shards_are_merged_and_packaged_like_the_whole(
    release: Release, make_small_release: Callable[..., Release], host_with_api: str, tmp_path: Path
) -> None:
    shards = [
        make_small_release(tmp_path / str(index), registry=host_with_api, shard=f"{index}/2").build for index in (1, 2)
    ]
    config = ("--config", release.root / "dhallmark.yaml")
    code, merged, _ = dhallmark("merge", *shards, "--into", tmp_path / "merged", *config)
    assert code is ExitCode.OK
    assert merged["units"] == ["dev/net", "dev/web", "prod/net", "prod/web"]
    results = [
        dhallmark("package", *config, "--build", build, "--source-date-epoch", "5")[1]
        for build in (tmp_path / "merged", release.build)
    ]
    assert results[0] == results[1]


def test_merging_one_of_two_shards_names_what_is_missing(
    release: Release, make_small_release: Callable[..., Release], tmp_path: Path
) -> None:
    first = make_small_release(tmp_path / "1", shard="1/2").build
    code, error, _ = dhallmark(
        "merge", first, "--into", tmp_path / "merged", "--config", release.root / "dhallmark.yaml"
    )
    assert code is ExitCode.INPUT
    assert "no shard holds dev/web" in error["message"]


def test_publish_before_signing_says_what_to_run(release: Release, tmp_path: Path) -> None:
    dhallmark("package", *options(release), "--source-date-epoch", "1")
    (release.root / "policy.yaml").write_text(
        json.dumps(
            {
                "schemaVersion": 1,
                "identities": {"ci": {"issuer": "https://issuer.example", "subject": "https://ci.example"}},
                "statements": [{"predicateType": "https://slsa.dev/provenance/v1", "identities": ["ci"]}],
                "source": {"repository": "https://git.example/acme/platform"},
                "builders": ["https://ci.example"],
            }
        )
    )
    root = tmp_path / "trusted_root.json"
    nobody: dict[str, list[object]] = {
        "tlogs": [],
        "ctlogs": [],
        "certificateAuthorities": [],
        "timestampAuthorities": [],
    }
    root.write_text(json.dumps({"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", **nobody}))
    code, error, _ = dhallmark("publish", *options(release), "--trusted-root", root)
    assert code is ExitCode.INPUT
    assert "dhallmark sign" in error.get("hint", ""), error
