"""The tags of a repository: all of them, or an error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci.tags import MAX_TAGS, read_tags

URL = "https://registry.test/v2/web/tags/list"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry answers."""

    content: bytes
    next: str = ""
    status_code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def links(self) -> Mapping[str, Mapping[str, str]]:
        return {"next": {"url": self.next}} if self.next else {}


def page(*tags: str, then: str = "") -> Answer:
    return Answer(json.dumps({"name": "web", "tags": tags}).encode(), then)


def read(*pages: Answer) -> Sequence[str]:
    left = list(pages)
    return read_tags(
        URL,
        fetch=lambda _: left.pop(0),
        same_origin=lambda url: url.startswith("https://registry.test/"),
        fail=lambda one: RegistryError(f"status {one.status_code}", method="GET", url=URL),
    )


def test_tags_of_all_pages_are_listed_once() -> None:
    assert read(page("b", "a", then="?last=a"), page("a", "c")) == ("b", "a", "c")
    assert read(Answer(b'{"tags":null}')) == ()


@pytest.mark.parametrize(
    "pages",
    [
        [Answer(b"", status_code=404)],
        [page("a", then="?last=a"), Answer(b"", status_code=500)],
        [page("a", then="?last=a"), Answer(b'{"tags":["b"')],
        [page("a", then="https://elsewhere.test/v2/web/tags/list")],
        [page("a", then="https://[broken")],
        [page("a", then=URL)],
        [page("a", then=f"?last={number}") for number in range(300)],
        [page(*(f"t{number}" for number in range(MAX_TAGS + 1)))],
        [page("../../x")],
        [page("a\nb")],
        [page("")],
        [Answer(b'{"tags":[1]}')],
        [Answer(b'{"tags":"a"}')],
        [Answer(b"{}")],
        [Answer(b"[]")],
    ],
)
def test_a_part_of_the_tags_is_no_answer(pages: Sequence[Answer]) -> None:
    with pytest.raises((RegistryError, FormatError)):
        read(*pages)


@given(st.binary(max_size=100))
def test_any_answer_is_tags_or_a_typed_error(content: bytes) -> None:
    try:
        tags = read(Answer(content))
    except FormatError:
        return
    assert all(tag.isascii() for tag in tags)
