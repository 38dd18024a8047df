"""What an OCIRepository of Flux can say of a policy: its `spec.verify`, and the Secrets that this names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dhallmark.config.policy import Policy
from dhallmark.errors import UsageError
from dhallmark.gitops.write.matcher import identities_of, one_matcher, signature_rules

TRUSTED_ROOT: Final = "trusted_root.json"
"""Key of the Secret with the trust root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretNames:
    """How the Secrets are called that `spec.verify` names."""

    trust: str = "sigstore-trusted-root"
    keys: str = "release-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """`spec.verify` and its Secrets."""

    verify: Mapping[str, Any]
    secrets: Mapping[str, Mapping[str, str]]
    """Texts by key, by the Secret's name."""


def verification(policy: Policy, *, trusted_root: str | None, names: SecretNames | None = None) -> Verification:
    """What Flux can check of `policy`: one matcher for issuer and subject, or public keys.

    `trusted_root` is the text of a private instance's trusted_root.json, None for the public one. Raises UsageError for
    a policy that it cannot say.
    """
    names = names or SecretNames()
    identities = identities_of(policy, signature_rules(policy))
    keys = [rule for rule in identities if rule.key is not None]
    if keys and len(keys) < len(identities):
        raise UsageError("Flux takes public keys or identities for a source, not both")
    if keys:
        texts = {
            f"{number}.pub": (policy.origin.folder / str(rule.key)).read_text(encoding="ascii")
            for number, rule in enumerate(keys)
        }
        return Verification(
            verify={"provider": "cosign", "secretRef": {"name": names.keys}}, secrets={names.keys: texts}
        )
    verify: dict[str, Any] = {"provider": "cosign", "matchOIDCIdentity": [one_matcher(identities).to_json()]}
    if trusted_root is None:
        return Verification(verify=verify, secrets={})
    verify["trustedRootSecretRef"] = {"name": names.trust}
    return Verification(verify=verify, secrets={names.trust: {TRUSTED_ROOT: trusted_root}})
