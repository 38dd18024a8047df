"""cosign as a consumer: `cosign verify` and `cosign verify-attestation`, as people put them into admission and CI.

What it gets of a policy is what its flags can say: one identity at a time, a predicate type, the trust root. It runs
with an environment of its own: no configuration, cache, credentials or TUF root of the user's are in reach.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import anyio

from dhallmark.config.load import load_policy
from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import Policy, StatementRule
from dhallmark.consumer import Target
from dhallmark.controls.consumers.cosign_answers import read_answer
from dhallmark.controls.consumers.dialect import COSIGN, COSIGN_ATTESTATION
from dhallmark.errors import Error
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1
from dhallmark.verdict import Check, Outcome, Verdict

_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class _Question:
    """One call of cosign that must succeed, with any one of the identities."""

    arguments: tuple[str, ...]
    identities: tuple[IdentityRule, ...]


class CosignConsumer:
    """Asks `cosign verify`: is there any signed statement about the artifact by the identity that may sign?"""

    _name = COSIGN

    def __init__(self, program: str = "cosign") -> None:
        """`program` is a path, or a name to be found on PATH."""
        self._program = program

    @property
    def name(self) -> str:
        return self._name

    @cached_property
    def version(self) -> str:
        try:
            done = subprocess.run(
                [self._program, "version", "--json"], capture_output=True, text=True, check=False, timeout=_TIMEOUT
            )
        except (OSError, subprocess.TimeoutExpired):
            return "not found"
        for line in done.stdout.splitlines():
            if '"gitVersion"' in line:
                return line.partition(":")[2].strip(' ",').removeprefix("v")
        return "unknown"

    async def verify(self, target: Target) -> Verdict:
        reference = f"{target.repository}@{target.digest}"
        try:
            questions = self._questions(load_policy(target.policy))
        except Error as error:
            return Verdict.of(reference, checks=[_unavailable(str(error))])
        with tempfile.TemporaryDirectory(prefix="dhallmark-cosign-") as home:
            checks = [await self._ask(question, target, reference, home=home) for question in questions]
        return Verdict.of(reference, checks=checks)

    def _questions(self, policy: Policy) -> Sequence[_Question]:
        rules = [rule for rule in policy.statements if rule.predicate_type == COSIGN_SIGN_V1]
        return [_Question(("verify",), _identities(policy, rules or policy.statements))]

    async def _ask(self, question: _Question, target: Target, reference: str, *, home: str) -> Check:
        """The check of the first identity that is accepted, or of the last that is not."""
        check = _unavailable("no identity to ask for")
        for identity in question.identities:
            command = [
                self._program,
                *question.arguments,
                f"--trusted-root={target.trusted_root}",
                *_identity_flags(identity),
                *(["--allow-http-registry"] if target.plain_http else []),
                reference,
            ]
            check = await _run(command, home=home)
            if check.outcome is Outcome.ACCEPTED:
                break
        return check


class CosignAttestationConsumer(CosignConsumer):
    """Asks `cosign verify-attestation` for each predicate type that the policy requires, but the signature's."""

    _name = COSIGN_ATTESTATION

    def _questions(self, policy: Policy) -> Sequence[_Question]:
        return [
            _Question(("verify-attestation", f"--type={rule.predicate_type}"), _identities(policy, [rule]))
            for rule in policy.statements
            if rule.predicate_type != COSIGN_SIGN_V1
        ]


def _identities(policy: Policy, rules: Sequence[StatementRule]) -> tuple[IdentityRule, ...]:
    names = dict.fromkeys(name for rule in rules for name in rule.identities)
    return tuple(policy.identities[name] for name in names)


def _identity_flags(identity: IdentityRule) -> list[str]:
    """The flags for one identity. cosign does not anchor expressions, a policy does."""
    issuer = (
        f"--certificate-oidc-issuer={identity.issuer}"
        if identity.issuer is not None
        else f"--certificate-oidc-issuer-regexp=^(?:{identity.issuer_reg_exp})$"
    )
    subject = (
        f"--certificate-identity={identity.subject}"
        if identity.subject is not None
        else f"--certificate-identity-regexp=^(?:{identity.subject_reg_exp})$"
    )
    return [issuer, subject]


async def _run(command: Sequence[str], *, home: str) -> Check:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "DOCKER_CONFIG": home, "LANG": "C.UTF-8"}
    program = shutil.which(command[0])
    if program is None:
        return _unavailable(f"there is no program {command[0]!r} on PATH")
    try:
        with anyio.fail_after(_TIMEOUT):
            done = await anyio.run_process([program, *command[1:]], check=False, env=environment, cwd=Path(home))
    except OSError as error:
        return _unavailable(str(error))
    except TimeoutError:
        return _unavailable(f"cosign did not end in {_TIMEOUT:.0f} s")
    return read_answer(done.returncode, done.stderr.decode(errors="replace"))


def _unavailable(detail: str) -> Check:
    return Check(name="cosign", reason=Reason.CONSUMER_UNAVAILABLE, detail=detail)
