"""`dhallmark rebuild`: sign what `dhallmark audit --statement` and `--vsa` wrote, and attach it to the artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.options import SIGNING, RegistryCa, SigningOptions, SubjectName, TrustedRoot
from dhallmark.cli.result import Result

_MAX_BYTES = 16 * 1024 * 1024
SCHEMA_SIGN = "dhallmark.dev/rebuild-sign/v1"
SCHEMA_ATTACH = "dhallmark.dev/rebuild-attach/v1"


def sign(
    *,
    statement: Annotated[Path, Parameter(help="The statement, as `dhallmark audit --statement` or `--vsa` wrote it.")],
    out: Annotated[Path, Parameter(help="Where to write the bundle.")] = Path("rebuild.sigstore.json"),
    policy: Annotated[Path, Parameter(help="The policy, which says who deploys.")] = Path("policy.yaml"),
    signing: SigningOptions = SIGNING,
) -> Result:
    """Sign what an audit found.

    What speaks against the artifact is not signed by an identity that the policy lets sign a release: Flux and cosign
    would take it for a permission to deploy.
    """
    from dhallmark.audit.statement import is_good, read_statement, require_auditor
    from dhallmark.cli.document import name_of, read_file, read_policy, sign_document
    from dhallmark.files import write_atomic

    content = read_file(statement, most=_MAX_BYTES)
    parsed = read_statement(content, file=str(statement))
    rules = read_policy(policy)
    signed = sign_document(
        signing, content, policy=rules, allow=lambda signatory: require_auditor(parsed, signatory, rules)
    )
    write_atomic(out, signed.bundle)
    data = {
        "schema": SCHEMA_SIGN,
        "identity": signed.identity.to_json(),
        "predicateType": parsed.predicate_type,
        "good": is_good(parsed),
        "bundle": str(out),
    }
    said = parsed.predicate.get("result") or parsed.predicate.get("verificationResult")
    return Result(data=data, text=f"{out}: {said}\nsigned by {name_of(signed.identity)}")


def attach(
    *bundles: Annotated[Path, Parameter(help="The signed statements; rebuild.sigstore.json otherwise.")],
    ref: Annotated[str, Parameter(help="The artifact: REGISTRY/REPOSITORY@sha256:…")],
    policy: Annotated[Path, Parameter(help="The policy file.")] = Path("policy.yaml"),
    trusted_root: TrustedRoot = None,
    subject_name: SubjectName = "",
    plain_http: Annotated[bool, Parameter(help="Use a registry without TLS.", negative=())] = False,
    registry_ca: RegistryCa = None,
) -> Result:
    """Attach what an audit found to the artifact that it is about, and verify the artifact with it.

    Nothing is attached that does not verify, that is about another artifact, or that speaks against it and is by an
    identity that deploys. Ends as `dhallmark verify` does, with the verdict on the artifact as it is then.
    """
    from dhallmark.audit.statement import require_auditor
    from dhallmark.cli.attaching import attach_results

    return attach_results(
        bundles or (Path("rebuild.sigstore.json"),),
        ref,
        name="audit",
        schema=SCHEMA_ATTACH,
        permit=require_auditor,
        policy=policy,
        trusted_root=trusted_root,
        subject_name=subject_name,
        plain_http=plain_http,
        registry_ca=registry_ca,
    )
