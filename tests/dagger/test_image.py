"""The CI image as a container."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from dagger import QueryError, dag

from dhallmark.module import Dhallmark

if TYPE_CHECKING:
    from conftest import Engine  # type: ignore[import-not-found]
else:
    Engine = Any

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]

PROGRAMS = {
    "dhallmark --version": "0.",
    "dhall --version": "1.42",
    "helm version --short": "v3.",
    "git --version": "git version 2.",
    "in-toto-run --version": "in-toto-run 3.",
    "in-toto-verify --version": "in-toto-verify 3.",
    "openssl version": "OpenSSL 3.",
    "python --version": "Python 3.13",
    "bash --version": "GNU bash",
    "awk BEGIN{print(6*7)}": "42",
    "getent passwd root": "root:",
    "setpriv --version": "setpriv",
    "sha256sum /dev/null": "e3b0c442",
    "tar --version": "tar (GNU tar)",
    "gzip --version": "gzip",
    "grep --version": "grep",
    "sed --version": "sed",
    "find --version": "find",
}


@pytest.mark.parametrize("command", PROGRAMS)
async def test_every_program_runs(module: Dhallmark, command: str) -> None:
    container = await module.ci_image()
    said = await container.with_exec(command.split()).stdout()
    assert PROGRAMS[command] in said


async def test_certificates_of_debian_are_trusted(module: Dhallmark) -> None:
    program = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    container = await module.ci_image()
    assert int(await container.with_exec(["python", "-c", program]).stdout()) > 100


async def test_the_archive_names_what_the_digest_says(module: Dhallmark) -> None:
    built = module.image()
    digest = (await built.file("digest").contents()).strip()
    sbom = json.loads(await built.file("sbom.spdx.json").contents())
    assert sbom["packages"][0]["versionInfo"] == digest
    kinds = {package["SPDXID"].split("-")[1] for package in sbom["packages"][1:]}
    assert kinds == {"deb", "pypi", "tool"}


@pytest.fixture
def outdated(image_lock: Path) -> str:
    """The lock as it is when Debian has replaced a package of it."""
    body = json.loads(image_lock.read_text())
    (sed,) = (package for package in body["packages"] if package["name"] == "sed")
    sed |= {"version": "0.1-1", "path": "pool/main/s/sed/sed_0.1-1_amd64.deb", "sha256": "0" * 64}
    return json.dumps(body)


async def test_a_lock_that_debian_has_left_behind_is_an_error_and_can_be_made_anew(
    module: Dhallmark, outdated: str
) -> None:
    old = replace(module, image_lock=dag.directory().with_new_file("lock.json", outdated).file("lock.json"))
    with pytest.raises(QueryError) as refused:
        await old.image().file("digest").contents()
    said = str(getattr(refused.value, "stderr", refused.value))
    assert re.search(r"1 of \d+ locked packages: sed 0\.1-1", said), said
    built = replace(old, relock=True).image()
    relocked = json.loads(await built.file("lock.json").contents())
    (sed,) = (package for package in relocked["packages"] if package["name"] == "sed")
    assert sed["version"] != "0.1-1"
    # Whoever builds from that lock, today or later, gets the same image.
    again = replace(module, image_lock=built.file("lock.json")).image()
    assert await again.file("digest").contents() == await built.file("digest").contents()
    locked = json.loads(await (await old.lock_image()).contents())
    assert locked["tools"] == relocked["tools"]
    assert sed in locked["packages"]


async def test_a_published_image_is_used_by_its_digest(module: Dhallmark, engine: Engine, tmp_path: Path) -> None:
    built = module.image()
    digest = (await built.file("digest").contents()).strip()
    await built.file("image.tar").export(str(tmp_path / "image.tar"))
    layout = tmp_path / "layout"
    with tarfile.open(tmp_path / "image.tar") as archive:
        archive.extractall(layout, filter="data")
    place = f"{engine.environment['DHALLMARK_REGISTRY']}/dhallmark-ci"
    crane = shutil.which("crane", path=engine.environment["PATH"])
    assert crane is not None
    await anyio.run_process([crane, "push", str(layout), f"{place}:test"])
    published = await Dhallmark(published_image=f"{place}@{digest}").ci_image()
    assert await published.env_variable("DHALLMARK_IMAGE") == f"dhallmark-ci@{digest}"
    assert (await published.with_exec(["dhallmark", "--version"]).stdout()).strip()
    with pytest.raises(ValueError, match="by digest"):
        await Dhallmark(published_image=f"{place}:test").ci_image()
