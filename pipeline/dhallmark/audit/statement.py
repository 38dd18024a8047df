"""The result of an audit as an in-toto statement: predicate type `https://dhallmark.dev/rebuild/v1`.

Beside a verification summary, which has two words for everything, it says what was rebuilt from what, where, and how
it compares. Like a summary it is the auditor's word: an identity that deploys must not sign one that is not good, since
Flux and cosign take any statement of it for a permission (ADR 1, point 6).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from dhallmark.audit.model import Audit, RecordSummary, Sameness
from dhallmark.audit.predicate import REBUILD_V1, Described, RebuildPredicate, Verifier
from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, Location, SigningError
from dhallmark.identity import Signatory
from dhallmark.record import first_fault
from dhallmark.statement import VSA_V1, Statement, Subject
from dhallmark.verdict import Outcome
from dhallmark.verify.identities import IdentityMatcher
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.vsa import VERIFIER, deploying, require_other_signer, resource_uri

_MAX_DIFFERENCES: Final = 20
"""Differences in a statement; the report has all."""


def make_statement(
    audit: Audit,
    *,
    policy: tuple[str, Digest] | None,
    version: str,
    verifier: str = VERIFIER,
    time: datetime | None = None,
) -> Statement | None:
    """The statement on one audit, not signed; None where nothing was compared or nothing may be concluded.

    `policy` is the policy's name and digest. Raises FormatError for an audit of something without a name and digest.
    """
    record, rebuild = audit.record, audit.rebuild
    if audit.sameness is Sameness.UNKNOWN or rebuild is None or audit.whole.outcome is Outcome.INDETERMINATE:
        return None
    if audit.digest is None or not audit.name:
        raise FormatError(f"{audit.subject} has no name and digest that a statement could be about")
    digest = Digest(audit.digest)
    predicate = RebuildPredicate(
        verifier=Verifier(id=verifier, version={"dhallmark": version}),
        time_rebuilt=(time or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        resource_uri=resource_uri(audit.name, digest),
        result=audit.sameness,
        rebuilt=rebuild.digest,
        provenance=audit.provenance,
        source=Described(uri=f"git+{record.repository}", digest={"gitCommit": record.revision})
        if record
        else Described(),
        materials=_sha256("", record.materials) if record and record.materials else Described(),
        policy=_sha256(*policy) if policy else Described(),
        environment=rebuild,
        ways=audit.ways,
        origin=audit.origin,
        differences=audit.differences[:_MAX_DIFFERENCES],
    )
    return Statement.build(
        predicate_type=REBUILD_V1, subjects=[Subject(audit.name, digest)], predicate=predicate.to_json()
    )


def _source(record: RecordSummary) -> Described:
    return Described(uri=f"git+{record.repository}", digest={"gitCommit": record.revision})


def _sha256(uri: str, digest: str) -> Described:
    return Described(uri=uri, digest={"sha256": Digest(digest).hex})


def read_statement(content: bytes, *, file: str) -> Statement:
    """A rebuild statement or a verification summary from a file. Raises FormatError for anything else."""
    where = Location(file=file)
    hint = "`dhallmark audit --statement FILE` and `--vsa FILE` write them"
    try:
        statement = Statement.parse(content)
    except FormatError as error:
        raise FormatError(error.message, where=where, hint=hint) from error
    if statement.predicate_type == REBUILD_V1:
        try:
            RebuildPredicate.model_validate(dict(statement.predicate))
        except ValidationError as error:
            field, message = first_fault(error)
            raise FormatError(message, where=Location(file=file, field=f"predicate.{field}")) from error
    elif statement.predicate_type != VSA_V1:
        raise FormatError(f"a statement of type {statement.predicate_type}", where=where, hint=hint)
    return statement


def is_good(statement: Statement) -> bool:
    """Whether a statement says nothing against the artifact."""
    if statement.predicate_type == REBUILD_V1:
        return statement.predicate.get("result") in (Sameness.EQUAL, Sameness.EQUIVALENT)
    return statement.predicate.get("verificationResult") == "PASSED"


def require_auditor(statement: Statement, signatory: Signatory, policy: Policy) -> None:
    """Raise SigningError where a statement that is not good would be signed by an identity that deploys.

    Raises FormatError for a statement that is no auditor's.
    """
    if statement.predicate_type not in (REBUILD_V1, VSA_V1):
        raise FormatError(f"a statement of type {statement.predicate_type}, which is no auditor's")
    matcher = IdentityMatcher.of(policy)
    if statement.predicate_type == VSA_V1:
        require_other_signer(statement, signatory, policy, matcher)
        return
    if is_good(statement):
        return
    try:
        found = matcher.require(signatory, deploying(policy))
    except Refusal:
        return
    raise SigningError(
        f"a rebuild that says `different` must not be signed by {found[0]}, which deploys",
        hint="Flux and cosign take any statement of that identity for a permission; sign as an auditor",
    )
