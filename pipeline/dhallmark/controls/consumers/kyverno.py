"""Kyverno as a consumer: its CLI applies an ImageValidatingPolicy to a Pod that runs the artifact.

What it gets of a policy: the signature and each predicate type, by whom, and the trust root. It takes the trust root
in the policy, and asks a TUF mirror for one all the same.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from dhallmark.config.load import load_policy
from dhallmark.consumer import Target
from dhallmark.controls.consumers.dialect import KYVERNO
from dhallmark.controls.consumers.documents import read_documents
from dhallmark.controls.consumers.kyverno_answers import read_answer
from dhallmark.controls.consumers.program import ask_version, run_program
from dhallmark.controls.consumers.tuf_mirror import serving_trust
from dhallmark.errors import Error, FormatError
from dhallmark.gitops.write.kyverno import KIND, image_policy, trust_by_mirror
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict

_ARGUMENTS: Final = ("--registry", "--policy-report", "--output-format=json", "--remove-color", "-v=1")
"""Of `kyverno apply`: look at the registry, report as JSON, and log why a verification failed."""


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
                policy = image_policy(load_policy(target.policy), by_tag=bool(target.tag))
            for attestor in policy["spec"].get("attestors", ()):
                trust_by_mirror(attestor, trusted_root=trusted_root.decode(), mirror=mirror.url, root=mirror.root)
            (home / "policy.yaml").write_text(json.dumps(policy), encoding="utf-8")
            (home / "pod.yaml").write_text(json.dumps(_pod(image)), encoding="utf-8")
            arguments = ("apply", str(home / "policy.yaml"), f"--resource={home / 'pod.yaml'}", *_ARGUMENTS)
            done = await run_program(self._program, arguments, home=home)
        return read_answer(done.status, done.stdout, done.stderr)


def _pod(image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "release", "namespace": "default"},
        "spec": {"containers": [{"name": "release", "image": image}]},
    }


def read_policy(path: Path) -> dict[str, Any]:
    """A user's ImageValidatingPolicy. Raises FormatError."""
    found: Sequence[Mapping[str, Any]] = [one for one in read_documents(path) if one.get("kind") == KIND]
    if len(found) != 1 or not isinstance(found[0].get("spec"), dict):
        raise FormatError(f"{path}: {len(found)} documents are an {KIND}; there must be one, with a spec")
    return dict(found[0])
