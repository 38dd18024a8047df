"""`dhallmark init` writes a project that loads, and destroys nothing."""

import subprocess
from pathlib import Path

import pytest
import yaml

from dhallmark.cli.init import Platform, init
from dhallmark.config.load import load_config, load_policy
from dhallmark.errors import ConfigError, UsageError
from dhallmark.plan import make_plan


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_it_writes_loads_and_every_path_in_it_exists(tmp_path: Path) -> None:
    folder = tmp_path / "My Platform"
    result = init(directory=folder)
    config = load_config(folder / "dhallmark.yaml")
    policy = load_policy(folder / config.policy)
    assert config.project == "my-platform"
    assert result.data["files"] == sorted(contents(folder))
    assert [unit.path for unit in make_plan(config).units] == ["dev/greeter", "prod/greeter"]
    for application in config.applications.values():
        assert (folder / application.entry).is_file()
    for environment in config.environments.values():
        assert environment.values
        assert (folder / environment.values).is_file()
    assert policy.source is not None
    assert policy.source.repository == config.source.repository
    required = {rule.predicate_type: rule.steps for rule in policy.statements}
    assert required["https://in-toto.io/attestation/link/v0.3"] == ("resolve", "render", "package", "publish")


def test_every_key_of_the_configuration_is_explained(tmp_path: Path) -> None:
    init(directory=tmp_path)
    lines = (tmp_path / "dhallmark.yaml").read_text().splitlines()
    top = list(yaml.safe_load("\n".join(lines)))
    explained = {
        key
        for key in top
        for index, line in enumerate(lines)
        if line.startswith(f"{key}:")
        and (lines[index - 1].startswith("#") or any("#" in after for after in lines[index + 1 : index + 4]))
    }
    assert explained == set(top)


@pytest.mark.parametrize(
    ("remote", "uri", "issuer", "subject_end"),
    [
        (
            "git@github.com:acme/p.git",
            "https://github.com/acme/p",
            "https://token.actions.githubusercontent.com",
            "p/.github/workflows/release.yml@refs/heads/main",
        ),
        (
            "https://user:secret@gitlab.com/acme/p.git",
            "https://gitlab.com/acme/p",
            "https://gitlab.com",
            "p//.gitlab-ci.yml@refs/heads/main",
        ),
        (
            "ssh://git@git.example/acme/p",
            "https://git.example/acme/p",
            "https://git.example",
            "p//.gitlab-ci.yml@refs/heads/main",
        ),
    ],
)
def test_identity_follows_from_the_git_remote(
    tmp_path: Path, remote: str, uri: str, issuer: str, subject_end: str
) -> None:
    for words in (["init", "-q"], ["remote", "add", "origin", remote]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    init(directory=tmp_path)
    rule = load_policy(tmp_path / "policy.yaml").identities["release"]
    assert load_config(tmp_path / "dhallmark.yaml").source.repository == uri
    assert rule.issuer == issuer
    assert (rule.subject or "").endswith(subject_end)
    assert "secret" not in (tmp_path / "policy.yaml").read_text()


def test_options_win_over_guesses(tmp_path: Path) -> None:
    init(
        directory=tmp_path, project="p", source="https://git.example/a/b", registry="127.0.0.1:5000", ci=Platform.GITHUB
    )
    config = load_config(tmp_path / "dhallmark.yaml")
    assert (config.project, config.publish.registry) == ("p", "127.0.0.1:5000")
    assert load_policy(tmp_path / "policy.yaml").identities["release"].issuer == (
        "https://token.actions.githubusercontent.com"
    )


def test_nothing_is_overwritten_and_nothing_is_half_written(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("mine\n")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"policy\.yaml"):
        init(directory=tmp_path)
    assert contents(tmp_path) == before


def test_a_project_name_that_does_not_fit_is_refused_before_writing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        init(directory=tmp_path, project="No Name")
    assert contents(tmp_path) == {}
