"""Lists of bundles and artifacts: any bytes are targets, or an error with its line."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.verify import filelist
from dhallmark.verify.filelist import parse_list
from dhallmark.verify.files import MAX_BUNDLES, FileTarget

DIGEST = "sha256:" + "ab" * 32


def targets(content: bytes) -> list[FileTarget]:
    count, found = parse_list(content, file="list")
    listed = list(found)
    assert len(listed) == count
    return listed


def test_each_line_is_a_bundle_and_its_artifact() -> None:
    found = targets(f"a.sigstore.json\ta b\n\nbundle\t{DIGEST}\n# no comment\t./sha256:x\n".encode())
    assert [(item.artifact, item.bundles) for item in found] == [
        ("a b", ("a.sigstore.json",)),
        (DIGEST, ("bundle",)),
        ("./sha256:x", ("# no comment",)),
    ]
    assert isinstance(found[1].artifact, Digest)


def test_lines_of_one_artifact_that_follow_each_other_are_its_bundles_together() -> None:
    found = targets(b"1\ta\n2\ta\n\n3\ta\n4\tb\n5\ta")
    assert [(item.artifact, item.bundles) for item in found] == [("a", ("1", "2", "3")), ("b", ("4",)), ("a", ("5",))]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"a", "not a bundle, one tab"),
        (b"a\t", "not a bundle, one tab"),
        (b"\ta", "not a bundle, one tab"),
        (b"a\tb\tc", "not a bundle, one tab"),
        (b"a\tb\r", "cannot be printed"),
        (b"a\0\tb", "cannot be printed"),
        (b"a\t\x1b[2J", "cannot be printed"),
        ("a\t\u202egz.tgz".encode(), "cannot be printed"),
        (b"a\t\xff", "not UTF-8 at byte 2"),
        (b"a\tsha256:abc", "not a digest"),
        (b"a\tsha256:" + b"AB" * 32, "not a digest"),
        (b"a\t" + b"b" * 4097, "more than 4096 bytes"),
    ],
)
def test_a_mistake_is_told_with_its_line_before_any_verdict(line: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as raised:
        parse_list(b"good\tgood\n\n" + line + b"\nlater\tlater\n", file="list")
    assert str(raised.value.where) == "list:3"
    assert raised.value.hint


def test_lists_and_the_bundles_of_an_artifact_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b"a\tb\n" * MAX_BUNDLES
    assert len(targets(lines)) == 1
    with pytest.raises(FormatError, match="more than 256 bundles") as raised:
        targets(lines + b"a\tb\n")
    assert raised.value.where is not None
    assert raised.value.where.line == MAX_BUNDLES + 1
    monkeypatch.setattr(filelist, "MAX_LIST_BYTES", 10)
    with pytest.raises(FormatError, match="at most 10"):
        targets(b"bundle\tartifact")


def test_a_large_list_is_read_again_instead_of_held(monkeypatch: pytest.MonkeyPatch) -> None:
    held = targets(b"1\ta\n2\ta\n3\tb\n")
    monkeypatch.setattr(filelist, "_SMALL", 0)
    assert targets(b"1\ta\n2\ta\n3\tb\n") == held


@given(st.binary(max_size=300) | st.text("a\t\n\r#.:/\0é", max_size=60).map(str.encode))
@example(b"")
@example(b"\n\n\n")
def test_any_bytes_are_targets_or_an_error_with_a_line(content: bytes) -> None:
    try:
        found = targets(content)
    except FormatError as error:
        line = error.where.line if error.where else None
    else:
        pairs = [line.split(b"\t") for line in content.split(b"\n") if line]
        assert [bundle for bundle, _ in pairs] == [bundle.encode() for item in found for bundle in item.bundles]
        assert {artifact for _, artifact in pairs} == {str(item.artifact).encode() for item in found}
        return
    assert line is not None
    assert 1 <= line <= content.count(b"\n") + 1
