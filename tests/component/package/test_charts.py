"""The packaged charts under the real Helm."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from dhallmark.errors import ToolError
from dhallmark.lab.namespace import isolated
from dhallmark.package.chart import read_chart
from dhallmark.package.model import Artifacts
from dhallmark.package.objects import plain_objects
from dhallmark.package.package import package
from dhallmark.package.reader import read_archive
from dhallmark.plan import Plan

pytestmark = pytest.mark.component


class Release(Protocol):
    """What `make_small_release` makes."""

    plan: Plan
    root: Path
    build: Path


def tool(name: str) -> str:
    found = shutil.which(name)
    assert found, f'{name} is not on PATH: run `eval "$(python3 ci/toolchain env)"`'
    return found


def output_of(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def helm(*arguments: str | Path) -> str:
    return output_of(tool("helm"), *arguments)


def installed(chart: Path, *, home: Path) -> list[dict[str, object]]:
    """What `helm install` would send to a cluster, told by a Helm that can reach none."""
    words = [tool("helm4"), "install", "it", str(chart), "--dry-run=client", "--output", "json"]
    # Helm 3 asks a cluster for its version even here. Nothing of the user's, such as a kubeconfig, is read.
    done = json.loads(output_of("env", "-i", f"HOME={home}", *isolated(words)))
    return [body for body in objects(done["manifest"]) if isinstance(body, dict)]


@pytest.fixture(scope="module")
def release(make_small_release: Callable[..., Release], tmp_path_factory: pytest.TempPathFactory) -> Release:
    return make_small_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def artifacts(release: Release) -> Artifacts:
    return package(release.plan, root=release.root, build=release.build, source_date_epoch=1_700_000_000)


def charts(artifacts: Artifacts) -> list[str]:
    return [artifact.archive.path for artifact in artifacts.artifacts if artifact.kind != "flux"]


def objects(text: str) -> list[object]:
    return [body for body in yaml.safe_load_all(text) if body]


def test_helm_lint_finds_no_fault_in_any_chart(release: Release, artifacts: Artifacts) -> None:
    for path in charts(artifacts):
        assert "0 chart(s) failed" in helm("lint", "--strict", release.build / path)


def test_helm_prints_the_objects_as_they_were_rendered(release: Release, artifacts: Artifacts) -> None:
    path = next(path for path in charts(artifacts) if path.endswith("prod/web-1.2.3.tgz"))
    [body] = objects(helm("template", "web", release.build / path))
    assert isinstance(body, dict)
    assert body["data"] == {"motto": "{{ not a template }}", "environment": "prod"}


def test_the_umbrella_and_the_flux_artifact_hold_the_same_objects(release: Release, artifacts: Artifacts) -> None:
    umbrella = objects(helm("template", "acme", release.build / "package/prod/acme-1.2.3.tgz"))
    flux = read_archive((release.build / "package/prod/flux-acme-1.2.3.tgz").read_bytes(), what="flux")
    plain = [body for content in flux.values() for body in objects(content.decode())]
    assert sorted(map(str, umbrella)) == sorted(map(str, plain))


def test_helm_reads_the_metadata_from_the_archive(release: Release, artifacts: Artifacts) -> None:
    shown = yaml.safe_load(helm("show", "chart", release.build / "package/prod/acme-1.2.3.tgz"))
    assert [item["name"] for item in shown["dependencies"]] == ["net", "web"]
    assert helm("show", "values", release.build / "package/prod/web-1.2.3.tgz").strip() == "greeting: hello"


def test_every_plain_chart_and_umbrella_installs_without_a_cluster(
    release: Release, artifacts: Artifacts, tmp_path: Path
) -> None:
    for path in charts(artifacts):
        found = installed(release.build / path, home=tmp_path)
        assert found == objects(helm("template", "it", release.build / path))
        assert found


def test_a_templated_chart_installs_without_a_cluster(
    make_small_release: Callable[..., Release], tmp_path: Path
) -> None:
    release = make_small_release(tmp_path, templated=True)
    package(release.plan, root=release.root, build=release.build, source_date_epoch=1_700_000_000)
    [body] = installed(release.build / "package/prod/web-1.2.3.tgz", home=tmp_path)
    assert body["data"] == {"motto": "hello", "environment": "prod"}


def test_a_chart_that_no_cluster_could_install_is_refused_by_the_same_call(tmp_path: Path) -> None:
    chart = templated_chart(tmp_path / "chart", "kind: ConfigMap\nmetadata: [\n")
    with pytest.raises(AssertionError, match=r"001-configmap-mail\.yaml"):
        installed(chart, home=tmp_path)


def templated_chart(directory: Path, template: str) -> Path:
    (directory / "templates").mkdir(parents=True)
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: mail\nversion: 1.0.0\n")
    (directory / "values.yaml").write_text("host: mail.example\n")
    (directory / "templates" / "001-configmap-mail.yaml").write_text(template)
    return directory


def test_a_templated_charts_objects_are_those_that_helm_makes(tmp_path: Path) -> None:
    template = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: mail\n"
        "data:\n  host: '{{ .Values.host }}'\n  where: '{{ .Release.Namespace }}'\n"
    )
    chart = read_chart(templated_chart(tmp_path, template), name="mail", version="1.0.0")
    found = plain_objects(chart, templated=True, namespace="live")
    assert list(found) == ["001-configmap-mail.yaml"]
    assert yaml.safe_load(found["001-configmap-mail.yaml"])["data"] == {"host": "mail.example", "where": "live"}
    assert b"# Source" not in found["001-configmap-mail.yaml"]


def test_a_template_that_yields_several_objects_keeps_them_in_one_file(tmp_path: Path) -> None:
    one = "apiVersion: v1\nkind: {}\nmetadata:\n  name: mail\n"
    template = one.format("Service") + "---\n" + one.format("ConfigMap")
    chart = read_chart(templated_chart(tmp_path, template), name="mail", version="1.0.0")
    found = plain_objects(chart, templated=True, namespace=None)
    assert {body["kind"] for body in objects(found["001-configmap-mail.yaml"].decode()) if isinstance(body, dict)} == {
        "Service",
        "ConfigMap",
    }


def test_a_template_that_does_not_render_is_an_error_that_says_so(tmp_path: Path) -> None:
    chart = read_chart(templated_chart(tmp_path, "{{ .Values.host | nope }}"), name="mail", version="1.0.0")
    with pytest.raises(ToolError, match="nope"):
        plain_objects(chart, templated=True, namespace=None)


def test_without_helm_a_templated_chart_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart = read_chart(templated_chart(tmp_path, "a: b\n"), name="mail", version="1.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="helm is not there") as caught:
        plain_objects(chart, templated=True, namespace=None)
    assert caught.value.hint
