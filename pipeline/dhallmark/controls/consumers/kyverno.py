"""Kyverno as a consumer: its CLI applies an ImageValidatingPolicy to a Pod that runs the artifact.

What it gets of a policy: the signature and each predicate type, by whom, and the trust root. It takes the trust root
in the policy, and asks a TUF mirror for one all the same.
"""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from dhallmark.config.identities import IdentityRule
from dhallmark.config.load import load_policy
from dhallmark.config.policy import Policy, StatementRule
from dhallmark.consumer import Target
from dhallmark.controls.consumers.dialect import KYVERNO
from dhallmark.controls.consumers.documents import read_documents
from dhallmark.controls.consumers.kyverno_answers import SIGNATURE, read_answer
from dhallmark.controls.consumers.matcher import anchored
from dhallmark.controls.consumers.program import ask_version, run_program
from dhallmark.controls.consumers.tuf_mirror import Mirror, serving_trust
from dhallmark.errors import Error, FormatError
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1
from dhallmark.verdict import Check, Verdict

_ARGUMENTS: Final = ("--registry", "--policy-report", "--output-format=json", "--remove-color", "-v=1")
"""Of `kyverno apply`: look at the registry, report as JSON, and log why a verification failed."""
_KIND: Final = "ImageValidatingPolicy"


class KyvernoConsumer:
    """Asks `kyverno apply`."""

    def __init__(self, program: str = "") -> None:
        """`program` is a path, or a name on PATH; `kyverno` where it is empty."""
        self._program = program or "kyverno"

    @property
    def name(self) -> str:
        return KYVERNO

    @cached_property
    def version(self) -> str:
        try:
            found = re.search(r"^Version: v?(\S+)$", ask_version(self._program, "version"), re.MULTILINE)
        except Error:
            return "not found"
        return found[1] if found else "unknown"

    async def verify(self, target: Target) -> Verdict:
        image = f"{target.repository}:{target.tag}" if target.tag else f"{target.repository}@{target.digest}"
        try:
            return Verdict.of(image, checks=[await self._ask(target, image)])
        except (Error, OSError) as error:
            check = Check(name="kyverno", reason=Reason.CONSUMER_UNAVAILABLE, detail=str(error))
            return Verdict.of(image, checks=[check])

    async def _ask(self, target: Target, image: str) -> Check:
        trusted_root = target.trusted_root.read_bytes()
        with tempfile.TemporaryDirectory(prefix="dhallmark-kyverno-") as folder, serving_trust(trusted_root) as mirror:
            home = Path(folder)
            if target.configuration is not None:
                policy = read_policy(target.configuration)
            else:
                policy = write_policy(load_policy(target.policy), by_tag=bool(target.tag))
            for attestor in policy["spec"].get("attestors", ()):
                _trust(attestor, mirror, trusted_root.decode())
            (home / "policy.yaml").write_text(json.dumps(policy), encoding="utf-8")
            (home / "pod.yaml").write_text(json.dumps(_pod(image)), encoding="utf-8")
            arguments = ("apply", str(home / "policy.yaml"), f"--resource={home / 'pod.yaml'}", *_ARGUMENTS)
            done = await run_program(self._program, arguments, home=home)
        return read_answer(done.status, done.stdout, done.stderr)


def write_policy(policy: Policy, *, by_tag: bool) -> dict[str, Any]:
    """The ImageValidatingPolicy that says of `policy` what it can."""
    names = {name: f"identity{number}" for number, name in enumerate(policy.identities)}
    types = [rule for rule in policy.statements if rule.predicate_type != COSIGN_SIGN_V1]
    signatures = [rule for rule in policy.statements if rule.predicate_type == COSIGN_SIGN_V1]
    validations = [_validation(rule, names, SIGNATURE, "verifyImageSignatures(image, [%s])") for rule in signatures]
    validations += [
        _validation(
            rule, names, f"type{number}", f"verifyAttestationSignatures(image, attestations.type{number}, [%s])"
        )
        for number, rule in enumerate(types)
    ]
    return {
        "apiVersion": "policies.kyverno.io/v1beta1",
        "kind": _KIND,
        "metadata": {"name": "release"},
        "spec": {
            "failurePolicy": "Fail",
            "validationActions": ["Deny"],
            "validationConfigurations": {"mutateDigest": False, "verifyDigest": not by_tag, "required": True},
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                ]
            },
            "matchImageReferences": [{"glob": "*"}],
            "attestors": [_attestor(names[name], rule, policy) for name, rule in policy.identities.items()],
            "attestations": [
                {"name": f"type{number}", "intoto": {"type": rule.predicate_type}} for number, rule in enumerate(types)
            ],
            "validations": validations,
        },
    }


def _validation(rule: StatementRule, names: Mapping[str, str], message: str, call: str) -> dict[str, str]:
    """That enough of those who may have signed. Its message tells it from the others."""
    attestors = ", ".join(f"attestors.{names[name]}" for name in rule.identities)
    return {
        "expression": f"images.containers.map(image, {call % attestors}).all(signers, signers >= {rule.threshold})",
        "message": message,
    }


def _attestor(name: str, rule: IdentityRule, policy: Policy) -> dict[str, Any]:
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
    return {"name": name, "cosign": cosign}


def _identity(rule: IdentityRule) -> dict[str, str]:
    """Kyverno does not anchor expressions, a policy does."""
    found = {}
    for field, exact, pattern in (
        ("issuer", rule.issuer, rule.issuer_reg_exp),
        ("subject", rule.subject, rule.subject_reg_exp),
    ):
        if exact is not None:
            found[field] = exact
        elif pattern is not None:
            found[f"{field}RegExp"] = anchored(pattern)
    return found


def _trust(attestor: Mapping[str, Any], mirror: Mirror, trusted_root: str) -> None:
    """Give an attestor the trust root of the case, whatever it had."""
    cosign = attestor.get("cosign")
    if isinstance(cosign, dict):
        cosign["tuf"] = {"mirror": mirror.url, "root": {"data": base64.b64encode(mirror.root).decode()}}
        cosign["trustedRoot"] = {"value": trusted_root}


def _pod(image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "release", "namespace": "default"},
        "spec": {"containers": [{"name": "release", "image": image}]},
    }


def read_policy(path: Path) -> dict[str, Any]:
    """A user's ImageValidatingPolicy. Raises FormatError."""
    found: Sequence[Mapping[str, Any]] = [one for one in read_documents(path) if one.get("kind") == _KIND]
    if len(found) != 1 or not isinstance(found[0].get("spec"), dict):
        raise FormatError(f"{path}: {len(found)} documents are an {_KIND}; there must be one, with a spec")
    return dict(found[0])
