"""Reading the tags of a repository, whole or not at all.

Source: OCI distribution-spec 1.1, "Listing Tags".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urljoin

from dhallmark import strictjson
from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci.descriptor import MAX_MANIFEST_BYTES
from dhallmark.oci.referrers import MAX_PAGES, Page

MAX_TAGS: Final = 10_000
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_OK: Final = 200


def read_tags(
    url: str, *, fetch: Callable[[str], Page], same_origin: Callable[[str], bool], fail: Callable[[Page], RegistryError]
) -> tuple[str, ...]:
    """All tags, from all pages at `url`, in the registry's order.

    `fetch` gets a page, raising RegistryError. Raises RegistryError where a page is not had or leads astray, and
    FormatError where one is malformed: a part of the tags is no answer.
    """
    found: dict[str, None] = {}
    seen: set[str] = set()
    next_url = url
    while True:
        seen.add(next_url)
        page = fetch(next_url)
        if page.status_code != _OK:
            raise fail(page)
        found.update(dict.fromkeys(_tags(page.content)))
        if len(found) > MAX_TAGS:
            raise FormatError(f"tags: more than {MAX_TAGS}")
        link = page.links.get("next", {}).get("url")
        if not link:
            return tuple(found)
        try:
            next_url = urljoin(next_url, link)
            if not same_origin(next_url):
                raise FormatError("tags: the next page is on another host")
        except ValueError as error:
            raise FormatError("tags: the next page's address is none") from error
        if next_url in seen or len(seen) >= MAX_PAGES:
            raise FormatError("tags: the pages do not end")


def _tags(content: bytes) -> list[str]:
    body = strictjson.parse(content, what="tags", max_bytes=MAX_MANIFEST_BYTES)
    if not isinstance(body, dict) or "tags" not in body:
        raise FormatError("tags: not a list of tags")
    # Go encodes an empty list that was never made as null.
    tags = body["tags"] if body["tags"] is not None else []
    if not isinstance(tags, list) or not all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in tags):
        raise FormatError("tags: not a list of tags")
    return tags
