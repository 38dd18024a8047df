"""`dhallmark vsa`: sign a verification summary that `dhallmark verify --vsa` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.options import SIGNING, SigningOptions
from dhallmark.cli.result import Result

_MAX_BYTES = 16 * 1024 * 1024
SCHEMA = "dhallmark.dev/vsa-sign/v1"


def sign(
    *,
    summary: Annotated[Path, Parameter(help="The summary, as `dhallmark verify --vsa` wrote it.")] = Path("vsa.json"),
    out: Annotated[Path, Parameter(help="Where to write the bundle.")] = Path("vsa.sigstore.json"),
    policy: Annotated[Path, Parameter(help="The policy, which says who deploys.")] = Path("policy.yaml"),
    signing: SigningOptions = SIGNING,
) -> Result:
    """Sign a verification summary.

    One that says FAILED is not signed by an identity that the policy lets sign a release: Flux and cosign would take it
    for a permission to deploy.
    """
    from dhallmark.cli.document import name_of, read_file, read_policy, sign_document
    from dhallmark.errors import FormatError, Location
    from dhallmark.files import write_atomic
    from dhallmark.statement import VSA_V1, Statement
    from dhallmark.verify.identities import IdentityMatcher
    from dhallmark.verify.vsa import require_other_signer

    where = Location(file=str(summary))
    content = read_file(summary, most=_MAX_BYTES)
    try:
        statement = Statement.parse(content)
    except FormatError as error:
        raise FormatError(error.message, where=where, hint="`dhallmark verify --vsa FILE` writes one") from error
    if statement.predicate_type != VSA_V1:
        raise FormatError(f"a statement of type {statement.predicate_type}, not a verification summary", where=where)
    rules = read_policy(policy)
    matcher = IdentityMatcher.of(rules)
    signed = sign_document(
        signing,
        content,
        policy=rules,
        allow=lambda signatory: require_other_signer(statement, signatory, rules, matcher),
    )
    write_atomic(out, signed.bundle)
    result = str(statement.predicate.get("verificationResult"))
    data = {"schema": SCHEMA, "identity": signed.identity.to_json(), "result": result, "bundle": str(out)}
    return Result(data=data, text=f"{out}: {result}\nsigned by {name_of(signed.identity)}")
