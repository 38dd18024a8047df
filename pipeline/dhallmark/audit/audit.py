"""The audit of one artifact, in order:

1. The statements: verified by the auditor's own policy and trust root (`subject`, before this).
2. The record: the provenance that was accepted must say everything that a rebuild needs. What is missing is named.
3. The materials: found by digest, and compared with the record file by file, or with a commit that the auditor names.
4. The rebuild: sealed, or by somebody else who was given the materials.
5. The comparison, and where a difference came in.

Each is a check of the verdict. A step that cannot be taken ends it: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio.to_thread

from dhallmark.audit.archive import Archive
from dhallmark.audit.compare import Comparison, compare_artifacts, compare_files
from dhallmark.audit.eyes import Eyes
from dhallmark.audit.materials import Materials, Shelf, find_attached, find_given, require_recorded
from dhallmark.audit.model import Audit, Difference, Look, Origin, RebuildSummary, RecordSummary, Sameness, Way
from dhallmark.audit.objects import read_documents
from dhallmark.audit.rebuilder import Key, Order, Rebuilder
from dhallmark.audit.rebuilt import Rebuilt
from dhallmark.audit.record import BuildRecord
from dhallmark.audit.source import Commit, require_commit
from dhallmark.audit.subject import Subject
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci.store import StoreError
from dhallmark.package.model import Artifact
from dhallmark.reasons import Reason
from dhallmark.report.records import VerdictRecord
from dhallmark.steps.schema import BUILD_TYPE
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an auditor decides on."""

    require: Sameness = Sameness.EQUIVALENT
    """The least that is accepted: `equal` or `equivalent`."""
    materials: tuple[Path, ...] = ()
    """Files, or folders of files, among which materials bundles are looked for first."""
    commit: Commit | None = None
    """The commit that the auditor names."""
    environment: str = ""
    """Of an artifact whose record does not say."""
    shelf: Shelf = field(default_factory=Shelf)
    """Bundles that were found."""
    eyes: Eyes = field(default_factory=Eyes)
    """Programs of others that look at what differs."""


@dataclass(slots=True, kw_only=True)
class _Case:
    """What is known so far of one artifact."""

    subject: Subject
    record: BuildRecord
    checks: list[Check] = field(default_factory=list)
    rebuilt: Rebuilt | None = None
    materials: Materials | None = None
    comparison: Comparison | None = None
    origin: Origin | None = None
    artifact: Artifact | None = None
    looks: tuple[Look, ...] = ()

    def close(self) -> Audit:
        """The audit, with all that was found."""
        verification = self.subject.verification
        verdict = Verdict.of(
            self.subject.subject, checks=self.checks, parts=[verification] if verification is not None else []
        )
        comparison = self.comparison
        known = comparison is not None
        return Audit(
            subject=self.subject.subject,
            name=self.subject.name,
            digest=self.subject.digest,
            sameness=comparison.sameness if comparison is not None else Sameness.UNKNOWN,
            origin=self.origin,
            lacks=self.record.lacks,
            record=self.record.summary if self.record.summary != RecordSummary() else None,
            provenance=self.subject.provenance_digest if self.subject.verified else None,
            rebuild=self._rebuild() if known else None,
            ways=comparison.ways if comparison is not None else (),
            differences=comparison.differences if comparison is not None else (),
            looks=self.looks,
            verdict=VerdictRecord.model_validate(verdict.to_json()),
        )

    def _rebuild(self) -> RebuildSummary | None:
        if self.rebuilt is None:
            return None
        rebuild = self.rebuilt.rebuild
        return RebuildSummary(
            digest=self.artifact.digest if self.artifact is not None else "",
            materials=str(self.rebuilt.artifacts.materials.digest),
            source=self.materials.origin if self.materials is not None else "",
            tools=dict(rebuild.tools),
            image=rebuild.image,
            sealed=rebuild.sealed,
            conditions=dict(rebuild.conditions),
        )


async def audit(subject: Subject, rebuilder: Rebuilder, options: Options) -> Audit:
    """Audit one artifact. Raises nothing but cancellation."""
    found = subject.provenance
    case = _Case(subject=subject, record=BuildRecord.read(found) if found is not None else BuildRecord.none())
    try:
        await _rebuild(case, rebuilder, options)
        await anyio.to_thread.run_sync(_compare, case, options)
    except _Ended:
        pass
    return case.close()


class _Ended(Exception):  # noqa: N818  nothing went wrong: a check says why there is no more to be done
    """A step could not be taken."""


async def order_of(subject: Subject, options: Options) -> tuple[Key, Materials, Order] | Audit:
    """What has to be rebuilt for one artifact, or the audit where it ends before that. Raises nothing."""
    found = subject.provenance
    case = _Case(subject=subject, record=BuildRecord.read(found) if found is not None else BuildRecord.none())
    try:
        return await _order(case, options)
    except _Ended:
        return case.close()


def _refuse(case: _Case, name: str, refusal: Refusal) -> _Ended:
    case.checks.append(refusal.check(name))
    return _Ended()


async def _rebuild(case: _Case, rebuilder: Rebuilder, options: Options) -> None:
    key, materials, order = await _order(case, options)
    try:
        case.rebuilt = await rebuilder.rebuild(key, materials, order)
    except Refusal as refusal:
        raise _refuse(case, "rebuild", refusal) from refusal
    rebuild = case.rebuilt.rebuild
    evidence = {"sealed": "no network" if rebuild.sealed else "not sealed", **_evidence(rebuild.tools)}
    if rebuild.image:
        evidence["image"] = rebuild.image
    case.checks.append(Check(name="rebuild", evidence=evidence))


async def _order(case: _Case, options: Options) -> tuple[Key, Materials, Order]:
    subject, record = case.subject, case.record
    if subject.published is None and subject.files is None:
        case.checks.append(
            subject.failure or Check(name="published", reason=Reason.REGISTRY_UNAVAILABLE, detail="it was not read")
        )
        raise _Ended
    commit = options.commit
    if record.needs and commit is None:
        detail = f"the record lacks: {', '.join(record.needs)}"
        if subject.verification is not None and not subject.verified:
            detail = "no provenance that the policy accepts"
        evidence = {"lacks": ", ".join(record.lacks)}
        case.checks.append(Check(name="record", reason=Reason.MATERIAL_MISSING, detail=detail, evidence=evidence))
        raise _Ended
    if record.lacks:
        case.checks.append(Check(name="record", detail=f"the record lacks: {', '.join(record.lacks)}"))
    else:
        case.checks.append(Check(name="record", evidence=_record_evidence(record.summary)))
    try:
        case.materials = await _materials(case, options)
    except Refusal as refusal:
        raise _refuse(case, "materials", refusal) from refusal
    case.checks.append(Check(name="materials", evidence={"from": case.materials.origin}))
    said = record.summary
    epoch = said.source_date_epoch
    if epoch is None and commit is not None:
        epoch = commit.state.commit_time
    config = commit.config if commit is not None else said.config
    source = str(record.bundle) if case.materials.closure is not None else commit.state.revision if commit else ""
    key = Key(materials=source, config=config, epoch=epoch or 0, image=said.image)
    return key, case.materials, Order(config=config, epoch=epoch or 0, image=said.image, tools=said.tools)


async def _materials(case: _Case, options: Options) -> Materials:
    """The bundle of the record, or the commit's files where there is no bundle or no record of it."""
    subject, record, commit = case.subject, case.record, options.commit
    materials: Materials | None = None
    bundle = record.bundle
    # From a record that nobody vouches for, nothing is taken.
    if bundle is not None and (subject.verified or commit is None):
        try:
            materials = await options.shelf.get(bundle, partial(_bundle, subject, bundle, options.materials))
        except FormatError as error:
            raise Refusal(Reason.MATERIAL_MISMATCH, error.message) from error
        if materials is not None:
            require_recorded(materials, record)
        elif commit is None:
            raise Refusal(
                Reason.MATERIAL_MISSING, f"the materials bundle {bundle} is neither attached nor given", bundle=bundle
            )
    if commit is not None:
        if subject.verified:
            require_commit(commit, record, materials)
        return materials or commit.materials()
    if materials is None:
        raise Refusal(Reason.MATERIAL_MISSING, "neither a materials bundle nor a commit to rebuild from")
    return materials


async def _bundle(subject: Subject, bundle: Digest, places: tuple[Path, ...]) -> tuple[bytes, str] | None:
    """The bundle's bytes, and where they were found."""
    given = await anyio.to_thread.run_sync(find_given, places, bundle)
    if given is not None:
        return given, f"materials bundle {bundle}, given"
    if subject.store is None or subject.digest is None:
        return None
    try:
        attached = await find_attached(subject.store, subject.repository, subject.digest, bundle)
    except (RegistryError, StoreError, FormatError) as error:
        raise Refusal(Reason.REGISTRY_UNAVAILABLE, f"the materials bundle {bundle}: {error.message}") from error
    return None if attached is None else (attached, f"materials bundle {bundle}, attached to the artifact")


def _compare(case: _Case, options: Options) -> None:
    """Compare the artifact with its rebuild, and say where a difference came in."""
    if case.rebuilt is None:
        return
    foreign = case.record.summary.build_type != BUILD_TYPE
    try:
        case.artifact = _artifact(case, case.rebuilt, options, foreign=foreign)
        archives = _archives(case.subject, case.rebuilt, case.artifact, foreign=foreign)
        comparison = _compared(case.subject, case.rebuilt, case.artifact, archives, foreign=foreign)
    except Refusal as refusal:
        if refusal.reason is Reason.REBUILD_FILE:
            difference = Difference(kind="manifest", detail=refusal.detail)
            case.comparison = Comparison(Sameness.DIFFERENT, (), (difference,))
        raise _refuse(case, "comparison", refusal) from refusal
    except (FormatError, OSError) as error:
        # What a rebuild left may be anything, where an image that was recorded by somebody made it.
        detail = f"the rebuild cannot be read: {error}"
        case.checks.append(Check(name="comparison", reason=Reason.TOOL_UNAVAILABLE, detail=detail))
        raise _Ended from error
    case.comparison = comparison
    recorded = case.record.summary.tools
    used = case.rebuilt.tools
    drift = {name: (recorded[name], used.get(name, "")) for name in recorded if recorded[name] != used.get(name, "")}
    if comparison.sameness is Sameness.DIFFERENT:
        case.origin = _origin(case.rebuilt, case.artifact, case.materials, comparison)
    if archives is not None and archives.sameness is not Sameness.EQUAL:
        case.looks = options.eyes.look(case.rebuilt, case.artifact, case.subject, archives)
    case.checks += _conclude(case, comparison, drift, options.require)


def _artifact(case: _Case, rebuilt: Rebuilt, options: Options, *, foreign: bool) -> Artifact:
    if not foreign:
        return rebuilt.recorded(case.record)
    published = case.subject.published
    chart = _chart_name(published.layer) if published is not None else ""
    return rebuilt.counterpart(environment=options.environment, chart=chart)


def _chart_name(layer: bytes) -> str:
    """The name in a published chart's `Chart.yaml`; empty where it holds no chart."""
    try:
        files = Archive.read(layer, what="the published archive").files
    except FormatError:
        return ""
    for name, content in sorted(files.items(), key=lambda item: item[0].count("/")):
        if name.rpartition("/")[2] == "Chart.yaml":
            documents = read_documents(content)
            found = documents[0].get("name") if documents and isinstance(documents[0], dict) else None
            return str(found or "")
    return ""


def _archives(subject: Subject, rebuilt: Rebuilt, artifact: Artifact, *, foreign: bool) -> Comparison | None:
    """The artifact in the registry; None where it was not read."""
    if subject.published is None:
        return None
    return compare_artifacts(rebuilt.side(artifact), subject.published, foreign=foreign)


def _compared(
    subject: Subject, rebuilt: Rebuilt, artifact: Artifact, archives: Comparison | None, *, foreign: bool
) -> Comparison:
    parts: list[Comparison] = []
    if subject.files is not None:
        parts.append(compare_files(rebuilt.files(artifact), subject.files, foreign=foreign))
    if archives is not None:
        parts.append(archives)
    elif subject.digest is not None and subject.digest != artifact.manifest_digest:
        # The files are all that is at hand: what else differs in the registry's artifact cannot be told.
        detail = "the provenance is of another manifest than the rebuild makes; read it from the registry to see why"
        difference = Difference(
            kind="manifest", field="digest", rebuilt=artifact.digest, published=subject.digest, detail=detail
        )
        parts.append(Comparison(Sameness.DIFFERENT, (), (difference,)))
    order = (Sameness.DIFFERENT, Sameness.EQUIVALENT, Sameness.EQUAL)
    return Comparison(
        sameness=next(one for one in order if one in {part.sameness for part in parts}),
        ways=tuple({way.name: way for part in parts for way in part.ways}.values()),
        differences=tuple(one for part in parts for one in part.differences),
    )


def _origin(rebuilt: Rebuilt, artifact: Artifact, materials: Materials | None, comparison: Comparison) -> Origin:
    """Where a difference came in: the semantic hashes of normal forms tell the sources from what renders them."""
    if materials is None or materials.closure is None:
        return Origin.UNTOLD
    if rebuilt.semantic_hashes(artifact, materials.closure):
        return Origin.SOURCE
    return Origin.PACKAGER if comparison.same_files else Origin.RENDERER


def _conclude(
    case: _Case, comparison: Comparison, drift: Mapping[str, tuple[str, str]], require: Sameness
) -> Sequence[Check]:
    checks: list[Check] = []
    tools = ", ".join(f"{name} {used or 'missing'} instead of {then}" for name, (then, used) in sorted(drift.items()))
    different = comparison.sameness is Sameness.DIFFERENT
    if drift:
        reason = Reason.TOOL_VERSION if different else None
        checks.append(Check(name="rebuild.tools", reason=reason, detail=f"rebuilt by {tools}"))
    evidence = {"sameness": comparison.sameness.value, **_ways(comparison.ways)}
    if not different:
        short = require is Sameness.EQUAL and comparison.sameness is Sameness.EQUIVALENT
        detail = "the digests differ, and equal ones are demanded" if short else ""
        reason = Reason.REBUILD_NOT_EQUAL if short else None
        return [*checks, Check(name="comparison", reason=reason, detail=detail, evidence=evidence)]
    first = comparison.differences[0]
    objects = any(one.kind == "object" for one in comparison.differences)
    reason = Reason.REBUILD_OBJECT if objects else Reason.REBUILD_FILE
    evidence |= _difference_evidence(first)
    if case.origin is not None:
        evidence["origin"] = case.origin.value
    if drift:
        # Another version may make other bytes of the same sources: this is no finding against the artifact.
        return [*checks, Check(name="comparison", detail=describe(first), evidence=evidence)]
    return [*checks, Check(name="comparison", reason=reason, detail=describe(first), evidence=evidence)]


def describe(difference: Difference) -> str:
    """A difference in a sentence."""
    what = " ".join(filter(None, (difference.object or difference.file or difference.kind, difference.field)))
    if difference.rebuilt is None and difference.published is None:
        return f"{what}: {difference.detail}" if difference.detail else what
    sides = [
        "nothing" if side is None else repr(side) if len(side) < 80 else f"{side[:80]!r}…"  # noqa: PLR2004
        for side in (difference.rebuilt, difference.published)
    ]
    return f"{what}: the rebuild has {sides[0]}, published was {sides[1]}"


def _difference_evidence(difference: Difference) -> dict[str, str]:
    body = difference.model_dump(exclude_none=True)
    return {name: str(value) for name, value in body.items() if value and name != "detail"}


def _ways(ways: Sequence[Way]) -> dict[str, str]:
    return {"set aside": ", ".join(way.name for way in ways)} if ways else {}


def _evidence(tools: Mapping[str, str]) -> dict[str, str]:
    return {name: str(version) for name, version in sorted(tools.items())}


def _record_evidence(summary: RecordSummary) -> dict[str, str]:
    return {
        "source": f"{summary.repository}@{summary.revision}",
        "materials": summary.materials,
        "image": summary.image,
        "builder": summary.builder,
    }
