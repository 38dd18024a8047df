"""`dhallmark audit`: rebuild what was published, and say whether it is the same."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from dhallmark.cli.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dhallmark.audit.image import Images
    from dhallmark.audit.model import Audit
    from dhallmark.audit.rebuilder import Rebuilder
    from dhallmark.audit.request import Request
    from dhallmark.audit.source import Commit
    from dhallmark.config.policy import Policy
    from dhallmark.verdict import Check
    from dhallmark.verify.judge import Judge

PREPARED_SCHEMA = "dhallmark.dev/audit-prepared/v1"
EXPLAIN_SCHEMA = "dhallmark.dev/audit-explain/v1"


def audit(
    *words: str,
    ref: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    inventory: Path | None = None,
    policy: Path | None = None,
    trusted_root: Path | None = None,
    subject_name: str = "",
    require: Literal["equal", "equivalent"] = "equivalent",
    materials: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    seed: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    source: str | None = None,
    commit: str = "HEAD",
    config: str = "dhallmark.yaml",
    environment: str = "",
    work: Path | None = None,
    state: Path | None = None,
    explain: Annotated[bool, Parameter(negative="")] = False,
    prepare_only: Annotated[bool, Parameter(negative="")] = False,
    into: Path | None = None,
    prepared: Path | None = None,
    image: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    eye: Annotated[tuple[str, ...], Parameter(negative="")] = ("diffoscope", "helm", "crane"),
    record: Path | None = None,
    report: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    vsa: Path | None = None,
    statement: Path | None = None,
    verifier: str = "https://dhallmark.dev/verifier",
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    registry_ca: Path | None = None,
    jobs: int = 4,
) -> Result:
    """Rebuild what was published from the record alone, without a network, and say whether it is the same.

    Verifies the statements, finds the materials that they name, rebuilds, and compares: `equal`, `equivalent` (the
    same content, packed differently in ways that are listed), `different` (with the object and field), or unknown,
    with the name of what is missing. Ends with 0 where everything is accepted, 1 where something is rejected, 3 where
    there was no telling.

    Parameters
    ----------
    words
        REGISTRY/REPOSITORY@sha256:… or :TAG; oci://REGISTRY/REPOSITORY for all its tags; a folder that is an OCI image
        layout.
    ref
        The same, as an option; may be given several times.
    inventory
        A deploy tree: every chart in it is audited.
    policy
        The auditor's policy file. May be left out where --source names what to rebuild; then no statement is looked at.
    trusted_root
        A Sigstore trusted_root.json. Nothing is downloaded. Not needed where the policy's identities are all keys.
    subject_name
        Name that the artifact must have in its statements, where it is not the repository that it is read from.
    require
        The least that is accepted.
    materials
        A materials bundle, or a folder of bundles, for where the registry has none any more. Known by digest.
    seed
        Folder with Dhall cache entries, for imports whose entries are not among the materials. Known by hash.
    source
        A clone, or the URL of a Git repository. What was published, and its record, must be of --commit there.
    commit
        The commit, with --source.
    config
        Path of dhallmark.yaml in the repository, with --source.
    environment
        The environment of an artifact whose record does not say, as another tool's.
    work
        Folder for what is rebuilt; it is kept, and what is there already is not rebuilt. A temporary one otherwise.
    state
        Folder for what was found so far: a run that was killed goes on from there.
    explain
        Rebuild once for each change of surroundings (time, path, locale, processors, order of files, …) and name those
        that matter, for what is named, or for --source alone.
    prepare_only
        Only write what has to be rebuilt, below --into: for a rebuild in another place.
    into
        Folder for that.
    prepared
        That folder, with what was rebuilt in it.
    image
        An OCI archive or layout of the recorded image, or a folder of such, for where no registry has it any more: with
        --prepare-only, which lays out what to load, and with --prepared. Known by digest.
    eye
        Another program that looks at what differs, where it is installed: diffoscope, helm, crane.
    record
        Write the result to this file, too, as --output json prints it.
    report
        FORMAT=FILE, several times if need be: text, json, junit, sarif, markdown or html.
    vsa
        Write a verification summary (SLSA VSA) of the one artifact to this file, unsigned.
    statement
        Write a rebuild statement on the one artifact to this file, unsigned; `dhallmark rebuild sign` signs both.
    verifier
        URI of the auditor, for both.
    plain_http
        Read from a registry without TLS.
    registry_ca
        PEM file of the certificates to trust instead of the system's.
    jobs
        How many artifacts are looked at at a time.
    """
    from dhallmark.audit.audit import Options
    from dhallmark.audit.eyes import ALL, Eyes
    from dhallmark.audit.model import Sameness
    from dhallmark.audit.request import Request
    from dhallmark.audit.source import clone_of, open_commit
    from dhallmark.errors import UsageError

    named = (*words, *ref)
    if not named and inventory is None and not (explain and source):
        raise UsageError("nothing to audit", hint="name an artifact, or a deploy tree with --inventory; see --help")
    if policy is None and source is None:
        raise UsageError(
            "neither a policy nor a source",
            hint="give --policy and --trusted-root to go by the record, or --source and --commit to rebuild a commit",
        )
    if unknown := sorted(set(eye) - set(ALL)):
        raise UsageError(f"no eye {unknown[0]!r}", hint=f"there are {', '.join(ALL)}")
    if jobs < 1:
        raise UsageError("--jobs must be 1 or more")
    if image and not (prepare_only or prepared):
        raise UsageError(
            "--image without --prepare-only or --prepared",
            hint="this installation rebuilds otherwise; rebuild in the image by three steps, see docs/audit.md",
        )
    outputs = _Outputs(record=record, report=report, vsa=vsa, statement=statement, verifier=verifier)
    outputs.check(named, inventory)
    rules, judge = _judge(policy, trusted_root)
    with ExitStack() as stack:
        chosen: Commit | None = None
        if source is not None:
            chosen = open_commit(stack.enter_context(clone_of(source)), commit=commit, config=config)
        request = Request(
            words=named,
            inventory=inventory,
            judge=judge,
            options=Options(
                require=Sameness(require),
                materials=materials,
                commit=chosen,
                environment=environment,
                eyes=Eyes(eye),
            ),
            subject_name=subject_name,
            plain_http=plain_http,
            registry_ca=registry_ca,
            at_once=jobs,
        )
        if prepare_only:
            return _prepare(request, into, seed, image)
        place = work or Path(stack.enter_context(TemporaryDirectory(prefix="dhallmark-audit-work-")))
        if explain:
            return _explain(request, chosen, place, seed)
        basis = _basis(request, rules, trusted_root, prepared=prepared)
        rebuilder = _rebuilder(place, seed, prepared=prepared, images=image)
        audits, checks = _run(request, rebuilder, state=state, basis=basis)
    return outputs.write(audits, checks, policy=policy, rules=rules, trusted_root=trusted_root)


def _judge(policy: Path | None, trusted_root: Path | None) -> tuple[Policy | None, Judge | None]:
    from dhallmark.cli.policy import warn_of_loose
    from dhallmark.config.load import load_policy
    from dhallmark.verify.basis import Basis

    if policy is None:
        return None, None
    rules = load_policy(policy)
    warn_of_loose(rules, policy)
    return rules, Basis.load(rules, trusted_root).judge()


def _rebuilder(place: Path, seeds: tuple[Path, ...], *, prepared: Path | None, images: tuple[Path, ...]) -> Rebuilder:
    from dhallmark.audit.image import Images
    from dhallmark.audit.made import MadeRebuilder
    from dhallmark.audit.rebuilder import SealedRebuilder

    return MadeRebuilder(prepared, Images(images)) if prepared else SealedRebuilder(place.absolute(), seeds=seeds)


def _run(
    request: Request, rebuilder: Rebuilder, *, state: Path | None, basis: str
) -> tuple[Sequence[Audit], Sequence[Check]]:
    import anyio

    from dhallmark.audit.state import State
    from dhallmark.cli.output import progress

    kept = State(state, basis) if state is not None else None
    return anyio.run(partial(request.run, rebuilder, state=kept, progress=progress()))


def _basis(request: Request, rules: Policy | None, trusted_root: Path | None, *, prepared: Path | None) -> str:
    """What decides on all audits of a run alike, beside the artifacts themselves."""
    from dhallmark.digest import Digest

    options = request.options
    parts = [
        str(rules.origin.digest) if rules is not None else "",
        str(Digest.of_file(trusted_root)) if trusted_root is not None else "",
        options.require.value,
        options.commit.state.revision if options.commit is not None else "",
        options.commit.config if options.commit is not None else "",
        options.environment,
        request.subject_name,
        str(prepared is not None),
    ]
    return "\n".join(parts)


def _prepare(request: Request, into: Path | None, seeds: tuple[Path, ...], images: tuple[Path, ...]) -> Result:
    import anyio

    from dhallmark import strictjson
    from dhallmark.audit.image import Images
    from dhallmark.audit.made import rebuild_program
    from dhallmark.audit.rebuilder import ORDER
    from dhallmark.errors import UsageError
    from dhallmark.files import write_atomic

    if into is None:
        raise UsageError("--prepare-only needs --into")
    into.mkdir(parents=True, exist_ok=True)
    names = anyio.run(request.prepare, into, seeds)
    write_atomic(into / "rebuild.sh", rebuild_program(), mode=0o755)
    given = Images(images)
    orders = []
    for name in names:
        order = strictjson.parse((into / name / ORDER).read_bytes())
        orders.append({"folder": name, **order, **_archive(into, given, order["image"])})
    data = {"schema": PREPARED_SCHEMA, "rebuilds": orders}
    write_atomic(into / "rebuilds.json", strictjson.dump(data))
    lines = []
    for one in orders:
        lines.append(f"{into / one['folder']}: {one['image'] or 'no image is recorded'}")
        if one["archive"] or one["refused"]:
            lines.append(f"  {one['refused'] or into / one['archive']}")
    return Result(data=data, text="\n".join(lines) or "nothing can be rebuilt: audit it to see why")


def _archive(into: Path, given: Images, image: str) -> dict[str, str]:
    """Lay the recorded image out, where images were given: its archive below `into`, or why it is none of them."""
    from dhallmark.verify.refusal import Refusal

    if not given or not image:
        return {"archive": "", "refused": ""}
    try:
        found = given.find(image)
    except Refusal as refusal:
        return {"archive": "", "refused": refusal.detail}
    archive = f"images/{found.root.digest.hex}.tar"
    if not (into / archive).exists():
        found.write(into / archive)
    return {"archive": archive, "refused": ""}


def _explain(request: Request, commit: Commit | None, place: Path, seeds: tuple[Path, ...]) -> Result:
    import anyio

    from dhallmark.audit.explain import explain, said
    from dhallmark.audit.rebuilder import Key, Order, prepare
    from dhallmark.cli.output import progress
    from dhallmark.errors import ExitCode, InputError, VerdictError
    from dhallmark.verdict import Verdict
    from dhallmark.verify.refusal import Refusal

    if request.words or request.inventory is not None:
        orders = anyio.run(request.orders)
        if not orders:
            raise InputError("nothing of that can be rebuilt", hint="audit it without --explain to see why")
        key, materials, order = orders[0]
    elif commit is not None:
        order = Order(config=commit.config, epoch=commit.state.commit_time)
        key = Key(materials=commit.state.revision, config=commit.config, epoch=order.epoch)
        materials = commit.materials()
    try:
        prepare(place / key.folder, materials, order, seeds)
        with TemporaryDirectory(prefix="explain-", dir=place) as folder:
            run = partial(
                explain,
                (place / key.folder).absolute(),
                Path(folder).absolute(),
                config=order.config,
                epoch=order.epoch,
                progress=progress(),
            )
            found = anyio.run(run)
    except Refusal as refusal:
        raise VerdictError(Verdict.of(materials.origin, checks=[refusal.check("rebuild")])) from refusal
    data = {
        "schema": EXPLAIN_SCHEMA,
        "materials": materials.origin,
        "reproducible": not any(one.matters for one in found),
        "findings": [one.model_dump(mode="json", by_alias=True) for one in found],
    }
    lines = [said(found)]
    for one in found:
        lines.append(f"{'≠' if one.matters else '='} {one.variation} ({one.changed})")
        if one.matters and one.step:
            lines.append(f"    {one.step} differs: {', '.join(one.files[:3])}")
        if one.note:
            lines.append(f"    {one.note}")
    status = ExitCode.REJECTED if any(one.matters for one in found) else ExitCode.OK
    return Result(data=data, text="\n".join(lines), exit_code=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outputs:
    """What is to be written beside the result."""

    record: Path | None
    report: tuple[str, ...]
    vsa: Path | None
    statement: Path | None
    verifier: str

    def check(self, named: Sequence[str], inventory: Path | None) -> None:
        """Raises UsageError for what cannot be written; an older statement must not be taken for this run's."""
        from dhallmark.errors import UsageError
        from dhallmark.report.formats import Wanted

        for word in self.report:
            Wanted.parse(word)
        for option, file in (("--vsa", self.vsa), ("--statement", self.statement)):
            if file is not None:
                if len(named) != 1 or inventory is not None:
                    raise UsageError(f"{option} goes with exactly one artifact")
                file.unlink(missing_ok=True)

    def write(
        self,
        audits: Sequence[Audit],
        checks: Sequence[Check],
        *,
        policy: Path | None,
        rules: Policy | None,
        trusted_root: Path | None,
    ) -> Result:
        """Write everything that was asked for; the result."""
        from dhallmark import strictjson
        from dhallmark.audit.document import audits_document
        from dhallmark.audit.many import whole_verdict
        from dhallmark.files import write_atomic

        facts = {"trust root": str(trusted_root)} if trusted_root is not None else {}
        if policy is None:
            facts["statements"] = "not looked at: no policy was given"
        document = audits_document(audits, checks=checks, policy=str(policy or ""), facts=facts)
        if self.record is not None:
            write_atomic(self.record, strictjson.dump(dict(document.data)))
        if self.report:
            from dhallmark.report.formats import Wanted, write_reports

            write_reports(document, [Wanted.parse(word) for word in self.report])
        self._statements(audits, policy=policy, rules=rules)
        return Result(data=document.data, text=document.text, exit_code=whole_verdict(audits, checks).exit_code)

    def _statements(self, audits: Sequence[Audit], *, policy: Path | None, rules: Policy | None) -> None:
        from dhallmark.audit.statement import make_statement
        from dhallmark.errors import UsageError
        from dhallmark.files import write_atomic
        from dhallmark.verify.vsa import Described, summarise
        from dhallmark.version import tool_version

        if self.vsa is None and self.statement is None:
            return
        if len(audits) != 1:
            raise UsageError("a statement is about exactly one artifact", hint=f"this names {len(audits)}")
        audit = audits[0]
        digest = rules.origin.digest if rules is not None else None
        by = (policy.name, digest) if policy is not None and digest is not None else None
        if self.statement is not None:
            made = make_statement(audit, policy=by, version=tool_version(), verifier=self.verifier)
            if made is not None:
                write_atomic(self.statement, made.payload)
        if self.vsa is not None:
            if by is None:
                raise UsageError("--vsa needs --policy: a summary says by which policy the artifact was judged")
            described = Described(uri=by[0], digest=by[1])
            summary = summarise(
                audit.whole, policy=described, version=tool_version(), verifier=self.verifier, name=audit.name
            )
            if summary is not None:
                write_atomic(self.vsa, summary.payload)
