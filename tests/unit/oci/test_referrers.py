from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci import referrers
from dhallmark.oci.descriptor import OCI_INDEX, OCI_MANIFEST, Manifest, fallback_tag
from dhallmark.oci.referrers import Referrers, merge_index, parse_index, read_api, read_fallback

SUBJECT = Digest.of(b"subject")
URL = "http://registry.test/v2/web/referrers/x"


def entry(number: int, **more: object) -> dict[str, object]:
    return {"mediaType": OCI_MANIFEST, "digest": str(Digest.of(str(number).encode())), "size": 7, **more}


def index(*entries: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}).encode()


@dataclass(frozen=True)
class Answer:
    status_code: int = 200
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": OCI_INDEX})
    next_url: str = ""

    @property
    def links(self) -> Mapping[str, Mapping[str, str]]:
        return {"next": {"url": self.next_url}} if self.next_url else {}


def listing(*pages: Answer | RegistryError) -> Referrers | None:
    remaining = list(pages)

    def fetch(_url: str) -> Answer:
        page = remaining.pop(0)
        if isinstance(page, RegistryError):
            raise page
        return page

    return read_api(
        URL,
        fetch=fetch,
        same_origin=lambda url: url.startswith("http://registry.test/"),
        fail=lambda page: RegistryError("refused", method="GET", url=URL, status=page.status_code),
    )


CUT_OFF = RegistryError("the registry's answer was cut off", method="GET", url=URL)


def test_one_page_is_complete() -> None:
    found = listing(Answer(content=index(entry(1), entry(2))))
    assert found
    assert found.complete
    assert len(found.descriptors) == 2


def test_an_empty_page_is_a_complete_listing_of_nothing() -> None:
    for content in (index(), b'{"schemaVersion":2,"manifests":null}'):
        assert listing(Answer(content=content)) == Referrers(descriptors=(), complete=True, source="api")


def test_pages_are_read_to_the_end() -> None:
    found = listing(
        Answer(content=index(entry(1)), next_url="/v2/web/referrers/x?n=2"),
        Answer(content=index(entry(2), entry(1)), next_url="?n=3"),
        Answer(content=index(entry(3))),
    )
    assert found
    assert found.complete
    assert len(found.descriptors) == 3


def test_only_404_of_the_first_page_means_that_there_is_no_api() -> None:
    assert listing(Answer(status_code=404)) is None
    found = listing(Answer(content=index(entry(1)), next_url="?2"), Answer(status_code=404))
    assert found
    assert not found.complete


@pytest.mark.parametrize("status", [200 + 2, 301, 302, 303, 307, 400, 401, 403, 406, 429, 500, 503])
def test_a_first_page_that_is_not_had_is_an_error(status: int) -> None:
    with pytest.raises(RegistryError, match="refused"):
        listing(Answer(status_code=status))


def test_no_answer_is_an_error() -> None:
    with pytest.raises(RegistryError, match="cut off"):
        listing(CUT_OFF)


@pytest.mark.parametrize(
    "broken",
    [
        Answer(content=b"<html>"),
        Answer(content=b""),
        Answer(content=b"[]"),
        Answer(content=b'{"schemaVersion":2}'),
        Answer(content=b'{"schemaVersion":1,"manifests":[]}'),
        Answer(content=b'{"schemaVersion":2,"manifests":{}}'),
        Answer(content=b'{"schemaVersion":2,"mediaType":"text/html","manifests":[]}'),
        Answer(content=b'{"schemaVersion":2,"manifests":[],"manifests":[1]}'),
        Answer(content=index({"digest": "latest", "mediaType": "a", "size": 1})),
        Answer(content=index(entry(1, size=-1))),
        Answer(content=index(entry(1, size=True))),
        Answer(content=index(entry(1, annotations={"a": 1}))),
        Answer(content=index("text")),
        Answer(content=index(), headers={"Content-Type": "text/html"}),
        Answer(content=index(), headers={}),
        Answer(content=index(), headers={"Content-Type": "application/json"}),
    ],
)
def test_an_answer_that_is_no_index_is_incomplete_and_never_empty(broken: Answer) -> None:
    found = listing(broken)
    assert found
    assert not found.complete
    assert found.problem


@pytest.mark.parametrize(
    "second",
    [
        Answer(status_code=500),
        Answer(status_code=401),
        Answer(status_code=303),
        Answer(content=b"garbage"),
        CUT_OFF,
    ],
)
def test_a_later_page_that_fails_leaves_what_was_seen_and_says_incomplete(second: Answer | RegistryError) -> None:
    found = listing(Answer(content=index(entry(1)), next_url="?2"), second)
    assert found
    assert not found.complete
    assert len(found.descriptors) == 1


def test_a_next_page_on_another_host_is_not_asked_for() -> None:
    found = listing(Answer(content=index(entry(1)), next_url="http://evil.test/v2/"))
    assert found
    assert not found.complete
    assert "another host" in found.problem


def test_a_next_page_at_an_address_that_cannot_be_parsed_leaves_the_listing_incomplete() -> None:
    found = listing(Answer(content=index(entry(1)), next_url="http://[bad"))
    assert found
    assert not found.complete
    assert "address" in found.problem


def test_pages_that_go_round_end() -> None:
    found = listing(Answer(content=index(entry(1)), next_url="?2"), Answer(content=index(entry(2)), next_url=URL))
    assert found
    assert not found.complete
    assert "do not end" in found.problem


def test_pages_without_end_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrers, "MAX_PAGES", 3)
    found = listing(*[Answer(content=index(entry(number)), next_url=f"?{number}") for number in range(5)])
    assert found
    assert not found.complete


def test_pages_of_more_bytes_than_anyone_needs_are_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrers, "MAX_LISTING_BYTES", 3000)
    pages = [Answer(content=index(entry(n, annotations={"a": "x" * 1000})), next_url=f"?{n}") for n in range(9)]
    found = listing(*pages)
    assert found
    assert not found.complete
    assert len(found.descriptors) < 4


def test_more_referrers_than_anyone_needs_are_incomplete_and_bounded() -> None:
    found = listing(Answer(content=index(*[entry(number) for number in range(referrers.MAX_REFERRERS + 1)])))
    assert found
    assert not found.complete
    assert len(found.descriptors) == referrers.MAX_REFERRERS


def fallback(tags: Mapping[str, bytes | RegistryError]) -> Referrers:
    def find(tag: str) -> Manifest | None:
        content = tags.get(tag)
        if isinstance(content, RegistryError):
            raise content
        return None if content is None else Manifest.of(content, OCI_INDEX)

    return read_fallback(SUBJECT, find=find)


TAG = fallback_tag(SUBJECT)


def test_a_missing_index_and_missing_legacy_tags_are_a_complete_listing_of_nothing() -> None:
    assert fallback({}) == Referrers(descriptors=(), complete=True, source="index")


def test_the_index_lists_whatever_artifact_type_it_claims() -> None:
    found = fallback({TAG: index(entry(1, artifactType="application/vnd.other"), entry(2))})
    assert found.complete
    assert len(found.descriptors) == 2


def test_legacy_tags_are_told_of() -> None:
    found = fallback({f"{TAG}.sig": b"{}", f"{TAG}.att": b"{} "})
    assert found.complete
    assert len(found.legacy) == 2


@pytest.mark.parametrize("tag", [TAG, f"{TAG}.sig", f"{TAG}.att"])
def test_each_tag_must_be_read_or_404(tag: str) -> None:
    with pytest.raises(RegistryError):
        fallback({tag: CUT_OFF})


def test_an_index_that_is_none_is_incomplete() -> None:
    found = fallback({TAG: b"{}"})
    assert not found.complete


def test_an_index_of_too_many_is_incomplete() -> None:
    found = fallback({TAG: index(*[entry(number) for number in range(referrers.MAX_REFERRERS + 1)])})
    assert not found.complete
    assert len(found.descriptors) == referrers.MAX_REFERRERS


def test_merging_adds_what_is_missing_and_keeps_the_rest_as_it_is() -> None:
    theirs = entry(1, platform={"os": "linux"}, data="e30=")
    merged = merge_index(index(theirs), {Digest.of(b"2"): entry(2), Digest.of(b"1"): entry(1)}, what="index")
    assert merged
    assert json.loads(merged)["manifests"] == [theirs, entry(2)]


def test_merging_what_is_there_writes_nothing() -> None:
    assert merge_index(index(entry(1)), {Digest.of(b"1"): entry(1)}, what="index") is None


def test_merging_into_nothing_makes_an_index() -> None:
    merged = merge_index(None, {Digest.of(b"1"): entry(1)}, what="index")
    assert merged
    assert [item.digest for item in parse_index(merged, what="index")] == [Digest.of(b"1")]


def test_something_else_in_the_indexs_place_is_not_overwritten() -> None:
    with pytest.raises(FormatError):
        merge_index(b'{"schemaVersion":2,"layers":[]}', {Digest.of(b"1"): entry(1)}, what="index")


@given(st.binary(max_size=400))
def test_any_bytes_are_an_index_or_a_format_error(content: bytes) -> None:
    try:
        parse_index(content, what="fuzz")
    except FormatError:
        return
    assert json.loads(content)["schemaVersion"] == 2


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "schemaVersion": st.just(2) | _JSON,
            "mediaType": st.just(OCI_INDEX) | _JSON,
            "manifests": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "mediaType": _JSON,
                        "digest": st.just(str(SUBJECT)) | _JSON,
                        "size": _JSON,
                        "artifactType": _JSON,
                        "annotations": _JSON,
                    },
                ),
                max_size=3,
            )
            | _JSON,
        },
    )
)
def test_any_json_is_a_listing_that_says_whether_it_is_complete(body: object) -> None:
    found = listing(Answer(content=json.dumps(body).encode()))
    assert found
    assert found.complete or (found.problem and not found.descriptors)
