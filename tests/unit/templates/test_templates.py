"""The CI templates: valid for their platforms, with the least rights, pinned, and one path for every kind of run."""

import dataclasses
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dhallmark.module import Dhallmark
from dhallmark.module.release import Released

TEMPLATES = Path(__file__).parents[3] / "ci" / "templates"
GITHUB = TEMPLATES / "github" / "release.yml"
GITLAB = TEMPLATES / "gitlab" / "release.gitlab-ci.yml"


def load(path: Path) -> dict[Any, Any]:
    body: dict[Any, Any] = yaml.safe_load(path.read_text())
    return body


def github_job() -> dict[str, Any]:
    (job,) = load(GITHUB)["jobs"].values()
    assert isinstance(job, dict)
    return job


def scripts() -> list[str]:
    """Every shell script of both templates."""
    return [*(step["run"] for step in github_job()["steps"] if "run" in step), *load(GITLAB)["release"]["script"]]


@pytest.mark.parametrize(("path", "schema"), [(GITHUB, "vendor.github-workflows"), (GITLAB, "vendor.gitlab-ci")])
def test_template_is_valid_under_the_schema_of_its_platform(path: Path, schema: str, tmp_path: Path) -> None:
    def check(file: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert check(path).returncode == 0, check(path).stdout
    broken = tmp_path / path.name
    broken.write_text(path.read_text().replace("release:\n", "release:\n    timeout-minutes: {}\n    stage: {}\n", 1))
    assert check(broken).returncode == 1


def test_actions_are_pinned_by_full_commit() -> None:
    used = [step["uses"] for step in github_job()["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name) for name in used)


def test_github_job_has_the_least_rights() -> None:
    assert load(GITHUB)["permissions"] == {}
    assert github_job()["permissions"] == {"contents": "read", "id-token": "write", "packages": "write"}
    (checkout,) = [step for step in github_job()["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"]["persist-credentials"] is False


def test_expressions_reach_scripts_as_variables_only() -> None:
    """`${{ … }}` inside a script would paste text of others into a shell."""
    assert not any("${{" in script for script in scripts())


def test_no_secret_stands_in_an_argument() -> None:
    """Only the shell's own printf, whose arguments no other process can see, may be given a secret's value."""
    given = [
        command.split()[0]
        for script in scripts()
        for command in re.split(r"\||\n(?!\s)", script.replace("\\\n", " "))
        if re.search(r"\$\{?\w*(TOKEN|PASSWORD|SECRET)\w*", command)
    ]
    assert given == ["printf"]


def test_images_and_modules_are_parameters() -> None:
    assert load(GITLAB)["release"]["image"] == "$RUNNER_IMAGE"
    for path in (GITHUB, GITLAB):
        assert "@sha256:" in path.read_text()
        assert "latest" not in path.read_text()


def test_merge_manual_and_recovery_runs_are_one_job() -> None:
    triggers = load(GITHUB)[True]  # YAML 1.1 reads the key `on` so.
    assert triggers == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    assert github_job()["if"] == "github.ref == 'refs/heads/main'"
    jobs = [name for name, body in load(GITLAB).items() if isinstance(body, dict) and "script" in body]
    assert jobs == ["release"]
    (rule,) = load(GITLAB)["release"]["rules"]
    assert "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in rule["if"]


def test_a_release_is_never_cut_off_on_purpose() -> None:
    assert load(GITHUB)["concurrency"] == {"group": "release", "cancel-in-progress": False}
    job = load(GITLAB)["release"]
    assert (job["resource_group"], job["interruptible"]) == ("release", False)


def calls() -> list[list[str]]:
    """The words of `dagger … call …` in both templates, GitHub's first."""
    found = [
        shlex.split(command)
        for script in scripts()
        for command in re.findall(r"^\S*dagger\S* (?:.*\\\n)*.*$", script, re.MULTILINE)
    ]
    assert len(found) == 2
    return found


def options(words: list[str]) -> set[str]:
    return {word.removeprefix("--") for word in words if word.startswith("--")}


def test_both_call_the_same_function_with_the_token_of_their_platform() -> None:
    github, gitlab = calls()
    assert options(github) == options(gitlab)
    assert github[github.index("--token") + 1] == "cmd://$RUNNER_TEMP/oidc-token"
    assert gitlab[gitlab.index("--token") + 1] == "env://SIGSTORE_ID_TOKEN"
    assert load(GITLAB)["release"]["id_tokens"] == {"SIGSTORE_ID_TOKEN": {"aud": "sigstore"}}


def test_the_calls_fit_the_function_of_the_module() -> None:
    """Every option is a parameter, and every parameter without a default is given."""
    constructor = {field.name for field in dataclasses.fields(Dhallmark)}
    parameters = inspect.signature(Dhallmark.release).parameters
    required = {name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty}
    for words in calls():
        split = words.index("release")
        before, after = options(words[:split]) - {"mod"}, options(words[split:]) - {"path"}
        assert {name.replace("-", "_") for name in before} <= constructor
        given = {name.replace("-", "_") for name in after}
        assert given <= set(parameters)
        assert required - {"self"} <= given
        assert words[-4:] == ["build", "export", "--path", "build"]
        assert callable(Released.build)
