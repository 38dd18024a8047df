"""Reading manifests: Kubernetes' values, every key's line, and nothing that two readers see differently."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import Error, FormatError, InputError
from dhallmark.prove.manifests import line_of, parse_manifests, read_manifests, steps_of

SOURCE = b"""\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata:
  name: web
  namespace: apps
spec:
  url: oci://registry.example/web
  interval: 1m
  verify:
    matchOIDCIdentity:
      - issuer: ^a$
        subject: ^b$
"""


def test_an_object_has_its_values_and_its_lines() -> None:
    (one,) = parse_manifests(b"# first\n---\n" + SOURCE, file="a.yaml")
    assert (one.subject, one.group, one.kind) == ("OCIRepository apps/web", "source.toolkit.fluxcd.io", "OCIRepository")
    assert one.body["spec"]["verify"] == {"matchOIDCIdentity": [{"issuer": "^a$", "subject": "^b$"}]}
    assert one.where("spec.verify").line == 11
    assert one.where("spec.verify.matchOIDCIdentity[0].subject").line == 14
    assert one.where("spec.verify.absent").line == 11
    assert one.where().line == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True),
        ("no", False),
        ("'on'", "on"),
        ("2026-01-02", "2026-01-02"),
        ("0x10", 16),
        ("1.5", 1.5),
        ("~", None),
        ("1m", "1m"),
        ("! 12", "12"),
        ("sha256:abc", "sha256:abc"),
    ],
)
def test_scalars_are_read_as_kubernetes_tools_read_them(text: str, value: object) -> None:
    (one,) = parse_manifests(b"apiVersion: v1\nkind: X\nmetadata: {name: a}\nvalue: " + text.encode(), file="a")
    assert one.body["value"] == value


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"a: [", 2, "not YAML"),
        (b"- 1\n", 1, "not a Kubernetes object"),
        (b"kind: X\n", 1, "apiVersion and a kind"),
        (b"apiVersion: v1\nkind: X\nmetadata: {}\n", 1, "no metadata.name"),
        (b"apiVersion: v1\nkind: X\nkind: Y\nmetadata: {name: a}\n", 3, "stands twice"),
        (b"apiVersion: v1\nkind: X\nmetadata: {name: a}\nx:\n  <<: {a: 1}\n", 5, "merge key"),
        (b"apiVersion: v1\nkind: X\nmetadata: {name: a}\nx: !!python/none 1\n", 4, "a tag"),
        (b"apiVersion: v1\nkind: X\nmetadata: {name: a}\nx: {[1]: 2}\n", 4, "a key that is no text"),
        (b"apiVersion: v1\nkind: X\nmetadata: {name: a}\nx: &a [*a]\n", 4, "deeper"),
    ],
)
def test_what_two_readers_could_see_differently_is_an_error_with_its_line(
    content: bytes, line: int, message: str
) -> None:
    with pytest.raises(FormatError, match=message) as error:
        parse_manifests(content, file="a.yaml")
    assert error.value.where is not None
    assert (error.value.where.file, error.value.where.line) == ("a.yaml", line)


def test_aliases_that_mean_thousands_of_lines_are_refused() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]\n" for n in range(1, 9))
    with pytest.raises(FormatError, match="more than 200000 values"):
        parse_manifests(b"apiVersion: v1\nkind: X\nmetadata: {name: a}\n" + bomb.encode(), file="a")


def test_the_items_of_a_list_are_objects() -> None:
    items = b"apiVersion: v1\nkind: List\nitems:\n- " + SOURCE.replace(b"\n", b"\n  ")
    (one,) = parse_manifests(items, file="a")
    assert one.subject == "OCIRepository apps/web"


def test_a_folder_is_read_with_a_digest_of_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "source.yaml").write_bytes(SOURCE)
    (tmp_path / "kustomization.yaml").write_text("resources: [b]\n")
    (tmp_path / "README.md").write_text("no manifest")
    found = read_manifests([tmp_path])
    assert [one.subject for one in found.objects] == ["OCIRepository apps/web"]
    assert found.skipped == [str(tmp_path / "kustomization.yaml")]
    assert set(found.files) == {"b/source.yaml", "kustomization.yaml"}
    before = found.digest
    assert read_manifests([tmp_path]).digest == before
    (tmp_path / "b" / "source.yaml").write_bytes(SOURCE.replace(b"1m", b"2m"))
    assert read_manifests([tmp_path]).digest != before


def test_nothing_to_prove_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    with pytest.raises(InputError, match="nothing would be proved"):
        read_manifests([tmp_path])


def test_one_object_in_two_files_is_an_error(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_bytes(SOURCE)
    with pytest.raises(FormatError, match="stands twice"):
        read_manifests([tmp_path])


@given(st.binary(max_size=300) | st.text(alphabet="a:- \n[]{}&*!<'\"#|>%@,01", max_size=120).map(str.encode))
def test_any_bytes_give_objects_or_an_error_of_the_projects_own(content: bytes) -> None:
    try:
        found = parse_manifests(content, file="a")
    except Error:
        return
    assert all(line_of(one.node, "metadata.name") >= 1 for one in found)


@pytest.mark.parametrize(
    ("path", "steps"), [("spec.a[0].b", ["spec", "a", 0, "b"]), ("", []), ("spec", ["spec"]), ("a[12]", ["a", 12])]
)
def test_paths_of_the_api_server_are_taken_apart(path: str, steps: list[str | int]) -> None:
    assert steps_of(path) == steps
