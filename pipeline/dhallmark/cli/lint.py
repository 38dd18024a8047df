"""`dhallmark gitops lint`: what is wrong with the verification that a GitOps repository configures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.errors import ExitCode, UsageError
from dhallmark.gitops.lint.fields import Flux, FluxVersion
from dhallmark.gitops.lint.model import Severity


def lint(
    path: Path = Path(),
    /,
    *,
    flux: FluxVersion = "2.9",
    exclude: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    fail_on: Severity = Severity.WARNING,
    baseline: Path | None = None,
    write_baseline: Annotated[bool, Parameter(negative="")] = False,
    fix: Annotated[bool, Parameter(negative="")] = False,
    report: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    rules: Annotated[bool, Parameter(negative="")] = False,
    markdown: Annotated[bool, Parameter(negative="")] = False,
) -> Result:
    """Find sources that are not verified, verification that is not in force, and identities that admit strangers.

    Reads every YAML file of a GitOps repository: Flux, Kustomize, flux-operator, KSail, Kyverno, Talos and Argo CD.
    Ends with 0 where nothing is found, 1 where something as bad as --fail-on is.

    Parameters
    ----------
    path
        The repository's folder.
    flux
        The minor version of Flux that runs in the cluster.
    exclude
        Pattern of files to leave out, such as `tests/*`; a folder ends with a slash. May be given several times.
    fail_on
        The least severity that fails.
    baseline
        File of findings that are known: they do not fail. Those that are gone are named.
    write_baseline
        Write what is found to the file that --baseline names, and succeed.
    fix
        Change what can be changed safely, then look again.
    report
        FORMAT=FILE, several times if need be: write the report to a file, too, as text, json, junit, sarif, markdown
        or html.
    rules
        Print the rules, and look at nothing.
    markdown
        With --rules: print the page that docs/lint.md holds.
    """
    from dhallmark.gitops.lint.baseline import Baseline
    from dhallmark.gitops.lint.document import lint_document
    from dhallmark.gitops.lint.fix import apply_fixes
    from dhallmark.gitops.lint.lint import lint as run
    from dhallmark.report.formats import Wanted, write_reports

    if rules:
        return _rules(markdown=markdown)
    wanted = [Wanted.parse(one) for one in report]
    if write_baseline and baseline is None:
        raise UsageError("--write-baseline needs a file", hint="name it with --baseline")
    before = Baseline.load(baseline) if baseline is not None and (baseline.exists() or not write_baseline) else None
    linted = run(path, flux=Flux(flux), exclude=exclude, progress=progress())
    if fix and apply_fixes(path, linted.findings):
        linted = run(path, flux=Flux(flux), exclude=exclude, progress=progress())
    if write_baseline and baseline is not None:
        Baseline.of(linted.findings, before=before).write(baseline)
        before = Baseline.load(baseline)
    new, known, gone = before.split(linted.findings) if before is not None else (list(linted.findings), [], [])
    document = lint_document(new, known=known, gone=gone, files=linted.files, objects=linted.objects)
    write_reports(document, wanted)
    order = list(Severity)
    failed = any(one.severity is not None and order.index(one.severity) <= order.index(fail_on) for one in new)
    return Result(data=document.data, text=document.text, exit_code=ExitCode.REJECTED if failed else ExitCode.OK)


def _rules(*, markdown: bool) -> Result:
    from rich.table import Table

    from dhallmark.gitops.lint.catalogue import RULES
    from dhallmark.gitops.lint.page import page

    table = Table("rule", "severity", "finds", "what to do", box=None, pad_edge=False)
    for name, info in RULES.items():
        table.add_row(name, info.severity.value, info.title, info.fix)
    return Result(
        data={
            "schema": "dhallmark.dev/lint-rules/v1",
            "rules": [
                {
                    "rule": name,
                    "severity": info.severity.value,
                    "title": info.title,
                    "why": info.why,
                    "fix": info.fix,
                    "control": info.control,
                }
                for name, info in RULES.items()
            ],
        },
        text=page() if markdown else table,
    )
