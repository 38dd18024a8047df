"""What a predicate says of the run that made it, against what the certificate proves of the run that signed it (C15).

A predicate is its signer's own word. Whoever controls the job can write any repository, commit or ref into it; the
certificate authority wrote the extensions from the token's claims. What both say must be the same; what only one says
is not compared (a policy demands extensions by name).

| extension | provenance/v1 | link/v0.3, `environment` |
|---|---|---|
| sourceRepositoryURI | the source, `externalParameters` | GITHUB_REPOSITORY, CI_PROJECT_URL |
| sourceRepositoryDigest | the source's `gitCommit` | GITHUB_SHA, CI_COMMIT_SHA |
| sourceRepositoryRef | the source, `externalParameters.workflow` | GITHUB_REF |
| buildSignerURI, buildConfigURI | `runDetails.builder.id`, if a workflow at a ref | GITHUB_WORKFLOW_REF |
| runInvocationURI | `runDetails.metadata.invocationId`, if a URL | CI_JOB_URL |
| buildTrigger, …Identifier and others | `internalParameters.github` | GITHUB_EVENT_NAME and others |

Sources: Fulcio's docs/oid-info.md; GitHub's build type https://actions.github.io/buildtypes/workflow/v1; GitHub,
"Default environment variables"; GitLab, "Predefined CI/CD variables reference".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dhallmark.identity import Identity, Signatory, bare_commit
from dhallmark.reasons import Reason
from dhallmark.statement import LINK_V0_3, SLSA_PROVENANCE_V1, Statement
from dhallmark.verify.provenance import Provenance
from dhallmark.verify.refusal import Refusal

_URI, _DIGEST, _REF = "sourceRepositoryURI", "sourceRepositoryDigest", "sourceRepositoryRef"
_WORKFLOWS = ("buildSignerURI", "buildConfigURI")
_GITHUB_PARAMETERS = {
    "event_name": "buildTrigger",
    "repository_id": "sourceRepositoryIdentifier",
    "repository_owner_id": "sourceRepositoryOwnerIdentifier",
    "runner_environment": "runnerEnvironment",
}
_VARIABLES = {
    "CI_COMMIT_SHA": _DIGEST,
    "CI_JOB_URL": "runInvocationURI",
    "CI_PIPELINE_SOURCE": "buildTrigger",
    "CI_PROJECT_ID": "sourceRepositoryIdentifier",
    "CI_PROJECT_URL": _URI,
    "GITHUB_EVENT_NAME": "buildTrigger",
    "GITHUB_REF": _REF,
    "GITHUB_REPOSITORY_ID": "sourceRepositoryIdentifier",
    "GITHUB_REPOSITORY_OWNER_ID": "sourceRepositoryOwnerIdentifier",
    "GITHUB_SHA": _DIGEST,
}


@dataclass(frozen=True, slots=True)
class RunClaim:
    """One thing that a predicate says of its run."""

    field: str
    """Where it stands in the predicate."""
    value: str
    extensions: tuple[str, ...]
    """The extensions that prove it or refute it: one of those that the certificate has must say the same."""


def require_no_contradiction(statement: Statement, signatory: Signatory) -> None:
    """Refuse a predicate that the certificate of its signer contradicts. A managed key proves nothing of a run."""
    if not isinstance(signatory, Identity):
        return
    for claim in read_claims(statement):
        proven = {
            name: bare_commit(signatory.extensions[name]) for name in claim.extensions if signatory.extensions.get(name)
        }
        if proven and claim.value not in proven.values():
            raise Refusal(
                Reason.PROVENANCE_CLAIM_MISMATCH,
                f"{claim.field} contradicts the certificate's {' and '.join(proven)}",
                expected=" or ".join(proven.values()),
                found=claim.value,
            )


def read_claims(statement: Statement) -> Iterator[RunClaim]:
    """What the predicate says of its run, as far as its type and its shape are known."""
    if statement.predicate_type == SLSA_PROVENANCE_V1:
        yield from _provenance(statement)
    elif statement.predicate_type == LINK_V0_3:
        yield from _link(statement.predicate)


def _provenance(statement: Statement) -> Iterator[RunClaim]:
    yield from _source(statement)
    builder = _at(statement.predicate, "runDetails", "builder").get("id")
    # A workflow or pipeline file at a ref. Other builders have names that no certificate speaks of.
    if isinstance(builder, str) and "://" in builder and "@" in builder:
        yield RunClaim("runDetails.builder.id", builder, _WORKFLOWS)
    parameters = _at(statement.predicate, "buildDefinition", "externalParameters")
    yield from _text("externalParameters.repository", parameters.get("repository"), _URI)
    workflow = parameters.get("workflow")
    if isinstance(workflow, dict):
        yield from _text("externalParameters.workflow.repository", workflow.get("repository"), _URI)
        yield from _text("externalParameters.workflow.ref", workflow.get("ref"), _REF)
    github = _at(statement.predicate, "buildDefinition", "internalParameters", "github")
    for name, extension in _GITHUB_PARAMETERS.items():
        yield from _text(f"internalParameters.github.{name}", github.get(name), extension)
    invocation = _at(statement.predicate, "runDetails", "metadata").get("invocationId")
    if isinstance(invocation, str) and "://" in invocation:
        yield RunClaim("runDetails.metadata.invocationId", invocation, ("runInvocationURI",))


def _source(statement: Statement) -> Iterator[RunClaim]:
    """What was built. Provenance of a step that read no commit, or several, is a layout's to judge by its rules."""
    try:
        read = Provenance.read(statement)
    except Refusal:
        return
    yield RunClaim("the source's URI", read.repository, (_URI,))
    yield RunClaim("the source's gitCommit", read.revision, (_DIGEST,))
    if read.ref:
        yield RunClaim("the source's ref", read.ref, (_REF,))


def _link(predicate: Mapping[str, Any]) -> Iterator[RunClaim]:
    environment = _at(predicate, "environment")
    # in-toto leaves the shape open; tools that record variables put them here or one level below.
    variables = {**environment, **_at(environment, "variables")}
    for name, extension in _VARIABLES.items():
        yield from _text(f"environment.{name}", variables.get(name), extension)
    server, repository = variables.get("GITHUB_SERVER_URL"), variables.get("GITHUB_REPOSITORY")
    if isinstance(server, str) and isinstance(repository, str):
        yield RunClaim("environment.GITHUB_REPOSITORY", f"{server}/{repository}", (_URI,))
    workflow = variables.get("GITHUB_WORKFLOW_REF")
    if isinstance(server, str) and isinstance(workflow, str):
        yield RunClaim("environment.GITHUB_WORKFLOW_REF", f"{server}/{workflow}", _WORKFLOWS)


def _text(field: str, value: object, extension: str) -> Iterator[RunClaim]:
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        yield RunClaim(field, str(value), (extension,))


def _at(parent: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = parent.get(key)
        if not isinstance(value, dict):
            return {}
        parent = value
    return parent
