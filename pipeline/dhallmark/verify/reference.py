"""What users name in registries: an artifact by digest or by tag, or a repository with all its tags."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dhallmark.config.policy import Format, Policy
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError, UsageError
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import split_repository
from dhallmark.oci.referrers import is_referrers_tag
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.artifact import gather
from dhallmark.verify.judge import Evidence, Judge
from dhallmark.verify.platform import select_platform
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.trust import TrustRoot

_HINT = "write REGISTRY/REPOSITORY@sha256:… or REGISTRY/REPOSITORY:TAG"
Judging = Callable[[Evidence], Awaitable[Verdict]]
"""Gives the verdict on what was gathered: here, or in another process."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An artifact in a registry, by tag or by digest; a repository where neither is given."""

    repository: str
    """With the registry, without tag or digest."""
    tag: str
    """Empty where the digest is given."""
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `HOST/PATH@sha256:…` or `HOST/PATH:TAG`. Raises UsageError."""
        reference = cls.parse_any(text)
        if reference.is_repository:
            raise UsageError(f"not a reference: {text!r}", hint=_HINT)
        return reference

    @classmethod
    def parse_any(cls, text: str) -> Reference:
        """As `parse`, or `HOST/PATH` for a whole repository. Raises UsageError."""
        repository, at, digest = text.partition("@")
        head, slash, last = repository.rpartition("/")
        last, colon, tag = last.partition(":")
        if (at and colon) or bool(colon) != bool(tag) or not text.isprintable():
            raise UsageError(f"not a reference: {text!r}", hint=_HINT)
        split_repository(f"{head}{slash}{last}")
        try:
            return cls(f"{head}{slash}{last}", tag, Digest(digest) if at else None)
        except FormatError as error:
            raise UsageError(f"not a reference: {text!r}", hint=error.hint) from error

    @property
    def is_repository(self) -> bool:
        return not self.tag and self.digest is None

    def __str__(self) -> str:
        if self.digest is not None:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


class Registries:
    """Clients of the registries that references lead to, one for each host; an async context manager."""

    def __init__(self, *, plain_http: bool = False, ca: Path | None = None) -> None:
        """`ca` is a PEM file of certificates to trust instead of the system's."""
        self._plain_http = plain_http
        self._ca = ca
        self._open: dict[str, Registry] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for registry in self._open.values():
            await registry.__aexit__(kind, error, traceback)
        self._open.clear()

    async def of(self, reference: Reference) -> Registry:
        """A client of the registry that a reference is in."""
        host, _ = split_repository(reference.repository)
        if host not in self._open:
            client = await Registry(host, plain_http=self._plain_http, ca=self._ca).__aenter__()
            # Another task may have opened one meanwhile; nothing was asked of either yet.
            self._open.setdefault(host, client)
        return self._open[host]


async def verify_reference(
    text: str,
    policy: Policy,
    trust: TrustRoot | None,
    *,
    subject_name: str = "",
    plain_http: bool = False,
    registry_ca: Path | None = None,
) -> Verdict:
    """The verdict on the artifact that `text` names. Raises UsageError for a text that names none.

    See `judge_reference`; `registry_ca` is a PEM file of certificates to trust instead of the system's.
    """
    reference = Reference.parse(text)
    async with Registries(plain_http=plain_http, ca=registry_ca) as registries:
        return await verify_in(await registries.of(reference), reference, policy, trust, subject_name=subject_name)


async def verify_in(
    registry: Registry, reference: Reference, policy: Policy, trust: TrustRoot | None, *, subject_name: str = ""
) -> Verdict:
    """As `verify_reference`, with a client of the registry that `reference` is in."""
    judge = Judge(policy, trust)

    async def judging(evidence: Evidence) -> Verdict:
        return judge.judge(evidence)

    return await judge_reference(
        registry,
        reference,
        judging,
        subject_name=subject_name,
        unpack=judge.needs_layer,
        formats=policy.formats,
    )


async def judge_reference(
    registry: Registry,
    reference: Reference,
    judging: Judging,
    *,
    subject_name: str = "",
    platform: str = "",
    unpack: bool = False,
    formats: Collection[Format] = (Format.BUNDLE,),
) -> Verdict:
    """The verdict on one artifact in a registry. Raises nothing but cancellation.

    A tag is resolved once; if it names another digest at the end, the verdict says so: who pulls the tag would get
    something that nobody looked at (R1). Where `platform` is given (such as `linux/amd64`) and the digest is an image
    index's, the verdict is on the manifest of that platform, which is what gets pulled (R4). `unpack` and `formats` are
    as for `gather`.
    """
    _, path = split_repository(reference.repository)
    digest = reference.digest
    checks: list[Check] = []
    try:
        if digest is None:
            digest = await registry.resolve(path, reference.tag)
        pulled = digest
        if platform:
            pulled = select_platform(await registry.get_manifest(path, digest), platform)
            checks.append(Check(name="artifact.platform", evidence={"platform": platform, "digest": pulled}))
    except (RegistryError, FormatError) as error:
        return Verdict.of(str(reference), checks=[_unavailable(error.message)])
    except Refusal as refusal:
        return Verdict.of(str(reference), checks=[refusal.check("artifact.platform")])
    name = subject_name or reference.repository
    subject = f"{reference.repository}@{pulled}"
    evidence = await gather(registry, path, pulled, subject=subject, name=name, unpack=unpack, formats=formats)
    verdict = await judging(evidence)
    if reference.digest is None:
        checks.append(await _tag_check(registry, path, reference.tag, digest))
    return Verdict.of(str(reference), checks=checks, parts=[verdict]) if checks else verdict


async def list_repository(reference: Reference, registries: Registries) -> tuple[Reference, ...] | Verdict:
    """Every tag of a repository but those that hold signatures; or the verdict where they cannot be listed."""
    registry = await registries.of(reference)
    _, path = split_repository(reference.repository)
    try:
        tags = await registry.tags(path)
    except (RegistryError, FormatError) as error:
        check = Check(name="registry.tags", reason=Reason.REGISTRY_LISTING_INCOMPLETE, detail=error.message)
        return Verdict.of(str(reference), checks=[check])
    return tuple(Reference(reference.repository, tag, None) for tag in sorted(tags) if not is_referrers_tag(tag))


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
