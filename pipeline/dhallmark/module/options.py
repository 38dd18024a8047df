"""The arguments that several functions share, each described once."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, Ignore

Source = Annotated[
    dagger.Directory,
    Doc("The Git checkout with dhallmark.yaml, its .git included: a release names the commit that it is made from."),
    Ignore(
        [
            # Never tracked, so leaving them out does not make a tree dirty.
            *("**/.venv", "**/__pycache__", "**/node_modules", "**/.mypy_cache", "**/.pytest_cache", "**/.ruff_cache"),
            # What Git writes about itself without changing any commit: each would make steps run again.
            *(f".git/{name}" for name in ("logs", "hooks", "FETCH_HEAD", "ORIG_HEAD", "COMMIT_EDITMSG", "gc.log")),
        ]
    ),
]
ConfigPath = Annotated[str, Doc("Path of dhallmark.yaml in the source.")]
PlannedBuild = Annotated[dagger.Directory | None, Doc("The build directory, as plan left it; planned anew otherwise.")]
ResolvedBuild = Annotated[dagger.Directory | None, Doc("The build directory, as resolve left it; made anew otherwise.")]
RenderedBuild = Annotated[
    dagger.Directory | None, Doc("The build directory, as render or merge left it; made anew otherwise.")
]
ShardOption = Annotated[str | None, Doc("Do part i of n of the units, written i/n; see merge.")]
AllowDirty = Annotated[bool, Doc("Let a tree with uncommitted changes through; the default policy rejects it.")]
Packages = Annotated[dagger.Service | None, Doc("A server of Dhall packages, for imports that the network has not.")]
PackagesHost = Annotated[str, Doc("The name under which imports know that server.")]
Registry = Annotated[dagger.Service | None, Doc("The registry, where it is a service of this session.")]
RegistryHost = Annotated[str, Doc("The name, without port, under which dhallmark.yaml knows that service.")]
RegistryConfig = Annotated[dagger.Secret | None, Doc("Credentials of the registry: a config.json as Docker writes it.")]
StagedBuild = Annotated[dagger.Directory, Doc("The build directory, as push left it.")]
PackagedBuild = Annotated[dagger.Directory, Doc("The build directory, as package left it.")]
AttestedBuild = Annotated[dagger.Directory, Doc("The build directory, as attest left it.")]
SignedBuild = Annotated[dagger.Directory, Doc("The build directory, as sign left it.")]
PublishedBuild = Annotated[dagger.Directory, Doc("The build directory, as publish left it.")]
BuilderId = Annotated[str, Doc("URI of the builder, as the policy lists it: in CI, that of the workflow at its ref.")]
InvocationId = Annotated[str | None, Doc("URI of this run, for the provenance.")]
Controls = Annotated[list[str] | None, Doc("The controls to run, by id. The few of every release otherwise.")]
References = Annotated[list[str], Doc("REGISTRY/REPOSITORY@sha256:… or REGISTRY/REPOSITORY:TAG.")]
PolicyFile = Annotated[dagger.File, Doc("The policy file.")]
PolicyFiles = Annotated[
    dagger.Directory | None, Doc("The folder with what the policy names: keys, a layout, Git bundles.")
]
Manifests = Annotated[dagger.Directory, Doc("The folder with the manifests of one environment, as they are applied.")]
PlainHttp = Annotated[bool, Doc("The registry has no TLS.")]
Tree = Annotated[dagger.Directory | None, Doc("The deploy repository as it stands; a new tree otherwise.")]
Token = Annotated[dagger.Secret, Doc("The OIDC token that the certificate is asked for with; audience sigstore.")]
OptionalToken = Annotated[
    dagger.Secret | None, Doc("The OIDC token to sign with, for the audience sigstore; or a key.")
]
Key = Annotated[dagger.Secret | None, Doc("A private key in PEM to sign with, instead of a token.")]
KeyPassword = Annotated[dagger.Secret | None, Doc("The password of that key, where it is encrypted.")]
TrustConfig = Annotated[
    dagger.File | None, Doc("Sigstore ClientTrustConfig of a private instance. The public instance otherwise.")
]
TrustedRoot = Annotated[dagger.File, Doc("A Sigstore trusted_root.json.")]
OptionalTrustedRoot = Annotated[
    dagger.File | None, Doc("A Sigstore trusted_root.json. That of the instance that signs otherwise.")
]
Sigstore = Annotated[dagger.Service | None, Doc("A private Sigstore, where it is a service of this session.")]
SigstoreHost = Annotated[str, Doc("The name under which the trust config knows that service.")]
AuditTree = Annotated[dagger.Directory | None, Doc("A deploy tree: every chart in it is audited.")]
Materials = Annotated[dagger.Directory | None, Doc("Materials bundles, for where the registry has none any more.")]
Images = Annotated[
    dagger.Directory | None,
    Doc("OCI archives of recorded images, for where no registry has them any more: what `image` gave will do."),
]
AuditReferences = Annotated[list[str] | None, Doc("What to audit; oci://REGISTRY/REPOSITORY for all tags.")]
Require = Annotated[str, Doc("The least that is accepted: equal or equivalent.")]
AcceptAny = Annotated[bool, Doc("Give the report whatever it says; the call fails otherwise.")]
SubjectName = Annotated[str | None, Doc("The artifact's name in its statements, where it is not its repository.")]
