"""`dhallmark sign`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from dhallmark.cli.options import (
    Audience,
    BuildFolder,
    ConfigFile,
    TokenDescriptor,
    TokenFile,
    TokenVariable,
    TrustConfigFile,
)
from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.config.load import load_config, load_policy
from dhallmark.sign.signer import CONCURRENCY, SignedRelease, read_statements, sign_release
from dhallmark.sign.token import AUDIENCE, choose_source
from dhallmark.steps.attest import allow_by, judge, require_accepted

SCHEMA = "dhallmark.dev/sign/v1"


def sign(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    trust_config: TrustConfigFile = None,
    token_file: TokenFile = None,
    token_env: TokenVariable = None,
    token_fd: TokenDescriptor = None,
    audience: Audience = AUDIENCE,
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
