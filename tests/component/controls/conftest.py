"""A small artifact, a real registry with a proxy before it, and prepared cases to judge."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from dhallmark.control import Group
from dhallmark.controls.case import Case, Side
from dhallmark.controls.faults import Fault
from dhallmark.controls.forge import attach_bundle
from dhallmark.controls.layout import Layout
from dhallmark.controls.proxy import Proxy
from dhallmark.controls.registry import false_blobs, fill, link_blobs, start_registry
from dhallmark.digest import Digest
from dhallmark.oci.descriptor import Descriptor, Manifest, build_manifest

CONFIG, CHART = b"{}", b"a chart"
POLICY = """\
schemaVersion: 1
identities:
  release:
    issuer: https://token.actions.githubusercontent.com
    subject: https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main
statements:
  - predicateType: https://sigstore.dev/cosign/sign/v1
    identities: [release]
"""

Serve = Callable[..., AbstractAsyncContextManager[str]]


def small_artifact(layer: bytes = CHART, *, bundles: int = 4) -> tuple[Layout, Manifest]:
    """An artifact of one layer, with so many things attached that look like bundles."""
    layout = Layout()
    for blob in (CONFIG, layer):
        layout.add_blob(blob)
    manifest = build_manifest(
        config=Descriptor.of(CONFIG, "application/x"), layers=[Descriptor.of(layer, "application/y")]
    )
    layout.add_manifest(manifest)
    for number in range(bundles):
        attach_bundle(layout, manifest, b'{"bundle": %d}' % number)
    return layout, manifest


@pytest.fixture(scope="session")
def make_artifact() -> Callable[..., tuple[Layout, Manifest]]:
    """`small_artifact`, for tests that cannot import a neighbour."""
    return small_artifact


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serves a layout as the repository `mutant`, behind faults, and a sound one as `good`; gives host and port."""

    @asynccontextmanager
    async def serving(
        mutant: Layout, *, good: Layout | None = None, faults: Sequence[Fault] = ()
    ) -> AsyncIterator[str]:
        layouts = {"good": good or mutant, "mutant": mutant}
        for name, layout in layouts.items():
            layout.write(tmp_path / name)
        link_blobs(tmp_path / "blobs", {name: tmp_path / name for name in layouts})
        port = free_port()
        registry = start_registry(port, tmp_path / "blobs", user=None)
        try:
            for name, layout in layouts.items():
                fill(port, name, layout, tagged=next(iter(layout.manifests)))
            proxy = Proxy(
                upstream=port, repository="mutant", faults=faults, blobs=false_blobs(mutant), tags=mutant.tags
            )
            async with anyio.create_task_group() as group:
                yield f"127.0.0.1:{await group.start(proxy.serve, 0)}"
                group.cancel_scope.cancel()
        finally:
            registry.kill()
            registry.wait()

    return serving


@pytest.fixture
def make_case(tmp_path: Path) -> Callable[..., Path]:
    """Writes a case whose two sides are the same artifact, which nobody signed."""

    def make(*, faults: Sequence[Fault] = (), by_tag: bool = False) -> Path:
        layout, manifest = small_artifact()
        folder = tmp_path / "cases" / "S1"
        for name in ("good", "mutant"):
            side = Side(folder / name)
            layout.write(side.artifact)
            side.policy.parent.mkdir(parents=True)
            side.policy.write_text(POLICY)
            side.trusted_root.write_text("{}")
        digest = Digest(manifest.digest)
        Case(
            id="S1",
            group=Group.SIGNATURE,
            title="a title",
            flaw="a flaw",
            reference=f"registry.example/web@{digest}",
            subject_name="registry.example/web",
            good=digest,
            mutant=digest,
            faults=tuple(faults),
            by_tag=by_tag,
            expect={},
        ).write(folder)
        return folder

    return make
