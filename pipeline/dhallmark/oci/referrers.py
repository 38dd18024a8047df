"""Reading what refers to an artifact, without ever taking a failure to look for an empty answer.

ADR 1, point 5: complete is either the referrers API, every page of it well-formed, or its 404, and then the
fallback index and the legacy tags, each read or 404. Anything else is `complete=False`, or a RegistryError where
nothing could be read at all; both block a deployment.

Source: OCI distribution-spec 1.1, "Listing Referrers", "Unavailable Referrers API"; cosign's SIGNATURE_SPEC for the
legacy tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from urllib.parse import urljoin

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci.descriptor import MAX_MANIFEST_BYTES, OCI_INDEX, Descriptor, Manifest, fallback_tag

MAX_REFERRERS: Final = 2000
"""Most referrers of one artifact. A release has some ten; more is an attempt to exhaust whoever verifies (R6)."""
MAX_PAGES: Final = 200
MAX_LISTING_BYTES: Final = 16 * 1024 * 1024
"""Of all pages together: annotations may make 2,000 descriptors as large as pages are allowed to be."""
LEGACY_SUFFIXES: Final = (".sig", ".att")
"""Ends of the tags where cosign 1 and 2 keep signatures and attestations."""
_REFERRERS_TAG: Final = re.compile(r"sha256-[0-9a-f]{64}(\.[a-z]+)?")
_OK: Final = 200
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrers:
    """What a registry lists as referring to one digest."""

    descriptors: tuple[Descriptor, ...]
    """In the registry's order, each digest once. Their artifact types are the registry's claim: do not filter by it."""
    complete: bool
    """False where some referrers may not have been seen: then nothing follows from what is missing."""
    source: Literal["api", "index", "layout"]
    """Whether the referrers API, the fallback index or an image layout was read."""
    problem: str = ""
    """Why the listing is incomplete."""
    legacy: tuple[Manifest, ...] = ()
    """Manifests at cosign's legacy tags; looked for only where there is no referrers API. See `read_legacy`."""


class Page(Protocol):
    """An HTTP answer, as far as it is needed here."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def content(self) -> bytes: ...
    @property
    def links(self) -> Mapping[str, Mapping[str, str]]: ...


def is_referrers_tag(tag: str) -> bool:
    """True for a tag that holds what refers to an artifact: a fallback index, or cosign's `.sig`, `.att`, `.sbom`."""
    return _REFERRERS_TAG.fullmatch(tag) is not None


def parse_index(content: bytes, *, what: str) -> list[Descriptor]:
    """The manifests that an image index lists. Raises FormatError for anything that is not an image index."""
    body = strictjson.parse(content, what=what, max_bytes=MAX_MANIFEST_BYTES)
    if not isinstance(body, dict) or body.get("schemaVersion") != 2:  # noqa: PLR2004
        raise FormatError(f"{what}: not an image index")
    if body.get("mediaType", OCI_INDEX) != OCI_INDEX:
        raise FormatError(f"{what}: not an image index but {body['mediaType']!r}")
    items = body.get("manifests")
    if items is None:
        # Go encodes an empty list that was never made as null; registries written in Go have sent this.
        items = [] if "manifests" in body else None
    if not isinstance(items, list):
        raise FormatError(f"{what}: manifests must be a list")
    return [Descriptor.parse(item, what=what) for item in items]


def read_api(
    url: str, *, fetch: Callable[[str], Page], same_origin: Callable[[str], bool], fail: Callable[[Page], RegistryError]
) -> Referrers | None:
    """All pages of the referrers API at `url`, or None where the registry answers the first with 404.

    `fetch` gets a page, raising RegistryError; it follows no redirect: a signed listing elsewhere is no listing of
    this registry's. Raises RegistryError where the first page is not had.
    """
    found: dict[Digest, Descriptor] = {}
    seen: set[str] = set()
    size = 0
    next_url = url
    while True:
        seen.add(next_url)
        try:
            page = fetch(next_url)
            if page.status_code == _NOT_FOUND and next_url == url:
                return None
            if page.status_code != _OK:
                raise fail(page)
            descriptors = _descriptors(page)
        except (RegistryError, FormatError) as error:
            if not found and isinstance(error, RegistryError):
                raise
            return _partial(found, error.message)
        found.update((descriptor.digest, descriptor) for descriptor in descriptors)
        link = page.links.get("next", {}).get("url")
        size += len(page.content)
        if len(found) > MAX_REFERRERS or size > MAX_LISTING_BYTES:
            return _partial(found, f"more than {MAX_REFERRERS} referrers, or than {MAX_LISTING_BYTES} bytes of them")
        if not link:
            return Referrers(descriptors=tuple(found.values()), complete=True, source="api")
        try:
            next_url = urljoin(next_url, link)
            problem = "" if same_origin(next_url) else "the next page is on another host"
        except ValueError:
            problem = "the next page's address is none"
        if problem:
            return _partial(found, problem)
        if next_url in seen or len(seen) >= MAX_PAGES:
            return _partial(found, "the pages do not end")


def _descriptors(page: Page) -> list[Descriptor]:
    content_type = page.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type != OCI_INDEX:
        raise FormatError(f"referrers: answered with {content_type or 'no content type'}, not with an image index")
    return parse_index(page.content, what="referrers")


def _partial(found: Mapping[Digest, Descriptor], problem: str) -> Referrers:
    return Referrers(descriptors=tuple(found.values())[:MAX_REFERRERS], complete=False, source="api", problem=problem)


def read_fallback(digest: Digest, *, find: Callable[[str], Manifest | None]) -> Referrers:
    """The fallback index and the legacy tags of `digest`.

    `find` gets the manifest at a tag, None for 404, and raises RegistryError for every other failure.
    """
    tag = fallback_tag(digest)
    index = find(tag)
    legacy = read_legacy(digest, find=find)
    descriptors: dict[Digest, Descriptor] = {}
    problem = ""
    if index is not None:
        try:
            descriptors = {item.digest: item for item in parse_index(index.content, what=f"fallback index {tag}")}
        except FormatError as error:
            problem = error.message
    if len(descriptors) > MAX_REFERRERS:
        problem = f"more than {MAX_REFERRERS} referrers"
    return Referrers(
        descriptors=tuple(descriptors.values())[:MAX_REFERRERS],
        complete=not problem,
        source="index",
        problem=problem,
        legacy=legacy,
    )


def read_legacy(digest: Digest, *, find: Callable[[str], Manifest | None]) -> tuple[Manifest, ...]:
    """What stands at the legacy tags of `digest`; nothing follows but what is there, since each was read or is 404.

    `find` is that of `read_fallback`.
    """
    tag = fallback_tag(digest)
    return tuple(manifest for suffix in LEGACY_SUFFIXES if (manifest := find(tag + suffix)) is not None)


def merge_index(current: bytes | None, wanted: Mapping[Digest, Mapping[str, object]], *, what: str) -> bytes | None:
    """The fallback index `current` with the entries of `wanted` that it lacks, or None where it lacks none.

    Entries of others keep every field that they have, known here or not. Raises FormatError where `current` is no
    image index: it is not replaced, since that would drop what it lists.
    """
    body: dict[str, object] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    listed: set[Digest] = set()
    if current is not None:
        listed = {descriptor.digest for descriptor in parse_index(current, what=what)}
        body = strictjson.parse(current, what=what)
    missing = [entry for digest, entry in wanted.items() if digest not in listed]
    if not missing:
        return None
    manifests = body.get("manifests")
    body["manifests"] = [*(manifests if isinstance(manifests, list) else []), *missing]
    return strictjson.dump_compact(body)
