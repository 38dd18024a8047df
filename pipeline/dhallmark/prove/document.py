"""A verdict about manifests as a report: each finding points to its file and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from dhallmark.prove.model import ProofRecord
from dhallmark.prove.prove import Proof
from dhallmark.reason_catalogue import CATALOGUE
from dhallmark.report.document import Document, Entry, Level, Rule
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.show import verdict_tree

_PLACE = ("file", "line")
"""Evidence that says where; it becomes the place of an entry."""


def proof_document(proof: Proof) -> Document:
    """The report on a proof."""
    record = ProofRecord.of(proof)
    controller = proof.question.controller
    ran = (
        "Flux's verification code alone was asked; no source-controller ran"
        if controller is None
        else f"source-controller {controller.version} itself ran"
    )
    facts = {
        "policy": str(proof.question.policy),
        "trust root": str(proof.question.trusted_root),
        "API server": proof.kubernetes or "did not answer",
        "Flux": ", ".join(flux.value for flux in proof.question.flux),
        "controller": ran,
        **({"substitution": controller.substitution} if controller and controller.substitution else {}),
    }
    refused = f"{len(proof.findings)} bad artifacts were shown"
    return verdict_document(
        proof.verdict,
        kind="prove",
        title=f"Proof of {proof.question.environment}",
        summary=f"{len(proof.question.manifests.objects)} objects, {len(proof.proved)} artifacts; {refused}; {ran}",
        facts=facts,
        notes=proof.unproved,
        data=record.to_json(),
    )


def verdict_document(
    verdict: Verdict,
    *,
    kind: str,
    title: str,
    summary: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    data: Mapping[str, object],
) -> Document:
    """The report on the parts of `verdict`; `notes` are worth knowing, and neither passes nor failures."""
    reason = verdict.reason
    said = f"{verdict.outcome.value}({reason.value})" if reason else verdict.outcome.value
    codes = sorted(verdict.reasons)
    noted = tuple(
        Entry(name=note.partition(": ")[0], level=Level.NOTE, said="not proved", message=note) for note in notes
    )
    return Document(
        kind=kind,
        title=title,
        level=Level.of(verdict.outcome),
        said=said,
        summary=summary,
        facts=facts,
        entries=(*(_entry(part) for part in (verdict.parts or (verdict,))), *noted),
        rules={code.value: Rule(summary=CATALOGUE[code].summary, remedy=CATALOGUE[code].remedy) for code in codes},
        data=data,
        text=_text(verdict, summary, facts, notes),
    )


def _text(verdict: Verdict, summary: str, facts: Mapping[str, str], notes: Sequence[str]) -> RenderableType:
    lines: list[RenderableType] = [verdict_tree(verdict), *(Text(f"not proved: {note}", style="dim") for note in notes)]
    lines += [Text(f"{name}: {value}", style="dim") for name, value in facts.items()]
    return Group(*lines, Text(summary, style="bold"))


def _entry(verdict: Verdict) -> Entry:
    reason = verdict.reason
    parts = (*(_check(check) for check in verdict.checks), *(_entry(part) for part in verdict.parts))
    decisive = next((check for check in verdict.walk() if reason and check.reason is reason), None)
    place = decisive.evidence if decisive is not None else {}
    return Entry(
        name=verdict.subject,
        level=Level.of(verdict.outcome),
        said=f"{verdict.outcome.value}({reason.value})" if reason else verdict.outcome.value,
        rule=reason.value if reason else "",
        message=decisive.detail if decisive is not None else "",
        file=place.get("file", ""),
        line=_line(place),
        parts=parts,
    )


def _check(check: Check) -> Entry:
    reason = check.reason
    return Entry(
        name=check.name,
        level=Level.of(check.outcome),
        said=f"{check.outcome.value}({reason.value})" if reason else check.outcome.value,
        rule=reason.value if reason else "",
        message=check.detail or (CATALOGUE[reason].summary if reason else ""),
        facts={name: value for name, value in check.evidence.items() if name not in _PLACE},
        file=check.evidence.get("file", ""),
        line=_line(check.evidence),
    )


def _line(evidence: Mapping[str, str]) -> int | None:
    return int(evidence["line"]) if evidence.get("line", "").isdigit() else None
