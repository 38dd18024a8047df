"""dhallmark's own verifier as a consumer."""

from __future__ import annotations

from dhallmark.config.load import load_policy
from dhallmark.consumer import Target
from dhallmark.controls.consumers.dialect import DHALLMARK
from dhallmark.errors import ConfigError, Error, UsageError
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import split_repository
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.reference import Reference, verify_in
from dhallmark.verify.trust import TrustRoot
from dhallmark.version import tool_version

_SILENCE, _REQUEST = 5.0, 10.0
"""Seconds: the registry of a judgement is on the same machine, and one that does not answer at once never will."""


class DhallmarkConsumer:
    """Asks `verify_in`, as `dhallmark verify` does."""

    def __init__(self, program: str = "") -> None:
        """It is the package that asks: `program` must be empty. Raises UsageError."""
        if program:
            raise UsageError("dhallmark judges by itself: it has no program to choose")

    @property
    def name(self) -> str:
        return DHALLMARK

    @property
    def version(self) -> str:
        return tool_version()

    async def verify(self, target: Target) -> Verdict:
        try:
            policy, trust = load_policy(target.policy), TrustRoot.load(target.trusted_root)
            host = split_repository(target.repository)[0]
            reference = Reference(target.repository, target.tag, None if target.tag else target.digest)
            async with Registry(host, plain_http=target.plain_http, timeout=_SILENCE, deadline=_REQUEST) as registry:
                return await verify_in(registry, reference, policy, trust, subject_name=target.subject_name)
        except (Error, OSError) as error:
            invalid = isinstance(error, ConfigError)
            reason = Reason.POLICY_INVALID if invalid else Reason.CONSUMER_UNAVAILABLE
            check = Check(name="consumer", reason=reason, detail=str(error))
            return Verdict.of(f"{target.repository}@{target.digest}", checks=[check])
