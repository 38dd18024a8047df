"""The policy on a packaged release before its first signature: files and statements together."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.package.model import HELM_CONTENT, Artifact, Blob, File
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, SLSA_PROVENANCE_V1, TEST_RESULT_V0_1, Statement, Subject
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.unsigned import evaluate_unsigned

NAME = "registry.test/acme/prod/web"
MANIFEST, CONTENT = Digest.of(b"manifest"), b"archive"
CHART_FILE = File(name="environments/prod/charts/web/Chart.yaml", sha256=Digest.of(b"chart").hex)
ARTIFACT = Artifact(
    kind="chart",
    environment="prod",
    application="web",
    name="web",
    version="1.2.3",
    repository="prod/web",
    digest=MANIFEST,
    archive=Blob(
        path="package/prod/web-1.2.3.tgz",
        sha256=Digest.of(CONTENT).hex,
        size=len(CONTENT),
        media_type=HELM_CONTENT,
    ),
    files=(CHART_FILE,),
)
POLICY = Policy.model_validate(
    {
        "schemaVersion": 1,
        "identities": {"release": {"issuer": "https://issuer.test", "subject": "x"}},
        "statements": [
            {"predicateType": COSIGN_SIGN_V1, "identities": ["release"]},
            {"predicateType": SLSA_PROVENANCE_V1, "identities": ["release"]},
        ],
        "source": {"repository": "https://git.test/acme"},
        "builders": ["https://builder.test"],
    }
)
SUBJECT = Subject(NAME, MANIFEST)
FILES = [
    Subject(CHART_FILE.name, Digest.from_hex(CHART_FILE.sha256)),
    Subject("web-1.2.3.tgz", Digest.of(CONTENT)),
    SUBJECT,
]


def provenance(*subjects: Subject, dirty: bool = False) -> bytes:
    return Statement.build(
        predicate_type=SLSA_PROVENANCE_V1,
        subjects=subjects,
        predicate={
            "buildDefinition": {
                "internalParameters": {"dirty": dirty},
                "resolvedDependencies": [{"uri": "git+https://git.test/acme", "digest": {"gitCommit": "ab" * 20}}],
            },
            "runDetails": {"builder": {"id": "https://builder.test"}},
        },
    ).payload


SIGNATURE = Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=[SUBJECT], predicate={}).payload
GOOD = {"signature.json": SIGNATURE, "provenance.json": provenance(*FILES)}


def judge(build: Path, statements: dict[str, bytes], *, content: bytes | None = CONTENT) -> Verdict:
    if content is not None:
        path = build / ARTIFACT.archive.path
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return evaluate_unsigned(statements, POLICY, ARTIFACT, build=build, name=NAME)


def test_a_good_release_may_be_signed(tmp_path: Path) -> None:
    verdict = judge(tmp_path, GOOD)
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        ({}, Reason.STATEMENT_MISSING),
        ({"signature.json": SIGNATURE}, Reason.STATEMENT_MISSING),
        ({**GOOD, "other.json": b"{}"}, Reason.STATEMENT_MALFORMED),
        ({**GOOD, "provenance.json": provenance(*FILES, dirty=True)}, Reason.PROVENANCE_DIRTY),
        ({**GOOD, "provenance.json": provenance(*FILES[1:])}, Reason.ARTIFACT_CONTENT_MISMATCH),
        (
            {**GOOD, "provenance.json": provenance(Subject(CHART_FILE.name, MANIFEST), *FILES[1:])},
            Reason.ARTIFACT_CONTENT_MISMATCH,
        ),
        ({**GOOD, "provenance.json": provenance(FILES[0], SUBJECT)}, Reason.ARTIFACT_CONTENT_MISMATCH),
        (
            {
                **GOOD,
                "test.json": Statement.build(
                    predicate_type=TEST_RESULT_V0_1, subjects=[SUBJECT], predicate={"result": "FAILED"}
                ).payload,
            },
            Reason.TEST_RESULT_FAILED,
        ),
    ],
)
def test_what_the_policy_would_refuse_is_not_signed(
    tmp_path: Path, statements: dict[str, bytes], reason: Reason
) -> None:
    assert judge(tmp_path, statements).reason is reason


@pytest.mark.parametrize("kind", [COSIGN_SIGN_V1, SLSA_PROVENANCE_V1, "https://example.test/note"])
@pytest.mark.parametrize("also", [(), (SUBJECT,)])
def test_no_statement_about_anything_else_is_signed_along(tmp_path: Path, kind: str, also: tuple[Subject, ...]) -> None:
    """Beside statements that meet every rule: Flux and cosign would take it for a signature on what it names."""
    other = Subject(NAME, Digest.of(b"an artifact that nobody judged"))
    extra = Statement.build(predicate_type=kind, subjects=[*also, other], predicate={}).payload
    assert judge(tmp_path, {**GOOD, "zz.json": extra}).reason is Reason.SUBJECT_MISMATCH


@pytest.mark.parametrize("content", [b"another archive", None])
def test_an_archive_that_changed_or_is_gone_is_not_signed(tmp_path: Path, content: bytes | None) -> None:
    assert judge(tmp_path, GOOD, content=content).reason is Reason.ARTIFACT_CONTENT_MISMATCH
