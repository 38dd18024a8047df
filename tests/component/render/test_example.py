"""The example is what its README says, and what a careful reviewer would let through."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from dhallmark.config.load import load_policy
from dhallmark.plan import Unit
from dhallmark.render.closure import load_closure
from dhallmark.render.render import unit_objects

if TYPE_CHECKING:
    from pathlib import Path

    from tests.component.render.conftest import Example

pytestmark = pytest.mark.component

Object = dict[str, Any]


@pytest.fixture(scope="module")
def objects(example: Example) -> dict[Unit, list[Object]]:
    plan, closure = example.plan(), load_closure(example.build)
    return {
        unit: [item.body for item in unit_objects(plan, unit, closure=closure, root=example.root, build=example.build)]
        for unit in plan.units
    }


def pods(objects: dict[Unit, list[Object]]) -> Iterator[tuple[str, Object]]:
    for unit, bodies in objects.items():
        for body in bodies:
            spec = body.get("spec", {})
            if body["kind"] == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            if "template" in spec:
                yield f"{unit.path} {body['kind']} {body['metadata']['name']}", spec["template"]["spec"]


def sources(example: Example) -> list[Path]:
    return sorted(example.root.parent.rglob("*.dhall"))


def test_it_is_of_real_size(example: Example, objects: dict[Unit, list[Object]]) -> None:
    plan = example.plan()
    assert plan.environments == ("dev", "prod", "staging")
    assert len(plan.config.applications) == 14
    assert {application.layer for application in plan.config.applications.values()} == set(plan.config.layers)
    assert (len(objects), sum(map(len, objects.values()))) == (42, 348)
    kinds = {body["kind"] for bodies in objects.values() for body in bodies}
    assert kinds >= {
        "Deployment", "StatefulSet", "Service", "ConfigMap", "NetworkPolicy", "Role", "ClusterRoleBinding", "CronJob",
        "OCIRepository", "Kustomization", "Certificate", "ClusterIssuer", "ServiceMonitor", "PrometheusRule",
    }  # fmt: skip
    (remote,) = [item for item in load_closure(example.build).imports if item.kind == "remote"]
    assert remote.frozen


def test_every_source_is_formatted_and_linted(example: Example) -> None:
    files = [str(path) for path in sources(example)]
    for check in ("format", "lint"):
        done = subprocess.run(["dhall", check, "--check", *files], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_every_source_of_the_platform_takes_part(example: Example) -> None:
    used = {item.path for item in load_closure(example.build).imports}
    there = {path.relative_to(example.root).as_posix() for path in example.root.rglob("*.dhall")}
    assert there <= used


def test_containers_are_confined_probed_and_pinned(objects: dict[Unit, list[Object]]) -> None:
    found = list(pods(objects))
    assert len(found) > 30
    for name, pod in found:
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"], name
            assert not context["allowPrivilegeEscalation"], name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
            assert len(container["image"].rpartition("@sha256:")[2]) == 64, name
            if "CronJob" not in name:
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys(), name


def test_all_traffic_is_denied_where_nothing_allows_it(objects: dict[Unit, list[Object]]) -> None:
    for environment in ("dev", "staging", "prod"):
        bodies = [body for unit, some in objects.items() if unit.environment == environment for body in some]
        namespaces = {body["metadata"]["name"] for body in bodies if body["kind"] == "Namespace"}
        denied = {
            body["metadata"]["namespace"]
            for body in bodies
            if body["kind"] == "NetworkPolicy" and body["metadata"]["name"] == "default-deny"
        }
        assert denied == namespaces
        used = {body["metadata"].get("namespace") for body in bodies} - {None}
        assert used <= namespaces


def test_environments_differ_by_their_overrides(objects: dict[Unit, list[Object]]) -> None:
    def replicas(environment: str) -> int:
        bodies = objects[Unit(environment, "nats")]
        (spec,) = [body["spec"] for body in bodies if body["kind"] == "StatefulSet"]
        return int(spec["replicas"])

    assert [replicas(environment) for environment in ("dev", "staging", "prod")] == [1, 3, 3]


def test_flux_is_told_the_identity_that_the_policy_allows(example: Example, objects: dict[Unit, list[Object]]) -> None:
    import re2

    rule = load_policy(example.root / "policy.yaml").identities["release"]
    (source,) = [body for body in objects[Unit("prod", "delivery")] if body["kind"] == "OCIRepository"]
    (identity,) = source["spec"]["verify"]["matchOIDCIdentity"]
    assert re2.fullmatch(identity["issuer"], rule.issuer)
    assert re2.fullmatch(identity["subject"], rule.subject)
    assert not re2.search(identity["subject"], f"{rule.subject}-evil")
    assert not re2.search(identity["subject"], f"https://evil.example.test/?{rule.subject}")


def test_the_values_file_is_the_charts(example: Example) -> None:
    chart = example.build / "render" / "dev" / "mailer" / "values.yaml"
    assert chart.read_bytes() == (example.root / "charts" / "mailer" / "values.yaml").read_bytes()
    assert yaml.safe_load(chart.read_bytes())["smtp"]["port"] == 587
