"""`dhallmark vsa`: sign a verification summary that `dhallmark verify --vsa` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.options import (
    Audience,
    KeyPasswordFile,
    KeyPasswordVariable,
    KeyReference,
    TokenDescriptor,
    TokenFile,
    TokenVariable,
    TrustConfigFile,
)
from dhallmark.cli.result import Result

_AUDIENCE = "sigstore"
_MAX_BYTES = 16 * 1024 * 1024
SCHEMA = "dhallmark.dev/vsa-sign/v1"


def sign(
    *,
    summary: Annotated[Path, Parameter(help="The summary, as `dhallmark verify --vsa` wrote it.")] = Path("vsa.json"),
    out: Annotated[Path, Parameter(help="Where to write the bundle.")] = Path("vsa.sigstore.json"),
    policy: Annotated[Path, Parameter(help="The policy, which says who deploys.")] = Path("policy.yaml"),
    trust_config: TrustConfigFile = None,
    key: KeyReference = None,
    key_password_file: KeyPasswordFile = None,
    key_password_env: KeyPasswordVariable = None,
    token_file: TokenFile = None,
    token_env: TokenVariable = None,
    token_fd: TokenDescriptor = None,
    audience: Audience = _AUDIENCE,
) -> Result:
    """Sign a verification summary.

    One that says FAILED is not signed by an identity that the policy lets sign a release: Flux and cosign would take it
    for a permission to deploy.
    """
    from dhallmark.cli.document import SigningOptions, name_of, read_file, read_policy
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
    options = SigningOptions(
        trust_config=trust_config,
        key=key,
        key_password_file=key_password_file,
        key_password_env=key_password_env,
        token_file=token_file,
        token_env=token_env,
        token_fd=token_fd,
        audience=audience,
    )
    signed = options.sign(
        content, policy=rules, allow=lambda signatory: require_other_signer(statement, signatory, rules, matcher)
    )
    write_atomic(out, signed.bundle)
    result = str(statement.predicate.get("verificationResult"))
    data = {"schema": SCHEMA, "identity": signed.identity.to_json(), "result": result, "bundle": str(out)}
    return Result(data=data, text=f"{out}: {result}\nsigned by {name_of(signed.identity)}")
