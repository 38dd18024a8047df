"""Charts as real Helm takes them: what `helm template` prints is what Dhall yields."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from dhallmark.render.closure import load_closure
from dhallmark.render.objects import Identity
from dhallmark.render.render import unit_objects

if TYPE_CHECKING:
    from tests.component.render.conftest import Example, Project

pytestmark = pytest.mark.component


def helm(*arguments: str, home: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    done = subprocess.run(["helm", *arguments], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def template(chart: Path, *options: str, home: Path) -> dict[Identity, dict[str, Any]]:
    found: dict[Identity, dict[str, Any]] = {}
    for body in yaml.safe_load_all(helm("template", "release", str(chart), *options, home=home)):
        metadata = body["metadata"]
        group = body["apiVersion"].rpartition("/")[0]
        identity = Identity(group, body["kind"], metadata.get("namespace", ""), metadata["name"])
        assert identity not in found
        found[identity] = body
    return found


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_helm_prints_the_objects_that_dhall_yields(example: Example, environment: str, tmp_path: Path) -> None:
    plan = example.plan()
    closure = load_closure(example.build)
    every: dict[Identity, object] = {}
    for unit in plan.in_environment(environment):
        objects = unit_objects(plan, unit, closure=closure, root=example.root, build=example.build)
        expected = {item.identity: item.body for item in objects}
        chart = example.build / "render" / unit.path
        helm("lint", str(chart), home=tmp_path)
        printed = template(chart, home=tmp_path)
        if not plan.application(unit).chart.templated:
            assert printed == expected
        assert printed.keys() == expected.keys()
        every |= printed
    umbrella = example.build / "render" / environment / plan.config.project
    helm("lint", str(umbrella), home=tmp_path)
    assert template(umbrella, home=tmp_path) == every


def test_values_fill_a_templated_chart(example: Example, tmp_path: Path) -> None:
    chart = example.build / "render" / "prod" / "mailer"
    config = Identity("", "ConfigMap", "shop", "mailer")
    digest = Identity("batch", "CronJob", "shop", "mailer-digest")
    printed = template(chart, home=tmp_path)
    assert printed[config]["data"]["SENDER"] == "shop@acme.example"
    assert printed[config]["data"]["SMTP_PORT"] == "587"
    assert printed[digest]["spec"]["schedule"] == "30 6 * * *"
    changed = template(chart, "--set", "sender.address=no-reply@example.test", home=tmp_path)
    assert changed[config]["data"]["SENDER"] == "no-reply@example.test"


def test_template_marks_in_texts_come_out_of_helm_as_they_are(example: Example, tmp_path: Path) -> None:
    printed = template(example.build / "render" / "prod" / "prometheus", home=tmp_path)
    rule = next(body for identity, body in printed.items() if identity.kind == "PrometheusRule")
    summary = rule["spec"]["groups"][0]["rules"][0]["annotations"]["summary"]
    assert summary == "Certificate {{ $labels.name }} expires in {{ $value | humanizeDuration }}"


NASTY = [
    "{{ .Values.x }}", "{{", "}}", "{{{{", "{{{ x }}}", '{{ "{{" }}', "{{/* comment */}}", "{{- trim -}}", "{{`", "`}}",
    '{{ include "x" . }}\n', "a\n{{ range }}\nb\n",
    "---\n{{ x }}\n---\n", "'{{ x }}'", '"{{ x }}"', "\\{{", "{", "{%",
    "é{{ 日本 }}", "{{\n}}", " {{ x }} ", "# Source: x\n", "\t{{",
]  # fmt: skip


def test_any_text_passes_through_helm(project: Project, tmp_path: Path) -> None:
    for index, text in enumerate(NASTY):
        project.write(f"texts/{index}.txt", text)
    entries = ", ".join(f"k{index} = ../texts/{index}.txt as Text" for index in range(len(NASTY)))
    project.application(
        "web", f'[ {{ apiVersion = "v1", kind = "ConfigMap", metadata.name = "a", data = {{ {entries} }} }} ]'
    )
    project.resolve()
    project.render()
    printed = template(project.build / "render" / "dev" / "web", home=tmp_path)
    (body,) = printed.values()
    assert body["data"] == {f"k{index}": text for index, text in enumerate(NASTY)}


def test_values_of_all_kinds_come_out_as_the_rules_say(project: Project, tmp_path: Path) -> None:
    project.application(
        "web",
        """
        let U = < Inline : { x : Natural } | Plain | Text : Text >
        let JSON = \\(J : Type) -> { array : List J -> J, bool : Bool -> J, double : Double -> J, integer : Integer -> J
                                  , null : J, object : List { mapKey : Text, mapValue : J } -> J, string : Text -> J }
        in  [ { apiVersion = "v1", kind = "ConfigMap", metadata.name = "a"
              , none = None Text, some = Some 1, double = 1.0, small = 1.0e-7, big = 1.0e22, negative = -3
              , natural = 12345678901234567890123, empty = [] : List Text
              , noMap = [] : List { mapKey : Text, mapValue : Text }
              , map = toMap { b = 1, a = 2 }, unions = [ U.Inline { x = 1 }, U.Plain, U.Text "on" ], bool = True
              , tagged = { field = "kind", nesting = < Inline | Nested : Text >.Inline, contents = U.Inline { x = 1 } }
              , date = 2024-02-29, time = 01:02:03.450, zone = +02:00, bytes = 0x"00ff"
              , json = \\(J : Type) -> \\(j : JSON J) ->
                  let list = j.array [ j.null, j.bool True, j.integer -1, j.double 0.5, j.string "s" ]
                  in  j.object [ { mapKey = "k", mapValue = list } ]
              } ]
        """,
    )
    project.resolve()
    project.render()
    (body,) = template(project.build / "render" / "dev" / "web", home=tmp_path).values()
    assert body == {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
        "some": 1, "double": 1.0, "small": 1e-07, "big": 1e22, "negative": -3, "natural": 12345678901234567890123,
        "empty": [], "noMap": {}, "map": {"a": 2, "b": 1}, "unions": [{"x": 1}, "Plain", "on"], "bool": True,
        "tagged": {"kind": "Inline", "x": 1}, "date": "2024-02-29", "time": "01:02:03.450", "zone": "+02:00",
        "bytes": "00ff", "json": {"k": [None, True, -1, 0.5, "s"]},
    }  # fmt: skip
