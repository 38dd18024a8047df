"""GitHub's template under actionlint, which checks expressions, contexts and scripts beyond the schema."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.component

GITHUB = Path(__file__).parents[3] / "ci" / "templates" / "github" / "release.yml"


def actionlint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["actionlint", "-no-color", str(path)], capture_output=True, text=True, check=False)


def test_template_has_no_finding() -> None:
    result = actionlint(GITHUB)
    assert (result.returncode, result.stdout) == (0, "")


def test_actionlint_sees_what_is_wrong(tmp_path: Path) -> None:
    broken = tmp_path / "release.yml"
    broken.write_text(GITHUB.read_text().replace("vars.DHALLMARK_CI_IMAGE", "vras.DHALLMARK_CI_IMAGE"))
    result = actionlint(broken)
    assert result.returncode == 1
    assert "vras" in result.stdout
