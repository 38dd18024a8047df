"""The CI image as a container."""

from __future__ import annotations

import json

import pytest

from dhallmark.module import Dhallmark

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
