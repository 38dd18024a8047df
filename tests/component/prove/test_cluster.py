"""A real API server with the real definitions: what it takes, what it stores, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from dhallmark.errors import ToolError
from dhallmark.gitops.lint.fields import Flux
from dhallmark.kubernetes.servers import API_SERVER, ETCD, find_server
from dhallmark.prove.cluster import ask
from dhallmark.reasons import Reason

pytestmark = pytest.mark.component

VERIFY = {
    "provider": "cosign",
    "matchOIDCIdentity": [{"issuer": "^a$", "subject": "^b$"}],
}
ROOT = {"trustedRootSecretRef": {"name": "root"}}


def source(name: str, verify: Mapping[str, Any], **spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "metadata": {"name": name, "namespace": "apps"},
        "spec": {"interval": "1m", "url": "oci://registry.example/web", "verify": dict(verify), **spec},
    }


def apply(flux: Flux, *objects: Mapping[str, Any], definitions: tuple[Mapping[str, Any], ...] = ()) -> list[Any]:
    async def main() -> list[Any]:
        answer = await ask("apply", {"objects": objects}, flux=flux, definitions=definitions)
        assert answer["kubernetes"] == "v1.34.2"
        return list(answer["applied"])

    return anyio.run(main)


def found(applied: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(one["reason"], one["evidence"]["field"]) for one in applied["checks"] if one["reason"]]


def test_a_key_that_a_consumer_would_drop_is_refused_and_named() -> None:
    """The historical mistakes: a key beside where it is read, one of a newer version, one that is misspelt."""
    good, beside, misspelt, newer = apply(
        Flux.V2_8,
        source("good", VERIFY),
        source("beside", VERIFY, matchOIDCIdentity=[{"issuer": "a", "subject": "b"}]),
        source("misspelt", {**VERIFY, "matchOidcIdentity": []}),
        source("newer", {**VERIFY, **ROOT}),
    )
    unknown = Reason.MANIFEST_UNKNOWN_FIELD.value
    assert found(good) == []
    assert good["stored"]["spec"]["verify"] == VERIFY
    assert found(beside) == [(unknown, "spec.matchOIDCIdentity")]
    assert found(misspelt) == [(unknown, "spec.verify.matchOidcIdentity")]
    assert found(newer) == [(unknown, "spec.verify.trustedRootSecretRef")]


def test_the_newer_version_takes_what_the_older_one_drops() -> None:
    release = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "web", "namespace": "apps"},
        "spec": {"interval": "1m", "chartRef": {"kind": "OCIRepository", "name": "newer"}},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "other"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "web", "image": "web", "resources": {"limits": {"cpu": "1000m"}}}]},
            },
        },
    }
    misspelt = {**deployment, "metadata": {"name": "typo", "namespace": "other"}}
    misspelt["spec"] = {**deployment["spec"], "replica": 2}  # type: ignore[dict-item]
    applied = apply(Flux.V2_9, source("newer", {**VERIFY, **ROOT}), release, deployment, misspelt)
    assert [found(one) for one in applied[:3]] == [[], [], []]
    assert applied[0]["stored"]["spec"]["verify"]["trustedRootSecretRef"] == {"name": "root"}
    assert found(applied[3]) == [(Reason.MANIFEST_UNKNOWN_FIELD.value, "spec.replica")]


def test_what_the_schema_forbids_is_refused_in_the_servers_own_words() -> None:
    tls, unknown = apply(
        Flux.V2_9,
        {**source("http", VERIFY), "spec": {"interval": "1m", "url": "http://registry.example/web"}},
        {"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "x"}},
    )
    assert found(tls) == [(Reason.MANIFEST_REFUSED.value, "spec.url")]
    assert "should match '^oci://.*$'" in tls["checks"][0]["detail"]
    assert unknown["checks"][0]["reason"] == Reason.MANIFEST_REFUSED.value
    assert "knows ClusterPolicy" in unknown["checks"][0]["detail"]


def test_what_is_changed_on_its_way_in_is_found_when_it_is_read_back() -> None:
    """A definition with a default and one that prunes nothing: the server fills in, and strictness sees no key."""
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.acme.example"},
        "spec": {
            "group": "acme.example",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "properties": {"set": {"type": "array", "items": {"type": "string"}}},
                                }
                            },
                        }
                    },
                    "subresources": {"status": {}},
                }
            ],
        },
    }
    thing = {"apiVersion": "acme.example/v1", "kind": "Thing", "metadata": {"name": "a", "namespace": "apps"}}
    good, managed = apply(
        Flux.V2_9,
        {**thing, "spec": {"set": ["a"]}},
        # What a server writes itself is not taken from a manifest.
        {**thing, "metadata": {"name": "b", "namespace": "apps", "generation": 7, "uid": "mine"}, "spec": {}},
        definitions=(definition,),
    )
    assert found(good) == []
    changed = Reason.MANIFEST_CHANGED.value
    assert found(managed) == [(changed, "metadata.generation"), (changed, "metadata.uid")]


def servers_below(pid: int) -> list[int]:
    """The processes of the servers that `pid` has below it, in whatever namespaces."""
    done = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in done.stdout.splitlines()]
    below, more = {pid}, True
    while more:
        new = {int(child) for child, parent, _ in rows if int(parent) in below} - below
        below |= new
        more = bool(new)
    return [int(child) for child, _, name in rows if int(child) in below and name in (API_SERVER, ETCD)]


PROGRAM = """
from dhallmark.gitops.lint.fields import Flux
from dhallmark.prove.cluster import open_cluster
with open_cluster(flux=Flux.V2_9) as cluster:
    print("ready", flush=True)
    import time
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_however_the_process_that_asked_ends(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        servers = servers_below(process.pid)
        assert len(servers) == 2
        process.send_signal(number)
        process.wait(30)
        end = time.monotonic() + 30
        while any(Path(f"/proc/{pid}").exists() for pid in servers) and time.monotonic() < end:
            time.sleep(0.1)
        assert not [pid for pid in servers if Path(f"/proc/{pid}").exists()]
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_server_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    with pytest.raises(ToolError, match=API_SERVER) as error:
        find_server(API_SERVER)
    assert "setup-envtest" in str(error.value)


def test_the_folder_of_envtest_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / API_SERVER
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert find_server(API_SERVER) == os.fspath(program)
