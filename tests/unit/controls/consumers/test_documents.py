"""A user's own Kubernetes objects: what is read, and what is an error with the file in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhallmark.controls.consumers.documents import read_documents
from dhallmark.controls.consumers.flux_question import read_source
from dhallmark.controls.consumers.kyverno import read_policy
from dhallmark.errors import FormatError

SOURCE = """\
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {a.pub: a2V5}
stringData: {b.pub: other}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: web}
spec:
  url: oci://registry.example/web
  verify: {provider: cosign, secretRef: {name: keys}}
---
"""


def test_a_source_is_read_with_the_secrets_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "source.yaml"
    path.write_text(SOURCE)
    source, secrets = read_source(path)
    assert source["spec"]["verify"]["secretRef"] == {"name": "keys"}
    assert secrets == {"keys": {"a.pub": "key", "b.pub": "other"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 documents are an OCIRepository"),
        (SOURCE + SOURCE, "2 documents are an OCIRepository"),
        ("kind: OCIRepository", "with a spec"),
        ("kind: OCIRepository\nspec: []", "with a spec"),
        (SOURCE.replace("a2V5", "'%'"), "base64"),
        (SOURCE.replace("{a.pub: a2V5}", "[1]"), "base64"),
        ("- a list", "must be an object"),
        ("a: [", "is not YAML"),
        ("? [1]\n: 2\n", "is not YAML"),
    ],
)
def test_what_is_no_source_is_an_error_that_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "source.yaml"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        read_source(path)


def test_a_file_that_is_not_there_or_too_large_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        read_documents(tmp_path / "absent.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(FormatError, match="more than"):
        read_documents(tmp_path / "large.yaml")


def test_a_policy_for_kyverno_is_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("kind: ImageValidatingPolicy\nspec: {attestors: []}\n---\nkind: Namespace\n")
    assert read_policy(path)["spec"] == {"attestors": []}
    path.write_text("kind: ClusterPolicy\nspec: {}\n")
    with pytest.raises(FormatError, match="0 documents are an ImageValidatingPolicy"):
        read_policy(path)
