"""What tests of several areas start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dhallmark.config.model import Config
from dhallmark.digest import Digest
from dhallmark.plan import Plan, make_plan


@dataclass(frozen=True, slots=True)
class SmallRelease:
    """A project of two applications in two environments, rendered: all that `package` reads."""

    plan: Plan
    root: Path
    build: Path


_ENTRY = b"let web = ./lib.dhall in [ web ]\n"
_LIB = b'{ apiVersion = "v1" }\n'
_CACHED = b"\x83\x01\x02\x03"
VALUES = b"greeting: hello\n"


def _config(version: str, registry: str) -> Config:
    return Config.model_validate(
        {
            "schemaVersion": 1,
            "project": "acme",
            "version": version,
            "source": {"repository": "https://git.example/acme/platform"},
            "layers": ["platform", "services"],
            "environments": {"dev": {}, "prod": {"namespace": "live"}},
            "applications": {
                "net": {"entry": "apps/net.dhall", "layer": "platform"},
                "web": {
                    "entry": "apps/web.dhall",
                    "layer": "services",
                    "chart": {"description": "The web", "values": "apps/web.yaml"},
                },
            },
            "publish": {
                "registry": registry,
                "repository": "acme/charts",
                "staging": "acme/staging",
                "plainHttp": True,
            },
            "policy": "policy.yaml",
        }
    )


def _objects(application: str, environment: str) -> list[Any]:
    from dhallmark.render.objects import Identity, KubernetesObject

    data = {"motto": "{{ not a template }}", "environment": environment}
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": application}, "data": data}
    return [KubernetesObject(Identity("", "ConfigMap", "", application), body, 0)]


@pytest.fixture(scope="session")
def make_small_release() -> Callable[..., SmallRelease]:
    """Writes the project and its rendered charts below a folder."""

    def make(directory: Path, *, version: str = "1.2.3", registry: str = "registry.example") -> SmallRelease:
        from dhallmark.render.chart import write_chart
        from dhallmark.render.closure import Closure, Import, UnitRecord, write_closure
        from dhallmark.render.render import write_umbrellas

        root, build = directory / "project", directory / "build"
        plan = make_plan(_config(version, registry))
        sources = {"apps/net.dhall": _ENTRY, "apps/web.dhall": _ENTRY, "apps/lib.dhall": _LIB}
        for name, content in {
            **sources,
            "apps/web.yaml": VALUES,
            "dhallmark.yaml": b"# configuration\n",
            "policy.yaml": b"# policy\n",
        }.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for unit in plan.units:
            write_chart(
                build / "render" / unit.path,
                config=plan.config,
                unit=unit,
                objects=_objects(unit.application, unit.environment),
                root=root,
            )
        write_umbrellas(plan, build / "render")
        cached = Digest.of(_CACHED)
        entry = build / "resolve" / "cache" / f"1220{cached.hex}"
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.write_bytes(_CACHED)
        imports = [
            Import(id=name, kind="local", path=name, sha256=Digest.of(content), semantic_hash=cached, frozen=False)
            for name, content in sources.items()
        ]
        url = "https://packages.example/k8s.dhall"
        imports.append(Import(id=url, kind="remote", url=url, sha256=cached, semantic_hash=cached, frozen=True))
        closure = Closure(
            dhall="1.42.1",
            imports=tuple(sorted(imports, key=lambda item: item.id)),
            units=tuple(
                UnitRecord(
                    environment=unit.environment,
                    application=unit.application,
                    entries=(f"apps/{unit.application}.dhall",),
                    semantic_hash=cached,
                )
                for unit in plan.units
            ),
        )
        write_closure(closure, build / "resolve" / "closure.json")
        return SmallRelease(plan, root, build)

    return make
