"""Audits: the auditor's image verifies and compares, the recorded one yields files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import dagger
from dagger import dag

from dhallmark.module.job import Job, nonce
from dhallmark.module.proof import Verifier

_WORK, _CASE, _MADE, _TREE, _MATERIALS, _REPORTS = "/work", "/case", "/made", "/tree", "/materials", "/reports"
_IMAGES = "/images"
_AT_ONCE = 2
"""Rebuilds at a time: each may fill a core and some hundred megabytes."""
_REFUSED = "security.insecure is not allowed"
"""What an engine says whose administrator forbids `insecure_root_capabilities` (BuildKit, util/entitlements)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be audited."""

    references: Sequence[str] = field(default=())
    tree: dagger.Directory | None = None
    materials: dagger.Directory | None = None
    """Materials bundles, for where the registry has none any more."""
    images: dagger.Directory | None = None
    """Archives of recorded images, for where no registry has them any more."""
    require: str = "equivalent"
    subject_name: str = ""

    def job(self, verifier: Verifier) -> tuple[Job, list[str]]:
        """A clean container of the auditor's, and the words that say all of that."""
        job = verifier.job()
        words = ["audit", *verifier.options(), "--require", self.require]
        words += [part for one in self.references for part in ("--ref", one)]
        if self.tree is not None:
            job = job.mounted(_TREE, self.tree)
            words += ["--inventory", _TREE]
        if self.materials is not None:
            job = job.mounted(_MATERIALS, self.materials)
            words += ["--materials", _MATERIALS]
        if self.images is not None:
            job = job.mounted(_IMAGES, self.images)
            words += ["--image", _IMAGES]
        if self.subject_name:
            words += ["--subject-name", self.subject_name]
        return job, words


class AuditError(Exception):
    """Something that was published is not what a rebuild makes, or there was no telling."""


async def audit(verifier: Verifier, question: Question, *, accept_any: bool) -> dagger.Directory:
    """Fetch and verify, rebuild in the recorded images, compare. Raises AuditError unless `accept_any` or accepted.

    Gives `audit.json`, `audit.html`, `audit.junit.xml`, `audit.sarif`, and of one artifact the unsigned statements
    `rebuild.json` and `vsa.json`.
    """
    job, words = question.job(verifier)
    prepared = await job.run([*words, "--prepare-only", "--into", _WORK], fresh=True).directory(_WORK).sync()
    orders = json.loads(await prepared.file("rebuilds.json").contents())["rebuilds"]
    own = await verifier.image.env_variable("DHALLMARK_IMAGE") or ""
    made: dict[str, dagger.Directory] = {}
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async def rebuild(order: dict[str, object]) -> None:
        async with limit:
            made[str(order["folder"])] = await _rebuild(verifier.image, own, prepared, order)

    async with anyio.create_task_group() as group:
        for order in orders:
            group.start_soon(rebuild, order)
    for folder, result in sorted(made.items()):
        prepared = prepared.with_directory(folder, result)
    return await _compare(job.mounted(_WORK, prepared), words, one=len(question.references) == 1, accept_any=accept_any)


async def _rebuild(
    auditor: dagger.Container, own: str, prepared: dagger.Directory, order: dict[str, object]
) -> dagger.Directory:
    """`made/` with what the recorded image built, or `unavailable` with why there is none."""
    recorded, archive, refused = (str(order[name]) for name in ("image", "archive", "refused"))
    if refused:
        return dag.directory().with_new_file("unavailable", refused)
    if archive:
        used = dag.container().import_(prepared.file(archive))
    else:
        # The auditor's own image may be the recorded one. Where none is recorded, the report says in which it was made.
        used = auditor if recorded in (own, "") else dag.container().from_(recorded)
    container = (
        used.with_mounted_directory(_CASE, prepared.directory(str(order["folder"])))
        .with_mounted_file("/rebuild.sh", prepared.file("rebuild.sh"))
        .with_directory(_MADE, dag.directory())
        .with_env_variable("DHALLMARK_NONCE", nonce())
    )
    command = ["sh", "/rebuild.sh", str(order["config"]), str(order["epoch"])]
    try:
        try:
            # For `unshare --net` alone: what runs has no secret, and nothing but the materials.
            done = await container.with_exec(command, insecure_root_capabilities=True).sync()
        except dagger.QueryError as error:
            if _REFUSED not in str(error):
                raise
            # Without it, the program says itself what it lacks.
            done = await container.with_exec(command).sync()
    except dagger.QueryError as error:
        return dag.directory().with_new_file("unavailable", str(error)[:2000])
    return dag.directory().with_directory("made", done.directory(_MADE).with_new_file("image", recorded or own))


async def _compare(job: Job, words: Sequence[str], *, one: bool, accept_any: bool) -> dagger.Directory:
    arguments = [*words, "--prepared", _WORK, "--record", f"{_REPORTS}/audit.json"]
    for form, name in (("html", "audit.html"), ("junit", "audit.junit.xml"), ("sarif", "audit.sarif")):
        arguments += ["--report", f"{form}={_REPORTS}/{name}"]
    if one:
        arguments += ["--statement", f"{_REPORTS}/rebuild.json", "--vsa", f"{_REPORTS}/vsa.json"]
    job = job.directory(_REPORTS, dag.directory()).variable("COLUMNS", "180")
    done = await job.run(arguments, fresh=True, expect=dagger.ReturnType.ANY).sync()
    status = await done.exit_code()
    # Other codes than those of a verdict say that there is no report.
    if status not in (0, 1, 3) or (status != 0 and not accept_any):
        raise AuditError((await done.stdout()) + (await done.stderr()))
    return done.directory(_REPORTS)
