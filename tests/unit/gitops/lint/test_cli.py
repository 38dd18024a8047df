"""The command: exit codes, the baseline, fixes and reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dhallmark.cli.lint import lint
from dhallmark.errors import ExitCode, FormatError, InputError, UsageError
from dhallmark.gitops.lint.model import Severity

SOURCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata:
  name: web  # the one of prod
  namespace: apps
spec:
  url: oci://ghcr.io/acme/web
  interval: 5m
  ref: {tag: 1.2.3}
"""
VERIFY = """\
  verify:
    provider: cosign
    matchOIDCIdentity:
      # GitHub's
      - issuer: https://token.actions.githubusercontent.com   # no anchors
        subject: "^https://github.com/acme/web/.github/workflows/release.yaml@refs/heads/main$"
"""
DOTS = SOURCE + VERIFY.replace("https://t", "^https://t").replace("com  ", "com$ ")
"""Anchored, with dots that are not escaped."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "a.yaml").write_text(SOURCE)
    return tmp_path / "repo"


@pytest.mark.parametrize(
    ("text", "fail_on", "code"),
    [
        (SOURCE, Severity.ERROR, ExitCode.REJECTED),
        (SOURCE + VERIFY, Severity.ERROR, ExitCode.REJECTED),
        ("kind: A\n", Severity.NOTE, ExitCode.OK),
        (
            DOTS,
            Severity.WARNING,
            ExitCode.REJECTED,
        ),
        (DOTS, Severity.ERROR, ExitCode.OK),
    ],
)
def test_the_exit_code_follows_the_worst_finding(tree: Path, text: str, fail_on: Severity, code: ExitCode) -> None:
    (tree / "a.yaml").write_text(text)
    assert lint(tree, fail_on=fail_on).exit_code is code


def test_a_finding_of_the_baseline_does_not_fail_and_one_that_is_gone_is_named(tree: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    assert lint(tree, baseline=baseline, write_baseline=True).exit_code is ExitCode.OK
    again = lint(tree, baseline=baseline)
    assert (again.exit_code, again.data["known"], again.data["findings"]) == (ExitCode.OK, 2, [])
    (tree / "a.yaml").write_text(f"# moved down\n\n{SOURCE}")
    assert lint(tree, baseline=baseline).exit_code is ExitCode.OK
    (tree / "b.yaml").write_text(SOURCE.replace("name: web", "name: other"))
    assert lint(tree, baseline=baseline).exit_code is ExitCode.REJECTED
    (tree / "a.yaml").write_text("kind: A\n")
    (tree / "b.yaml").write_text("kind: B\n")
    gone = lint(tree, baseline=baseline).data["gone"]
    assert isinstance(gone, list)
    assert {item["rule"] for item in gone} == {"source.unverified", "source.tag"}


def test_a_reason_in_the_baseline_is_kept_when_it_is_written_again(tree: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    lint(tree, baseline=baseline, write_baseline=True)
    body = json.loads(baseline.read_text())
    body["findings"][0]["reason"] = "until the move"
    baseline.write_text(json.dumps(body))
    lint(tree, baseline=baseline, write_baseline=True)
    assert json.loads(baseline.read_text())["findings"][0]["reason"] == "until the move"


def test_a_fix_changes_its_scalar_alone(tree: Path) -> None:
    (tree / "a.yaml").write_text(SOURCE + VERIFY)
    lint(tree, fix=True)
    after = (tree / "a.yaml").read_text()
    assert after == SOURCE + VERIFY.replace(
        "https://token.actions.githubusercontent.com ", r"'^https://token\.actions\.githubusercontent\.com$' "
    ).replace(
        '"^https://github.com/acme/web/.github/workflows/release.yaml@refs/heads/main$"',
        r"'^https://github\.com/acme/web/\.github/workflows/release\.yaml@refs/heads/main$'",
    )
    assert lint(tree, fail_on=Severity.WARNING).exit_code is ExitCode.OK
    lint(tree, fix=True)
    assert (tree / "a.yaml").read_text() == after


def test_reports_are_written(tree: Path, tmp_path: Path) -> None:
    names = ("text", "json", "junit", "sarif", "markdown", "html")
    lint(tree, report=tuple(f"{name}={tmp_path / name}" for name in names))
    sarif = json.loads((tmp_path / "sarif").read_text())
    places = [result["locations"][0]["physicalLocation"] for result in sarif["runs"][0]["results"]]
    assert {"artifactLocation": {"uri": "a.yaml"}, "region": {"startLine": 6}} in places
    assert all((tmp_path / name).stat().st_size for name in names)


def test_excluded_files_and_folders_are_not_read(tree: Path) -> None:
    (tree / "tests").mkdir()
    (tree / "tests" / "b.yaml").write_text("[")
    assert lint(tree, exclude=("tests/",)).data["files"] == 1
    with pytest.raises(InputError, match="no YAML"):
        lint(tree, exclude=("tests/", "a.*"))


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_nothing_looked_at_is_no_success(tmp_path: Path, what: str) -> None:
    folder = tmp_path / what
    if what == "empty":
        folder.mkdir()
    with pytest.raises(InputError):
        lint(folder)


def test_a_baseline_that_is_none_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        lint(tree, baseline=tmp_path / "no")
    (tmp_path / "bad").write_text("{}")
    with pytest.raises(FormatError):
        lint(tree, baseline=tmp_path / "bad")
    with pytest.raises(UsageError):
        lint(tree, write_baseline=True)


def test_symlinks_are_not_followed(tree: Path) -> None:
    (tree / "loop").symlink_to(tree)
    (tree / "b.yaml").symlink_to(tree / "a.yaml")
    assert lint(tree).data["files"] == 1


def test_the_rules_are_listed() -> None:
    listed = lint(rules=True)
    assert listed.exit_code is ExitCode.OK
    assert isinstance(listed.data["rules"], list)
    assert {"rule", "severity", "title", "why", "fix", "control"} == set(listed.data["rules"][0])


def test_the_page_of_the_rules_is_the_one_that_is_published() -> None:
    published = Path(__file__).parents[4] / "docs" / "lint.md"
    text = lint(rules=True, markdown=True).text
    assert published.read_text("utf-8") == text, "run: dhallmark gitops lint --rules --markdown > docs/lint.md"
