"""What is said of manifests: the proof in a container with an API server, and the look at a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dagger

from dhallmark.module.job import Job
from dhallmark.module.proof import Verifier, with_tools

_MANIFESTS, _EARLIER, _MADE, _PUBLISHED, _ROOT = (
    "/manifests",
    "/earlier",
    "/made",
    "/publish.json",
    "/trusted_root.json",
)
_CONTROLLER = "source-controller"
_PROOF = ".sigstore.json"
_REPORTS = (
    ("json", "proof.json"),
    ("html", "report.html"),
    ("junit", "report.junit.xml"),
    ("sarif", "report.sarif"),
    ("markdown", "report.md"),
)


class ProofError(Exception):
    """The proof does not hold, or there was no telling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be proved, and after what."""

    manifests: dagger.Directory
    environment: str
    tools: dagger.Directory
    """kube-apiserver, etcd, registry, flux-verify, and source-controller where it is to run."""
    flux: Sequence[str] = ()
    source_controller: bool = False
    after: dagger.Directory | None = None
    proved_by: Sequence[str] = ()
    published: dagger.File | None = None


async def prove(verifier: Verifier, question: Question) -> dagger.Directory:
    """`dhallmark prove`: the proof and its reports. Raises ProofError with the report where it does not hold."""
    job = with_tools(verifier.job(), question.tools).mounted(_MANIFESTS, question.manifests)
    arguments = ["prove", _MANIFESTS, "--environment", question.environment, *verifier.options()]
    arguments += [part for version in question.flux for part in ("--flux", version)]
    arguments += [part for name in question.proved_by for part in ("--proved-by", name)]
    if question.source_controller:
        arguments += ["--source-controller", _CONTROLLER]
    if question.published is not None:
        job = job.file(_PUBLISHED, question.published)
        arguments += ["--release", _PUBLISHED]
    if question.after is not None:
        job = job.mounted(_EARLIER, question.after)
        names = [name for name in await question.after.entries() if name.endswith(_PROOF)]
        if not names:
            raise ProofError(f"no earlier proof is called <environment>{_PROOF}")
        arguments += [
            part for name in sorted(names) for part in ("--after", f"{name.removesuffix(_PROOF)}={_EARLIER}/{name}")
        ]
    arguments += ["--statement", f"{_MADE}/evidence/proof.json"]
    for form, name in _REPORTS:
        arguments += ["--report", f"{form}={_MADE}/{name}"]
    # Namespaces need the privilege; what runs is this project's own program, and what it asks, without secrets.
    done = await job.variable("COLUMNS", "180").run(
        arguments, fresh=True, expect=dagger.ReturnType.ANY, privileged=True
    ).sync()  # fmt: skip
    if await done.exit_code() != 0:
        raise ProofError((await done.stdout()) + (await done.stderr()))
    return done.directory(_MADE)


async def status(
    job: Job,
    *,
    manifests: dagger.Directory,
    kubeconfig: dagger.Secret,
    context: str,
    trusted_root: dagger.File | None,
) -> str:
    """`dhallmark gitops status`: the report, as text. Raises ProofError with it where not all is in force."""
    job, path = job.mounted(_MANIFESTS, manifests).secret("kubeconfig", kubeconfig)
    arguments = ["gitops", "status", _MANIFESTS, "--kubeconfig", path]
    if context:
        arguments += ["--context", context]
    if trusted_root is not None:
        job = job.file(_ROOT, trusted_root)
        arguments += ["--trusted-root", _ROOT]
    done = await job.run(arguments, fresh=True, expect=dagger.ReturnType.ANY).sync()
    said = await done.stdout()
    if await done.exit_code() != 0:
        raise ProofError(said + (await done.stderr()))
    return said
