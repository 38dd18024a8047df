"""`sha256:<64 lower-case hex digits>`, checked at every boundary.

A digest is a string of its own type, so that a tag, a help text or a bare hex string never passes for one.
Source: OCI image-spec 1.1, "Digests".
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from dhallmark.errors import FormatError

_PATTERN = re.compile(r"sha256:[0-9a-f]{64}")


class Digest(str):
    """A SHA-256 digest in OCI form. Raises FormatError for any other text."""

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        if not _PATTERN.fullmatch(text):
            shown = text if len(text) <= 100 else text[:100] + "…"  # noqa: PLR2004
            raise FormatError(f"not a digest: {shown!r}", hint="expected sha256: and 64 lower-case hex digits")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """The digest of `content`."""
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> Digest:
        """The digest of a file's bytes, read in pieces."""
        with path.open("rb") as file:
            return cls("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())

    @classmethod
    def from_hex(cls, text: str) -> Digest:
        """From the bare hex form that in-toto's DigestSet uses."""
        return cls("sha256:" + text)

    @property
    def hex(self) -> str:
        """The 64 hex digits alone."""
        return self[len("sha256:") :]
