"""What a check says: `accepted`, `rejected(reason)` or `indeterminate(reason)`; never a bare boolean.

A verdict is a tree. A leaf is one check with what it saw; a node's outcome follows from what is below it, and a node
with nothing below it is `indeterminate(check.none)`: nothing verified is never success.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from json.encoder import encode_basestring

from dhallmark.errors import ExitCode, FormatError
from dhallmark.reason_catalogue import CATALOGUE
from dhallmark.reasons import Reason


class Outcome(StrEnum):
    """The three things that a check can say."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INDETERMINATE = "indeterminate"


EXIT_CODES = {
    Outcome.ACCEPTED: ExitCode.OK,
    Outcome.REJECTED: ExitCode.REJECTED,
    Outcome.INDETERMINATE: ExitCode.INDETERMINATE,
}


def outcome_of(reason: Reason) -> Outcome:
    """The outcome of a verdict that `reason` decides."""
    return Outcome.INDETERMINATE if CATALOGUE[reason].indeterminate else Outcome.REJECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at, and what was found."""

    name: str
    """What was checked, such as `certificate.chain`."""
    reason: Reason | None = None
    """None where it passed."""
    detail: str = ""
    """What was seen, in a sentence for people."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """What was seen, for machines: `expected`, `found` and the like."""

    @property
    def outcome(self) -> Outcome:
        if self.reason is None:
            return Outcome.ACCEPTED
        return outcome_of(self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The checks of one thing (an artifact, a statement, a release) and the verdicts of its parts."""

    subject: str
    """What it is about: a reference by digest, a file, a predicate type."""
    checks: tuple[Check, ...] = ()
    parts: tuple[Verdict, ...] = ()
    ignored: tuple[Verdict, ...] = ()
    """What was looked at and does not count, such as a stranger's bundle beside the good ones: for the report."""

    @classmethod
    def of(
        cls,
        subject: str,
        *,
        checks: Iterable[Check] = (),
        parts: Iterable[Verdict] = (),
        ignored: Iterable[Verdict] = (),
    ) -> Verdict:
        """A verdict on `subject` from its checks and parts."""
        return cls(subject=subject, checks=tuple(checks), parts=tuple(parts), ignored=tuple(ignored))

    @property
    def outcome(self) -> Outcome:
        """A rejection outweighs an indeterminate answer, which outweighs all acceptances."""
        return self._outcome(part.outcome for part in self.parts)

    def _outcome(self, of_parts: Iterable[Outcome]) -> Outcome:
        """The outcome, given those of the parts."""
        # Asked for at every level of every verdict, nearly all of which are accepted.
        worst = Outcome.ACCEPTED if self.checks or self.parts else Outcome.INDETERMINATE
        for check in self.checks:
            if check.reason is not None:
                worst = check.outcome
                if worst is Outcome.REJECTED:
                    return worst
        for outcome in of_parts:
            if outcome is Outcome.REJECTED:
                return outcome
            if outcome is Outcome.INDETERMINATE:
                worst = outcome
        return worst

    @property
    def reason(self) -> Reason | None:
        """The first reason, in the order of the checks, that has the tree's outcome. None where accepted."""
        return self.reason_of(self.outcome)

    def reason_of(self, outcome: Outcome) -> Reason | None:
        """`reason`, for who knows the outcome."""
        if outcome is Outcome.ACCEPTED:
            return None
        for check in self.walk():
            if check.reason is not None and check.outcome is outcome:
                return check.reason
        return Reason.NOTHING_CHECKED

    @property
    def reasons(self) -> frozenset[Reason]:
        """Every reason in the tree."""
        found = {check.reason for check in self.walk() if check.reason is not None}
        return frozenset(found) if found or self.outcome is Outcome.ACCEPTED else frozenset({Reason.NOTHING_CHECKED})

    @property
    def exit_code(self) -> ExitCode:
        return EXIT_CODES[self.outcome]

    def walk(self) -> Iterator[Check]:
        """Every check of the tree: its own first, then those of its parts in order."""
        yield from self.checks
        for part in self.parts:
            yield from part.walk()

    def summary(self) -> str:
        """The verdict in one line, such as `rejected(identity.issuer-mismatch): ghcr.example/x@sha256:…`."""
        reason = self.reason
        code = f"({reason.value})" if reason else ""
        return f"{self.outcome.value}{code}: {self.subject}"

    @classmethod
    def from_json(cls, body: object) -> Verdict:
        """What `to_json` wrote. Outcomes are worked out anew. Raises FormatError for anything else.

        `body` is decoded JSON that was written here, such as by another process; its depth is the caller's to bound.
        """
        if not isinstance(body, dict) or not isinstance(body.get("subject"), str):
            raise FormatError("not a verdict: an object with a subject was expected")
        return cls(
            subject=body["subject"],
            checks=tuple(_check_from_json(item) for item in _list(body, "checks")),
            parts=tuple(cls.from_json(item) for item in _list(body, "parts")),
            ignored=tuple(cls.from_json(item) for item in _list(body, "ignored")),
        )

    def to_json(self) -> dict[str, object]:
        """The tree as `--output json` prints it."""
        outcome = self.outcome
        reason = self.reason_of(outcome)
        body: dict[str, object] = {"subject": self.subject, "outcome": outcome.value}
        if reason is not None:
            body["reason"] = reason.value
        if self.checks:
            body["checks"] = [_check_to_json(check) for check in self.checks]
        if self.parts:
            body["parts"] = [part.to_json() for part in self.parts]
        if self.ignored:
            body["ignored"] = [item.to_json() for item in self.ignored]
        return body

    def to_line(self) -> str:
        """`to_json` as compact JSON with sorted keys, made at a third of the cost: of thousands of verdicts."""
        return self.told()[0]

    def told(self) -> tuple[str, Outcome]:
        """`to_line`, and the outcome, which is found out on the way."""
        parts = [part.told() for part in self.parts]
        outcome = self._outcome([of_part for _, of_part in parts])
        reason = self.reason_of(outcome)
        fields: list[str] = []
        if self.checks:
            lines = [
                # Most passed and have nothing to show.
                _check_to_line(check) if check.reason or check.detail or check.evidence else _passed_line(check.name)
                for check in self.checks
            ]
            fields.append(f'"checks":[{",".join(lines)}]')
        if self.ignored:
            fields.append(f'"ignored":[{",".join([item.to_line() for item in self.ignored])}]')
        fields.append(f'"outcome":"{outcome}"')
        if parts:
            fields.append(f'"parts":[{",".join([line for line, _ in parts])}]')
        if reason is not None:
            fields.append(f'"reason":"{reason}"')
        fields.append(f'"subject":{encode_basestring(self.subject)}')
        return f"{{{','.join(fields)}}}", outcome


def _check_to_json(check: Check) -> dict[str, object]:
    body: dict[str, object] = {"name": check.name, "outcome": check.outcome.value}
    if check.reason is not None:
        body["reason"] = check.reason.value
    if check.detail:
        body["detail"] = check.detail
    if check.evidence:
        body["evidence"] = dict(check.evidence)
    return body


def _check_to_line(check: Check) -> str:
    fields: list[str] = []
    if check.detail:
        fields.append(f'"detail":{encode_basestring(check.detail)}')
    if check.evidence:
        evidence = [
            f"{encode_basestring(key)}:{encode_basestring(check.evidence[key])}" for key in sorted(check.evidence)
        ]
        fields.append(f'"evidence":{{{",".join(evidence)}}}')
    fields.append(f'"name":{encode_basestring(check.name)},"outcome":"{check.outcome}"')
    if check.reason is not None:
        fields.append(f'"reason":"{check.reason}"')
    return f"{{{','.join(fields)}}}"


@lru_cache(256)
def _passed_line(name: str) -> str:
    """A check that passed and has nothing to show: most are, and there are some dozen names."""
    return f'{{"name":{encode_basestring(name)},"outcome":"accepted"}}'


def _check_from_json(body: object) -> Check:
    if not isinstance(body, dict) or not isinstance(body.get("name"), str):
        raise FormatError("not a verdict: a check is an object with a name")
    reason, detail, evidence = body.get("reason"), body.get("detail", ""), body.get("evidence", {})
    if not isinstance(detail, str) or not isinstance(evidence, dict):
        raise FormatError(f"not a verdict: the check {body['name'][:100]!r} has an odd detail or evidence")
    try:
        code = None if reason is None else Reason(reason)
    except ValueError as error:
        raise FormatError(f"not a verdict: no reason {str(reason)[:100]!r}") from error
    return Check(
        name=body["name"],
        reason=code,
        detail=detail,
        evidence={str(name): str(value) for name, value in evidence.items()},
    )


def _list(body: Mapping[str, object], key: str) -> list[object]:
    items = body.get(key, [])
    if not isinstance(items, list):
        raise FormatError(f"not a verdict: {key} is no list")
    return items
