"""`dhallmark sign`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.config.load import load_config, load_policy
from dhallmark.sign.signer import CONCURRENCY, SignedRelease, read_statements, sign_release
from dhallmark.sign.token import AUDIENCE, choose_source
from dhallmark.steps.attest import allow_by, judge, require_accepted

SCHEMA = "dhallmark.dev/sign/v1"


def sign(
    *,
    config: Annotated[Path, Parameter(help="The configuration of the platform.")] = Path("dhallmark.yaml"),
    build: Annotated[Path, Parameter(help="The build directory.")] = Path("build"),
    trust_config: Annotated[
        Path | None,
        Parameter(help="A Sigstore ClientTrustConfig. That of the configuration, or the public instance, otherwise."),
    ] = None,
    token_file: Annotated[Path | None, Parameter(help="File that holds the OIDC token.")] = None,
    token_env: Annotated[str | None, Parameter(help="Name of the environment variable that holds it.")] = None,
    token_fd: Annotated[int | None, Parameter(help="File descriptor to read it from.")] = None,
    audience: Annotated[str, Parameter(help="The audience that the certificate authority asks for.")] = AUDIENCE,
    concurrency: Annotated[int, Parameter(help="Statements that are signed at the same time.")] = CONCURRENCY,
) -> Result:
    """Sign all statements with one certificate, in Sigstore bundles. In CI the job's own token is fetched."""
    settings = load_config(config)
    policy = load_policy(config.parent / settings.policy)
    configured = settings.signing.trust_config
    source = choose_source(file=token_file, variable=token_env, descriptor=token_fd)
    # Again, though `attest` did it: between the two, someone may have changed a file.
    require_accepted(judge(read_statements(build), config=settings, policy=policy, build=build))
    release = anyio.run(
        partial(
            sign_release,
            build,
            token=source,
            trust_config=trust_config or (config.parent / configured if configured else None),
            audience=audience,
            allow=allow_by(policy),
            concurrency=concurrency,
            progress=progress(),
        )
    )
    return Result(data=_to_json(release), text=_to_text(release, build))


def _to_json(release: SignedRelease) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "identity": release.identity.to_json(),
        "certificateExpires": release.expires.isoformat(),
        "bundles": list(release.bundles),
    }


def _to_text(release: SignedRelease, build: Path) -> str:
    return "\n".join(
        [
            f"{len(release.bundles)} bundles in {build / 'bundles'}",
            f"signed as {release.identity.subject}",
            f"  issuer {release.identity.issuer}",
        ]
    )
