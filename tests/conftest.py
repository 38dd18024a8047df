"""What tests of several areas start from."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
import hypothesis
import pytest
from tests.scheduling import Scheduling

from dhallmark import strictjson
from dhallmark.config.model import Config
from dhallmark.digest import Digest
from dhallmark.files import write_atomic
from dhallmark.plan import Plan, Shard, make_plan

# Properties hold or do not; how long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "untimed", hypothesis.settings(), deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:  # noqa: ANN401
    """Ours for `--dist loadfile`, which it is but for the Dagger tests."""
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try each property DHALLMARK_FUZZ times as often: `make fuzz`."""
    factor = int(os.environ.get("DHALLMARK_FUZZ", "1"))
    tests = {id(function): function for function in (getattr(item, "obj", None) for item in items)}
    for function in tests.values():
        before = getattr(function, "_hypothesis_internal_use_settings", None)
        if factor > 1 and before is not None:
            # No database, and nothing but new cases: at this number both cost more than the cases.
            function._hypothesis_internal_use_settings = hypothesis.settings(  # type: ignore[union-attr]
                before, max_examples=before.max_examples * factor, database=None, phases=[hypothesis.Phase.generate]
            )


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


def _settings(version: str, registry: str, *, templated: bool) -> dict[str, object]:
    return {
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
                "chart": {"description": "The web", "values": "apps/web.yaml", "templated": templated},
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


def _normal_form(application: str, environment: str, *, motto: str) -> bytes:
    """A list of one ConfigMap in Dhall's binary encoding: list [4, …], record [8, …], text [18, …]."""

    def record(**fields: object) -> list[object]:
        return [8, {name: [18, value] if isinstance(value, str) else value for name, value in sorted(fields.items())}]

    data = record(motto=motto, environment=environment)
    body = record(apiVersion="v1", kind="ConfigMap", metadata=record(name=application), data=data)
    return cbor2.dumps([4, None, body])


@pytest.fixture(scope="session")
def make_small_release() -> Callable[..., SmallRelease]:
    """Writes the project below a folder, what `resolve` makes of it, and lets `render` make the charts.

    With `templated`, the chart of `web` is a template whose values Helm fills in.
    """

    def make(
        directory: Path,
        *,
        version: str = "1.2.3",
        registry: str = "registry.example",
        shard: str = "1/1",
        templated: bool = False,
    ) -> SmallRelease:
        from dhallmark.render.closure import Closure, Import, UnitRecord, write_closure
        from dhallmark.render.render import render

        root, build = directory / "project", directory / "build"
        settings = _settings(version, registry, templated=templated)
        plan = make_plan(Config.model_validate(settings), shard=Shard.parse(shard))
        sources = {"apps/net.dhall": _ENTRY, "apps/web.dhall": _ENTRY, "apps/lib.dhall": _LIB}
        for name, content in {
            **sources,
            "apps/web.yaml": VALUES,
            "dhallmark.yaml": strictjson.dump(settings),
            "policy.yaml": b"# policy\n",
        }.items():
            write_atomic(root / name, content)
        cached = Digest.of(_CACHED)
        write_atomic(build / "resolve" / "cache" / f"1220{cached.hex}", _CACHED)
        imports = [
            Import(id=name, kind="local", path=name, sha256=Digest.of(content), semantic_hash=cached, frozen=False)
            for name, content in sources.items()
        ]
        url = "https://packages.example/k8s.dhall"
        imports.append(Import(id=url, kind="remote", url=url, sha256=cached, semantic_hash=cached, frozen=True))
        units = []
        for unit in plan.units:
            motto = "{{ .Values.greeting }}" if templated and unit.application == "web" else "{{ not a template }}"
            normal = _normal_form(unit.application, unit.environment, motto=motto)
            write_atomic(build / "resolve" / "normal" / f"{unit.path}.dhallb", normal)
            units.append(
                UnitRecord(
                    environment=unit.environment,
                    application=unit.application,
                    entries=(f"apps/{unit.application}.dhall",),
                    semantic_hash=Digest.of(normal),
                )
            )
        closure = Closure(dhall="1.42.1", imports=tuple(sorted(imports, key=lambda item: item.id)), units=tuple(units))
        write_closure(closure, build / "resolve" / "closure.json")
        render(plan, root=root, build=build)
        return SmallRelease(plan, root, build)

    return make
