"""What a statement may be about: of an artifact with a name, and of a file, of which only the digest is known."""

from __future__ import annotations

import pytest

from dhallmark.config.policy import StatementRule, Subjects
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1, Statement, Subject
from dhallmark.verify.claims import ArtifactFacts
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.subjects import require_digest, require_name, require_own

OWN, OTHER = Digest.of(b"own"), Digest.of(b"other")
RULE = StatementRule(predicate_type=SLSA_PROVENANCE_V1, identities=("release",))
NAMED = ArtifactFacts(name="registry.test/prod/web", digest=OWN, archive=None)
FILE = ArtifactFacts(name=None, digest=OWN, archive=None)


def statement(*subjects: Subject) -> Statement:
    return Statement.build(predicate_type=SLSA_PROVENANCE_V1, subjects=subjects, predicate={})


def reason(facts: ArtifactFacts, allowed: Subjects, *subjects: Subject) -> Reason | None:
    """What refuses first."""
    try:
        require_digest(statement(*subjects), facts)
        require_name(statement(*subjects), facts, RULE)
        require_own(statement(*subjects), facts, allowed)
    except Refusal as refusal:
        return refusal.reason
    return None


SELF = Subject("registry.test/prod/web", OWN)


@pytest.mark.parametrize(
    ("subjects", "named", "of_a_file"),
    [
        ([SELF], None, None),
        ([Subject("web.tgz", OWN)], Reason.SUBJECT_NAME, None),
        ([Subject("", OWN)], Reason.SUBJECT_NAME, None),
        ([Subject("web.tgz", OTHER)], Reason.SUBJECT_MISMATCH, Reason.SUBJECT_MISMATCH),
        ([SELF, Subject("web.tgz", OWN)], Reason.SUBJECT_EXTRA, None),
        ([SELF, Subject("web.tgz", OTHER)], Reason.SUBJECT_EXTRA, None),
    ],
)
def test_a_file_is_bound_by_its_digest_alone(
    subjects: list[Subject], named: Reason | None, of_a_file: Reason | None
) -> None:
    assert reason(NAMED, Subjects.RELEASE, *subjects) is named
    assert reason(FILE, Subjects.RELEASE, *subjects) is of_a_file


def test_a_rule_that_allows_nothing_else_holds_for_files_too() -> None:
    assert reason(FILE, Subjects.ARTIFACT, SELF, Subject("web.tgz", OTHER)) is Reason.SUBJECT_EXTRA
    assert reason(FILE, Subjects.ARTIFACT, SELF, Subject("web.tgz", OWN)) is None
