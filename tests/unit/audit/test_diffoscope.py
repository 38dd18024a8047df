"""What diffoscope's JSON says: whether contents differ, or packing alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dhallmark.audit.diffoscope import Differs, Seen
from dhallmark.errors import FormatError

FALLBACK = (
    "Format-specific differences are supported for Gzipped files but no file-specific differences were detected; "
    "falling back to a binary diff. file(1) reports: gzip compressed data"
)


def node(name: str, *details: dict[str, Any], other: str = "", **more: object) -> dict[str, Any]:
    """A node of its tree."""
    return {"source1": name, "source2": other or name, "details": list(details), "unified_diff": None, **more}


def seen(*details: dict[str, Any], **more: object) -> Seen:
    """What is read of two archives with these details."""
    body = node("a.tgz", *details) | more | {"diffoscope-json-version": 1}
    return Seen.read(json.dumps(body).encode())


def inside(*members: dict[str, Any]) -> dict[str, Any]:
    return node("a.tgz-content", *members)


HEADER = node("filetype from file(1)", unified_diff="@@")
LIST = node("file list", unified_diff="@@")
FILE = node("web/values.yaml", unified_diff="@@")


@pytest.mark.parametrize(
    ("found", "differs", "files"),
    [
        (seen(HEADER), Differs.PACKING, ()),
        (seen(HEADER, inside(LIST)), Differs.PACKING, ()),
        (seen(unified_diff="@@", comments=[FALLBACK]), Differs.PACKING, ()),
        (seen(inside(FILE)), Differs.CONTENTS, ("web/values.yaml",)),
        (seen(HEADER, inside(LIST, FILE)), Differs.CONTENTS, ("web/values.yaml",)),
        (seen(inside(LIST, node("/dev/null", other="web/new.yaml", unified_diff="@@"))), Differs.CONTENTS,
         ("web/new.yaml",)),
        (seen(inside(LIST, node("web/old.yaml", other="/dev/null", unified_diff="@@"))), Differs.CONTENTS,
         ("web/old.yaml",)),
        (seen(unified_diff="@@", comments=["Command `gzip -d -c b.tgz` failed with exit code 1."]), Differs.UNREADABLE,
         ()),
        (seen(unified_diff="@@"), Differs.UNREADABLE, ()),
    ],
)  # fmt: skip
def test_contents_are_told_from_packing(found: Seen, differs: Differs, files: tuple[str, ...]) -> None:
    assert (found.differs, found.files) == (differs, files)


def test_a_headline_names_some_files_and_counts_the_rest() -> None:
    found = seen(inside(*(node(f"web/{number}.yaml", unified_diff="@@") for number in range(7))))
    assert found.headline.startswith("other contents: web/0.yaml, web/1.yaml")
    assert found.headline.endswith("web/4.yaml and 2 more")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"diffoscope-json-version": 2, "source1": "a", "source2": "b"}']
)
def test_another_format_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError, match="diffoscope"):
        Seen.read(content)
