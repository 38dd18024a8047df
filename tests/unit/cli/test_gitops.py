"""`dhallmark gitops write`: what it asks for and what it tells."""

from pathlib import Path

import pytest

from dhallmark.cli.gitops import to_json, to_text, write
from dhallmark.errors import InputError, UsageError
from dhallmark.gitops.tree import TreeChange

CHANGE = TreeChange(
    written=("environments/prod/Chart.yaml",),
    removed=("environments/prod/charts/old/Chart.yaml",),
    unchanged=3,
    foreign=("environments/prod/charts/web/templates/mine.yaml",),
    other_environments=("dev",),
)


@pytest.mark.parametrize("given", ["policy", "trusted_root"])
def test_policy_and_trust_root_belong_together(tmp_path: Path, given: str) -> None:
    with pytest.raises(UsageError, match="belong together"):
        write(to=tmp_path, build=tmp_path, **{given: tmp_path / "file"})


def test_a_build_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no packaged release"):
        write(to=tmp_path / "deploy", build=tmp_path / "build")


def test_everything_that_was_done_and_left_is_told() -> None:
    lines = to_text(CHANGE, Path("deploy")).splitlines()
    assert lines[0] == "deploy: 1 written, 1 removed, 3 unchanged"
    assert [line.split()[0] for line in lines[1:]] == ["+", "-", "!", "?"]
    body = to_json(CHANGE, Path("deploy"))
    assert body["foreign"] == ["environments/prod/charts/web/templates/mine.yaml"]
    assert body["otherEnvironments"] == ["dev"]
