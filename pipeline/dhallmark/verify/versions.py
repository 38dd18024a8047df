"""The least version that may still be deployed: an old, valid release is refused where a newer one is demanded (R3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from dhallmark.config.policy import VersionRule
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal

_NUMBER = r"(0|[1-9][0-9]*)"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)
_MAX_LENGTH = 200

Precedence = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]
"""Greater for the version that takes precedence (Semantic Versioning 2.0.0, section 11)."""


def precedence(version: str) -> Precedence | None:
    """How a semantic version stands among others; None for a text that is none. A leading `v` does not count."""
    match = _SEMVER.fullmatch(version) if len(version) <= _MAX_LENGTH else None
    if match is None:
        return None
    identifiers = match[4].split(".") if match[4] else []
    return (
        int(match[1]),
        int(match[2]),
        int(match[3]),
        not identifiers,  # a release comes after its pre-releases
        tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in identifiers),
    )


def require_version(external_parameters: Mapping[str, Any], names: Collection[str], rule: VersionRule) -> str:
    """The version in the provenance's external parameters. Refuses one below what the rule demands for `names`."""
    version = external_parameters.get(rule.parameter)
    found = precedence(version) if isinstance(version, str) else None
    if found is None or not isinstance(version, str):
        raise Refusal(
            Reason.STATEMENT_PREDICATE,
            f"the provenance's external parameter {rule.parameter!r} is no semantic version",
            found=str(version)[:100],
        )
    wanted = [rule.minimum] if rule.minimum else []
    wanted += [least for prefix, least in rule.artifacts.items() if any(_below(name, prefix) for name in names)]
    for least in wanted:
        if found < (precedence(least) or found):
            raise Refusal(
                Reason.VERSION_ROLLBACK,
                "the release is older than the policy still allows",
                expected=f"at least {least}",
                found=version,
            )
    return version


def _below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix.rstrip("/") + "/")
