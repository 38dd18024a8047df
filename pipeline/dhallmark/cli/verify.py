"""`dhallmark verify`: the verdict on what was published, on files, or on a deploy tree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final

from cyclopts import Parameter

from dhallmark.cli.result import Result

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dhallmark.report.formats import Wanted
    from dhallmark.verify.basis import Basis
    from dhallmark.verify.crew import Crew
    from dhallmark.verify.judged import Judged
    from dhallmark.verify.reference import Reference, Registries
    from dhallmark.verify.spool import Spool
    from dhallmark.verify.target import Target

SCHEMA: Final = "dhallmark.dev/verdicts/v1"
STREAM_SCHEMA: Final = "dhallmark.dev/verdict-stream/v1"
STANDARD: Final = "-"
"""Stands for standard input and output."""
MAX_SHOWN: Final = 100
"""Verdicts that are shown one by one; of more, those that are not accepted, up to as many."""
_WORK: Final = "verify"


def verify(
    *words: str,
    ref: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    tree: Path | None = None,
    files_from: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    bundle: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    policy: Path = Path("policy.yaml"),
    minimum_policy: int = 0,
    trusted_root: Path | None = None,
    subject_name: str = "",
    platform: str = "",
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    registry_ca: Path | None = None,
    record: Path | None = None,
    stream: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    vsa: Path | None = None,
    vsa_verifier: str = "https://dhallmark.dev/verifier",
    report: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    jobs: int | None = None,
) -> Result:
    """Verify files, folders, image layouts, artifacts in a registry or a deploy tree against a policy and a trust root.

    Ends with 0 where everything is accepted, 1 where something is rejected, 3 where there was no telling. Nothing is
    asked of a network but of the registries that are named.

    Parameters
    ----------
    words
        A file, whose bundles stand beside it (web.tgz.sigstore.json) or are given; sha256:… with --bundle; a folder of
        files and bundles; an OCI image layout; REGISTRY/REPOSITORY:TAG or @sha256:…; oci://REGISTRY/REPOSITORY for all
        its tags.
    ref
        REGISTRY/REPOSITORY@sha256:… or REGISTRY/REPOSITORY:TAG; may be given several times. A tag is resolved once.
    tree
        Folder of a deploy tree.
    files_from
        A list, or - for standard input: on each line the path of a bundle, a tab, and the path or the sha256: digest of
        its artifact.
    bundle
        A bundle of the one file or digest that is named; may be given several times.
    policy
        The policy file.
    minimum_policy
        The least `version` that the policy must have: an older one is not to be put back.
    trusted_root
        A Sigstore trusted_root.json. Nothing is downloaded. Not needed where the policy's identities are all keys.
    subject_name
        Name that the artifact must have in its statements. In a registry that is the repository that it is read from
        unless given here (a copy in a mirror or a staging repository); of files any name will do. Only with one target.
    platform
        Which manifest of an image index is meant, such as linux/amd64: the one that will be pulled.
    plain_http
        Read from a registry without TLS.
    registry_ca
        PEM file of the certificates to trust instead of the system's.
    record
        Write the verdicts to this file, too, as --output json prints them.
    stream
        Write each verdict to this file as soon as it is there, as one line of JSON. With - they go to standard output,
        in place of the result.
    vsa
        Write a verification summary (SLSA VSA) of the verdict on the one artifact of a registry to this file, unsigned;
        `dhallmark vsa sign` signs it. None is written where there was no telling.
    vsa_verifier
        URI of whoever verifies, for the summary.
    report
        FORMAT=FILE, several times if need be: write a report to a file, too, as text, json, junit, sarif, markdown or
        html. Unlike the other outputs it is made in memory.
    jobs
        How many processes verify at once where there are many verdicts to give: one for each processor unless given.
    """
    from dhallmark import strictjson
    from dhallmark.cli.policy import warn_of_loose
    from dhallmark.config.load import load_policy
    from dhallmark.errors import UsageError
    from dhallmark.files import write_atomic
    from dhallmark.verify.basis import Basis
    from dhallmark.verify.spool import Spool
    from dhallmark.verify.target import ReferenceTarget

    named = len(words) + len(ref) + (files_from is not None) + (tree is not None)
    if not named:
        raise UsageError("nothing to verify", hint="name a file, a folder or a reference; see --help")
    if subject_name and (named != 1 or files_from is not None or tree is not None):
        raise UsageError("--subject-name goes with exactly one target")
    if vsa is not None:
        if named != 1 or files_from is not None or tree is not None:
            raise UsageError("--vsa goes with exactly one artifact")
        vsa.unlink(missing_ok=True)  # An older summary must not be taken for this run's.
    if bundle and (named != 1 or not words):
        raise UsageError("--bundle goes with exactly one file or digest")
    if platform:
        from dhallmark.verify.platform import check_platform

        check_platform(platform)
    request = _Request(
        words=words,
        references=ref,
        tree=tree,
        files_from=files_from,
        bundles=bundle,
        subject_name=subject_name,
        platform=platform,
        plain_http=plain_http,
        registry_ca=registry_ca,
        jobs=jobs,
    )
    rules = load_policy(policy, minimum_version=minimum_policy)
    warn_of_loose(rules, policy)
    reports = _Reports.parse(report)
    basis = Basis.load(rules, trusted_root)
    request.read()
    if vsa is not None and not isinstance(request.targets[0], ReferenceTarget):
        raise UsageError(
            "--vsa goes with exactly one artifact of a registry",
            hint="what a file or a folder is called says nothing of what was verified",
        )
    with ExitStack() as stack:
        spool = Spool()
        stack.callback(spool.close)
        with _stream(stream) as tell:
            request.judge_all(basis, spool, tell)
            tell(_summary(spool))
        data = {"schema": SCHEMA, "outcome": spool.outcome.value, "verdicts": spool}
        if record is not None:
            write_atomic(record, strictjson.dump_pieces(data))
        reports.write(spool, policy=policy, trusted_root=trusted_root)
        if vsa is not None:
            _write_summary(vsa, spool, basis, policy=policy, verifier=vsa_verifier, name=subject_name)
        return Result(
            data=data,
            text=lambda: _text(spool),
            exit_code=spool.exit_code,
            silent=stream == STANDARD,
            release=stack.pop_all().close,
        )


def _write_summary(file: Path, spool: Spool, basis: Basis, *, policy: Path, verifier: str, name: str) -> None:
    """Write the summary of the one verdict. Raises UsageError where there are several, as of all tags."""
    from dhallmark.errors import UsageError
    from dhallmark.files import write_atomic
    from dhallmark.verify.vsa import Described, summarise
    from dhallmark.version import tool_version

    if len(spool) != 1:
        raise UsageError("--vsa goes with exactly one artifact", hint=f"this names {len(spool)}")
    digest = basis.policy.origin.digest
    if digest is None:
        raise UsageError("--vsa needs a policy that was read from a file")
    statement = summarise(
        next(iter(spool)),
        policy=Described(uri=policy.name, digest=digest),
        version=tool_version(),
        verifier=verifier,
        name=name,
    )
    if statement is not None:
        write_atomic(file, statement.payload)


@dataclass(frozen=True, slots=True)
class _Reports:
    """The reports that were asked for, which take long to load."""

    wanted: tuple[Wanted, ...]

    @classmethod
    def parse(cls, words: Sequence[str]) -> _Reports:
        """Raises UsageError."""
        if not words:
            return cls(())
        from dhallmark.report.formats import Wanted

        return cls(tuple(Wanted.parse(word) for word in words))

    def write(self, spool: Spool, *, policy: Path, trusted_root: Path | None) -> None:
        if not self.wanted:
            return
        from dhallmark.report.formats import write_reports
        from dhallmark.report.verdicts import verdicts_document

        facts = {"trust root": str(trusted_root)} if trusted_root is not None else {}
        write_reports(verdicts_document(list(spool), policy=str(policy), facts=facts), self.wanted)


@dataclass(slots=True, kw_only=True)
class _Request:
    """What was asked for on the command line."""

    words: tuple[str, ...]
    references: tuple[str, ...]
    tree: Path | None
    files_from: str | None
    bundles: tuple[Path, ...]
    subject_name: str
    platform: str
    plain_http: bool
    registry_ca: Path | None
    jobs: int | None
    targets: list[Target] = field(default_factory=list)
    """What all of that names, once it was read."""
    registries: Registries | None = None
    """What `targets` leads to."""

    def judge_all(self, basis: Basis, spool: Spool, tell: Callable[[bytes], object]) -> None:
        """Put every verdict into `spool`, and tell each as a line."""
        from dhallmark.cli.output import progress
        from dhallmark.verify.few import are_few, files_are_many, verify_few

        listener = progress()

        def take(judged: Judged) -> None:
            spool.add(judged)
            tell(b'{"number":%d,"verdict":%b}' % (judged.number, judged.line))
            listener.advance(_WORK)

        if are_few(self.targets):
            judge = basis.judge()
            listener.start(_WORK)
            for judged in verify_few(self.targets, judge):
                listener.expect(_WORK, by=1)
                take(judged)
        else:
            import anyio

            from dhallmark.verify.crew import Crew

            crew = Crew(basis, workers=self.jobs)
            try:
                if files_are_many(self.targets):
                    crew.fork()  # now, while there is no event loop
                anyio.run(self._judge_many, crew, take)
            finally:
                crew.discard()
        listener.done(_WORK, summary=_count(spool))

    async def _judge_many(self, crew: Crew, take: Callable[[Judged], object]) -> None:
        from dhallmark.cli.output import progress
        from dhallmark.verify.batch import verify_many

        listener = progress()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(crew)
            if self.registries is not None:
                await stack.enter_async_context(self.registries)
            listener.start(_WORK)
            async for judged in verify_many(self.targets, crew, found=lambda count: listener.expect(_WORK, by=count)):
                take(judged)

    def read(self) -> None:
        """Find out what everything names, before anything is written or asked. Raises UsageError, InputError."""
        from dhallmark.verify.basis import TreeTarget
        from dhallmark.verify.targets import parse_target

        for word in self.words:
            name = self.subject_name or None
            self.targets.append(parse_target(word, refer=self._refer, bundles=self.bundles, name=name))
        for text in self.references:
            from dhallmark.verify.reference import Reference

            self.targets.append(self._refer(Reference.parse(text)))
        if self.files_from is not None:
            self.targets.append(_read_list(self.files_from))
        if self.tree is not None:
            self.targets.append(TreeTarget(self.tree))

    def _refer(self, reference: Reference) -> Target:
        from dhallmark.verify.reference import Registries
        from dhallmark.verify.target import ReferenceTarget

        if self.registries is None:
            self.registries = Registries(plain_http=self.plain_http, ca=self.registry_ca)
        return ReferenceTarget(
            reference=reference, registries=self.registries, name=self.subject_name, platform=self.platform
        )


def _read_list(name: str) -> Target:
    from dhallmark.files import read_regular
    from dhallmark.verify.filelist import MAX_LIST_BYTES, parse_list
    from dhallmark.verify.target import ListTarget

    if name == STANDARD:
        content, file = sys.stdin.buffer.read(MAX_LIST_BYTES + 1), "standard input"
    else:
        content, file = read_regular(Path(name), max_bytes=MAX_LIST_BYTES), name
    count, targets = parse_list(content, file=file)
    return ListTarget(file, count, targets)


@contextmanager
def _stream(name: str | None) -> Iterator[Callable[[bytes], object]]:
    """A function that writes one line, whole or not at all, to the file `name`."""
    if name is None:
        yield lambda _: None
        return
    file: BinaryIO = sys.stdout.buffer if name == STANDARD else Path(name).open("wb", buffering=0)  # noqa: SIM115

    def tell(line: bytes) -> None:
        file.write(line + b"\n")
        file.flush()

    try:
        yield tell
    finally:
        if name != STANDARD:
            file.close()


def _summary(spool: Spool) -> bytes:
    """The last line of a stream: without it, the stream was cut off."""
    from dhallmark import strictjson

    counts = {outcome.value: count for outcome, count in spool.outcomes.items()}
    return strictjson.dump_compact({"schema": STREAM_SCHEMA, "outcome": spool.outcome.value, "counts": counts})


def _count(spool: Spool) -> str:
    counts = ", ".join(f"{count} {outcome.value}" for outcome, count in sorted(spool.outcomes.items()))
    return f"{len(spool)} verified: {counts}"


def _text(spool: Spool) -> RenderableType:
    """Every verdict as a tree; of many, those that are not accepted, and how often each reason was given."""
    from rich.console import Group

    from dhallmark.verdict import Outcome
    from dhallmark.verify.show import verdict_tree

    if len(spool) <= MAX_SHOWN:
        return Group(*(verdict_tree(verdict) for verdict in spool))
    shown = [verdict_tree(verdict) for verdict in islice(spool.refused(), MAX_SHOWN)]
    left = len(spool) - spool.outcomes[Outcome.ACCEPTED] - len(shown)
    more = [f"… and {left} more that are not accepted: --output json, --record and --stream have all"] if left else []
    reasons = [f"  {count} {reason.value}" for reason, count in spool.reasons.most_common()]
    return Group(*shown, *more, _count(spool), *reasons)
