"""A chart and the attestation beside it are about the same files, or it is found."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from dhallmark.digest import Digest
from dhallmark.gitops.lint.lint import lint
from dhallmark.statement import PAYLOAD_TYPE, SLSA_PROVENANCE_V1, Statement, Subject

CHART = b"name: web\nversion: 1.0.0\n"
OBJECT = b"kind: X\n"


def write(root: Path, *, environment: str = "prod", named: str = "prod", changed: bytes = OBJECT) -> None:
    """A chart, and an attestation that names the files of `named`."""
    folder = root / "environments" / environment / "charts" / "web"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_bytes(CHART)
    (folder / "templates" / "x.yaml").write_bytes(changed)
    subjects = [
        Subject(f"environments/{named}/charts/web/Chart.yaml", Digest.of(CHART)),
        Subject(f"environments/{named}/charts/web/templates/x.yaml", Digest.of(OBJECT)),
    ]
    statement = Statement.build(predicate_type=SLSA_PROVENANCE_V1, subjects=subjects, predicate={})
    payload = base64.b64encode(statement.payload).decode()
    envelope = {"payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": [{"sig": ""}]}
    (folder / "attestation.json").write_text(json.dumps({"dsseEnvelope": envelope}))


@pytest.mark.parametrize("below", ["", "deploy"])
def test_a_tree_that_fits_has_no_finding(tmp_path: Path, below: str) -> None:
    write(tmp_path / below)
    assert lint(tmp_path).findings == ()


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    write(tmp_path, changed=b"kind: Y\n")
    (found,) = lint(tmp_path).findings
    assert (found.rule, found.file) == ("tree.attestation", "environments/prod/charts/web/attestation.json")
    assert "environments/prod/charts/web/templates/x.yaml" in found.message


def test_an_attestation_of_another_environment_is_found(tmp_path: Path) -> None:
    write(tmp_path, environment="prod", named="dev")
    (found,) = lint(tmp_path).findings
    assert "other files" in found.message


def test_an_attestation_that_cannot_be_read_is_found(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "environments/prod/charts/web/attestation.json").write_text("[]")
    (found,) = lint(tmp_path).findings
    assert "cannot be read" in found.message


def test_an_attestation_that_leads_out_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "repo", named="prod")
    outside = Subject("../../outside", Digest.of(b"x"))
    chart = Subject("environments/prod/charts/web/Chart.yaml", Digest.of(CHART))
    statement = Statement.build(predicate_type=SLSA_PROVENANCE_V1, subjects=[chart, outside], predicate={})
    envelope = {"payload": base64.b64encode(statement.payload).decode(), "payloadType": PAYLOAD_TYPE}
    place = tmp_path / "repo/environments/prod/charts/web/attestation.json"
    place.write_text(json.dumps({"dsseEnvelope": {**envelope, "signatures": [{"sig": ""}]}}))
    (tmp_path.parent / "outside").write_text("secret")
    found = lint(tmp_path / "repo").findings
    assert all("../" not in one.message or "leads out" in one.message for one in found)
    assert any("leads out" in one.message for one in found)
