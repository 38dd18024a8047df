"""`dhallmark sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.options import SIGNING, BuildFolder, ConfigFile, SigningOptions
from dhallmark.cli.result import Result
from dhallmark.cli.signing import open_signing
from dhallmark.config.load import load_config, load_policy
from dhallmark.identity import KeyIdentity, Signatory
from dhallmark.sign.signer import CONCURRENCY, SignedRelease, read_statements
from dhallmark.steps.attest import judge, require_accepted

SCHEMA = "dhallmark.dev/sign/v1"


def sign(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    signing: SigningOptions = SIGNING,
    concurrency: Annotated[int, Parameter(help="Statements that are signed at the same time.")] = CONCURRENCY,
) -> Result:
    """Sign all statements with one certificate or one key, in Sigstore bundles.

    Without --key the identity is that of an OIDC token; in CI the job's own is fetched.
    """
    settings = load_config(config)
    policy = load_policy(config.parent / settings.policy)
    configured = settings.signing.trust_config
    with open_signing(signing, concurrency=concurrency) as sign_build:
        # Again, though `attest` did it: between the two, someone may have changed a file.
        require_accepted(judge(read_statements(build), config=settings, policy=policy, build=build, root=config.parent))
        release = sign_build(
            build, signing.trust_config or (config.parent / configured if configured else None), policy
        )
    return Result(data=_to_json(release), text=_to_text(release, build))


def _to_json(release: SignedRelease[Signatory]) -> dict[str, object]:
    body: dict[str, object] = {"schema": SCHEMA, "identity": release.identity.to_json()}
    if release.expires is not None:
        body["certificateExpires"] = release.expires.isoformat()
    return {**body, "bundles": list(release.bundles)}


def _to_text(release: SignedRelease[Signatory], build: Path) -> str:
    signer = release.identity
    said = (
        [f"signed with the key {signer.fingerprint}"]
        if isinstance(signer, KeyIdentity)
        else [f"signed as {signer.subject}", f"  issuer {signer.issuer}"]
    )
    return "\n".join([f"{len(release.bundles)} bundles in {build / 'bundles'}", *said])
