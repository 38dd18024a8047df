"""A proof as evidence: an in-toto test result that can be signed, and that the next environment asks for.

Source: in-toto attestation framework, spec/predicates/test-result.md (v0.1).

`configuration` binds it: the environment, the manifests, the policy, the trust root, and the release where one is
named. A proof that did not hold is a result that FAILED, which nobody who deploys signs (`dhallmark evidence sign`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from dhallmark.controls.evidence import FAILED, PASSED
from dhallmark.controls.report import Status
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.prove.prove import Proof
from dhallmark.publish.model import Publication
from dhallmark.statement import TEST_RESULT_V0_1, Statement, Subject
from dhallmark.verdict import Outcome
from dhallmark.version import tool_version

ENVIRONMENT: Final = "environment"
POLICY: Final = "policy"
RELEASE: Final = "release"
_ENVIRONMENT_URN: Final = "urn:dhallmark:environment:"


def environment_uri(name: str) -> str:
    """What stands for an environment in a proof."""
    return f"{_ENVIRONMENT_URN}{name}"


def release_digest(publication: Publication) -> Digest:
    """What stands for a release: every artifact of every environment, by name and digest, in order."""
    lines = sorted(
        f"{one.environment}\0{one.kind}\0{one.name}\0{one.repository}\0{one.digest}\n" for one in publication.artifacts
    )
    return Digest.of(f"{publication.project}\0{publication.version}\n{''.join(lines)}".encode())


def read_publication(path: Path) -> Publication:
    """`publish.json` of a release. Raises FormatError, OSError."""
    return Publication.parse(path.read_bytes(), file=str(path))


def make_statement(proof: Proof, *, release: Publication | None) -> Statement:
    """The statement that `proof` amounts to. Raises FormatError where nothing was proved."""
    if not proof.proved:
        raise FormatError("a proof of no artifact is no evidence")
    failed = sorted(name for name, good in _tests(proof) if not good)
    passed = sorted(name for name, good in _tests(proof) if good)
    good = proof.verdict.outcome is Outcome.ACCEPTED
    question = proof.question
    configuration: list[Mapping[str, object]] = [
        {"name": ENVIRONMENT, "uri": environment_uri(question.environment)},
        _digested("manifests", question.manifests.digest),
        _digested(POLICY, Digest.of_file(question.policy)),
        _digested("trust root", Digest.of_file(question.trusted_root)),
        {"name": "dhallmark", "uri": f"pkg:pypi/dhallmark@{tool_version()}"},
        *({"name": "Flux", "uri": f"pkg:generic/flux@{flux.value}"} for flux in question.flux),
    ]
    if release is not None:
        configuration.append(_digested(RELEASE, release_digest(release)))
    if question.controller is not None:
        configuration.append(
            {"name": "source-controller", "uri": f"pkg:generic/source-controller@{question.controller.version}"}
        )
    return Statement.build(
        predicate_type=TEST_RESULT_V0_1,
        subjects=[
            Subject(name, digest) for name, digest in sorted({(one.repository, one.digest) for one in proof.proved})
        ],
        predicate={
            "result": PASSED if good else FAILED,
            "configuration": configuration,
            "passedTests": passed,
            "warnedTests": [],
            "failedTests": failed or ([] if good else ["prove"]),
        },
    )


def _tests(proof: Proof) -> Iterator[tuple[str, bool]]:
    """Each control with each consumer and source, and what was asserted of the controller; whether it held."""
    for source, finding in proof.findings:
        yield f"prove/{finding.case.id}/{finding.consumer}/{source}", finding.status is Status.PASSED
    for name, held in proof.asserted:
        yield f"prove/source-controller/{name}", held


def _digested(name: str, digest: Digest) -> Mapping[str, object]:
    return {"name": name, "digest": {"sha256": digest.hex}}
