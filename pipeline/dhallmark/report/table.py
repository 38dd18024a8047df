"""The report as tables for a terminal or a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dhallmark.report.model import ControlStatus, Report
from dhallmark.verdict import Outcome

_STYLES = {Outcome.ACCEPTED: "green", Outcome.REJECTED: "bold red", Outcome.INDETERMINATE: "yellow"}
_CONTROL_STYLES: Mapping[ControlStatus, str] = {
    "passed": "green",
    "failed": "bold red",
    "out-of-scope": "yellow",
    "indeterminate": "magenta",
}
_SHORT_DIGEST = len("sha256:") + 12


def render(report: Report) -> RenderableType:
    """The report, most important last: what was made, what was said of it, how to check it."""
    parts: list[RenderableType] = [
        Text(f"{report.project} {report.version} from {report.revision}", style="bold"),
        _artifacts(report),
    ]
    if report.controls is not None:
        parts += [_controls(report), *_explanations(report)]
    if report.tree is not None:
        changed = f"{len(report.tree)} files of the deploy tree changed" if report.tree else "deploy tree: no change"
        parts.append(Text(changed))
    parts += [Text(f"not dhallmark's, left in the deploy tree: {name}", style="yellow") for name in report.foreign]
    if report.checks:
        parts.append(Text("Check it yourself:"))
        parts += [
            Text(f"  # {check.purpose}\n  {check.command}", no_wrap=True, overflow="ignore") for check in report.checks
        ]
    parts.append(_closing(report))
    return Group(*parts)


def _artifacts(report: Report) -> Table:
    table = Table(title="What was made, and where", title_justify="left", pad_edge=False)
    for heading in ("environment", "artifact", "kind", "reference", "digest", "statements", "verdict"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "statements" else "left")
    for artifact in report.artifacts:
        table.add_row(
            artifact.environment,
            artifact.name,
            artifact.kind,
            artifact.reference,
            # Whole digests are in release.json and in the commands below; here they tell rows apart.
            artifact.digest[:_SHORT_DIGEST],
            str(artifact.statements),
            Text(str(artifact.verdict), style=_STYLES[artifact.verdict.outcome]),
        )
    return table


def _controls(report: Report) -> Table:
    table = Table(title="Negative controls", title_justify="left", pad_edge=False)
    for heading in ("control", "what was changed", "consumer", "said", "result"):
        table.add_column(heading, overflow="fold")
    for control in report.controls or ():
        table.add_row(
            control.id,
            control.title,
            control.consumer,
            control.found,
            Text(control.status, style=_CONTROL_STYLES[control.status]),
        )
    return table


def _explanations(report: Report) -> list[Text]:
    return [
        Text(f"{control.id} {control.consumer}: {control.explanation}", style=_CONTROL_STYLES[control.status])
        for control in report.controls or ()
        if control.explanation
    ]


def _closing(report: Report) -> Text:
    accepted = sum(artifact.verdict.outcome is Outcome.ACCEPTED for artifact in report.artifacts)
    text = f"{accepted} of {len(report.artifacts)} artifacts accepted"
    if report.controls is None:
        text += "; no controls were run"
    else:
        counts = Counter(control.status for control in report.controls)
        text += "; controls: " + (", ".join(f"{count} {status}" for status, count in counts.items()) or "none ran")
    return Text(text, style="bold green" if report.exit_code == 0 else "bold red")
