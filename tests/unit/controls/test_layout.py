"""Layouts, the registry that serves them, and what the forge does to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from dhallmark.control import Signer
from dhallmark.controls.catalogue.signature import flip_last_bit
from dhallmark.controls.forge import LayoutForge, Tokens, attach_bundle
from dhallmark.controls.layout import Layout
from dhallmark.controls.prepare import merge_trust
from dhallmark.controls.registry import serving
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError, UsageError
from dhallmark.identity import Identity
from dhallmark.lab.model import DEFAULT_ISSUERS
from dhallmark.oci.client import DigestMismatchError, Registry
from dhallmark.oci.descriptor import Descriptor, Manifest, build_manifest

CONFIG, CHART = b"{}", b"a chart"


def good() -> tuple[Layout, Manifest]:
    layout = Layout()
    for blob in (CONFIG, CHART):
        layout.add_blob(blob)
    manifest = build_manifest(
        config=Descriptor.of(CONFIG, "application/x"), layers=[Descriptor.of(CHART, "application/y")]
    )
    layout.add_manifest(manifest)
    attach_bundle(layout, manifest, b'{"a": "bundle"}')
    return layout, manifest


def test_a_layout_is_read_as_it_was_written(tmp_path: Path) -> None:
    layout, manifest = good()
    layout.blobs[Digest.of(CHART)] = b"other bytes"
    layout.add_fallback_index(manifest.digest)
    layout.tags["1.0.0"] = manifest.digest
    layout.write(tmp_path)
    read = Layout.read(tmp_path)
    assert (read.manifests, read.blobs, read.tags) == (layout.manifests, layout.blobs, layout.tags)
    assert set(read.tags) == {"1.0.0", f"sha256-{manifest.digest.hex}"}
    assert [found.subject() for found in read.referrers(manifest.digest)] == [
        Descriptor(media_type=manifest.media_type, digest=manifest.digest, size=len(manifest.content))
    ]


@pytest.mark.parametrize("index", [None, "", "{}", '{"manifests": [{}]}', '{"manifests": 1}', "[]"])
def test_what_is_no_layout_is_an_error(tmp_path: Path, index: str | None) -> None:
    if index is not None:
        (tmp_path / "index.json").write_text(index)
    with pytest.raises(FormatError):
        Layout.read(tmp_path)


def test_the_registry_serves_what_a_client_needs_and_nothing_else() -> None:
    layout, manifest = good()

    async def main() -> None:
        with serving({"good": layout}) as host:
            async with Registry(host, plain_http=True) as registry:
                assert await registry.get_manifest("good", manifest.digest) == manifest
                assert await registry.get_blob("good", Digest.of(CHART)) == CHART
                listing = await registry.referrers("good", manifest.digest)
                assert (listing.complete, listing.source, len(listing.descriptors)) == (True, "api", 1)
                assert await registry.bundles("good", manifest.digest) == [b'{"a": "bundle"}']
                for repository in ("good", "other"):
                    with pytest.raises(RegistryError):
                        await registry.get_manifest(repository, Digest.of(b"nothing"))
                with pytest.raises(RegistryError):
                    await registry.push_blob("good", b"x")

    anyio.run(main)


def test_a_corrupt_blob_is_served_under_its_old_digest() -> None:
    layout, manifest = good()

    async def main() -> None:
        forge = LayoutForge(good=layout, digest=manifest.digest, tokens=None)
        digest = await forge.copy()
        await forge.corrupt(digest)
        with serving({"good": layout, "mutant": forge.layout}) as host:
            async with Registry(host, plain_http=True) as registry:
                assert await registry.get_blob("good", Digest.of(CHART)) == CHART
                with pytest.raises(DigestMismatchError):
                    await registry.get_blob("mutant", Digest.of(CHART))

    anyio.run(main)


def test_a_rebuilt_artifact_is_whole_bare_and_another() -> None:
    layout, manifest = good()

    async def main() -> None:
        forge = LayoutForge(good=layout, digest=manifest.digest, tokens=None)
        digest = await forge.rebuild(flip_last_bit)
        assert digest != manifest.digest
        assert forge.layout.referrers(digest) == []
        _, layer = forge.layout.manifests[digest].blobs()
        assert forge.layout.blobs[layer.digest] == flip_last_bit(CHART)
        assert Digest.of(flip_last_bit(CHART)) == layer.digest
        assert layout.blobs[Digest.of(CHART)] == CHART
        with pytest.raises(UsageError, match="lab"):
            await forge.sign(b"{}", Signer.RELEASE)

    anyio.run(main)


class Recorder:
    """Records who was asked to sign."""

    def __init__(self) -> None:
        self.asked: tuple[str, Mapping[str, str]] = ("", {})

    async def sign(self, payload: bytes, issuer: str, claims: Mapping[str, str]) -> bytes:
        self.asked = (issuer, claims)
        return payload


GITHUB = Identity(
    issuer="https://token.actions.githubusercontent.com",
    subject="https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main",
    extensions={
        "sourceRepositoryURI": "https://github.com/acme/platform",
        "sourceRepositoryRef": "refs/heads/main",
        "sourceRepositoryDigest": "ab" * 20,
    },
)
GITLAB = Identity(
    issuer="https://gitlab.com",
    subject="https://gitlab.com/acme/platform//.gitlab-ci.yml@refs/heads/main",
    extensions={"sourceRepositoryURI": "https://gitlab.com/acme/platform"},
)
EMAIL = Identity(issuer="https://accounts.dhallmark.test", subject="someone@example.com")


@pytest.mark.parametrize(
    ("identity", "signer", "issuer", "claims"),
    [
        (
            GITHUB,
            Signer.RELEASE,
            "github",
            {
                "repository": "acme/platform",
                "ref": "refs/heads/main",
                "sha": "ab" * 20,
                "job_workflow_ref": "acme/platform/.github/workflows/release.yml@refs/heads/main",
            },
        ),
        (GITHUB, Signer.STRANGER, "github", {"repository": "stranger/platform"}),
        (
            GITLAB,
            Signer.RELEASE,
            "gitlab",
            {
                "project_path": "acme/platform",
                "ci_config_ref_uri": "gitlab.com/acme/platform//.gitlab-ci.yml@refs/heads/main",
            },
        ),
        (GITLAB, Signer.STRANGER, "gitlab", {"project_path": "stranger/platform"}),
        (EMAIL, Signer.RELEASE, "email", {"email": "someone@example.com"}),
        (EMAIL, Signer.STRANGER, "email", {"email": "stranger@example.com"}),
    ],
)
def test_tokens_are_like_the_release_but_for_one_thing(
    identity: Identity, signer: Signer, issuer: str, claims: dict[str, str]
) -> None:
    recorder = Recorder()
    tokens = Tokens(signer=recorder, issuers=DEFAULT_ISSUERS, release=identity)
    anyio.run(tokens.sign, b"x", signer)
    assert recorder.asked == (issuer, claims)


@pytest.mark.parametrize(("identity", "other"), [(GITHUB, "github-other"), (GITLAB, "gitlab-other")])
def test_a_foreign_token_has_the_releases_claims_by_another_issuer(identity: Identity, other: str) -> None:
    recorder = Recorder()
    tokens = Tokens(signer=recorder, issuers=DEFAULT_ISSUERS, release=identity)
    anyio.run(tokens.sign, b"x", Signer.RELEASE)
    own = recorder.asked
    anyio.run(tokens.sign, b"x", Signer.FOREIGN)
    assert recorder.asked == (other, own[1])


def test_an_issuer_that_the_lab_cannot_play_is_an_error() -> None:
    unknown = Identity(issuer="https://unknown.test", subject="x")
    with pytest.raises(UsageError, match="unknown"):
        anyio.run(Tokens(signer=Recorder(), issuers=DEFAULT_ISSUERS, release=unknown).sign, b"x", Signer.RELEASE)
    with pytest.raises(UsageError, match="second issuer"):
        anyio.run(Tokens(signer=Recorder(), issuers=DEFAULT_ISSUERS, release=EMAIL).sign, b"x", Signer.FOREIGN)


def test_trust_roots_are_merged_without_doubling() -> None:
    root = (
        b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",'
        b' "tlogs": [], "certificateAuthorities": [], "ctlogs": []}'
    )
    assert merge_trust(root, root)
    with pytest.raises(FormatError):
        merge_trust(root, b"{")
