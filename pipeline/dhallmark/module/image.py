"""The CI image, and the container that builds it."""

from __future__ import annotations

import re
import uuid

import dagger
from dagger import dag

from dhallmark.module.job import Job

_VENV = "/opt/builder"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_MODULE = "/dhallmark"
"""Where dhallmark's own source is mounted."""
_PIP_CACHE = "/var/cache/pip"
_APT_CACHE = "/var/cache/dhallmark"
"""Kept by the engine between builds: what is in them is checked against the locks each time."""
_COMMAND = ("python3", "-m", "dhallmark.cli.app", "image")
_NAME = "dhallmark-ci"
_APT = "apt-get update; apt-get install --yes --no-install-recommends ca-certificates python3-venv"
_LOCK = "/locks/image.json"
_PARTS = ("pyproject.toml", "README.md", "requirements.lock", "pipeline/", "ci/image/")
"""What of the source the image is made of; anything else may change without building it anew."""


def builder(
    base: dagger.Container, *, source: dagger.Directory, ca_bundle: dagger.File | None, pip_index: str | None
) -> dagger.Container:
    """A container with dhallmark installed by pip, on `base`: it fetches and builds the CI image.

    Nothing of it gets into the image; two builders with other packages build the same digest.
    """
    container = base.with_env_variable("DEBIAN_FRONTEND", "noninteractive")
    if ca_bundle is not None:
        container = container.with_mounted_file(_CERTIFICATES, ca_bundle)
    container = (
        # One command: a list of packages that the engine kept from last month names versions that are gone.
        container.with_exec(["sh", "-ec", _APT])
        .with_exec(["python3", "-m", "venv", _VENV])
        .with_env_variable("PIP_CERT", _CERTIFICATES)
        .with_env_variable("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .with_mounted_cache(_PIP_CACHE, dag.cache_volume("dhallmark-pip"))
        .with_env_variable("PIP_CACHE_DIR", _PIP_CACHE)
    )
    if pip_index:
        container = container.with_env_variable("PIP_INDEX_URL", pip_index)
    install = [f"{_VENV}/bin/pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:", "--no-deps"]
    for lock in ("requirements.lock", "ci/image/builder.lock"):
        container = container.with_file(f"/locks/{lock}", source.file(lock)).with_exec(
            [*install, "-r", f"/locks/{lock}"]
        )
    return (
        container.with_directory(_MODULE, dag.directory().with_directory("/", source, include=list(_PARTS)))
        .with_workdir(_MODULE)
        .with_env_variable("PYTHONPATH", f"{_MODULE}/pipeline")
        .with_env_variable("PYTHONDONTWRITEBYTECODE", "1")
        .with_env_variable("PATH", f"{_VENV}/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    )


def build(
    container: dagger.Container,
    *,
    tools: dagger.Directory,
    mirrors: list[str],
    image_ca: dagger.File | None,
    lock: dagger.File | None,
    relock: bool,
) -> dagger.Directory:
    """Fetch, then build without looking at the network again: `image.tar`, `sbom.spdx.json`, `digest`, `lock.json`."""
    fetch = [*_COMMAND, "fetch", "--inputs", "/inputs", "--cache", _APT_CACHE, *_mirrors(mirrors)]
    command = [*_COMMAND, "build", "--inputs", "/inputs", "--tools", "/tools", "--to", "/image"]
    if lock is not None:
        container = container.with_mounted_file(_LOCK, lock)
        fetch += ["--lock", _LOCK]
    if relock:
        fetch.append("--relock")
    container = container.with_mounted_cache(_APT_CACHE, dag.cache_volume("dhallmark-debs"))
    container = container.with_exec(fetch).with_mounted_directory("/tools", tools)
    if image_ca is not None:
        container = container.with_mounted_file("/ca-bundle.pem", image_ca)
        command += ["--ca-bundle", "/ca-bundle.pem"]
    return container.with_exec(command).directory("/image")


def lock_anew(container: dagger.Container, *, mirrors: list[str], lock: dagger.File | None) -> dagger.File:
    """`dhallmark image lock`: the lock with the Debian packages that mirrors have now."""
    if lock is not None:
        container = container.with_file(_LOCK, lock)
    else:
        container = container.with_exec(["cp", "ci/image/lock.json", _LOCK])
    container = container.with_env_variable("DHALLMARK_NONCE", uuid.uuid4().hex)
    return container.with_exec([*_COMMAND, "lock", "--lock", _LOCK, *_mirrors(mirrors)]).file(_LOCK)


def _mirrors(mirrors: list[str]) -> list[str]:
    return [word for mirror in mirrors for word in ("--mirror", mirror)]


def load(archive: dagger.File, *, digest: str) -> dagger.Container:
    """The built image as a container."""
    return _ready(dag.container().import_(archive), digest)


def pull(reference: str) -> dagger.Container:
    """The published image as a container, by digest: a tag may name another image tomorrow."""
    name, _, digest = reference.partition("@")
    if not name or re.fullmatch(r"sha256:[0-9a-f]{64}", digest) is None:
        raise ValueError(f"{reference!r} names no image by digest: write REGISTRY/REPOSITORY@sha256:…")
    return _ready(dag.container().from_(reference), digest)


def _ready(container: dagger.Container, digest: str) -> dagger.Container:
    """With an environment that names the image and its `digest`, for the provenance.

    Its Python is compiled here, once per engine: byte code is no part of the image, because the compiler does not
    promise the same bytes twice.
    """
    compile_all = ["-m", "compileall", "-q", "/opt/dhallmark/lib", "/usr/lib/python3.13"]
    return container.with_env_variable("DHALLMARK_IMAGE", f"{_NAME}@{digest}").with_exec(
        ["/opt/dhallmark/bin/python", *compile_all]
    )


def publish(
    job: Job,
    built: dagger.Directory,
    *,
    to: str,
    token: dagger.Secret,
    trust_config: dagger.File | None,
    credentials: dagger.Secret | None,
    plain_http: bool,
) -> dagger.Container:
    """`dhallmark image sign`, then `image push`: two commands, so that the one that pushes never sees the token."""
    signing, path = job.directory("/image", built).secret("id-token", token)
    arguments = ["image", "sign", "--image", "/image", "--repository", to.rpartition(":")[0], "--token-file", path]
    if trust_config is not None:
        signing = signing.file("/trust/trust_config.json", trust_config)
        arguments += ["--trust-config", "/trust/trust_config.json"]
    signed = signing.run(arguments, fresh=True).directory("/image")
    plain = ["--plain-http"] if plain_http else []
    pushing = job.directory("/image", signed).authorised(credentials)
    return pushing.run(["image", "push", "--image", "/image", "--to", to, *plain], fresh=True)
