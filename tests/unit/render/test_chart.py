from pathlib import Path

import pytest
import yaml

from dhallmark.config.model import Config
from dhallmark.errors import RenderError
from dhallmark.plan import Unit
from dhallmark.render.chart import template_slug, write_chart, write_umbrella
from dhallmark.render.objects import Identity, KubernetesObject
from dhallmark.render.values import Json

UNIT = Unit("dev", "web")


def config(**chart: object) -> Config:
    return Config.model_validate(
        {
            "schemaVersion": 1,
            "project": "acme",
            "version": "1.2.3",
            "source": {"repository": "https://git.example.test/acme/platform"},
            "layers": ["services"],
            "environments": {"dev": {}},
            "applications": {"web": {"entry": "web.dhall", "layer": "services", "chart": chart}},
            "publish": {"registry": "registry.example.test", "repository": "acme", "staging": "staging/acme"},
            "policy": "policy.yaml",
        }
    )


def item(name: str, **body: Json) -> KubernetesObject:
    metadata: dict[str, Json] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    return KubernetesObject(Identity("", "ConfigMap", "", name), metadata | body, 0)


def write(tmp_path: Path, *objects: KubernetesObject, **chart: object) -> Path:
    directory = tmp_path / "chart"
    write_chart(directory, config=config(**chart), unit=UNIT, objects=objects, root=tmp_path)
    return directory


def test_a_chart_has_its_metadata_and_one_file_an_object(tmp_path: Path) -> None:
    chart = write(tmp_path, item("a"), item("b.c"), description="The web", appVersion="4.5.6")
    assert yaml.safe_load((chart / "Chart.yaml").read_text()) == {
        "apiVersion": "v2",
        "name": "web",
        "type": "application",
        "version": "1.2.3",
        "description": "The web",
        "appVersion": "4.5.6",
        "annotations": {"dhallmark.dev/layer": "services"},
    }
    assert [path.name for path in sorted((chart / "templates").iterdir())] == [
        "001-configmap-a.yaml", "002-configmap-b-c.yaml"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("templated", "expected"), [(False, "k: '{{ \"{{\" }} x }}'"), (True, "k: '{{ x }}'")], ids=["escaped", "templated"]
)
def test_template_marks_are_escaped_unless_they_are_meant(tmp_path: Path, *, templated: bool, expected: str) -> None:
    chart = write(tmp_path, item("a", data={"k": "{{ x }}"}), templated=templated)
    text = (chart / "templates" / "001-configmap-a.yaml").read_text()
    assert expected.replace("'", '"') in text.replace("'", '"')


def test_values_are_the_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("# why\na: 1\n")
    chart = write(tmp_path, item("a"), values="values.yaml")
    assert (chart / "values.yaml").read_text() == "# why\na: 1\n"


@pytest.mark.parametrize(
    ("content", "message", "where"),
    [
        (None, "cannot read", "values.yaml (applications.web.chart.values)"),
        ("- a\n", "holds a mapping", "values.yaml (applications.web.chart.values)"),
        ("a: b: c\n", "not YAML", "values.yaml:1:5"),
        ("a: \x00\n", "not YAML", "values.yaml"),
    ],
)
def test_a_values_file_that_is_none_is_refused(tmp_path: Path, content: str | None, message: str, where: str) -> None:
    if content is not None:
        (tmp_path / "values.yaml").write_text(content)
    with pytest.raises(RenderError, match=message) as caught:
        write(tmp_path, item("a"), values="values.yaml")
    assert str(caught.value.where) == where


def test_a_values_file_outside_the_project_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "values.yaml").write_text("a: 1\n")
    (root / "values.yaml").symlink_to(tmp_path / "values.yaml")
    with pytest.raises(RenderError, match="leaves the project"):
        write(root, item("a"), values="values.yaml")


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("ClusterRole", "system:auth-delegator", "clusterrole-system-auth-delegator"),
        ("ConfigMap", "../../etc/passwd", "configmap-etc-passwd"),
        ("CustomResourceDefinition", "x" * 253, "customresourcedefinition-" + "x" * 55),
        ("Kind", "é", "kind"),
    ],
)
def test_a_file_name_holds_nothing_but_letters_digits_and_dashes(kind: str, name: str, expected: str) -> None:
    assert template_slug(KubernetesObject(Identity("", kind, "", name), {}, 0)) == expected


def test_an_umbrella_holds_copies_of_its_charts(tmp_path: Path) -> None:
    chart = write(tmp_path, item("a"))
    umbrella = tmp_path / "umbrella"
    write_umbrella(umbrella, config=config(), environment="dev", charts=[("web", chart)])
    body = yaml.safe_load((umbrella / "Chart.yaml").read_text())
    assert body["name"] == "acme"
    assert body["dependencies"] == [{"name": "web", "version": "1.2.3", "repository": "file://charts/web"}]
    copied = umbrella / "charts" / "web" / "templates" / "001-configmap-a.yaml"
    assert copied.read_bytes() == (chart / "templates" / "001-configmap-a.yaml").read_bytes()
