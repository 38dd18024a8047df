"""sigstore-python as a consumer: a program that verifies each required statement with the library's `Verifier`.

The library knows no registry and no subject: the bundles are fetched here, and the digest in the verified statement is
compared here, as its documentation asks of whoever uses it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version

from sigstore.dsse import Statement
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity

from dhallmark.config.identities import IdentityRule
from dhallmark.config.load import load_policy
from dhallmark.config.policy import Policy
from dhallmark.consumer import Target
from dhallmark.controls.consumers.dialect import SIGSTORE_PYTHON
from dhallmark.controls.consumers.sigstore_python_answers import VERIFIED, Answer, conclude, read_error
from dhallmark.errors import Error, RegistryError, UsageError
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import split_repository
from dhallmark.reasons import Reason
from dhallmark.statement import PAYLOAD_TYPE
from dhallmark.verdict import Check, Verdict


class SigstorePythonConsumer:
    """Asks `sigstore.verify.Verifier`."""

    def __init__(self, program: str = "") -> None:
        """It is a library of this Python: `program` must be empty. Raises UsageError."""
        if program:
            raise UsageError(f"{SIGSTORE_PYTHON} is a library: it has no program to choose")

    @property
    def name(self) -> str:
        return SIGSTORE_PYTHON

    @property
    def version(self) -> str:
        return version("sigstore")

    async def verify(self, target: Target) -> Verdict:
        reference = f"{target.repository}@{target.digest}"
        try:
            checks = await self._ask(target, load_policy(target.policy))
        except RegistryError as error:
            checks = [Check(name="sigstore-python", reason=Reason.REGISTRY_UNAVAILABLE, detail=str(error))]
        except (Error, OSError) as error:
            checks = [Check(name="sigstore-python", reason=Reason.CONSUMER_UNAVAILABLE, detail=str(error))]
        except Exception as error:  # noqa: BLE001 - such as a trust root that the library cannot use
            answer = read_error(error)
            checks = [Check(name="sigstore-python", reason=answer.reason, detail=answer.words)]
        return Verdict.of(reference, checks=checks)

    async def _ask(self, target: Target, policy: Policy) -> Sequence[Check]:
        rules = [(rule, [_exact(policy.identities[name]) for name in rule.identities]) for rule in policy.statements]
        verifier = Verifier(trusted_root=TrustedRoot.from_file(str(target.trusted_root)))
        host, repository = split_repository(target.repository)
        async with Registry(host, plain_http=target.plain_http) as registry:
            digest = await registry.resolve(repository, target.tag) if target.tag else target.digest
            bundles = await registry.bundles(repository, digest)
        if not bundles:
            return [Check(name="sigstore-python", reason=Reason.SIGNATURE_NONE, detail="no bundle is attached")]
        known = list(dict.fromkeys(identity for _, identities in rules for identity in identities))
        examined = {
            identity: [
                _examine(verifier, bundle, Identity(identity=identity[1], issuer=identity[0])) for bundle in bundles
            ]
            for identity in known
        }
        return [
            conclude(rule.predicate_type, str(digest), [answer for one in identities for answer in examined[one]])
            for rule, identities in rules
        ]


def _exact(rule: IdentityRule) -> tuple[str, str]:
    """Issuer and subject of one identity. Raises UsageError for what the library cannot say."""
    if rule.subject is None or rule.issuer is None:
        raise UsageError(f"{SIGSTORE_PYTHON} compares exact issuers and subjects: it knows no expressions and no keys")
    return rule.issuer, rule.subject


def _examine(verifier: Verifier, content: bytes, identity: Identity) -> Answer:
    """What the library says of one bundle and one identity."""
    try:
        payload_type, payload = verifier.verify_dsse(Bundle.from_json(content), identity)
        if payload_type != PAYLOAD_TYPE:
            return Answer(Reason.ENVELOPE_PAYLOAD_TYPE, f"the payload is of type {payload_type}", VERIFIED)
        Statement(payload)  # the library's own check of the format
        body = json.loads(payload)
        digests = frozenset(str(subject["digest"].get("sha256", "")) for subject in body["subject"])
        return Answer(None, "", VERIFIED, predicate_type=body["predicateType"], sha256=digests)
    except Exception as error:  # noqa: BLE001 - whatever the library does with a hostile bundle is its answer
        return read_error(error)
