"""cosign as a consumer: `cosign verify` and `cosign verify-attestation`, as people put them into admission and CI.

What it gets of a policy is what its flags can say: one identity or key at a time, a predicate type, the trust root, how
much log and time a signature needs.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dhallmark.config.identities import IdentityRule
from dhallmark.config.load import load_policy
from dhallmark.config.policy import Policy
from dhallmark.consumer import Target
from dhallmark.controls.consumers.cosign_answers import read_answer
from dhallmark.controls.consumers.dialect import COSIGN, COSIGN_ATTESTATION
from dhallmark.controls.consumers.program import ask_version, run_program
from dhallmark.errors import Error, ToolError
from dhallmark.gitops.write.matcher import anchored, identities_of, signature_rules, subject_expression
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1
from dhallmark.verdict import Check, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """One call of cosign that must succeed, with any one of the identities."""

    arguments: tuple[str, ...]
    identities: tuple[IdentityRule, ...]


class CosignConsumer:
    """Asks `cosign verify`: is there any signed statement about the artifact by the identity that may sign?"""

    _name = COSIGN
    _command = "cosign"
    _attempts: Sequence[tuple[str, ...]] = ((),)
    """Further flags; the next ones are tried where the answer is that a verified time is missing."""

    def __init__(self, program: str = "") -> None:
        """`program` is a path, or a name on PATH; the usual name where it is empty."""
        self._program = program or self._command

    @property
    def name(self) -> str:
        return self._name

    @cached_property
    def version(self) -> str:
        try:
            return str(json.loads(ask_version(self._program, "version", "--json"))["gitVersion"]).removeprefix("v")
        except ToolError:
            return "not found"
        except (ValueError, KeyError, TypeError):
            return "unknown"

    async def verify(self, target: Target) -> Verdict:
        reference = f"{target.repository}:{target.tag}" if target.tag else f"{target.repository}@{target.digest}"
        try:
            policy = load_policy(target.policy)
            with tempfile.TemporaryDirectory(prefix="dhallmark-cosign-") as home:
                checks = [
                    await self._ask(question, target, policy, reference, home=Path(home))
                    for question in self._questions(policy)
                ]
        except (Error, OSError) as error:
            return Verdict.of(reference, checks=[_unavailable(str(error))])
        return Verdict.of(reference, checks=checks)

    def _questions(self, policy: Policy) -> Sequence[Question]:
        return [Question(("verify",), identities_of(policy, signature_rules(policy)))]

    async def _ask(self, question: Question, target: Target, policy: Policy, reference: str, *, home: Path) -> Check:
        """The check of the first identity that is accepted, or of the last that is not."""
        check = _unavailable("no identity to ask for")
        for identity in question.identities:
            common = [
                *question.arguments,
                f"--trusted-root={target.trusted_root}",
                *_identity_flags(identity, policy),
                *_evidence_flags(policy),
                *(["--allow-http-registry"] if target.plain_http else []),
            ]
            for extra in self._attempts:
                done = await run_program(self._program, [*common, *extra, reference], home=home)
                check = read_answer(done.status, done.stderr)
                if check.reason is not Reason.TIMESTAMP_MISSING:
                    break
            if check.outcome is Outcome.ACCEPTED:
                break
        return check


class CosignAttestationConsumer(CosignConsumer):
    """Asks `cosign verify-attestation` for each predicate type that the policy requires, but the signature's."""

    _name = COSIGN_ATTESTATION

    def _questions(self, policy: Policy) -> Sequence[Question]:
        return [
            Question(("verify-attestation", f"--type={rule.predicate_type}"), identities_of(policy, [rule]))
            for rule in policy.statements
            if rule.predicate_type != COSIGN_SIGN_V1
        ]


def _identity_flags(rule: IdentityRule, policy: Policy) -> list[str]:
    """The flags for one identity. cosign does not anchor expressions, a policy does."""
    if rule.key is not None:
        return [f"--key={policy.origin.folder / rule.key}"]
    return [
        f"--certificate-oidc-issuer={rule.issuer}"
        if rule.issuer is not None
        else f"--certificate-oidc-issuer-regexp={anchored(rule.issuer_reg_exp or '')}",
        f"--certificate-identity={rule.subject}"
        if rule.subject is not None
        else f"--certificate-identity-regexp={anchored(subject_expression(rule) or '')}",
    ]


def _evidence_flags(policy: Policy) -> list[str]:
    """What a signature may lack by the policy, and what it must have."""
    evidence = policy.evidence
    return [
        *(["--insecure-ignore-tlog"] if evidence.log_entries == 0 else []),
        *(["--insecure-ignore-sct"] if evidence.scts == 0 else []),
        *(["--use-signed-timestamps"] if evidence.timestamps > 0 else []),
    ]


def _unavailable(detail: str) -> Check:
    return Check(name="cosign", reason=Reason.CONSUMER_UNAVAILABLE, detail=detail)
