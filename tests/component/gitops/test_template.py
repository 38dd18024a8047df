"""The plug-in for Argo CD: what it prints of a good tree, and that it prints nothing of any other."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import anyio
import pytest
import yaml
from tests.component.release.conftest import Project

from dhallmark.cli.app import run
from dhallmark.control import Control, Kind
from dhallmark.controls.case import GOOD, MUTANT, Side
from dhallmark.controls.catalogue import CONTROLS
from dhallmark.controls.forge import Original
from dhallmark.controls.prepare import write_case
from dhallmark.errors import ExitCode

pytestmark = pytest.mark.component

TREES = [control for control in CONTROLS if control.kind is Kind.TREE]


def plug_in(
    environment: Path, *, policy: Path, trusted_root: Path, words: Sequence[str] = (), **variables: str
) -> Done:
    """Run it as Argo CD's sidecar does: in the application's folder, told the rest by variables."""
    out, err = io.StringIO(), io.StringIO()
    told = {
        "PATH": os.environ["PATH"],
        "ARGOCD_APP_NAME": "platform-prod",
        "ARGOCD_APP_NAMESPACE": "shop",
        "KUBE_VERSION": "1.34.2",
        "KUBE_API_VERSIONS": "v1,apps/v1",
        **variables,
    }
    command = ["gitops", "template", "--policy", str(policy), "--trusted-root", str(trusted_root), *words]
    with contextlib.chdir(environment), mock.patch.dict(os.environ, told, clear=True):
        status = run(command, stdout=out, stderr=err)
    return Done(status, out.getvalue(), err.getvalue())


@dataclass(frozen=True, slots=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def of_release(project: Project, tree: Path, *words: str, **variables: str) -> Done:
    return plug_in(
        tree / "environments/prod",
        policy=project.folder / "policy.yaml",
        trusted_root=project.build / "trusted_root.json",
        words=words,
        **variables,
    )


@pytest.fixture(scope="module")
def original(make_original: Callable[..., Original]) -> Original:
    """What the catalogue's mutants are made of."""
    return make_original()


@pytest.fixture
def tree(released: Project, tmp_path: Path) -> Path:
    """A copy of the deploy repository."""
    shutil.copytree(released.deploy, tmp_path / "deploy", symlinks=True)
    return tmp_path / "deploy"


def test_as_a_process_of_its_own_it_prints_the_same(released: Project, tree: Path) -> None:
    words = ["--policy", "policy.yaml", "--trusted-root", "build/trusted_root.json", "--release", "platform-prod"]
    done = released.dhallmark("gitops", "template", str(tree / "environments/prod"), *words, "--namespace", "shop")
    assert done.returncode == ExitCode.OK, done.stderr
    assert done.stdout == of_release(released, tree).stdout


def test_a_good_environment_is_rendered_as_helm_renders_it(released: Project, tree: Path) -> None:
    done = of_release(released, tree)
    assert done.returncode == ExitCode.OK, done.stderr
    by_helm = subprocess.run(
        [
            *("helm", "template", "platform-prod", tree / "environments/prod", "--include-crds"),
            *("--namespace=shop", "--kube-version=1.34.2"),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert list(yaml.safe_load_all(done.stdout)) == list(yaml.safe_load_all(by_helm))
    assert "kind: Deployment" in done.stdout


def test_json_holds_the_same_objects(released: Project, tree: Path) -> None:
    plain = of_release(released, tree).stdout
    done = of_release(released, tree, "--output", "json")
    assert json.loads(done.stdout)["objects"].strip() == plain.strip()


def test_a_broken_environment_does_not_stop_another(released: Project, tree: Path) -> None:
    (tree / "environments/dev/Chart.yaml").write_text("broken")
    assert of_release(released, tree).returncode == ExitCode.OK


def _append(path: str, text: str = "\n# changed\n") -> Callable[[Path], None]:
    def change(environment: Path) -> None:
        target = environment / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a") as file:
            file.write(text)

    return change


def _remove(path: str) -> Callable[[Path], None]:
    return lambda environment: (environment / path).unlink()


def _link(path: str, to: str) -> Callable[[Path], None]:
    return lambda environment: (environment / path).symlink_to(to)


def _archive(environment: Path) -> None:
    """Helm loads archives below `charts/` as it does folders."""
    other = environment.parent / "attack"
    (other / "templates").mkdir(parents=True)
    (other / "Chart.yaml").write_text("apiVersion: v2\nname: attack\nversion: 1.0.0\n")
    (other / "templates/x.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: attack}\n")
    subprocess.run(["helm", "package", other, "-d", environment / "charts"], check=True, capture_output=True)
    shutil.rmtree(other)


def _of_dev(environment: Path) -> None:
    shutil.rmtree(environment)
    shutil.copytree(environment.parent / "dev", environment)


def _only_the_attestation_of_dev(environment: Path) -> None:
    shutil.copy(environment.parent / "dev/charts/greeter/attestation.json", environment / "charts/greeter")


def _other_replicas(environment: Path) -> None:
    (file,) = (environment / "charts/greeter/templates").glob("*-deployment-*.yaml")
    file.write_text(file.read_text().replace("replicas: 3", "replicas: 30"))


def _linked_chart(environment: Path) -> None:
    shutil.move(environment / "charts/greeter", environment.parent / "elsewhere")
    (environment / "charts/greeter").symlink_to("../../elsewhere")


def _empty(environment: Path) -> None:
    for path in environment.rglob("*"):
        if path.is_file():
            path.unlink()


MUTANTS: dict[str, Callable[[Path], None]] = {
    "a value": _other_replicas,
    "a template more": _append("charts/greeter/templates/999-x.yaml", "kind: X\n"),
    "a template in the umbrella": _append("templates/x.yaml", "kind: X\n"),
    "a helper": _append("templates/_helpers.tpl", '{{ define "x" }}{{ end }}'),
    "notes": _append("charts/greeter/templates/NOTES.txt"),
    "a CRD": _append("crds/x.yaml", "kind: CustomResourceDefinition\n"),
    "values": _append("values.yaml", "greeter: {}\n"),
    "values of a chart": _append("charts/greeter/values.yaml", "a: 1\n"),
    "a schema of values": _append("values.schema.json", "{}"),
    "a dependency more": _append("Chart.yaml", "- {name: attack, version: 1.0.0, repository: https://a.example}\n"),
    "a lock": _append("Chart.lock", "dependencies: []\n"),
    "what helm ignores": _append("charts/greeter/.helmignore", "*\n"),
    "a chart more": _append("charts/attack/Chart.yaml", "apiVersion: v2\nname: attack\nversion: 1.0.0\n"),
    "an archive": _archive,
    "the chart's name": _append("charts/greeter/Chart.yaml", "name: other\n"),
    "a template less": lambda environment: next((environment / "charts/greeter/templates").iterdir()).unlink(),
    "a chart less": lambda environment: shutil.rmtree(environment / "charts/greeter"),
    "no attestation": _remove("attestation.json"),
    "no attestation of a chart": _remove("charts/greeter/attestation.json"),
    "an attestation that is none": _append("attestation.json", "x"),
    "dev's files": _of_dev,
    "dev's attestation": _only_the_attestation_of_dev,
    "a link out": _link("templates", "/etc"),
    "a link to a file": _link("charts/greeter/templates/x.yaml", "/etc/passwd"),
    "a linked chart": _linked_chart,
    "a pipe": lambda environment: os.mkfifo(environment / "charts/greeter/templates/x.yaml"),
    "no file": _empty,
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_of_a_changed_environment_nothing_is_printed(
    released: Project, tree: Path, mutant: str, capfd: pytest.CaptureFixture[str]
) -> None:
    MUTANTS[mutant](tree / "environments/prod")
    done = of_release(released, tree)
    assert (done.stdout, done.returncode != 0) == ("", True), done.stderr
    assert done.stderr
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("control", TREES, ids=lambda control: control.id)
def test_of_every_mutant_of_the_catalogue_nothing_is_printed(
    control: Control, original: Original, tmp_path: Path
) -> None:
    reference = f"{original.name}@{original.digest}"
    anyio.run(lambda: write_case(control, original, tmp_path / "case", reference=reference))
    for name, good in ((GOOD, True), (MUTANT, False), (GOOD, True)):
        side = Side(tmp_path / "case" / name)
        environment = side.files / "environments/prod"
        environment.mkdir(exist_ok=True)  # one mutant has none
        done = plug_in(environment, policy=side.policy, trusted_root=side.trusted_root)
        assert (done.returncode == 0, "kind: ConfigMap" in done.stdout) == (good, good), done.stderr
        assert good or done.stdout == ""


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ARGOCD_APP_NAME": "--post-renderer=/bin/sh"}, "is no release name"),
        ({"KUBE_VERSION": "1.34 --set=x=y"}, "is no Kubernetes version"),
        ({"KUBE_API_VERSIONS": "v1,a b"}, "is no API version"),
        ({"PATH": "/nonexistent"}, "helm is not there"),
    ],
)
def test_what_helm_would_read_as_something_else_is_refused(
    released: Project, tree: Path, variables: dict[str, str], said: str
) -> None:
    done = of_release(released, tree, **variables)
    assert done.stdout == ""
    assert done.returncode != 0
    assert said in done.stderr


def test_settings_of_helm_and_values_of_the_application_change_nothing(
    released: Project, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "plugins/x").mkdir(parents=True)
    (tmp_path / "plugins/x/plugin.yaml").write_text("name: x\nversion: 1.0.0\ncommand: touch ran\n")
    plain = of_release(released, tree)
    done = of_release(
        released,
        tree,
        HELM_PLUGINS=str(tmp_path / "plugins"),
        HELM_NAMESPACE="other",
        ARGOCD_APP_PARAMETERS='[{"name": "values", "string": "replicas: 30"}]',
        ARGOCD_ENV_VALUES="replicas: 30",
    )
    assert done.stdout == plain.stdout != ""


def test_a_folder_that_is_no_environment_is_refused(released: Project, tree: Path) -> None:
    done = plug_in(tree, policy=released.folder / "policy.yaml", trusted_root=released.build / "trusted_root.json")
    assert done.returncode == ExitCode.INPUT
    assert done.stdout == ""
