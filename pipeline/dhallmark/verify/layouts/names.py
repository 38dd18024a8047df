"""Names of materials and products: paths or URIs, each spelled in one way, no two of them one file (P12, P20).

A name stands for a file on the machine of whoever did the step, and for another on that of whoever unpacks the product.
One that leads out of its folder (CVE-2021-41087), or that is another's on a file system without case or with one
Unicode form, lets a rule be about another file than it seems.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal

MAX_NAME = 2048
"""Characters."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://)?")
"""Of a URI (RFC 3986, section 3.1), or in-toto's `dir:` for a folder as one artifact."""


def check_name(name: str) -> None:
    """Refuse a name that is neither a plain relative path nor a URI with a plain path."""
    problem = _problem(name)
    if problem:
        raise Refusal(Reason.STEP_ARTIFACT_NAME, f"a name of an artifact is not safe: {problem}", found=name[:200])


def check_names(names: Iterable[str]) -> None:
    """Check each of the distinct `names`, and refuse two that are one file where case or Unicode forms do not count.

    Folders are compared, too. The cost is linear in the names' characters.
    """
    known: dict[tuple[int, str], tuple[int, str]] = {}
    for name in names:
        check_name(name)
        folder = 0
        for part in name.split("/"):
            number, first = known.setdefault((folder, _folded(part)), (len(known) + 1, part))
            if first != part:
                raise Refusal(
                    Reason.STEP_ARTIFACT_NAME,
                    f"{first[:200]!r} and {part[:200]!r} are one file where case or Unicode forms do not count",
                    found=name[:200],
                )
            folder = number


def _problem(name: str) -> str:
    parts = _SCHEME.sub("", name, count=1).split("/")
    checks = (
        (not name, "empty"),
        (len(name) > MAX_NAME, f"longer than {MAX_NAME} characters"),
        (not name.isprintable(), "a character that cannot be printed"),
        ("\\" in name, "a backslash, which is a slash on some systems"),
        (parts[0] == "", "absolute"),
        (any(part in {"", ".", ".."} for part in parts), "an empty part, '.' or '..'"),
        (unicodedata.normalize("NFC", name) != name, "not in Unicode's composed form (NFC)"),
    )
    return next((text for wrong, text in checks if wrong), "")


def _folded(text: str) -> str:
    """The key under which names match without case: Unicode 16, D145 (canonical caseless matching)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
