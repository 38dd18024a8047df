"""The CI image signed and pushed: a small one, by the real code, into the lab's registries."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from dhallmark import strictjson
from dhallmark.errors import FormatError, UsageError
from dhallmark.image import archive
from dhallmark.image.publish import push_image, sign_image, write_statements
from dhallmark.image.tree import Tree
from dhallmark.lab.session import Lab
from dhallmark.oci.client import Registry
from dhallmark.sign.token import choose_source
from dhallmark.statement import COSIGN_SIGN_V1, SPDX_V2_3

pytestmark = [pytest.mark.component]

EPOCH = 1_700_000_000
IDENTITY = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"


def make_image(out: Path, *, content: bytes = b"hello") -> str:
    """An image of one file, as `image build` leaves it."""
    out.mkdir(parents=True)
    tree = Tree(epoch=EPOCH)
    tree.file("etc/motd", content)
    layer = archive.write_layer(tree, out / "layer.tar", comment="test")
    image = archive.make_image([layer], architecture="amd64", epoch=EPOCH, environment={}, annotations={})
    archive.write_archive(image, out / "image.tar", architecture="amd64")
    sbom = {"spdxVersion": "SPDX-2.3", "packages": [{"SPDXID": "SPDXRef-image", "versionInfo": image.digest}]}
    (out / "sbom.spdx.json").write_bytes(strictjson.dump(sbom))
    (out / "digest").write_text(f"{image.digest}\n")
    return image.digest


def sign_in(lab: Lab, out: Path, repository: str, folder: Path) -> None:
    """Sign the image in `out` with a token of the lab."""
    token = folder / "token"
    token.write_text(lab.token())
    source = choose_source(file=token, variable=None, descriptor=None)

    async def sign() -> None:
        await sign_image(out, repository=repository, token=source, trust_config=lab.trust_config())

    lab.call(anyio.run, sign)


@pytest.mark.parametrize("kind", ["registry", "registry_fallback"])
def test_cosign_accepts_the_image_and_its_bill_of_materials(lab: Lab, tmp_path: Path, kind: str) -> None:
    host = getattr(lab, kind)
    name = f"{host}/ci/{kind.replace('_', '-')}"
    out = tmp_path / "out"
    digest = make_image(out)
    sign_in(lab, out, name, tmp_path)

    async def push() -> str:
        async with Registry(host, plain_http=True) as registry:
            return await push_image(out, repository=name.partition("/")[2], tag="1.0", registry=registry)

    assert lab.call(anyio.run, push) == digest
    trust = ["--trusted-root", str(lab.trusted_root()), "--certificate-identity", IDENTITY,
             "--certificate-oidc-issuer", ISSUER, "--allow-http-registry"]  # fmt: skip
    lab.run(["cosign", "verify", *trust, f"{name}:1.0"])
    shown = lab.run(["cosign", "verify-attestation", "--type", SPDX_V2_3, *trust, f"{name}@{digest}"]).stdout
    assert json.loads(shown.splitlines()[0])["payload"]


def test_an_image_without_signatures_is_not_pushed(tmp_path: Path) -> None:
    make_image(tmp_path / "out")

    async def push() -> None:
        async with Registry("registry.invalid", plain_http=True) as registry:
            await push_image(tmp_path / "out", repository="ci", tag="1.0", registry=registry)

    with pytest.raises(UsageError, match=COSIGN_SIGN_V1):
        anyio.run(push)


def test_bundles_of_another_build_are_not_pushed(lab: Lab, tmp_path: Path) -> None:
    make_image(tmp_path / "old", content=b"old")
    sign_in(lab, tmp_path / "old", f"{lab.registry}/ci/old", tmp_path)
    make_image(tmp_path / "new", content=b"new")
    (tmp_path / "old" / "bundles").rename(tmp_path / "new" / "bundles")

    async def push() -> None:
        async with Registry(lab.registry, plain_http=True) as registry:
            await push_image(tmp_path / "new", repository="ci/old", tag="1.0", registry=registry)

    with pytest.raises(FormatError, match="is not about"):
        anyio.run(push)


def test_a_bill_of_materials_of_another_build_is_not_signed(tmp_path: Path) -> None:
    make_image(tmp_path / "old", content=b"old")
    make_image(tmp_path / "new", content=b"new")
    (tmp_path / "new" / "sbom.spdx.json").write_bytes((tmp_path / "old" / "sbom.spdx.json").read_bytes())
    with pytest.raises(FormatError, match="bill of materials"):
        write_statements(tmp_path / "new", repository="registry.example/ci")
