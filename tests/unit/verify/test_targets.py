"""What a word of the command line names: decided by its form, and never by what a file holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhallmark.errors import UsageError
from dhallmark.verify.files import FileTarget
from dhallmark.verify.reference import Reference
from dhallmark.verify.target import FolderTarget, LayoutTarget, Target
from dhallmark.verify.targets import parse_target

DIGEST = "sha256:" + "ab" * 32
BUNDLE = (Path("b.sigstore.json"),)


def seen(reference: Reference) -> Target:
    """Stands for the target of a reference."""
    return FileTarget(subject="reference", artifact=str(reference), bundles=())


def parse(word: str, *, bundles: tuple[Path, ...] = ()) -> Target:
    return parse_target(word, refer=seen, bundles=bundles)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with one of each kind."""
    monkeypatch.chdir(tmp_path)
    for folder in ("folder", "layout", "dotted.d", "broken"):
        (tmp_path / folder).mkdir()
    (tmp_path / "layout" / "oci-layout").write_text("{}")
    (tmp_path / "broken" / "oci-layout").symlink_to("nowhere")
    for file in ("web.tgz", "web.tgz.sigstore.json", "dotted.d/web.tgz", DIGEST):
        (tmp_path / file).write_text("x")
    return tmp_path


def a_file(word: str, *bundles: str) -> FileTarget:
    return FileTarget(subject=word, artifact=word, bundles=bundles)


def test_each_kind_of_word_is_a_kind_of_target() -> None:
    assert parse("folder") == FolderTarget(Path("folder"))
    assert parse("layout") == LayoutTarget(Path("layout"))
    assert parse("broken") == LayoutTarget(Path("broken"))
    assert parse("web.tgz") == a_file("web.tgz", "web.tgz.sigstore.json")
    assert parse("web.tgz", bundles=BUNDLE) == a_file("web.tgz", "b.sigstore.json")
    assert parse(DIGEST, bundles=BUNDLE) == a_file(DIGEST, "b.sigstore.json")
    assert parse(f"./{DIGEST}") == a_file(f"./{DIGEST}")
    assert parse("dotted.d/web.tgz") == a_file("dotted.d/web.tgz")


@pytest.mark.parametrize(
    ("word", "reference"),
    [
        ("r.test/web:1", "r.test/web:1"),
        ("localhost/a/web:1", "localhost/a/web:1"),
        ("r.test:5000/web:1", "r.test:5000/web:1"),
        (f"r.test/web@{DIGEST}", f"r.test/web@{DIGEST}"),
        ("oci://r.test/web", "r.test/web"),
        ("oci://r.test/web:1", "r.test/web:1"),
    ],
)
def test_references_are_known_by_their_form(word: str, reference: str) -> None:
    target = parse(word)
    assert isinstance(target, FileTarget)
    assert (target.subject, target.artifact) == ("reference", reference)


@pytest.mark.parametrize(
    ("word", "bundles", "message"),
    [
        ("", (), "no name"),
        ("a\x1b[31m", (), "no name"),
        ("a\udcff", (), "no name"),
        ("missing.tgz", (), "there is no missing.tgz"),
        ("r.test/web", (), "there is no r.test/web"),
        ("sha256:abc", BUNDLE, "not a digest"),
        (DIGEST, (), "nothing is known"),
        ("web.tgz.sigstore.json", (), "is a bundle"),
        ("web.tgz", (Path("b\udcff.sigstore.json"),), "no name that can be printed"),
        ("folder", BUNDLE, "--bundle goes with a file"),
        ("layout", BUNDLE, "--bundle goes with a file"),
        ("r.test/web:1", BUNDLE, "--bundle goes with a file"),
        ("oci://web:1", (), "not a repository"),
        (f"r.test/web:1@{DIGEST}", (), "not a reference"),
        ("r.test/web@sha256:x", (), "not a reference"),
    ],
)
def test_what_names_nothing_is_a_usage_error(word: str, bundles: tuple[Path, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(word, bundles=bundles)


def test_a_file_that_is_called_like_a_reference_is_not_guessed_at(here: Path) -> None:
    (here / "r.test").mkdir()
    (here / "r.test" / "web:1").write_text("x")
    with pytest.raises(UsageError, match="may be a file or a place in a registry"):
        parse("r.test/web:1")
    assert parse("./r.test/web:1") == FileTarget(subject="./r.test/web:1", artifact="./r.test/web:1", bundles=())
