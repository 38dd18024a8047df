"""Trust roots: one file, strictly read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import FormatError
from dhallmark.verify.trust import TrustRoot

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance


def test_a_log_is_found_by_either_of_its_ids(instance: Instance) -> None:
    def add(root: dict[str, Any]) -> None:
        root["tlogs"][0]["checkpointKeyId"] = {"keyId": "AAAA"}

    logs = instance.trust(add).logs
    assert len(logs) == 2
    assert logs[b"\0\0\0"].host == "rekor.unit.test"
    assert logs[b"\0\0\0"].hints == {key[:4] for key in logs}


@pytest.mark.parametrize(
    "change",
    [
        lambda root: root["tlogs"][0].pop("logId"),
        lambda root: root["tlogs"][0]["publicKey"]["validFor"].pop("start"),
        lambda root: root.update(mediaType="application/json"),
        lambda root: root.update(tlogs=[root["tlogs"][0], {**root["tlogs"][0], "baseUrl": "https://other.test"}]),
        lambda root: root["ctlogs"].append({**root["ctlogs"][0], "publicKey": root["tlogs"][0]["publicKey"]}),
        lambda root: root["certificateAuthorities"][0]["certChain"].update(certificates=[]),
        lambda root: root["certificateAuthorities"][0]["certChain"].update(certificates=[{"rawBytes": "MIIB"}]),
        lambda root: root["tlogs"][0].update(baseUrl="https://[::1"),
        lambda root: root["tlogs"][0]["publicKey"]["validFor"].update(start="2020-01-01T00:00:00"),
        lambda root: root.update(extra=1),
    ],
)
def test_a_malformed_trust_root_is_an_error(instance: Instance, change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(FormatError):
        instance.trust(change)


def test_the_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    with pytest.raises(FormatError, match=r"root\.json"):
        TrustRoot.load(path)
    path.write_text(json.dumps({"mediaType": "x"}))
    with pytest.raises(FormatError, match=r"root\.json"):
        TrustRoot.load(path)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_error_and_no_other_exception(content: bytes) -> None:
    with pytest.raises(FormatError):
        TrustRoot.parse(content)
