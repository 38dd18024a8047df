"""The recorded steps of a release, with the real Dhall and a real registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from in_toto.models.metadata import Metadata

import dhallmark
from dhallmark.config.load import load_config
from dhallmark.package.package import load_artifacts
from dhallmark.plan import Shard, make_plan
from dhallmark.render.closure import load_closure, merge_closures, write_closure
from dhallmark.render.render import write_umbrellas
from dhallmark.steps.artifacts import NO_EXCLUDES
from dhallmark.steps.link import STEPS, Link, read_links
from dhallmark.steps.merge import merge_shard_links
from dhallmark.steps.run import step_files

if TYPE_CHECKING:
    from tests.component.steps.conftest import MakeProject, Project

pytestmark = pytest.mark.component

_SOURCES = {
    "apps/api.dhall",
    "apps/web.dhall",
    "charts/api.yaml",
    "dhallmark.yaml",
    "environments/dev.dhall",
    "environments/prod.dhall",
    "lib/config.dhall",
    "policy.yaml",
}


def test_each_step_records_what_it_read_and_made(packaged: Project) -> None:
    links = read_links(packaged.build)
    resolve, render, package, publish = links
    assert set(resolve.materials) == _SOURCES, "the README was there, and was not read"
    assert set(resolve.products) == {
        "build/resolve/closure.json",
        "build/resolve/normal/dev/api.dhallb",
        "build/resolve/normal/dev/web.dhallb",
        "build/resolve/normal/prod/api.dhallb",
    }
    assert set(render.materials) == {*resolve.products, "charts/api.yaml", "dhallmark.yaml"}
    assert set(render.products) == {
        f"dir:build/render/{name}" for name in ("dev/api", "dev/platform", "dev/web", "prod/api", "prod/platform")
    }
    assert set(package.materials) == {*render.products, *_SOURCES, "build/resolve/closure.json"}
    artifacts = load_artifacts(packaged.build)
    archives = {f"build/{artifact.archive.path}": artifact.archive.sha256 for artifact in artifacts.artifacts}
    assert {name: package.products[name]["sha256"] for name in archives} == archives
    assert set(publish.materials) == {*package.products, "dhallmark.yaml"}
    published = {digests["sha256"] for digests in publish.products.values()}
    assert {artifact.manifest_digest.hex for artifact in artifacts.artifacts} <= published
    for link, program in zip(
        (resolve, render, package, publish), ("resolve", "render", "package", "push"), strict=True
    ):
        assert link.command == ("dhallmark", program, "--config", "dhallmark.yaml", "--build", "build")
        assert link.byproducts == {"return-value": 0, "stdout": "", "stderr": ""}
        assert link.environment == {}


def test_two_runs_in_different_folders_give_the_same_links(make: MakeProject, tmp_path: Path) -> None:
    first = make(tmp_path / "one")
    first.steps()
    second = make(tmp_path / "two" / "elsewhere")
    place = tmp_path / "out of the tree"
    environment = {"USER": "nobody", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "1700000000"}
    before = os.umask(0o077)
    try:
        for step in STEPS:
            second.ok("step", step, build=place, env=environment)
    finally:
        os.umask(before)
    for step in STEPS:
        name = Path("links") / f"{step}.link"
        assert (place / name).read_bytes() == (first.build / name).read_bytes()
        assert str(tmp_path).encode() not in (place / name).read_bytes()


def test_in_toto_run_itself_gives_the_same_links(packaged: Project, tmp_path: Path) -> None:
    """The canonical commands, run by the `in-toto-run` program in the project's folder."""
    project = packaged
    tools, signed = tmp_path / "bin", tmp_path / "signed"
    tools.mkdir()
    signed.mkdir()
    source = Path(dhallmark.__path__[0]).parent
    program = f'#!/bin/sh\nPYTHONPATH={source} exec {sys.executable} -m dhallmark.cli.app "$@"\n'
    (tools / "dhallmark").write_text(program)
    (tools / "dhallmark").chmod(0o755)
    key = tmp_path / "key.pem"
    key.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    config = project.root / "dhallmark.yaml"
    for link in read_links(project.build):
        files = step_files(link.name, load_config(config), shard=None, config=config, build=project.build)  # type: ignore[arg-type]
        materials = sorted(link.materials) if link.name == "resolve" else files.materials
        command: list[str | Path] = [Path(sys.executable).parent / "in-toto-run"]
        command += ["--step-name", link.name, "--use-dsse", "--exclude", *NO_EXCLUDES, "--signing-key", key]
        command += ["--metadata-directory", signed, "--run-timeout", "60", "--materials", *materials]
        command += ["--products", *files.products, "--", *link.command]
        project.lab.run(
            command,
            cwd=project.root,
            env={"PATH": f"{tools}:{os.environ['PATH']}"},
        )
        (made,) = signed.glob(f"{link.name}.*.link")
        payload = Metadata.load(str(made)).get_payload()
        theirs = Link(
            name=payload.name,
            command=tuple(payload.command),
            materials=payload.materials,
            products=payload.products,
            byproducts=payload.byproducts,
            environment=payload.environment,
        )
        assert theirs.to_bytes() == link.to_bytes()


def test_what_the_step_says_reaches_the_user(project: Project) -> None:
    done = project.run("step", "resolve")
    assert "resolve: 3 units" in done.stderr
    assert "8 materials, 4 products" in done.stdout


def test_a_step_that_fails_says_where_and_leaves_no_link(project: Project) -> None:
    project.ok("step", "resolve")
    (project.root / "apps" / "web.dhall").write_text("\\(env : { replicas : Natural }) ->\n  1 + True\n")
    done = project.run("step", "resolve")
    assert done.returncode == 4
    assert "apps/web.dhall" in done.stderr
    assert "step resolve: `dhallmark resolve" in done.stderr
    assert str(project.root) not in done.stderr.split("step resolve:")[1].splitlines()[0]
    assert not (project.build / "links" / "resolve.link").exists()


def test_a_source_that_git_ignores_is_not_released(project: Project) -> None:
    (project.root / ".gitignore").write_text("/build/\n/lib/secret.dhall\n")
    (project.root / "lib" / "secret.dhall").write_text('"s3cret"\n')
    (project.root / "apps" / "web.dhall").write_text(
        "\\(env : { replicas : Natural }) -> [ ../lib/config.dhall ../lib/secret.dhall env.replicas ]\n"
    )
    project.git("add", ".")
    project.git("commit", "--quiet", "--message=second")
    done = project.run("step", "resolve")
    assert done.returncode == 4
    assert "lib/secret.dhall" in done.stderr
    assert not (project.build / "links" / "resolve.link").exists()


def test_a_step_before_its_time_says_which_one_is_missing(project: Project) -> None:
    for step in ("render", "package"):
        done = project.run("step", step)
        assert done.returncode == 4
        assert "resolve" in done.stderr


def test_options_of_the_command_are_passed_and_not_recorded(project: Project, tmp_path: Path) -> None:
    project.ok("step", "resolve", "--", "--dhall-cache", str(tmp_path))
    (link,) = (project.build / "links").glob("resolve.link")
    assert str(tmp_path) not in link.read_text()
    done = project.run("step", "render", "--", "--no-such-option")
    assert done.returncode == 2


def test_shards_merge_to_the_links_of_an_undivided_run(project: Project, tmp_path: Path) -> None:
    project.steps(("resolve", "render"))
    config = load_config(project.root / "dhallmark.yaml")
    shards, merged = [tmp_path / "s1", tmp_path / "s2"], tmp_path / "merged"
    for number, shard in enumerate(shards, start=1):
        for step in ("resolve", "render"):
            project.ok("step", step, "--shard", f"{number}/2", build=shard)
        for part in ("resolve/normal", "render"):
            shutil.copytree(shard / part, merged / part, dirs_exist_ok=True)
        assert len(list((shard / "render").rglob("platform/Chart.yaml"))) < 2
    write_closure(merge_closures(*(load_closure(shard) for shard in shards)), merged / "resolve" / "closure.json")
    write_umbrellas(make_plan(config), merged / "render")
    merge_shard_links(shards, build=merged, config=config)
    for step in ("resolve", "render"):
        name = Path("links") / f"{step}.link"
        assert (merged / name).read_bytes() == (project.build / name).read_bytes()
    assert make_plan(config, shard=Shard(1, 2)).units != make_plan(config).units


def _edit(path: str) -> Callable[[Path], object]:
    return lambda build: (build / path).write_bytes((build / path).read_bytes() + b"\n# evil\n")


def _add(path: str) -> Callable[[Path], object]:
    return lambda build: (build / path).write_text("evil: true\n")


def _remove(path: str) -> Callable[[Path], object]:
    return lambda build: (build / path).unlink()


@pytest.mark.parametrize(
    ("after", "tamper"),
    [
        ("resolve", _add("resolve/normal/prod/web.dhallb")),
        ("resolve", _remove("resolve/normal/dev/web.dhallb")),
        ("render", _edit("render/prod/api/templates/001-configmap-api.yaml")),
        ("render", _add("render/prod/api/templates/002-evil.yaml")),
        ("render", _remove("render/prod/api/values.yaml")),
        ("render", _edit("render/prod/platform/charts/api/values.yaml")),
        ("package", _edit("package/dev/web-1.2.3.tgz")),
        ("package", _edit("package/artifacts.json")),
        ("package", _add("package/oci/evil")),
        ("publish", _edit("publish/dev/web.manifest.json")),
        ("publish", _edit("package/dev/web-1.2.3.tgz")),
        ("publish", _edit("render/prod/api/Chart.yaml")),
    ],
)
def test_what_changes_between_two_steps_is_found_at_the_latest_by_attest(
    packaged: Project, after: str, tamper: Callable[[Path], object]
) -> None:
    project = packaged
    position = STEPS.index(after) + 1
    tamper(project.build)
    for step in STEPS[position:]:
        # A step may notice by itself; one that does not must be found out.
        if project.run("step", step).returncode != 0:
            return
    done = project.attest()
    assert done.returncode == 4, done.stdout
    assert not (project.build / "links" / "signed").exists()
    assert not (project.build / "statements").exists()


def test_in_toto_verify_accepts_an_attested_release_and_no_other(packaged: Project) -> None:
    project = packaged
    assert project.attest().returncode == 0
    done = project.in_toto_verify()
    assert done.returncode == 0, done.stderr
    file = next((project.build / "links" / "signed").glob("package.*.link"))
    body = json.loads(file.read_text())
    body["payload"] = body["payload"][:-8] + "AAAAAAA="
    file.write_text(json.dumps(body))
    assert project.in_toto_verify().returncode == 1


def test_an_unpacked_archive_without_git_is_refused(project: Project) -> None:
    shutil.rmtree(project.root / ".git")
    for words in (("plan",), ("step", "resolve"), ("attest", "--builder-id", project.workflow)):
        done = project.run(*words)
        assert done.returncode == 4
        assert "not in a Git work tree" in done.stderr


def test_a_checkout_of_another_user_is_released_without_configuring_git(project: Project) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    subprocess.run(["chown", "--recursive", "12345:12345", project.root], check=True)
    project.ok("plan", env={"HOME": "/nowhere"})
    project.ok("step", "resolve", env={"HOME": "/nowhere"})
