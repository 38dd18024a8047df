"""What Flux is asked about a target: an OCIRepository as it stands in a cluster, and the Secrets that it names.

What Flux gets of a policy is what an OCIRepository can say: one matcher for issuer and subject, or public keys, and a
trust root. 1.8 cannot name a trust root; it is set up as a deployment with a Sigstore of its own must be.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from dhallmark.config.load import load_policy
from dhallmark.config.policy import Policy
from dhallmark.consumer import Target
from dhallmark.controls.consumers.documents import read_documents
from dhallmark.controls.consumers.trust_deployment import deployed
from dhallmark.errors import FormatError
from dhallmark.gitops.write.flux_verify import TRUSTED_ROOT, verification

KIND: Final = "OCIRepository"

Secrets = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One OCIRepository."""

    source: Mapping[str, Any]
    """The object."""
    secrets: Mapping[str, Mapping[str, str]] = field(repr=False)
    """The Secrets of its namespace by name, each with its keys and their text."""
    deployed_root: bytes | None
    """The trust root that the controller's deployment must have; None where the object names one."""

    @classmethod
    def about(cls, target: Target, *, names_trust_root: bool) -> Self:
        """The question about `target`; `names_trust_root`: whether an OCIRepository can name one.

        Raises UsageError for a policy that an OCIRepository cannot say, FormatError for a file that cannot be read.
        """
        if target.configuration is not None:
            source, secrets = read_source(target.configuration)
        else:
            root = target.trusted_root.read_text(encoding="utf-8") if names_trust_root else None
            source, secrets = _said(load_policy(target.policy), root)
        spec = source["spec"]
        spec |= {"url": f"oci://{target.repository}", "insecure": target.plain_http}
        spec["ref"] = {"tag": target.tag} if target.tag else {"digest": str(target.digest)}
        verify = spec.get("verify") or {}
        named = verify.get("trustedRootSecretRef") if isinstance(verify, dict) else None
        if isinstance(named, dict):
            secrets[str(named.get("name", ""))] = {TRUSTED_ROOT: target.trusted_root.read_text(encoding="utf-8")}
            return cls(source=source, secrets=secrets, deployed_root=None)
        return cls(source=source, secrets=secrets, deployed_root=target.trusted_root.read_bytes())


def deployment(deployed_root: bytes | None, home: Path) -> AbstractContextManager[Mapping[str, str]]:
    """The environment of a deployment that believes `deployed_root`; where it is None, the objects say what to believe.

    Files go to `home`. Raises FormatError where it is no trust root.
    """
    return nullcontext({}) if deployed_root is None else deployed(deployed_root, home)


def _said(policy: Policy, trusted_root: str | None) -> tuple[dict[str, Any], Secrets]:
    """The OCIRepository that says of `policy` what it can, and its Secrets. Raises UsageError."""
    said = verification(policy, trusted_root=trusted_root)
    return _repository({"verify": dict(said.verify)}), {name: dict(data) for name, data in said.secrets.items()}


def _repository(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": KIND,
        "metadata": {"name": "release", "namespace": "flux-system"},
        # The first layer, of whatever type, as it is: for a HelmRelease with `chartRef` that is the chart.
        "spec": {"interval": "1m", "layerSelector": {"operation": "copy"}, **spec},
    }


def read_source(path: Path) -> tuple[dict[str, Any], Secrets]:
    """A user's OCIRepository, and the Secrets that stand beside it in the file. Raises FormatError."""
    documents = read_documents(path)
    sources = [document for document in documents if document.get("kind") == KIND]
    if len(sources) != 1 or not isinstance(sources[0].get("spec"), dict):
        raise FormatError(f"{path}: {len(sources)} documents are an {KIND}; there must be one, with a spec")
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
