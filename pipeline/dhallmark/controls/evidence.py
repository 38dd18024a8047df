"""A run of controls as evidence: an in-toto test result about the good artifact.

Source: in-toto attestation framework, spec/predicates/test-result.md (v0.1).

A statement by an identity that may deploy authorises a deployment in Flux and cosign, whatever it says (ADR 1, point
6); so a result that is not good is never signed by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dhallmark.config.policy import Policy
from dhallmark.controls.report import Report, Status
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, VerdictError
from dhallmark.identity import Signatory
from dhallmark.reasons import Reason
from dhallmark.statement import TEST_RESULT_V0_1, Statement, Subject
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.identities import IdentityMatcher
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.vsa import deploying
from dhallmark.version import tool_version

PASSED, WARNED, FAILED = "PASSED", "WARNED", "FAILED"


def make_test_result(report: Report, *, policy: Path, configurations: Mapping[str, Path]) -> Statement:
    """The statement that `report`, of one artifact, amounts to.

    `policy` is the file that consumers judged by; `configurations` are the user's own files for consumers. A test is
    named `<control>/<consumer>`; what a consumer does not see by design is a warning, and no telling is a failure.
    Raises FormatError where nothing was asked, or controls of several artifacts were.
    """
    subjects = {(finding.case.subject_name, finding.case.reference.rpartition("@")[2]) for finding in report.findings}
    if len(subjects) != 1:
        raise FormatError(f"a test result is about one artifact, and this report about {len(subjects)}")
    name, digest = subjects.pop()
    tests: dict[Status, list[str]] = {status: [] for status in Status}
    for finding in report.findings:
        tests[finding.status].append(f"{finding.case.id}/{finding.consumer}")
    failed = sorted(tests[Status.FAILED] + tests[Status.INDETERMINATE])
    warned = sorted(tests[Status.HOLE])
    consumers = sorted({(finding.consumer, finding.version) for finding in report.findings})
    predicate = {
        "result": FAILED if failed else WARNED if warned else PASSED,
        "configuration": [
            _file("policy", policy),
            *(_file(f"configuration of {consumer}", path) for consumer, path in sorted(configurations.items())),
            {"name": "catalogue of controls", "uri": f"pkg:pypi/dhallmark@{tool_version()}"},
            *({"name": consumer, "uri": f"pkg:generic/{consumer}@{version}"} for consumer, version in consumers),
        ],
        "passedTests": sorted(tests[Status.PASSED]),
        "warnedTests": warned,
        "failedTests": failed,
    }
    return Statement.build(
        predicate_type=TEST_RESULT_V0_1, subjects=[Subject(name, Digest(digest))], predicate=predicate
    )


def _file(name: str, path: Path) -> Mapping[str, object]:
    return {"name": name, "digest": {"sha256": Digest.of_file(path).hex}}


def is_good(statement: Statement) -> bool:
    """Whether a test result has no failure in it."""
    predicate = statement.predicate
    return predicate.get("result") in (PASSED, WARNED) and not predicate.get("failedTests")


def require_other_signer(statement: Statement, signatory: Signatory, policy: Policy) -> None:
    """Raise VerdictError where an identity that deploys would sign a result that is not good.

    Raises FormatError for a statement that is no test result.
    """
    if statement.predicate_type != TEST_RESULT_V0_1:
        raise FormatError(
            f"a statement of type {statement.predicate_type}, not a test result",
            hint="`dhallmark controls --statement FILE` writes one",
        )
    if is_good(statement):
        return
    try:
        found = IdentityMatcher.of(policy).require(signatory, deploying(policy))
    except Refusal:
        return
    failed = statement.predicate.get("failedTests")
    names = ", ".join(map(str, failed[:5])) if isinstance(failed, list) and failed else "it says so"
    check = Check(name="test-result", reason=Reason.TEST_RESULT_FAILED, detail=f"failed: {names}")
    raise VerdictError(
        Verdict.of(TEST_RESULT_V0_1, checks=[check]),
        hint=f"not as {found[0]}, which deploys: Flux and cosign take any statement by it for a permission",
    )
