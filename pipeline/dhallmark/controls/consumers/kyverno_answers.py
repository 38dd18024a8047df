"""Reading the answers of Kyverno's CLI: a policy report as JSON, and log lines with the errors behind a failure.

Source: kyverno v1.19.1, cmd/cli/kubectl-kyverno and pkg/image/verifiers/ivpol/cosign; openreports.io/v1alpha1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.controls.consumers.sigstore_go import BUNDLE, split_messages
from dhallmark.errors import FormatError
from dhallmark.gitops.write.kyverno import SIGNATURE
from dhallmark.reasons import Reason
from dhallmark.verdict import Check

PINNED: Final = "1.19.1"
"""The version whose answers these are."""

_FAILURE = re.compile(r'image verification failed error=("(?:[^"\\]|\\.)*")(?P<fields>(?: \S+=\S+)*)\s*$')
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = "failed to verify cosign signatures: "
_NO_MATCH = "no matching attestations: "
_EVALUATION = "failed to evaluate policy: "
_NO_ANSWER = re.compile(r"(GET|Get|HEAD|Head) \"?https?://\S+: .*|unexpected EOF$", re.DOTALL)
_OTHER_TYPES = re.compile(r"required predicate type \S+ not found, found \[.*\]")


@dataclass(frozen=True, slots=True)
class _Failure:
    """One line of the log: a verification with one attestor that failed."""

    error: str
    about: str
    """An attestation's name, or `SIGNATURE`."""


def read_answer(status: int, stdout: bytes, stderr: str) -> Check:
    """The check that an answer amounts to."""
    result = _result(stdout)
    outcome = result.get("result") if result else None
    if outcome == "pass" and status == 0:
        return Check(name="kyverno")
    message = str(result.get("message", "")) if result else ""
    failures = [failure for failure in _failures(stderr) if failure.about == message]
    reason = _reason(failures) if outcome == "fail" else None
    if outcome == "error" and _NO_ANSWER.match(message.removeprefix(_EVALUATION)):
        reason = Reason.REGISTRY_UNAVAILABLE
    words = "\n".join([message, *(failure.error for failure in failures)]) if result else stderr[-2000:]
    return Check(
        name="kyverno",
        reason=reason or Reason.CONSUMER_UNREADABLE,
        detail=words[:2000],
        evidence={"exitCode": str(status), "result": str(outcome)},
    )


def _result(stdout: bytes) -> dict[str, Any] | None:
    """The one result of the report."""
    try:
        report = strictjson.parse(stdout, what="report")
    except FormatError:
        return None
    results = report.get("results") if isinstance(report, dict) else None
    if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], dict):
        return None
    return results[0]


def _failures(stderr: str) -> list[_Failure]:
    found = []
    for line in stderr.splitlines():
        match = _FAILURE.search(_COLOUR.sub("", line))
        if match is None:
            continue
        fields = dict(field.split("=", 1) for field in match["fields"].split())
        try:
            error = json.loads(match[1])
        except ValueError:
            continue  # Go quotes some characters as JSON does not; then this line says nothing
        found.append(_Failure(str(error), fields.get("attestation", SIGNATURE)))
    return found


def _reason(failures: Sequence[_Failure]) -> Reason | None:
    """The reason of the attestor that came furthest; None where one of the errors is not known."""
    messages: list[str] = []
    found: set[Reason] = set()
    for failure in failures:
        error = failure.error.removeprefix(_PREFIX)
        if _OTHER_TYPES.fullmatch(error):
            found.add(Reason.STATEMENT_MISSING)
        elif error in ("no signatures found", "no valid bundles exist in registry", _NO_MATCH):
            found.add(Reason.SIGNATURE_NONE)
        elif _NO_ANSWER.match(error):
            return Reason.REGISTRY_UNAVAILABLE
        elif error.startswith(_NO_MATCH):
            messages += split_messages(error.removeprefix(_NO_MATCH))
        else:
            return None
    if messages:
        # Whoever was verified but said something else came further than whoever was not verified.
        return Reason.STATEMENT_MISSING if Reason.STATEMENT_MISSING in found else BUNDLE.furthest(messages)
    return next((reason for reason in (Reason.STATEMENT_MISSING, Reason.SIGNATURE_NONE) if reason in found), None)
