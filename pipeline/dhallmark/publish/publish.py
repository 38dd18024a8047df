"""`publish`: from staged artifacts and signed bundles to tags that consumers may follow.

1. Nothing is written before every artifact has its bundles and no tag stands in the way.
2. Each bundle is attached in the staging repository and read back, byte for byte.
3. The verifier accepts every artifact there, or the release ends: what it refuses never leaves staging. Here `stage`
   ends, so that controls can be run on what was staged before a consumer can see it.
4. Artifacts and this release's referrers (and no stranger's) are copied to the real repositories, by digest, and the
   verifier accepts them there, too.
5. When all have passed, each tag is moved once, and at the end all tags are looked at again.

Each step can be repeated: a run that was killed at any moment leaves every tag on a digest whose signatures are there,
and the next run goes on. Steps 2 to 4 change nothing that a tag names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from dhallmark import strictjson
from dhallmark.config.model import Publish
from dhallmark.digest import Digest
from dhallmark.errors import InputError, Location, RegistryError, VerdictError
from dhallmark.files import write_atomic
from dhallmark.oci.client import Registry
from dhallmark.oci.concurrently import concurrently
from dhallmark.oci.descriptor import Attachment, Manifest
from dhallmark.package.model import Artifact, Artifacts
from dhallmark.package.package import materials_attachment
from dhallmark.progress import Progress, Silent
from dhallmark.publish.bundles import AttachedLayout, SignedBundle, read_bundles
from dhallmark.publish.model import FILE, Attached, Publication, Published
from dhallmark.publish.push import CONCURRENCY, push_artifact
from dhallmark.verdict import Outcome, Verdict

_TAG_ORDER: Final = {"chart": 0, "umbrella": 1, "flux": 2}
"""What is made of other artifacts gets its tag after them."""
_T = TypeVar("_T")


class Verify(Protocol):
    """Asks a verifier about an artifact in a registry; raises nothing but cancellation and UsageError."""

    async def __call__(self, registry: Registry, *, repository: str, digest: Digest, subject_name: str) -> Verdict:
        """`repository` is where it stands, `subject_name` what its statements must call it; both with the registry."""
        ...


@dataclass(frozen=True, slots=True)
class _Item:
    """One artifact on its way."""

    artifact: Artifact
    bundles: Sequence[SignedBundle | AttachedLayout]
    """The statements, then the layout if there is one."""
    attachments: Sequence[Attachment]
    """The bundles, then the materials."""
    staging: str
    target: str
    """Repositories, without the registry."""

    @property
    def digest(self) -> Digest:
        return self.artifact.manifest_digest


async def stage(
    artifacts: Artifacts,
    *,
    build: Path,
    publish: Publish,
    registry: Registry,
    verify: Verify,
    layout: AttachedLayout | None = None,
    move_tag: bool = False,
    progress: Progress | None = None,
) -> None:
    """Steps 1 to 3: what `package` made and `sign` signed stands, complete and accepted, where no consumer reads.

    `layout` is attached to every artifact, beside its statements; promotion needs the same one. Raises like `publish`;
    nothing that a consumer reads is touched.
    """
    run = _Publisher(
        artifacts,
        build=build,
        settings=publish,
        registry=registry,
        verify=verify,
        layout=layout,
        move_tag=move_tag,
    )
    await run.stage(progress or Silent())


async def promote(
    artifacts: Artifacts,
    *,
    build: Path,
    publish: Publish,
    registry: Registry,
    verify: Verify,
    layout: AttachedLayout | None = None,
    move_tag: bool = False,
    progress: Progress | None = None,
) -> Publication:
    """Steps 4 and 5, for what was staged; write `<build>/publish.json`.

    The verifier is asked again before anything is copied: what was said of staging then need not hold now. Raises like
    `publish`, and RegistryError where something is not in staging.
    """
    run = _Publisher(
        artifacts,
        build=build,
        settings=publish,
        registry=registry,
        verify=verify,
        layout=layout,
        move_tag=move_tag,
    )
    await run.verify_staged(progress or Silent())
    return await run.promote(progress or Silent())


async def publish(
    artifacts: Artifacts,
    *,
    build: Path,
    publish: Publish,
    registry: Registry,
    verify: Verify,
    layout: AttachedLayout | None = None,
    move_tag: bool = False,
    progress: Progress | None = None,
) -> Publication:
    """All five steps; write `<build>/publish.json`.

    A tag that names another digest is an InputError unless `move_tag` is true: a version is published once. Raises
    VerdictError where the verifier does not accept an artifact, RegistryError where the registry fails, FormatError
    where bundles or packages are missing. In all these cases no tag has been moved, or those that were name digests
    that passed.
    """
    run = _Publisher(
        artifacts,
        build=build,
        settings=publish,
        registry=registry,
        verify=verify,
        layout=layout,
        move_tag=move_tag,
    )
    await run.stage(progress or Silent())
    return await run.promote(progress or Silent())


class _Publisher:
    def __init__(
        self,
        artifacts: Artifacts,
        *,
        build: Path,
        settings: Publish,
        registry: Registry,
        verify: Verify,
        layout: AttachedLayout | None,
        move_tag: bool,
    ) -> None:
        self._artifacts = artifacts
        self._build = build
        self._settings = settings
        self._registry = registry
        self._verify = verify
        self._layout = layout
        self._move_tag = move_tag
        self._materials = materials_attachment(artifacts, build=build)

    async def stage(self, progress: Progress) -> None:
        items = self._items()
        await self._each(items, self._named_now, "check tags", progress)
        await self._each(items, self._stage, "attach", progress)
        await self.verify_staged(progress)

    async def verify_staged(self, progress: Progress) -> None:
        await self._each(self._items(), self._verify_staged, "verify in staging", progress)

    async def promote(self, progress: Progress) -> Publication:
        items = self._items()
        before = await self._each(items, self._named_now, "check tags", progress)
        attached = await self._each(items, self._promote, "promote", progress)
        await self._each(items, self._verify_promoted, "verify where it is published", progress)
        order = sorted(range(len(items)), key=lambda number: (_TAG_ORDER[items[number].artifact.kind], number))
        for number in order:
            await self._tag(items[number])
        await self._each(items, self._check_tag, "check tags again", progress)
        publication = Publication(
            project=self._artifacts.project,
            version=self._artifacts.version,
            artifacts=tuple(
                self._record(item, manifests, named)
                for item, manifests, named in zip(items, attached, before, strict=True)
            ),
        )
        write_atomic(self._build / FILE, strictjson.dump(publication.to_json()))
        return publication

    def _items(self) -> list[_Item]:
        return [self._item(artifact) for artifact in self._artifacts.artifacts]

    def _item(self, artifact: Artifact) -> _Item:
        bundles: list[SignedBundle | AttachedLayout] = [*read_bundles(self._build, artifact)]
        if self._layout is not None:
            bundles.append(self._layout)
        created = self._artifacts.source_date_epoch
        return _Item(
            artifact=artifact,
            bundles=bundles,
            attachments=[*(bundle.attachment(created=created) for bundle in bundles), self._materials],
            staging=f"{self._settings.staging}/{artifact.repository}",
            target=f"{self._settings.repository}/{artifact.repository}",
        )

    async def _each(
        self, items: Sequence[_Item], work: Callable[[_Item], Awaitable[_T]], name: str, progress: Progress
    ) -> list[_T]:
        """Do `work` for every item before anything comes after it."""
        progress.start(name, total=len(items))

        async def one(item: _Item) -> _T:
            result = await work(item)
            progress.advance(name)
            return result

        results = await concurrently([partial(one, item) for item in items], limit=CONCURRENCY)
        progress.done(name)
        return results

    async def _named_now(self, item: _Item) -> Digest | None:
        """What the tag names, if anything. Raises InputError where it may not be moved away from that."""
        current = await self._registry.find_manifest(item.target, item.artifact.version)
        if current is None:
            return None
        if current.digest != item.digest and not self._move_tag:
            raise InputError(
                f"{self._full(item.target)}:{item.artifact.version} is published already, as {current.digest}; "
                f"this release has {item.digest}",
                where=Location(file="dhallmark.yaml", field="version"),
                hint="raise the version, or say --move-tag if consumers may see a version change under them",
            )
        return current.digest

    async def _stage(self, item: _Item) -> None:
        """Attach everything in staging, and read it back."""
        manifest = await self._registry.find_manifest(item.staging, item.digest)
        if manifest is None:
            manifest = await push_artifact(
                item.artifact, self._materials, build=self._build, publish=self._settings, registry=self._registry
            )
        await self._registry.attach_all(item.staging, manifest.descriptor, item.attachments)
        await self._read_back(item, item.staging)

    async def _read_back(self, item: _Item, repository: str) -> None:
        """Raise RegistryError unless the registry lists and serves every bundle, byte for byte."""
        served = set(await self._registry.bundles(repository, item.digest))
        lost = [bundle.path for bundle in item.bundles if bundle.content not in served]
        if lost:
            raise RegistryError(
                f"{lost[0]} was attached to {self._full(repository)}@{item.digest} and is not served",
                method="GET",
                url=self._full(repository),
                hint="run the command again; if it stays so, the registry drops referrers",
            )

    async def _verify_staged(self, item: _Item) -> None:
        await self._demand(item, item.staging)

    async def _verify_promoted(self, item: _Item) -> None:
        await self._read_back(item, item.target)
        await self._demand(item, item.target)

    async def _demand(self, item: _Item, repository: str) -> None:
        """Raise VerdictError unless the verifier accepts the artifact where it stands."""
        verdict = await self._verify(
            self._registry,
            repository=self._full(repository),
            digest=item.digest,
            subject_name=self._full(item.target),
        )
        if verdict.outcome is not Outcome.ACCEPTED:
            raise VerdictError(verdict, hint="no tag was moved by this run; look at what the policy asks for")

    async def _promote(self, item: _Item) -> list[Manifest]:
        """Copy the artifact with this release's referrers, and give these."""
        artifact = await self._registry.get_manifest(item.staging, item.digest)
        ours = [attachment.manifest(artifact.descriptor) for attachment in item.attachments]
        await self._registry.copy(item.staging, item.target, item.digest, only={manifest.digest for manifest in ours})
        return ours

    async def _tag(self, item: _Item) -> None:
        named = await self._named_now(item)
        if named != item.digest:
            await self._registry.tag(item.target, item.digest, item.artifact.version)

    async def _check_tag(self, item: _Item) -> None:
        named = await self._registry.resolve(item.target, item.artifact.version)
        if named != item.digest:
            raise RegistryError(
                f"{self._full(item.target)}:{item.artifact.version} names {named}, and was moved to {item.digest}",
                method="GET",
                url=self._full(item.target),
                hint="something else moves this tag: find it before you publish again",
            )

    def _record(self, item: _Item, manifests: Sequence[Manifest], named: Digest | None) -> Published:
        kinds = [bundle.statement.predicate_type if isinstance(bundle, SignedBundle) else "" for bundle in item.bundles]
        return Published(
            kind=item.artifact.kind,
            environment=item.artifact.environment,
            name=item.artifact.name,
            repository=self._full(item.target),
            tag=item.artifact.version,
            digest=item.digest,
            moved_from=named if named != item.digest else None,
            attached=tuple(
                Attached(digest=manifest.digest, artifact_type=attachment.artifact_type, predicate_type=kind)
                for manifest, attachment, kind in zip(manifests, item.attachments, [*kinds, ""], strict=True)
            ),
        )

    def _full(self, repository: str) -> str:
        return f"{self._settings.registry}/{repository}"
