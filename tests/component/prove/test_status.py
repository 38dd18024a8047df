"""What a cluster's objects and the real controller's conditions say of the verification that Git says."""

from __future__ import annotations

import copy
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.component.prove.conftest import Signed

from dhallmark.consumer import Target
from dhallmark.controls.case import GOOD, MUTANT, Case, Side
from dhallmark.controls.catalogue import select
from dhallmark.controls.layout import Layout
from dhallmark.controls.prepare import prepare_controls
from dhallmark.controls.registry import fill, link_blobs, start_registry
from dhallmark.digest import Digest
from dhallmark.gitops.lint.fields import Flux
from dhallmark.gitops.status.kubeconfig import Kubeconfig
from dhallmark.kubernetes.api import Api
from dhallmark.kubernetes.servers import running
from dhallmark.lab.namespace import call_inside, entering
from dhallmark.prove.cluster import Cluster, open_cluster
from dhallmark.reasons import Reason

pytestmark = pytest.mark.component

SECONDS = 60.0
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "source-controller", "namespace": "flux-system"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "source-controller"}},
        "template": {
            "metadata": {"labels": {"app": "source-controller"}},
            "spec": {"containers": [{"name": "manager", "image": "ghcr.io/fluxcd/source-controller:v1.9.6"}]},
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A cluster with the real controller at work on one source, which is as it should be."""

    cluster: Cluster
    signed: Signed
    """Its manifests name the registry of the cluster's network."""
    bad: Digest
    """An artifact in the same repository that must be refused."""
    trusted_root: Path

    def use(self, action: Callable[[Api], Any]) -> Any:  # noqa: ANN401
        """Run `action` with a client, in the cluster's network."""
        return call_inside(self.cluster.pid, lambda: action(Kubeconfig.load(self.cluster.kubeconfig).api()))

    def status(self, *options: str | Path) -> tuple[int, Any, str]:
        """`dhallmark gitops status` in the cluster's network."""
        import os
        import subprocess

        words = ["gitops", "status", str(self.signed.folder), "--kubeconfig", str(self.cluster.kubeconfig)]
        command = [sys.executable, "-m", "dhallmark", *words, *map(str, options), "--output", "json"]
        done = subprocess.run(
            entering(self.cluster.pid, command, directory=Path.cwd()),
            capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ),
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    @property
    def path(self) -> str:
        return "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/ocirepositories/web"

    def await_condition(self, status: str) -> None:
        """Wait until the controller says `status` of the current generation."""

        def wait(api: Api) -> None:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                found = api.get(self.path)
                for one in (found.get("status") or {}).get("conditions", ()):
                    current = one.get("observedGeneration") == found["metadata"]["generation"]
                    if one["type"] == "Ready" and one["status"] == status and current:
                        return
                time.sleep(0.1)
            raise AssertionError(found)

        self.use(wait)

    def change(self, spec: dict[str, Any]) -> None:
        self.use(lambda api: api.merge(self.path, {"spec": spec}))

    def create(self, *objects: dict[str, Any]) -> list[str]:
        """Create objects; their paths."""

        def create(api: Api) -> list[str]:
            paths = []
            for one in objects:
                kind = api.type_of(one["apiVersion"], one["kind"])
                assert kind is not None
                api.create(kind, one)
                paths.append(kind.path(one["metadata"].get("namespace", ""), one["metadata"]["name"]))
            return paths

        return list(self.use(create))

    def delete(self, path: str) -> None:
        self.use(lambda api: api._ask("DELETE", path, {}))


@pytest.fixture(scope="module")
def live(make_signed: Callable[..., Signed], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    signed, folder = make_signed(greeting="live"), tmp_path_factory.mktemp("live")
    target = Target(
        repository=signed.repository,
        digest=signed.digest,
        trusted_root=signed.trusted_root,
        policy=signed.policy,
        plain_http=True,
    )

    async def prepare() -> None:
        await prepare_controls(target, select(cases=["S2-repacked"]), into=folder / "cases")

    signed.lab.call(anyio.run, prepare)
    case = folder / "cases" / "S2-repacked"
    layouts = {name: Side(case / name).artifact for name in (GOOD, MUTANT)}
    link_blobs(folder / "blobs", layouts)
    (folder / "storage").mkdir()
    here = replace(signed, repository="127.0.0.1:5000/acme/web")
    with open_cluster(flux=Flux.V2_9) as cluster, ExitStack() as stack:
        bad = Digest(Case.read(case).mutant or "")

        def start() -> None:
            registry = start_registry(5000, folder / "blobs", user=None)
            stack.callback(registry.wait)
            stack.callback(registry.kill)
            for name, digest in ((GOOD, signed.digest), (MUTANT, bad)):
                fill(5000, "acme/web", Layout.read(layouts[name]), tagged=digest)
            command = [
                str(shutil.which("source-controller")),
                f"--storage-path={folder / 'storage'}",
                "--storage-addr=127.0.0.1:9090",
                "--storage-adv-addr=127.0.0.1:9090",
                "--enable-leader-election=false",
            ]
            env = {"KUBECONFIG": str(cluster.kubeconfig), "RUNTIME_NAMESPACE": "flux-system"}
            stack.enter_context(running("source-controller", command, folder, env=env))

        call_inside(cluster.pid, start)
        root = Side(case / GOOD).trusted_root
        found = Live(cluster=cluster, signed=here, bad=bad, trusted_root=root)
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "sigstore-trusted-root", "namespace": "flux-system"},
            "stringData": {"trusted_root.json": root.read_text()},
        }
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}}
        found.create(namespace, secret, here.source(), DEPLOYMENT)
        alive = {"status": {"replicas": 1, "readyReplicas": 1, "observedGeneration": 1}}
        found.use(
            lambda api: api.merge("/apis/apps/v1/namespaces/flux-system/deployments/source-controller/status", alive)
        )
        found.await_condition("True")
        here.write(here.source())
        yield found


@pytest.fixture
def sound(live: Live) -> Iterator[Live]:
    """The cluster as it should be, before and after."""
    live.signed.write(live.signed.source())
    yield live
    live.change({**live.signed.source()["spec"], "suspend": None})
    live.await_condition("True")


def reasons(found: dict[str, Any]) -> set[str]:
    """Every reason in a verdict."""
    own = {one["reason"] for one in found.get("checks", []) if "reason" in one}
    return own.union(*(reasons(part) for part in found.get("parts", [])))


def test_what_git_says_is_in_force(sound: Live) -> None:
    status, found, said = sound.status("--trusted-root", sound.trusted_root)
    assert status == 0, said + json.dumps(found)
    assert found["controllers"] == ["Deployment flux-system/source-controller v1.9.6"]
    assert found["sources"] == 1


def test_verification_that_someone_took_away_is_found(sound: Live) -> None:
    sound.change({"verify": None})
    sound.await_condition("True")
    status, found, _ = sound.status()
    assert status == 1
    assert reasons(found["verdict"]) == {Reason.LIVE_DIFFERS.value, Reason.LIVE_NOT_IN_FORCE.value}


def test_a_second_matcher_that_git_does_not_have_is_found(sound: Live) -> None:
    changed = copy.deepcopy(sound.signed.source()["spec"]["verify"])
    changed["matchOIDCIdentity"].append({"issuer": "^x$", "subject": "^y$"})
    sound.change({"verify": changed})
    sound.await_condition("False")
    status, found, _ = sound.status()
    assert status == 1
    assert Reason.LIVE_DIFFERS.value in reasons(found["verdict"])


def test_a_bad_revision_that_is_refused_is_told_with_the_controllers_words(sound: Live) -> None:
    sound.change({"ref": {"digest": str(sound.bad)}})
    sound.signed.write(sound.signed.source(ref={"digest": str(sound.bad)}))
    sound.await_condition("False")
    status, found, _ = sound.status()
    assert status == 1
    assert reasons(found["verdict"]) == {Reason.LIVE_REFUSED.value, Reason.LIVE_ARTIFACT.value}
    assert "failed to verify the signature" in json.dumps(found)


def test_a_suspended_source_is_not_in_force(sound: Live) -> None:
    sound.change({"suspend": True})
    status, found, _ = sound.status()
    assert status == 1
    assert reasons(found["verdict"]) == {Reason.LIVE_NOT_IN_FORCE.value}


def test_a_digest_of_gits_that_the_cluster_does_not_serve_is_found(sound: Live) -> None:
    sound.signed.write(sound.signed.source(ref={"digest": "sha256:" + "a" * 64}))
    status, found, _ = sound.status()
    assert status == 1
    assert reasons(found["verdict"]) == {Reason.LIVE_DIFFERS.value, Reason.LIVE_ARTIFACT.value}


def test_a_source_that_is_not_there_is_found(sound: Live) -> None:
    missing = sound.signed.source()
    missing["metadata"] = {"name": "absent", "namespace": "flux-system"}
    sound.signed.write(sound.signed.source(), missing)
    status, found, _ = sound.status()
    assert status == 1
    assert reasons(found["verdict"]) == {Reason.LIVE_MISSING.value}


def second_source(live: Live) -> dict[str, Any]:
    body = live.signed.source(verify=None)
    return {**body, "metadata": {"name": "beside", "namespace": "flux-system"}}


def chart_source(live: Live) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "HelmChart",
        "metadata": {"name": "beside", "namespace": "flux-system"},
        "spec": {
            "chart": "web",
            "interval": "1m",
            "sourceRef": {"kind": "HelmRepository", "name": "beside"},
        },
    }


@pytest.mark.parametrize("make", [second_source, chart_source])
def test_a_second_source_of_the_same_repository_is_found(sound: Live, make: Callable[[Live], dict[str, Any]]) -> None:
    repository = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "HelmRepository",
        "metadata": {"name": "beside", "namespace": "flux-system"},
        "spec": {"type": "oci", "url": "oci://127.0.0.1:5000/acme", "insecure": True},
    }
    paths = sound.create(repository, make(sound))
    try:
        status, found, _ = sound.status()
        assert status == 1
        assert reasons(found["verdict"]) == {Reason.LIVE_SECOND_SOURCE.value}
        assert f"{make(sound)['kind']} flux-system/beside" in json.dumps(found)
    finally:
        for path in paths:
            sound.delete(path)


@pytest.mark.parametrize(
    "change", [{"template": {"spec": {"containers": [{"name": "manager", "image": "x/source-controller:v1.8.5"}]}}}]
)
def test_a_controller_that_is_too_old_or_not_running_is_found(sound: Live, change: dict[str, Any]) -> None:
    path = "/apis/apps/v1/namespaces/flux-system/deployments/source-controller"
    before = sound.use(lambda api: api.get(path))
    sound.use(lambda api: api.merge(path, {"spec": change}))
    status, found, _ = sound.status()
    after = sound.use(lambda api: api.merge(path, {"spec": {"template": before["spec"]["template"]}}))
    alive = {"status": {"observedGeneration": after["metadata"]["generation"], "readyReplicas": 1, "replicas": 1}}
    sound.use(lambda api: api.merge(f"{path}/status", alive))
    assert status == 1
    assert reasons(found["verdict"]) == {Reason.LIVE_CONTROLLER.value}
    assert "v1.8.5 drops what Git says" in json.dumps(found)


def test_another_trust_root_in_the_cluster_is_found(sound: Live) -> None:
    status, found, _ = sound.status("--trusted-root", sound.signed.lab.trusted_root("other"))
    assert status == 1
    assert reasons(found["verdict"]) == {Reason.LIVE_DIFFERS.value}


def test_a_cluster_that_does_not_answer_gives_no_verdict(live: Live, tmp_path: Path) -> None:
    text = live.cluster.kubeconfig.read_text()
    (tmp_path / "other").write_text(text.replace(":6443", ":6444"))
    (tmp_path / "stranger").write_text(text.replace("token: ", "token: x"))
    for name in ("other", "stranger"):
        moved = replace(live, cluster=Cluster(pid=live.cluster.pid, kubeconfig=tmp_path / name))
        status, found, _ = moved.status()
        assert (status, found["reason"]) == (3, Reason.CLUSTER_UNAVAILABLE.value)
