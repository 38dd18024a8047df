"""`dhallmark evidence`: sign what `dhallmark controls --statement` wrote, and attach it to the artifact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dhallmark.cli.options import SIGNING, RegistryCa, SigningOptions, SubjectName, TrustedRoot
from dhallmark.cli.result import Result

if TYPE_CHECKING:
    from dhallmark.statement import Statement

_MAX_BYTES = 16 * 1024 * 1024
SCHEMA_SIGN = "dhallmark.dev/evidence-sign/v1"
SCHEMA_ATTACH = "dhallmark.dev/evidence-attach/v1"


def sign(
    *,
    statement: Annotated[Path, Parameter(help="The test result, as `dhallmark controls --statement` wrote it.")],
    out: Annotated[Path, Parameter(help="Where to write the bundle.")] = Path("controls.sigstore.json"),
    policy: Annotated[Path, Parameter(help="The policy, which says who deploys.")] = Path("policy.yaml"),
    signing: SigningOptions = SIGNING,
) -> Result:
    """Sign a test result.

    One that is not good is not signed by an identity that the policy lets sign a release: Flux and cosign would take it
    for a permission to deploy.
    """
    from dhallmark.cli.document import name_of, read_file, read_policy, sign_document
    from dhallmark.controls.evidence import require_other_signer
    from dhallmark.files import write_atomic

    content = read_file(statement, most=_MAX_BYTES)
    parsed = _parse(content, file=statement)
    rules = read_policy(policy)
    signed = sign_document(
        signing, content, policy=rules, allow=lambda signatory: require_other_signer(parsed, signatory, rules)
    )
    write_atomic(out, signed.bundle)
    result = str(parsed.predicate.get("result"))
    data = {"schema": SCHEMA_SIGN, "identity": signed.identity.to_json(), "result": result, "bundle": str(out)}
    return Result(data=data, text=f"{out}: {result}\nsigned by {name_of(signed.identity)}")


def attach(
    *,
    bundle: Annotated[Path, Parameter(help="The signed test result.")] = Path("controls.sigstore.json"),
    ref: Annotated[str, Parameter(help="The artifact: REGISTRY/REPOSITORY@sha256:…")],
    policy: Annotated[Path, Parameter(help="The policy file.")] = Path("policy.yaml"),
    trusted_root: TrustedRoot = None,
    subject_name: SubjectName = "",
    plain_http: Annotated[bool, Parameter(help="Use a registry without TLS.", negative=())] = False,
    registry_ca: RegistryCa = None,
) -> Result:
    """Attach a signed test result to the artifact that it is about, and verify the artifact with it.

    Nothing is attached that does not verify, that is about another artifact, or that is not good and by an identity
    that deploys. Ends as `dhallmark verify` does, with the verdict on the artifact as it is then.
    """
    from dhallmark.cli.attaching import attach_results
    from dhallmark.controls.evidence import require_other_signer

    return attach_results(
        (bundle,),
        ref,
        name="test result",
        schema=SCHEMA_ATTACH,
        permit=require_other_signer,
        policy=policy,
        trusted_root=trusted_root,
        subject_name=subject_name,
        plain_http=plain_http,
        registry_ca=registry_ca,
    )


def _parse(content: bytes, *, file: Path) -> Statement:
    from dhallmark.errors import FormatError, Location
    from dhallmark.statement import Statement

    try:
        return Statement.parse(content)
    except FormatError as error:
        hint = "`dhallmark controls --statement FILE` writes one"
        raise FormatError(error.message, where=Location(file=str(file)), hint=hint) from error
