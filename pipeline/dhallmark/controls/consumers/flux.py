"""Flux as a consumer: what source-controller decides about an OCIRepository, by its own verification code.

What Flux gets of a policy is what an OCIRepository can say: one matcher for issuer and subject, or public keys, and a
trust root. 1.8 cannot name a trust root; it is set up as a deployment with a Sigstore of its own must be.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from dhallmark.config.load import load_policy
from dhallmark.config.policy import Policy
from dhallmark.consumer import Target
from dhallmark.controls.consumers.dialect import FLUX_1_8, FLUX_1_9
from dhallmark.controls.consumers.documents import read_documents
from dhallmark.controls.consumers.flux_answers import read_answer
from dhallmark.controls.consumers.program import ask_version, run_program
from dhallmark.controls.consumers.trust_deployment import deployed
from dhallmark.errors import Error, FormatError
from dhallmark.gitops.write.flux_verify import TRUSTED_ROOT, verification
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict

_CONTROLLER: Final = "github.com/fluxcd/source-controller"

Secrets = dict[str, dict[str, str]]


class FluxConsumer:
    """Asks `flux-verify`, a program around source-controller's packages."""

    def __init__(self, name: str, program: str, *, names_trust_root: bool) -> None:
        """`program` is a path, or a name on PATH; `names_trust_root`: whether an OCIRepository can name one."""
        self._name = name
        self._program = program
        self._names_trust_root = names_trust_root

    @property
    def name(self) -> str:
        return self._name

    @cached_property
    def version(self) -> str:
        try:
            return str(json.loads(ask_version(self._program, "--version"))[_CONTROLLER])
        except (Error, ValueError, KeyError, TypeError):
            return "unknown"

    async def verify(self, target: Target) -> Verdict:
        reference = f"{target.repository}@{target.digest}"
        try:
            return Verdict.of(reference, checks=[await self._ask(target)])
        except (Error, OSError) as error:
            check = Check(name="flux", reason=Reason.CONSUMER_UNAVAILABLE, detail=str(error))
            return Verdict.of(reference, checks=[check])

    async def _ask(self, target: Target) -> Check:
        question, named = self.question(target)
        with tempfile.TemporaryDirectory(prefix="dhallmark-flux-") as folder:
            home = Path(folder)
            deployment: AbstractContextManager[Mapping[str, str]] = (
                nullcontext({}) if named else deployed(target.trusted_root.read_bytes(), home)
            )
            with deployment as variables:
                done = await run_program(self._program, (), home=home, stdin=question, variables=variables)
        return read_answer(done.status, done.stdout, done.stderr)

    def question(self, target: Target) -> tuple[bytes, bool]:
        """What the program is asked about `target`, as JSON, and whether that names a trust root.

        Raises UsageError for a policy that an OCIRepository cannot say, FormatError for a file that cannot be read.
        """
        if target.configuration is not None:
            source, secrets = read_source(target.configuration)
        else:
            source, secrets = self._source(load_policy(target.policy), target.trusted_root)
        spec = source["spec"]
        spec |= {"url": f"oci://{target.repository}", "insecure": target.plain_http}
        spec["ref"] = {"tag": target.tag} if target.tag else {"digest": str(target.digest)}
        verify = spec.get("verify") or {}
        named = verify.get("trustedRootSecretRef") if isinstance(verify, dict) else None
        if isinstance(named, dict):
            secrets[str(named.get("name", ""))] = {TRUSTED_ROOT: target.trusted_root.read_text(encoding="utf-8")}
        return json.dumps({"source": source, "secrets": secrets}).encode(), isinstance(named, dict)

    def _source(self, policy: Policy, trusted_root: Path) -> tuple[dict[str, Any], Secrets]:
        """The OCIRepository that says of `policy` what it can, and its Secrets. Raises UsageError."""
        root = trusted_root.read_text(encoding="utf-8") if self._names_trust_root else None
        said = verification(policy, trusted_root=root)
        return _repository({"verify": dict(said.verify)}), {name: dict(data) for name, data in said.secrets.items()}


def flux_1_8(program: str) -> FluxConsumer:
    """Flux 2.8's source-controller."""
    return FluxConsumer(FLUX_1_8, program or "flux-verify-1.8", names_trust_root=False)


def flux_1_9(program: str) -> FluxConsumer:
    """Flux 2.9's source-controller."""
    return FluxConsumer(FLUX_1_9, program or "flux-verify-1.9", names_trust_root=True)


def _repository(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "metadata": {"name": "release", "namespace": "flux-system"},
        # The first layer, of whatever type, as it is: for a HelmRelease with `chartRef` that is the chart.
        "spec": {"interval": "1m", "layerSelector": {"operation": "copy"}, **spec},
    }


def read_source(path: Path) -> tuple[dict[str, Any], Secrets]:
    """A user's OCIRepository, and the Secrets that stand beside it in the file. Raises FormatError."""
    documents = read_documents(path)
    sources = [document for document in documents if document.get("kind") == "OCIRepository"]
    if len(sources) != 1 or not isinstance(sources[0].get("spec"), dict):
        raise FormatError(f"{path}: {len(sources)} documents are an OCIRepository; there must be one, with a spec")
    secrets = {
        str(document["metadata"]["name"]): _data(document)
        for document in documents
        if document.get("kind") == "Secret" and isinstance(document.get("metadata"), dict)
    }
    return dict(sources[0]), secrets


def _data(secret: Mapping[str, Any]) -> dict[str, str]:
    """The text of a Secret's keys. Raises FormatError."""
    try:
        encoded = {
            str(key): base64.b64decode(value, validate=True).decode()
            for key, value in (secret.get("data") or {}).items()
        }
        return encoded | {str(key): str(value) for key, value in (secret.get("stringData") or {}).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise FormatError("a Secret's data is not base64 of text") from error
