"""The report as tables for a terminal or a log."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dhallmark.report.model import Report
from dhallmark.verdict import Outcome

_STYLES = {Outcome.ACCEPTED: "green", Outcome.REJECTED: "bold red", Outcome.INDETERMINATE: "yellow"}
_SHORT_DIGEST = len("sha256:") + 12


def render(report: Report) -> RenderableType:
    """The report, most important last: what was made, what was said of it, how to check it."""
    parts: list[RenderableType] = [
        Text(f"{report.project} {report.version} from {report.revision}", style="bold"),
        _artifacts(report),
    ]
    if report.controls is not None:
        parts.append(_controls(report))
    if report.tree is not None:
        changed = f"{len(report.tree)} files of the deploy tree changed" if report.tree else "deploy tree: no change"
        parts.append(Text(changed))
    if report.checks:
        parts.append(Text("Check it yourself:"))
        parts += [Text(f"  # {check.purpose}\n  {check.command}", overflow="fold") for check in report.checks]
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
    for heading in ("control", "what was changed", "consumer", "must say", "said", ""):
        table.add_column(heading, overflow="fold")
    for control in report.controls or ():
        table.add_row(
            control.id,
            control.title,
            control.consumer,
            control.expected,
            control.found,
            Text("as it must", style="green") if control.passed else Text("WRONG", style="bold red"),
        )
    return table


def _closing(report: Report) -> Text:
    accepted = sum(artifact.verdict.outcome is Outcome.ACCEPTED for artifact in report.artifacts)
    text = f"{accepted} of {len(report.artifacts)} artifacts accepted"
    if report.controls is None:
        text += "; no controls were run"
    else:
        right = sum(control.passed for control in report.controls)
        text += f"; {right} of {len(report.controls)} controls as they must be"
    return Text(text, style="bold green" if report.exit_code == 0 else "bold red")
