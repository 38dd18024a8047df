"""The closing report: one model, shown as tables and as JSON."""

import io

import pytest

from dhallmark import strictjson
from dhallmark.cli.output import console
from dhallmark.errors import ExitCode, FormatError
from dhallmark.reasons import Reason
from dhallmark.report.model import Command, ControlLine, ControlStatus, Released, Report, VerdictLine
from dhallmark.report.table import render
from dhallmark.verdict import Check, Verdict

DIGEST = "sha256:" + "ab" * 32


def released(reason: Reason | None = None) -> Released:
    verdict = Verdict.of("x", checks=[Check(name="check", reason=reason)])
    return Released(
        kind="chart",
        environment="prod",
        name="web",
        reference="registry.example:5000/acme/prod/web:1.0.0",
        digest=DIGEST,
        statements=6,
        verdict=VerdictLine.of(verdict),
    )


def control(status: ControlStatus) -> ControlLine:
    explanation = "" if status == "passed" else "why it is so"
    return ControlLine(
        id="S1", title="unsigned", consumer="cosign", status=status, found="accepted", explanation=explanation
    )


def report(*artifacts: Released, controls: tuple[ControlLine, ...] | None = None) -> Report:
    return Report(
        project="acme",
        version="1.0.0",
        revision="0" * 40,
        artifacts=artifacts,
        controls=controls,
        checks=(Command(purpose="the signature", command=f"cosign verify registry.example@{DIGEST}"),),
    )


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (report(released()), ExitCode.OK),
        (report(released(), controls=(control("passed"),)), ExitCode.OK),
        (report(released(), released(Reason.SIGNATURE_NONE)), ExitCode.REJECTED),
        (report(released(), released(Reason.REGISTRY_UNAVAILABLE)), ExitCode.INDETERMINATE),
        (report(released(Reason.REGISTRY_UNAVAILABLE), released(Reason.SIGNATURE_NONE)), ExitCode.REJECTED),
        (report(released(), controls=(control("passed"), control("failed"))), ExitCode.REJECTED),
        (report(released(), controls=(control("passed"), control("indeterminate"))), ExitCode.INDETERMINATE),
        (report(released(), controls=(control("passed"), control("out-of-scope"))), ExitCode.OK),
        (report(released(), controls=(control("out-of-scope"),)), ExitCode.INDETERMINATE),
        (report(released(), controls=()), ExitCode.INDETERMINATE),
    ],
)
def test_one_bad_line_decides_on_the_exit_code(shown: Report, code: ExitCode) -> None:
    assert shown.exit_code == code


def test_json_is_read_back_as_the_same_report() -> None:
    one = report(released(Reason.SIGNATURE_NONE), controls=(control("failed"),))
    body = one.to_json()
    assert body["schema"] == "dhallmark.dev/release/v1"
    assert Report.parse(strictjson.dump(body)) == one


def test_a_report_without_artifacts_is_none() -> None:
    with pytest.raises(FormatError, match="at least 1"):
        Report.parse(strictjson.dump({**report(released()).to_json(), "artifacts": []}))


def test_pinned_reference_keeps_the_port_of_the_registry() -> None:
    assert released().pinned == f"registry.example:5000/acme/prod/web@{DIGEST}"


def text_of(shown: Report) -> str:
    out = io.StringIO()
    console(out).print(render(shown))
    return out.getvalue()


def test_tables_say_what_where_and_how_to_check_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    text = text_of(report(released(), released(Reason.SIGNATURE_NONE), controls=(control("failed"),)))
    for part in (
        "registry.example:5000/acme/prod/web:1.0.0",
        "rejected(signature.none)",
        f"cosign verify registry.example@{DIGEST}",
        "S1 cosign: why it is so",
        "1 of 2 artifacts accepted; controls: 1 failed",
    ):
        assert part in text


def test_foreign_files_in_the_deploy_tree_are_named() -> None:
    shown = report(released()).model_copy(update={"tree": (), "foreign": ("environments/prod/charts/web/evil.yaml",)})
    text = text_of(shown)
    assert "deploy tree: no change" in text
    assert "environments/prod/charts/web/evil.yaml" in text


def test_tables_say_that_no_controls_were_run() -> None:
    assert "no controls were run" in text_of(report(released()))
