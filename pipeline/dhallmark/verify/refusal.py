"""How a step of a verification says no: an exception inside this package, a `Check` outside of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dhallmark.errors import FormatError
from dhallmark.reasons import Reason
from dhallmark.verdict import Check

_MAX_DETAIL = 500


class Refusal(Exception):  # noqa: N818  (a finding, not an error: who calls a step makes a check of it)
    """A step's finding against what it looked at."""

    def __init__(self, reason: Reason, detail: str, **evidence: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = _shown(detail)
        self.evidence: Mapping[str, str] = {name: _shown(value) for name, value in evidence.items()}

    def check(self, name: str) -> Check:
        """The finding as the check `name` of a verdict."""
        return Check(name=name, reason=self.reason, detail=self.detail, evidence=self.evidence)


def _shown(text: str) -> str:
    """`text` for a terminal or a log: an attacker wrote part of it, so no character of it may steer either."""
    short = text if len(text) <= _MAX_DETAIL else text[:_MAX_DETAIL] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)


@contextmanager
def border(reason: Reason, what: str) -> Iterator[None]:
    """Turn whatever a library raises over hostile input into a refusal for `reason`.

    The libraries below (cryptography, rfc3161-client, sigstore, pydantic) document no closed set of exceptions for
    malformed input, and any input must give a verdict; so this is the one place that catches them all.
    """
    try:
        yield
    except Refusal:
        raise
    except FormatError as error:
        raise Refusal(reason, error.message) from error
    except Exception as error:
        raise Refusal(reason, f"{what}: {str(error) or type(error).__name__}") from error
