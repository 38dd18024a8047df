"""Verifying what a user names: a reference by digest, or a tag that is resolved once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError, UsageError
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import split_repository
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.artifact import examine
from dhallmark.verify.trust import TrustRoot


@dataclass(frozen=True, slots=True)
class Reference:
    """An artifact in a registry, by tag or by digest."""

    repository: str
    """With the registry, without tag or digest."""
    tag: str
    """Empty where the digest is given."""
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `HOST/PATH@sha256:…` or `HOST/PATH:TAG`. Raises UsageError."""
        repository, at, digest = text.partition("@")
        head, slash, last = repository.rpartition("/")
        last, colon, tag = last.partition(":")
        if bool(at) == bool(colon):
            raise UsageError(
                f"not a reference: {text!r}", hint="write REGISTRY/REPOSITORY@sha256:… or REGISTRY/REPOSITORY:TAG"
            )
        split_repository(f"{head}{slash}{last}")
        try:
            return cls(f"{head}{slash}{last}", tag, Digest(digest) if at else None)
        except FormatError as error:
            raise UsageError(f"not a reference: {text!r}", hint=error.hint) from error

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


async def verify_reference(
    text: str,
    policy: Policy,
    trust: TrustRoot,
    *,
    subject_name: str = "",
    plain_http: bool = False,
    registry_ca: Path | None = None,
) -> Verdict:
    """The verdict on the artifact that `text` names. Raises UsageError for a text that names none.

    `registry_ca` is a PEM file of certificates to trust instead of the system's.

    A tag is resolved once; if it names another digest at the end, the verdict says so: who pulls the tag would get
    something that nobody looked at (R1).
    """
    reference = Reference.parse(text)
    host, _ = split_repository(reference.repository)
    async with Registry(host, plain_http=plain_http, ca=registry_ca) as registry:
        return await verify_in(registry, reference, policy, trust, subject_name=subject_name)


async def verify_in(
    registry: Registry, reference: Reference, policy: Policy, trust: TrustRoot, *, subject_name: str = ""
) -> Verdict:
    """As `verify_reference`, with a client of the registry that `reference` is in."""
    _, path = split_repository(reference.repository)
    digest = reference.digest
    if digest is None:
        try:
            digest = await registry.resolve(path, reference.tag)
        except (RegistryError, FormatError) as error:
            return Verdict.of(str(reference), checks=[_unavailable(error.message)])
    name = subject_name or reference.repository
    verdict = await examine(registry, reference.repository, digest, name=name, policy=policy, trust=trust)
    if reference.digest is not None:
        return verdict
    tag_check = await _tag_check(registry, path, reference.tag, digest)
    return Verdict.of(str(reference), checks=[tag_check], parts=[verdict])


async def _tag_check(registry: Registry, path: str, tag: str, digest: Digest) -> Check:
    try:
        found = await registry.resolve(path, tag)
    except (RegistryError, FormatError) as error:
        return _unavailable(error.message)
    if found == digest:
        return Check(name="registry.tag", evidence={"digest": digest})
    return Check(
        name="registry.tag",
        reason=Reason.REGISTRY_TAG_MOVED,
        detail="the tag was moved while it was being verified",
        evidence={"expected": digest, "found": found},
    )


def _unavailable(detail: str) -> Check:
    return Check(name="registry.tag", reason=Reason.REGISTRY_UNAVAILABLE, detail=detail)
