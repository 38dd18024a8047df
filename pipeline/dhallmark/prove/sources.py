"""The sources among manifests: which artifact each names, and the question that Flux's own code is asked about it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError
from dhallmark.gitops.lint import model
from dhallmark.prove.controller import FROM_ELSEWHERE
from dhallmark.prove.manifests import Manifest, Manifests
from dhallmark.reasons import Reason
from dhallmark.verdict import Check

Json = dict[str, Any]
OCI: Final = "oci://"
TRUSTED_ROOT: Final = "trusted_root.json"
_DEFAULT_TAG: Final = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An OCIRepository, and the artifact that it names."""

    manifest: Manifest
    repository: str
    """Registry and repository, without tag or digest."""
    digest: Digest | None
    tag: str
    """Empty where the digest is named."""
    insecure: bool
    secrets: Mapping[str, Mapping[str, str]] = field(repr=False)
    """The Secrets of its namespace that `verify` names and that are among the manifests: texts by name and key."""

    @property
    def verify(self) -> Mapping[str, Any]:
        """The block as the manifest has it; empty where it has none."""
        found = self.manifest.body.get("spec", {}).get("verify")
        return found if isinstance(found, dict) else {}

    def secret_named(self, field_name: str) -> str:
        """The name of the Secret that `verify` refers to by a field; empty where it does not."""
        reference = self.verify.get(field_name)
        return str(reference.get("name", "")) if isinstance(reference, dict) else ""


def find_sources(manifests: Manifests) -> list[Source]:
    """Every OCIRepository. Raises InputError for one whose artifact cannot be told from it."""
    return [
        _source(one, manifests.objects) for one in manifests.objects if one.is_a(model.FLUX_SOURCE, "OCIRepository")
    ]


def beside(manifests: Manifests) -> list[Manifest]:
    """Sources of other kinds: no attestation of theirs can be verified by Flux, so nothing is proved of them."""
    kinds = ("GitRepository", "HelmRepository", "HelmChart", "Bucket")
    return [one for one in manifests.objects if one.is_a(model.FLUX_SOURCE, *kinds)]


def _source(manifest: Manifest, objects: Sequence[Manifest]) -> Source:
    spec = manifest.body.get("spec")
    if not isinstance(spec, dict) or not str(spec.get("url", "")).startswith(OCI):
        raise InputError("an OCIRepository needs a spec.url that begins with oci://", where=manifest.where("spec.url"))
    reference = spec.get("ref") or {}
    if not isinstance(reference, dict):
        raise InputError("spec.ref is no object", where=manifest.where("spec.ref"))
    digest = reference.get("digest")
    if digest is None and reference.get("semver"):
        raise InputError(
            "a range of versions names no artifact that could be proved",
            where=manifest.where("spec.ref.semver"),
            hint="name the digest in spec.ref.digest",
        )
    try:
        parsed = Digest(str(digest)) if digest is not None else None
    except FormatError as error:
        raise InputError(error.message, where=manifest.where("spec.ref.digest"), hint=error.hint) from error
    return Source(
        manifest=manifest,
        repository=str(spec["url"]).removeprefix(OCI),
        digest=parsed,
        tag="" if parsed is not None else str(reference.get("tag") or _DEFAULT_TAG),
        insecure=spec.get("insecure") is True,
        secrets=_secrets(manifest, objects),
    )


def _secrets(source: Manifest, objects: Sequence[Manifest]) -> dict[str, dict[str, str]]:
    return {
        one.name: _texts(one)
        for one in objects
        if one.kind == "Secret" and one.group == "" and one.namespace == source.namespace
    }


def _texts(secret: Manifest) -> dict[str, str]:
    """The texts of a Secret. Raises InputError, without any of them."""
    found: dict[str, str] = {}
    for name in ("data", "stringData"):
        entries = secret.body.get(name) or {}
        try:
            for key, value in entries.items():
                found[str(key)] = base64.b64decode(value, validate=True).decode() if name == "data" else str(value)
        except (ValueError, TypeError, AttributeError):
            raise InputError(f"{name} is not what a Secret may hold", where=secret.where(name)) from None
    return found


def check_verify(source: Source, stored: Mapping[str, Any]) -> Check:
    """Whether what the API server stored verifies anything at all."""
    if isinstance((stored.get("spec") or {}).get("verify"), dict):
        return Check(name="verify", evidence={"provider": str(stored["spec"]["verify"].get("provider", ""))})
    return Check(
        name="verify",
        reason=Reason.MANIFEST_UNVERIFIED,
        detail=f"{source.manifest.subject} is stored without spec.verify",
        evidence={"field": "spec"},
    )


def check_trusted_root(source: Source, trusted_root: bytes) -> Check | None:
    """Whether the Secret with the trust root, where it is among the manifests, holds the one that is proved with."""
    secret = source.secrets.get(source.secret_named("trustedRootSecretRef"))
    if secret is None:
        return None
    name = "trust root"
    try:
        same = strictjson.parse(secret[TRUSTED_ROOT].encode()) == strictjson.parse(trusted_root)
    except KeyError:
        return Check(
            name=name, reason=Reason.MANIFEST_TRUST_ROOT, detail=f"the Secret has no key {TRUSTED_ROOT}",
            evidence={"field": "spec.verify.trustedRootSecretRef"},
        )  # fmt: skip
    except FormatError as error:
        return Check(name=name, reason=Reason.MANIFEST_TRUST_ROOT, detail=error.message)
    if same:
        return Check(name=name)
    return Check(
        name=name,
        reason=Reason.MANIFEST_TRUST_ROOT,
        detail="the Secret's trust root is not the one that the proof was asked for with",
        evidence={"field": "spec.verify.trustedRootSecretRef"},
    )


def configuration(source: Source, stored: Mapping[str, Any]) -> bytes:
    """The stored object and its Secrets as the file that Flux's code is set up by.

    What is about the real registry is left out: the artifact is served by another.
    """
    spec = {key: value for key, value in stored["spec"].items() if key not in FROM_ELSEWHERE}
    metadata = {"name": source.manifest.name, "namespace": source.manifest.namespace}
    documents: list[Json] = [
        {"apiVersion": stored["apiVersion"], "kind": stored["kind"], "metadata": metadata, "spec": spec}
    ]
    documents += [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": public_keys(texts)}
        for name, texts in source.secrets.items()
        if name == source.secret_named("secretRef")
    ]
    return "".join(f"---\n{json.dumps(document)}\n" for document in documents).encode()


def public_keys(texts: Mapping[str, str]) -> dict[str, str]:
    """What of a Secret of keys Flux reads: those whose names end with `.pub`. Nothing else of it is passed on."""
    return {name: text for name, text in texts.items() if name.endswith(".pub")}


def write_configuration(folder: Path, source: Source, stored: Mapping[str, Any]) -> Path:
    """`configuration` as a file in `folder`, readable to whoever judges: public keys, no secret."""
    path = folder / "source.yaml"
    path.write_bytes(configuration(source, stored))
    path.chmod(0o644)
    return path
