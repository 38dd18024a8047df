"""How a step of a verification says no: an exception inside this package, a `Check` outside of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

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
    return printable(text if len(text) <= _MAX_DETAIL else text[:_MAX_DETAIL] + "…")


def printable(text: str) -> str:
    """`text` with every character spelled out that could steer a terminal or begin a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class border:  # noqa: N801  (used as the verb that it is)
    """Turn whatever a library raises over hostile input into a refusal for `reason`.

    The libraries below (cryptography, asn1, google-re2, json) document no closed set of exceptions for malformed input,
    and any input must give a verdict; so this is the one place that catches them all.
    """

    __slots__ = ("reason", "what")

    def __init__(self, reason: Reason, what: str) -> None:
        self.reason = reason
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Refusal) or not isinstance(error, Exception):
            return
        if isinstance(error, FormatError):
            raise Refusal(self.reason, error.message) from error
        raise Refusal(self.reason, f"{self.what}: {str(error) or type(error).__name__}") from error
