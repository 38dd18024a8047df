"""What stopped a render, as a reason of the catalogue.

It is an error with a message, of this package or of the pinned Dhall. One that is not known stays what it is: sources
that cannot be rendered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dhallmark.reasons import Reason

_CAUSES: Sequence[tuple[Reason, re.Pattern[str]]] = (
    (Reason.IMPORT_HASH_MISMATCH, re.compile(r"\S+: Import integrity check failed\n", re.ASCII)),
    (Reason.IMPORT_UNFROZEN, re.compile(r"a remote import that is not frozen: ")),
    (Reason.IMPORT_FORBIDDEN, re.compile(r"an import from the environment: |the import `missing`,")),
    (Reason.IMPORT_FORBIDDEN, re.compile(r"the import \S+ leaves the project")),
    (Reason.IMPORT_CYCLE, re.compile(r"\S+: Cyclic import: ")),
    (Reason.RENDER_TOO_LARGE, re.compile(r"\S+: Dhall needs more than \d+ ")),
)


def reason_of(message: str) -> Reason:
    """The reason that a verdict gives for a RenderError of this message."""
    return next((found for found, cause in _CAUSES if cause.match(message)), Reason.RENDER_INVALID)
