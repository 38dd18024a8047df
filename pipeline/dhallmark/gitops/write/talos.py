"""Talos: what a node may pull as an image from the release's repositories.

Rules are tried in order, and the first whose `image` fits decides. Source: Talos v1.13, ImageVerificationConfig.
"""

from __future__ import annotations

from typing import Any

from dhallmark.config.gitops import Follower
from dhallmark.errors import InputError
from dhallmark.gitops.write.model import Checks
from dhallmark.gitops.write.wanted import ObjectFile, Wanted


def image_verification(checks: Checks, *, folder: str) -> tuple[ObjectFile, ...]:
    """A rule for each repository. Raises InputError where Talos cannot say who may sign."""
    rules = [{"image": repository, "keyless": _keyless(checks)} for repository in checks.repositories]
    body = {"apiVersion": "v1alpha1", "kind": "ImageVerificationConfig", "rules": rules}
    return (
        ObjectFile(
            path=f"{folder}/image-verification.yaml",
            header="A document of Talos's machine configuration. The first rule that fits an image decides: put these"
            "\nbefore wider ones. A node without the verifier checks nothing."
            "\n`rules` is set by `dhallmark gitops write`.",
            objects=(Wanted(body=body, owned=(("rules",),)),),
        ),
    )


def _keyless(checks: Checks) -> dict[str, Any]:
    matcher = checks.matcher()
    issuers = {rule.issuer for rule in checks.signers.values()}
    if matcher is None or len(issuers) > 1 or None in issuers:
        said = "signatures by a bare key" if matcher is None else "more than one issuer"
        raise InputError(
            f"Talos's image verification cannot say {said}",
            hint=f"leave {Follower.TALOS.value} out of gitops.consumers",
        )
    if checks.trust.named:
        raise InputError(
            "Talos's image verification cannot name the trust root of a private Sigstore",
            hint=f"leave {Follower.TALOS.value} out of gitops.consumers",
        )
    subjects = {rule.subject for rule in checks.signers.values()}
    issuer = next(iter(issuers))
    if len(subjects) == 1 and None not in subjects:
        return {"issuer": issuer, "subject": next(iter(subjects))}
    return {"issuer": issuer, "subjectRegex": matcher.subject}
