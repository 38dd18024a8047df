"""`dhallmark controls`: mutants of a good artifact, each judged in isolation by the consumers that decide."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.control import Control, Group

if TYPE_CHECKING:
    from dhallmark.consumer import Target
    from dhallmark.controls.report import Report


def controls(
    *,
    ref: str = "",
    policy: Path = Path("policy.yaml"),
    trusted_root: Path | None = None,
    subject_name: str = "",
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    registry_ca: Path | None = None,
    lab: Annotated[Path | None, Parameter(env_var="DHALLMARK_LAB")] = None,
    into: Path | None = None,
    prepared: Path | None = None,
    reports: Path | None = None,
    prepare_only: Annotated[bool, Parameter(negative="")] = False,
    only: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    case: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    group: Annotated[tuple[Group, ...], Parameter(negative="")] = (),
    first: Annotated[bool, Parameter(negative="")] = False,
    consumer: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    flux: Path | None = None,
    kyverno: Path | None = None,
    timeout: float = 120.0,
    report: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    statement: Path | None = None,
    list_controls: Annotated[bool, Parameter(name="--list", negative="")] = False,
) -> Result:
    """Show that mutants of a good artifact are refused, each for its own reason, and the good one accepted.

    Two parts: preparing reads the artifact and makes its mutants; judging needs nothing but what was prepared, and asks
    each consumer in an isolation of its own. Ends with 0 where each was refused as it must be, 1 where one was not,
    3 where there was no telling.

    Parameters
    ----------
    ref
        The good artifact: REGISTRY/REPOSITORY@sha256:…
    policy
        The policy file that accepts it.
    trusted_root
        The trusted_root.json that it was signed under.
    subject_name
        Its name in its statements, where it is not the repository that it is read from.
    plain_http
        Read it from a registry without TLS.
    registry_ca
        PEM file of the certificates to trust instead of the system's.
    lab
        Directory of a lab with whose keys mutants are signed; it need not run. Keys made for the occasion otherwise.
    into
        Keep what was prepared in this folder.
    prepared
        Judge what was prepared in this folder, and prepare nothing.
    reports
        Judge nothing: make one report of the JSON reports in this folder, `<id>.json` for each control of --prepared.
    prepare_only
        Stop when everything is prepared.
    only
        Ids of the controls to run, such as S1, with all their cases; may be given several times.
    case
        Ids of controls to run, each naming one alone: S2 without S2-served.
    group
        Groups of the controls to run.
    first
        The few that every release runs.
    consumer
        The consumers to ask, by name, or as NAME=PROGRAM. dhallmark and cosign where this is not given, and those whose
        own configuration is given; source-controller itself only where it is named.
    flux
        An OCIRepository (YAML), as it is in your cluster: Flux is asked with its `verify`, instead of with one that is
        made from the policy.
    kyverno
        A policy of Kyverno's (YAML), as it is in your cluster: used instead of one that is made from the policy.
    timeout
        Seconds that a consumer may take for one control; one with servers of its own has three minutes more.
    report
        FORMAT=FILE, several times if need be: write the report to a file, too, as text, json, junit, sarif, markdown
        or html.
    statement
        Write the result as an in-toto test result (unsigned) to this file: see `dhallmark evidence`.
    list_controls
        List the controls and run none.
    """
    import anyio

    from dhallmark.controls.catalogue import select
    from dhallmark.controls.collect import collect
    from dhallmark.controls.consumers import BUILT_IN, make_consumer
    from dhallmark.controls.consumers.dialect import CONTROLLERS
    from dhallmark.controls.document import controls_document
    from dhallmark.controls.evidence import make_test_result
    from dhallmark.controls.limits import Limits
    from dhallmark.controls.run import run_controls
    from dhallmark.errors import UsageError
    from dhallmark.files import write_atomic
    from dhallmark.report.formats import Wanted, write_reports

    wanted = [Wanted.parse(one) for one in report]
    chosen = select(only=only, cases=case, groups=group, first=first)
    if list_controls:
        return _list(chosen)
    configurations = _configurations(flux=flux, kyverno=kyverno)
    named = consumer or (*BUILT_IN, *(name for name in configurations if name not in (*BUILT_IN, *CONTROLLERS)))
    for name in named:
        make_consumer(name)
    if (prepared is None) == (not ref):
        raise UsageError("give --ref, or --prepared with a folder", hint="see `dhallmark controls --help`")
    if statement is not None and not policy.is_file():
        raise UsageError("--statement needs --policy: the result names the policy that it was reached with")
    if reports is not None and prepared is None:
        raise UsageError("--reports needs --prepared, the folder with what was judged")
    if prepare_only and into is None:
        raise UsageError("--prepare-only needs --into")
    with tempfile.TemporaryDirectory(prefix="dhallmark-controls-") as temporary:
        folder = prepared or into or Path(temporary) / "controls"
        if prepared is None:
            if trusted_root is None:
                raise UsageError("--ref needs --trusted-root")
            target = _target(ref, policy, trusted_root, subject_name=subject_name, plain_http=plain_http)
            _prepare(target, chosen, into=folder, lab=lab, registry_ca=registry_ca)
        if prepare_only:
            return Result(
                data={"schema": "dhallmark.dev/controls/v1", "controls": [control.id for control in chosen]},
                text=f"prepared {len(chosen)} controls in {folder}",
            )

        async def judge() -> Report:
            return await run_controls(
                folder,
                controls=chosen,
                consumers=named,
                configurations=configurations,
                limits=Limits(seconds=timeout),
                progress=progress(),
            )

        found = collect(folder, reports, controls=chosen) if reports is not None else anyio.run(judge)
    if statement is not None:
        write_atomic(statement, make_test_result(found, policy=policy, configurations=configurations).payload)
    write_reports(controls_document(found, policy=str(policy)), wanted)
    return Result(data=found.to_json(), text=found.to_text(), exit_code=found.exit_code)


def _prepare(
    target: Target, chosen: Sequence[Control], *, into: Path, lab: Path | None, registry_ca: Path | None
) -> None:
    import anyio

    from dhallmark.controls.prepare import prepare_controls

    async def main() -> None:
        await prepare_controls(target, chosen, into=into, lab=lab, registry_ca=registry_ca, progress=progress())

    anyio.run(main)


def _configurations(*, flux: Path | None, kyverno: Path | None) -> Mapping[str, Path]:
    """The user's own files, by the consumers that read them. Raises UsageError for one that is not there."""
    from dhallmark.controls.catalogue.expected import FLUX
    from dhallmark.controls.consumers.dialect import KYVERNO
    from dhallmark.errors import UsageError

    found = {
        **({} if flux is None else dict.fromkeys(FLUX, flux)),
        **({} if kyverno is None else {KYVERNO: kyverno}),
    }
    for path in found.values():
        if not path.is_file():
            raise UsageError(f"{path} is no file")
    return found


def _target(ref: str, policy: Path, trusted_root: Path, *, subject_name: str, plain_http: bool) -> Target:
    from dhallmark.consumer import Target
    from dhallmark.errors import UsageError
    from dhallmark.verify.reference import Reference

    reference = Reference.parse(ref)
    if reference.digest is None:
        raise UsageError("controls need a digest, not a tag", hint="`dhallmark verify` shows the digest of a tag")
    return Target(
        repository=reference.repository,
        digest=reference.digest,
        trusted_root=trusted_root,
        policy=policy,
        subject_name=subject_name,
        plain_http=plain_http,
    )


def _list(chosen: Sequence[Control]) -> Result:
    """The controls; where all of them are listed, what other commands prove, too."""
    from rich.console import Group as Lines
    from rich.table import Table

    from dhallmark.controls.catalogue import CONTROLS
    from dhallmark.controls.catalogue.elsewhere import ELSEWHERE

    elsewhere = ELSEWHERE if len(chosen) == len(CONTROLS) else ()
    table = Table("control", "group", "changed", "flaw in the field", box=None, pad_edge=False)
    for control in chosen:
        table.add_row(control.id, control.group.value, control.title, control.flaw)
    others = Table("proven elsewhere", "command", "found", box=None, pad_edge=False)
    for one in elsewhere:
        others.add_row(one.id, f"dhallmark {one.command}", one.title)
    return Result(
        data={
            "schema": "dhallmark.dev/control-list/v1",
            "controls": [
                {
                    "id": control.id,
                    "group": control.group.value,
                    "title": control.title,
                    "flaw": control.flaw,
                    "release": control.release,
                    "consumers": list(control.expect),
                }
                for control in chosen
            ],
            "elsewhere": [{"id": one.id, "title": one.title, "command": one.command} for one in elsewhere],
        },
        text=Lines(table, "", others) if elsewhere else table,
    )
