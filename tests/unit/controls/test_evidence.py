"""A run of controls as an in-toto test result, and who may sign which."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhallmark.config.load import parse_policy
from dhallmark.config.policy import Policy
from dhallmark.controls.case import Case
from dhallmark.controls.evidence import is_good, make_test_result, require_other_signer
from dhallmark.controls.report import Answer, Finding, Report
from dhallmark.digest import Digest
from dhallmark.errors import ExitCode, FormatError, VerdictError
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, TEST_RESULT_V0_1, Statement, Subject
from dhallmark.verdict import Outcome

DIGEST = "sha256:" + "ab" * 32
ISSUER = "https://token.actions.githubusercontent.com"
RELEASE = Identity(
    issuer=ISSUER, subject="https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
)
TESTER = Identity(issuer=ISSUER, subject="https://github.com/acme/platform/.github/workflows/test.yml@refs/heads/main")
POLICY = f"""\
schemaVersion: 1
identities:
  release: {{issuer: "{ISSUER}", subject: "{RELEASE.subject}"}}
  tests: {{issuer: "{ISSUER}", subject: "{TESTER.subject}"}}
statements:
  - {{predicateType: "{COSIGN_SIGN_V1}", identities: [release]}}
  - {{predicateType: "{TEST_RESULT_V0_1}", identities: [tests]}}
"""
GOOD = Answer(outcome=Outcome.ACCEPTED, reason=None, words="")
UNSIGNED = Answer(outcome=Outcome.REJECTED, reason=Reason.SIGNATURE_NONE, words="")
AWAY = Answer.unanswered(Reason.CONSUMER_LIMIT, "no answer in 120 s: killed")


def finding(id: str, mutant: Answer, *, consumer: str = "cosign", digest: str = DIGEST) -> Finding:  # noqa: A002
    case = Case.model_validate(
        {
            "id": id,
            "group": "signature",
            "title": "unsigned",
            "flaw": "x",
            "reference": f"r.test/staging/web@{digest}",
            "subjectName": "r.test/web",
            "expect": {
                "cosign": {"outcome": "rejected", "reason": "signature.none"},
                "blind": {"outcome": "accepted", "outOfScope": "sees nothing"},
            },
        }
    )
    return Finding(case=case, consumer=consumer, version="3.1.3", before=GOOD, mutant=mutant, after=GOOD)


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def policy(policy_file: Path) -> Policy:
    return parse_policy(policy_file.read_bytes(), file=str(policy_file), folder=policy_file.parent)


PASSED, HOLE = finding("S1", UNSIGNED), finding("S2-served", GOOD, consumer="blind")
FAILED, UNANSWERED = finding("S3", GOOD), finding("S4", AWAY)
RESULTS = [
    ([PASSED], "PASSED", ["S1/cosign"], [], []),
    ([PASSED, HOLE], "WARNED", ["S1/cosign"], ["S2-served/blind"], []),
    ([PASSED, FAILED], "FAILED", ["S1/cosign"], [], ["S3/cosign"]),
    # No telling is no success.
    ([PASSED, HOLE, UNANSWERED], "FAILED", ["S1/cosign"], ["S2-served/blind"], ["S4/cosign"]),
]


@pytest.mark.parametrize(("findings", "result", "passed", "warned", "failed"), RESULTS)
def test_a_run_is_a_test_result_about_the_artifact(
    policy_file: Path, findings: list[Finding], result: str, passed: list[str], warned: list[str], failed: list[str]
) -> None:
    flux = policy_file.with_name("source.yaml")
    flux.write_text("kind: OCIRepository\n")
    made = make_test_result(Report(findings=tuple(findings)), policy=policy_file, configurations={"flux-1.9": flux})
    statement = Statement.parse(made.payload)
    assert statement.predicate_type == TEST_RESULT_V0_1
    assert statement.subjects == (Subject("r.test/web", Digest(DIGEST)),)
    assert statement.predicate["result"] == result
    assert [statement.predicate[name] for name in ("passedTests", "warnedTests", "failedTests")] == [
        passed, warned, failed,
    ]  # fmt: skip
    configuration = {one["name"]: one for one in statement.predicate["configuration"]}
    assert configuration["policy"]["digest"] == {"sha256": Digest.of_file(policy_file).hex}
    assert configuration["configuration of flux-1.9"]["digest"] == {"sha256": Digest.of_file(flux).hex}
    assert configuration["cosign"]["uri"] == "pkg:generic/cosign@3.1.3"
    assert is_good(statement) is (result != "FAILED")


@pytest.mark.parametrize("findings", [[], [PASSED, finding("S1", UNSIGNED, digest="sha256:" + "cd" * 32)]])
def test_nothing_and_several_artifacts_are_no_result(policy_file: Path, findings: list[Finding]) -> None:
    with pytest.raises(FormatError, match="about one artifact"):
        make_test_result(Report(findings=tuple(findings)), policy=policy_file, configurations={})


def test_a_failure_is_signed_by_those_who_test_and_never_by_those_who_deploy(policy_file: Path, policy: Policy) -> None:
    good, bad = (
        make_test_result(Report(findings=findings), policy=policy_file, configurations={})
        for findings in ((PASSED,), (PASSED, FAILED))
    )
    for statement, signatory in ((good, RELEASE), (good, TESTER), (bad, TESTER)):
        require_other_signer(statement, signatory, policy)
    with pytest.raises(VerdictError, match="release") as refused:
        require_other_signer(bad, RELEASE, policy)
    assert refused.value.exit_code is ExitCode.REJECTED
    assert refused.value.verdict.reason is Reason.TEST_RESULT_FAILED


@pytest.mark.parametrize(
    "predicate", [{"result": "PASSED", "failedTests": ["S1"]}, {"result": "passed"}, {}, {"result": ["PASSED"]}]
)
def test_what_is_not_plainly_good_is_not(policy: Policy, predicate: dict[str, object]) -> None:
    statement = Statement.build(
        predicate_type=TEST_RESULT_V0_1, subjects=[Subject("x", Digest(DIGEST))], predicate=predicate
    )
    with pytest.raises(VerdictError):
        require_other_signer(statement, RELEASE, policy)


def test_other_statements_are_no_evidence(policy: Policy) -> None:
    statement = Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=[Subject("x", Digest(DIGEST))], predicate={})
    with pytest.raises(FormatError, match="not a test result"):
        require_other_signer(statement, RELEASE, policy)
