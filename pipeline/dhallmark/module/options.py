"""The arguments that several functions share, each described once."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, Ignore

Source = Annotated[
    dagger.Directory,
    Doc("The Git checkout with dhallmark.yaml, its .git included: a release names the commit that it is made from."),
    # Never tracked, so leaving them out does not make a tree dirty.
    Ignore(["**/.venv", "**/__pycache__", "**/node_modules", "**/.mypy_cache", "**/.pytest_cache", "**/.ruff_cache"]),
]
ConfigPath = Annotated[str, Doc("Path of dhallmark.yaml in the source.")]
PlannedBuild = Annotated[dagger.Directory | None, Doc("The build directory, as plan left it; planned anew otherwise.")]
ResolvedBuild = Annotated[dagger.Directory, Doc("The build directory, as resolve left it.")]
RenderedBuild = Annotated[dagger.Directory, Doc("The build directory, as render (or merge) left it.")]
ShardOption = Annotated[str | None, Doc("Do part i of n of the units, written i/n; see merge.")]
AllowDirty = Annotated[bool, Doc("Let a tree with uncommitted changes through; the default policy rejects it.")]
Packages = Annotated[dagger.Service | None, Doc("A server of Dhall packages, for imports that the network has not.")]
PackagesHost = Annotated[str, Doc("The name under which imports know that server.")]
Registry = Annotated[dagger.Service | None, Doc("The registry, where it is a service of this session.")]
RegistryHost = Annotated[str | None, Doc("Host and port of the registry, instead of the one in dhallmark.yaml.")]
PlainHttp = Annotated[bool, Doc("The registry has no TLS.")]
RegistryConfig = Annotated[dagger.Secret | None, Doc("Credentials of the registry: a config.json as Docker writes it.")]
Token = Annotated[dagger.Secret, Doc("The OIDC token that the certificate is asked for with; audience sigstore.")]
TrustConfig = Annotated[
    dagger.File | None, Doc("Sigstore ClientTrustConfig of a private instance. The public instance otherwise.")
]
TrustedRoot = Annotated[dagger.File | None, Doc("Sigstore trusted_root.json. The public instance's otherwise.")]
Sigstore = Annotated[dagger.Service | None, Doc("A private Sigstore, where it is a service of this session.")]
SigstoreHost = Annotated[str, Doc("The name under which the trust config knows that service.")]
