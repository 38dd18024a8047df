"""dhallmark's own verifier as a consumer."""

from __future__ import annotations

from dhallmark.config.load import load_policy
from dhallmark.consumer import Target
from dhallmark.controls.consumers.dialect import DHALLMARK
from dhallmark.errors import Error
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import split_repository
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.artifact import verify_artifact
from dhallmark.verify.trust import TrustRoot
from dhallmark.version import tool_version


class DhallmarkConsumer:
    """Asks `verify_artifact`."""

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
            async with Registry(host, plain_http=target.plain_http) as registry:
                return await verify_artifact(registry, target, policy, trust)
        except (Error, OSError) as error:
            check = Check(name="consumer", reason=Reason.CONSUMER_UNAVAILABLE, detail=str(error))
            return Verdict.of(f"{target.repository}@{target.digest}", checks=[check])
