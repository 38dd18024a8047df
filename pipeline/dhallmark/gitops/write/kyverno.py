"""What Kyverno can say of a policy: an ImageValidatingPolicy, with an attestor for each identity.

It asks for the signature and for every predicate type, each by whom and by how many. Identities of one attestor would
be OR, so each has an attestor of its own. It reads no further into a statement than its type.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import Policy, StatementRule
from dhallmark.gitops.write.matcher import anchored, subject_expression
from dhallmark.gitops.write.model import Checks
from dhallmark.gitops.write.wanted import ObjectFile, Wanted
from dhallmark.statement import COSIGN_SIGN_V1

API_VERSION: Final = "policies.kyverno.io/v1beta1"
KIND: Final = "ImageValidatingPolicy"
SIGNATURE: Final = "signature"
"""The message of the validation that is about the signature; those about statements are the attestation's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Which objects a policy is asked about, and the images in them."""

    group: str
    version: str
    resource: str
    images: str
    """Name of the images in a CEL expression."""
    extractor: str | None = None
    """The CEL expression that finds them, where Kyverno does not know where they are."""
    operations: tuple[str, ...] = ("CREATE",)


PODS: Final = Seen(group="", version="v1", resource="pods", images="containers")
SOURCES: Final = Seen(
    group="source.toolkit.fluxcd.io",
    version="v1",
    resource="ocirepositories",
    images="sources",
    # By a tag where there is no digest: `verifyDigest` refuses that, in the repositories that are matched.
    extractor=(
        "[object.spec.url.replace('oci://', '').lowerAscii() + (has(object.spec.ref) && has(object.spec.ref.digest)"
        " ? '@' + object.spec.ref.digest : ':latest')]"
    ),
    operations=("CREATE", "UPDATE"),
)


def admission(checks: Checks, *, folder: str) -> tuple[ObjectFile, ...]:
    """The policy for Flux's sources of this release. Raises InputError for an identity that it would take too widely.

    It is asked when a source is created or changed, so that none gets into the cluster that follows something else.
    """
    checks.require_tight()
    body = image_policy(
        checks.policy,
        name=checks.prefix,
        seen=SOURCES,
        globs=[f"{repository}{end}" for repository in checks.repositories for end in ("@*", ":*")],
        trusted_root=checks.trust.private,
    )
    return (
        ObjectFile(
            path=f"{folder}/policy.yaml",
            header=f"What Flux's sources of {checks.environment} must fulfil to get into the cluster. `spec` is set by"
            "\n`dhallmark gitops write`.",
            objects=(Wanted(body=body, owned=(("spec",),)),),
        ),
    )


def image_policy(
    policy: Policy,
    *,
    name: str = "release",
    seen: Seen = PODS,
    globs: Sequence[str] = ("*",),
    by_tag: bool = False,
    trusted_root: str | None = None,
) -> dict[str, Any]:
    """The ImageValidatingPolicy that says of `policy` what it can, about the images that `globs` match.

    `trusted_root` is the text of a private instance's trusted_root.json, None for the public one.
    """
    names = {found: f"identity{number}" for number, found in enumerate(policy.identities)}
    types = [rule for rule in policy.statements if rule.predicate_type != COSIGN_SIGN_V1]
    signatures = [rule for rule in policy.statements if rule.predicate_type == COSIGN_SIGN_V1]
    calls = [(rule, SIGNATURE, "verifyImageSignatures(image, [%s])") for rule in signatures]
    calls += [
        (rule, f"type{number}", f"verifyAttestationSignatures(image, attestations.type{number}, [%s])")
        for number, rule in enumerate(types)
    ]
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "validationActions": ["Deny"],
        "validationConfigurations": {"mutateDigest": False, "verifyDigest": not by_tag, "required": True},
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [seen.group],
                    "apiVersions": [seen.version],
                    "operations": list(seen.operations),
                    "resources": [seen.resource],
                }
            ]
        },
        "matchImageReferences": [{"glob": glob} for glob in globs],
    }
    if seen.extractor is not None:
        spec["images"] = [{"name": seen.images, "expression": seen.extractor}]
    spec |= {
        "attestors": [_attestor(names[found], rule, policy, trusted_root) for found, rule in policy.identities.items()],
        "attestations": [
            {"name": f"type{number}", "intoto": {"type": rule.predicate_type}} for number, rule in enumerate(types)
        ],
        "validations": [_validation(rule, names, message, call, seen) for rule, message, call in calls],
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


def _validation(rule: StatementRule, names: Mapping[str, str], message: str, call: str, seen: Seen) -> dict[str, str]:
    """That enough of those who may have signed. Its message tells it from the others."""
    attestors = ", ".join(f"attestors.{names[name]}" for name in rule.identities)
    expression = f"images.{seen.images}.map(image, {call % attestors}).all(signers, signers >= {rule.threshold})"
    return {"expression": expression, "message": message}


def _attestor(name: str, rule: IdentityRule, policy: Policy, trusted_root: str | None) -> dict[str, Any]:
    log: dict[str, Any] = {}
    if policy.evidence.log_entries == 0:
        log["insecureIgnoreTlog"] = True
    if policy.evidence.scts == 0:
        log["insecureIgnoreSCT"] = True
    cosign: dict[str, Any] = {"ctlog": log} if log else {}
    if rule.key is not None:
        cosign["key"] = {"data": (policy.origin.folder / rule.key).read_text(encoding="ascii")}
    else:
        cosign["keyless"] = {"identities": [_identity(rule)]}
    if trusted_root is not None:
        cosign["trustedRoot"] = {"value": trusted_root}
    return {"name": name, "cosign": cosign}


def _identity(rule: IdentityRule) -> dict[str, str]:
    """Kyverno does not anchor expressions, a policy does."""
    found = {}
    for field, exact, pattern in (
        ("issuer", rule.issuer, rule.issuer_reg_exp),
        ("subject", rule.subject, subject_expression(rule)),
    ):
        if exact is not None:
            found[field] = exact
        elif pattern is not None:
            found[f"{field}RegExp"] = anchored(pattern)
    return found


def trust_by_mirror(attestor: Mapping[str, Any], *, trusted_root: str, mirror: str, root: bytes) -> None:
    """Give an attestor this trust root, whatever it had. Kyverno asks a TUF mirror for one all the same."""
    cosign = attestor.get("cosign")
    if isinstance(cosign, dict):
        cosign["tuf"] = {"mirror": mirror, "root": {"data": base64.b64encode(root).decode()}}
        cosign["trustedRoot"] = {"value": trusted_root}
