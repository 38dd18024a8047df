"""`dhallmark image …`: lock, fetch and build the CI image, and write the statements about it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from dhallmark.cli.options import RegistryCa, TokenDescriptor, TokenFile, TokenVariable
from dhallmark.cli.result import Result
from dhallmark.errors import UsageError

LockFile = Annotated[Path, Parameter(help="The lock of the image.")]
Mirrors = Annotated[
    tuple[str, ...],
    Parameter(
        help="Where a Debian archive is, as NAME=URL (debian, debian-security). The machine's apt sources otherwise.",
        negative=(),
    ),
]
ImageFolder = Annotated[Path, Parameter(help="The folder that `image build` wrote.")]
Requirements = Annotated[Path, Parameter(help="The lock of the Python packages, with hashes.")]
Tools = Annotated[Path, Parameter(help="Folder with the programs that the lock names, such as helm.")]

_LOCK = Path("ci/image/lock.json")
_REQUIREMENTS = Path("requirements.lock")
_BUILD = Path("build/image")


def lock(
    *,
    tools: Annotated[
        Path | None,
        Parameter(help="Folder with the programs to put in. Without, only Debian's packages are locked anew."),
    ] = None,
    lock: LockFile = _LOCK,
    tool: Annotated[
        tuple[str, ...], Parameter(help="A program of that folder to put in, as NAME=VERSION.", negative=())
    ] = (),
    suite: Annotated[str | None, Parameter(help="Debian's code name; trixie if nothing is said.")] = None,
    architecture: Annotated[
        str | None, Parameter(help="Debian's name of the architecture; amd64 if nothing is said.")
    ] = None,
    python_version: Annotated[
        str | None, Parameter(help="The Python version of that Debian release; 3.13 if nothing is said.")
    ] = None,
    mirror: Mirrors = (),
) -> Result:
    """Lock the packages that the image is made of, as the Debian archive has them now."""
    from dhallmark.image.build import lock_debian, make_lock
    from dhallmark.image.lock import load_lock, save_lock

    named = _pairs(tool, "--tool NAME=VERSION")
    if tools is None and (named or suite or architecture or python_version):
        raise UsageError(
            "a new lock needs the folder with its programs",
            hint="give --tools; without it, and with no option about what is locked, Debian's packages are locked anew",
        )
    if tools is None:
        made = lock_debian(load_lock(lock), mirrors=_mirrors(mirror))
    else:
        made = make_lock(
            suite=suite or "trixie",
            architecture=architecture or "amd64",
            python_version=python_version or "3.13",
            tools={name: (tools / name, version) for name, version in named},
            mirrors=_mirrors(mirror),
        )
    changed = save_lock(made, lock)
    text = f"{lock}: {len(made.packages)} packages, {'changed' if changed else 'as before'}"
    data = {"schema": "dhallmark.dev/image-locked/v1", "lock": str(lock), "changed": changed,
            "packages": len(made.packages)}  # fmt: skip
    return Result(data=data, text=text)


def fetch(
    *,
    lock: LockFile = _LOCK,
    requirements: Requirements = _REQUIREMENTS,
    source: Annotated[Path, Parameter(help="Folder with dhallmark's own pyproject.toml.")] = Path(),
    inputs: Annotated[Path, Parameter(help="Folder to fetch into.")] = _BUILD / "inputs",
    cache: Annotated[Path | None, Parameter(help="Folder that keeps Debian packages between calls.")] = None,
    mirror: Mirrors = (),
    relock: Annotated[
        bool, Parameter(help="Where the mirrors no longer have a locked version, lock what they have now.", negative="")
    ] = False,
) -> Result:
    """Fetch what the image is made of, each file checked against its hash. Needs the network, and hatchling."""
    from dhallmark.image import build as image
    from dhallmark.image.lock import load_lock

    locked = load_lock(lock)
    fetched = anyio.run(
        partial(
            image.fetch,
            locked,
            mirrors=_mirrors(mirror),
            requirements=requirements,
            source=source,
            destination=inputs,
            cache=cache,
            relock=relock,
        )
    )
    names = sorted(path.name for path in inputs.rglob("*") if path.is_file())
    return Result(
        data={
            "schema": "dhallmark.dev/image-inputs/v1",
            "inputs": str(inputs),
            "files": names,
            "relocked": fetched != locked,
        },
        text=f"{inputs}: {len(names)} files" + (", locked anew" if fetched != locked else ""),
    )


def build(
    *,
    tools: Tools,
    lock: Annotated[Path | None, Parameter(help="The lock of the image. What `image fetch` used otherwise.")] = None,
    requirements: Requirements = _REQUIREMENTS,
    inputs: Annotated[Path, Parameter(help="The folder that `image fetch` filled.")] = _BUILD / "inputs",
    to: Annotated[Path, Parameter(help="Folder for image.tar, sbom.spdx.json and digest.")] = _BUILD / "out",
    ca_bundle: Annotated[
        Path | None, Parameter(help="Certificates (PEM) that the image is to trust beside Debian's.")
    ] = None,
) -> Result:
    """Build the image from what was fetched. No network; the same inputs give the same digest anywhere."""
    from dhallmark.image import build as image
    from dhallmark.image.lock import load_lock

    if lock is None and not (inputs / image.LOCK).is_file():
        raise UsageError(f"no lock in {inputs}", hint="run: dhallmark image fetch")
    extra = ca_bundle.read_bytes() if ca_bundle else None
    built = image.build(
        load_lock(lock or inputs / image.LOCK),
        inputs=inputs,
        requirements=requirements,
        tools=tools,
        destination=to,
        ca_bundle=extra,
    )
    return Result(
        data={
            "schema": "dhallmark.dev/image/v1",
            "digest": built.digest,
            "archive": str(built.archive),
            "sbom": str(built.sbom),
            "bytes": built.size,
        },
        text=f"{built.digest}\n{built.archive} ({built.size / 1e6:.0f} MB)\n{built.sbom}",
    )


def sign(
    *,
    repository: Annotated[str, Parameter(help="Where the image will be: HOST/REPOSITORY, without a tag.")],
    image: ImageFolder = _BUILD / "out",
    trust_config: Annotated[
        Path | None, Parameter(help="A Sigstore ClientTrustConfig. The public instance otherwise.")
    ] = None,
    token_file: TokenFile = None,
    token_env: TokenVariable = None,
    token_fd: TokenDescriptor = None,
) -> Result:
    """Sign the image and its SBOM with one certificate. In CI the job's own token is fetched."""
    from dhallmark.image.publish import image_digest, sign_image
    from dhallmark.sign.token import choose_source

    source = choose_source(file=token_file, variable=token_env, descriptor=token_fd)
    signed = anyio.run(partial(sign_image, image, repository=repository, token=source, trust_config=trust_config))
    digest = image_digest(image)
    return Result(
        data={
            "schema": "dhallmark.dev/image-signed/v1",
            "digest": digest,
            "identity": signed.identity.to_json(),
            "bundles": list(signed.bundles),
        },
        text=f"{repository}@{digest}\nsigned as {signed.identity.subject}",
    )


def push(
    *,
    to: Annotated[str, Parameter(help="HOST/REPOSITORY:TAG.")],
    image: ImageFolder = _BUILD / "out",
    plain_http: Annotated[bool, Parameter(help="The registry has no TLS.", negative="")] = False,
    registry_ca: RegistryCa = None,
) -> Result:
    """Push the signed image and its bundles by digest, and set the tag last."""
    from dhallmark.image.publish import push_image
    from dhallmark.oci.client import Registry
    from dhallmark.oci.descriptor import split_repository

    name, colon, tag = to.rpartition(":")
    if not colon or "/" in tag:
        raise UsageError(f"no tag in {to!r}", hint="write HOST/REPOSITORY:TAG")
    host, repository = split_repository(name)

    async def run() -> str:
        async with Registry(host, plain_http=plain_http, ca=registry_ca) as registry:
            return await push_image(image, repository=repository, tag=tag, registry=registry)

    digest = anyio.run(run)
    return Result(
        data={"schema": "dhallmark.dev/image-pushed/v1", "repository": name, "tag": tag, "digest": digest},
        text=f"{name}@{digest}\nas {to}",
    )


def _mirrors(given: tuple[str, ...]) -> dict[str, str]:
    from dhallmark.image.apt import machine_mirrors

    return dict(_pairs(given, "--mirror NAME=URL")) if given else machine_mirrors()


def _pairs(texts: Iterable[str], form: str) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            raise UsageError(f"not of the form {form}: {text!r}")
        pairs.append((name, value))
    return pairs
