"""What a statement is about: this artifact, under its name, and nothing that it should not be about."""

from __future__ import annotations

from dhallmark.config.policy import StatementRule, Subjects
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import Statement, Subject
from dhallmark.verify.claims import ArtifactFacts
from dhallmark.verify.refusal import Refusal

_TREE = "environments/"
"""Files of a deploy tree have names that start with this (docs/formats.md)."""


def require_digest(statement: Statement, facts: ArtifactFacts) -> None:
    """Refuse a statement about another artifact (S6)."""
    if facts.digest not in {subject.digest for subject in statement.subjects}:
        raise Refusal(
            Reason.SUBJECT_MISMATCH,
            "the statement is about another artifact",
            expected=facts.digest,
            found=", ".join(subject.digest for subject in statement.subjects[:3]),
        )


def require_name(statement: Statement, facts: ArtifactFacts, rule: StatementRule) -> None:
    """Refuse a statement that names the artifact otherwise: it was made for another environment (P6)."""
    names = {subject.name for subject in statement.subjects if subject.digest == facts.digest}
    if facts.name is None or (rule.allow_unnamed and names == {""}):
        return
    # A statement about another artifact altogether has said so in `subject.digest`.
    if names and facts.name not in names:
        raise Refusal(
            Reason.SUBJECT_NAME,
            "the statement names the artifact otherwise" if any(names) else "the statement gives the artifact no name",
            expected=facts.name,
            found=", ".join(sorted(names)[:3]),
        )


def require_own(statement: Statement, facts: ArtifactFacts, allowed: Subjects) -> None:
    """Refuse a statement that is also about something else, which would be let in along with this artifact (P5)."""
    if allowed is Subjects.ANY:
        return
    if allowed is Subjects.RELEASE and facts.name is None:
        return  # what else is of a file's release cannot be told from the file
    if statement.foreign:
        raise Refusal(
            Reason.SUBJECT_EXTRA,
            f"the statement is also about something that cannot be compared: {statement.foreign[0]}",
            expected=facts.name or facts.digest,
        )
    stray = next((one for one in statement.subjects if not _belongs(one, facts, allowed)), None)
    if stray is not None:
        raise Refusal(
            Reason.SUBJECT_EXTRA,
            f"the statement is also about {stray.name[:200]!r}, which is no part of this artifact",
            expected=facts.name or facts.digest,
            found=stray.digest,
        )


def _belongs(subject: Subject, facts: ArtifactFacts, allowed: Subjects) -> bool:
    if subject.digest == facts.digest:
        # The same bytes under a second name would stand for another environment's artifact, too.
        return facts.name is None or subject.name in (facts.name, "")
    if allowed is Subjects.ARTIFACT:
        return False
    return subject.digest == facts.archive or subject.name.startswith(_TREE)


def require_archive(statement: Statement, archive: Digest | None) -> None:
    """Refuse provenance that does not name the artifact's one layer."""
    if archive is not None and archive not in {subject.digest for subject in statement.subjects}:
        raise Refusal(
            Reason.ARTIFACT_CONTENT_MISMATCH,
            "the artifact's layer is no subject of the provenance",
            expected=archive,
        )
