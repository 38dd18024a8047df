"""The rebuild statement: what it says, what it refuses to say, and who may not sign it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dhallmark.audit.model import Audit, Difference, RebuildSummary, RecordSummary, Sameness, Way
from dhallmark.audit.predicate import REBUILD_V1
from dhallmark.audit.statement import is_good, make_statement, read_statement, require_auditor
from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, SigningError
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.report.records import VerdictRecord
from dhallmark.statement import VSA_V1, Statement, Subject
from dhallmark.verdict import Check, Verdict

DIGEST = Digest.of(b"artifact")
ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
POLICY = Policy.model_validate(
    {
        "schemaVersion": 1,
        "identities": {"release": {"issuer": ISSUER, "subject": WORKFLOW}},
        "statements": [{"predicateType": "https://slsa.dev/provenance/v1", "identities": ["release"]}],
        "source": {"repository": "https://github.com/acme/platform"},
        "builders": [WORKFLOW],
    }
)


def audit_of(sameness: Sameness, *, reason: Reason | None = None, **changes: Any) -> Audit:  # noqa: ANN401
    verdict = Verdict.of("x", checks=[Check(name="comparison", reason=reason)])
    body: dict[str, Any] = {
        "subject": f"registry.example/prod/web@{DIGEST}",
        "name": "registry.example/prod/web",
        "digest": str(DIGEST),
        "sameness": sameness,
        "record": RecordSummary(
            repository="https://github.com/acme/platform", revision="c" * 40, materials=str(DIGEST)
        ),
        "rebuild": RebuildSummary(digest=str(DIGEST), sealed=True, tools={"dhall": "1.42.1"}),
        "verdict": VerdictRecord.model_validate(verdict.to_json()),
        **changes,
    }
    return Audit(**body)


def made(audit: Audit) -> Statement:
    statement = make_statement(
        audit, policy=("policy.yaml", DIGEST), version="0.1.0", time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    assert statement is not None
    return statement


def test_it_says_what_was_rebuilt_from_what_and_how_it_compares() -> None:
    way = Way(name="gzip.header", meaning="the gzip header")
    statement = made(audit_of(Sameness.EQUIVALENT, ways=(way,)))
    assert statement.predicate_type == REBUILD_V1
    assert statement.subjects == (Subject("registry.example/prod/web", DIGEST),)
    said = statement.predicate
    assert said["result"] == "equivalent"
    assert said["timeRebuilt"] == "2026-01-02T03:04:05Z"
    assert said["resourceUri"] == f"oci://registry.example/prod/web@{DIGEST}"
    assert said["source"] == {"uri": "git+https://github.com/acme/platform", "digest": {"gitCommit": "c" * 40}}
    assert said["policy"]["digest"] == {"sha256": DIGEST.hex}
    assert [one["name"] for one in said["ways"]] == ["gzip.header"]
    assert read_statement(statement.payload, file="rebuild.json").payload == statement.payload


@pytest.mark.parametrize(
    "audit",
    [
        audit_of(Sameness.UNKNOWN, reason=Reason.MATERIAL_MISSING, rebuild=None),
        audit_of(Sameness.DIFFERENT, reason=Reason.TOOL_VERSION),
    ],
    ids=["nothing compared", "another tool"],
)
def test_there_is_none_where_nothing_may_be_concluded(audit: Audit) -> None:
    assert make_statement(audit, policy=None, version="0.1.0") is None


def test_there_is_none_about_something_without_a_name() -> None:
    with pytest.raises(FormatError):
        make_statement(audit_of(Sameness.EQUAL, name=""), policy=None, version="0.1.0")


def test_twenty_differences_are_said() -> None:
    many = tuple(Difference(kind="file", file=f"{number}") for number in range(30))
    statement = made(audit_of(Sameness.DIFFERENT, reason=Reason.REBUILD_FILE, differences=many))
    assert len(statement.predicate["differences"]) == 20


@pytest.mark.parametrize(
    "payload",
    [
        b"junk",
        Statement.build(predicate_type="https://x.example/v1", subjects=[Subject("a", DIGEST)], predicate={}).payload,
        Statement.build(
            predicate_type=REBUILD_V1, subjects=[Subject("a", DIGEST)], predicate={"result": "unknown"}
        ).payload,
    ],
    ids=["no statement", "another type", "no result"],
)
def test_what_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(FormatError) as refused:
        read_statement(payload, file="rebuild.json")
    assert refused.value.where is not None
    assert refused.value.where.file == "rebuild.json"


def summary(result: str) -> Statement:
    return Statement.build(
        predicate_type=VSA_V1, subjects=[Subject("a", DIGEST)], predicate={"verificationResult": result}
    )


@pytest.mark.parametrize(
    ("statement", "good"),
    [
        (made(audit_of(Sameness.EQUAL)), True),
        (made(audit_of(Sameness.EQUIVALENT)), True),
        (made(audit_of(Sameness.DIFFERENT, reason=Reason.REBUILD_OBJECT)), False),
        (summary("PASSED"), True),
        (summary("FAILED"), False),
    ],
)
def test_who_deploys_does_not_sign_what_speaks_against_the_artifact(statement: Statement, *, good: bool) -> None:
    deployer = Identity(issuer=ISSUER, subject=WORKFLOW)
    auditor = Identity(issuer=ISSUER, subject=WORKFLOW.replace("release", "audit"))
    assert is_good(statement) is good
    require_auditor(statement, auditor, POLICY)
    if good:
        require_auditor(statement, deployer, POLICY)
    else:
        with pytest.raises(SigningError):
            require_auditor(statement, deployer, POLICY)
