"""Options that several commands have: one name, one meaning and one help text for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

ConfigFile = Annotated[Path, Parameter(help="The configuration of the platform.")]
BuildFolder = Annotated[Path, Parameter(help="The build directory.")]
TrustConfigFile = Annotated[
    Path | None,
    Parameter(help="A Sigstore ClientTrustConfig. That of the configuration, or the public instance, otherwise."),
]
TokenFile = Annotated[Path | None, Parameter(help="File that holds the OIDC token.")]
TokenVariable = Annotated[str | None, Parameter(help="Name of the environment variable that holds it.")]
TokenDescriptor = Annotated[int | None, Parameter(help="File descriptor to read it from.")]
Audience = Annotated[str, Parameter(help="The audience that the certificate authority asks for.")]
KeyReference = Annotated[
    str | None,
    Parameter(
        help="Sign with this key instead of a token: a PEM file, or a pkcs11: URI (RFC 7512). Without a trust config, "
        "no log and no timestamp authority is asked."
    ),
]
KeyPasswordFile = Annotated[Path | None, Parameter(help="File that holds the key's password, or the token's PIN.")]
KeyPasswordVariable = Annotated[str | None, Parameter(help="Name of the environment variable that holds it.")]
BuilderId = Annotated[
    str | None,
    Parameter(help="URI of the builder, as the policy lists it. The CI job's workflow where it is not given."),
]
AllowDirty = Annotated[
    bool,
    Parameter(help="Go on with uncommitted changes, and record that; the default policy rejects it.", negative=()),
]
MoveTag = Annotated[
    bool,
    Parameter(help="Let a version that is published already name these artifacts from now on.", negative=()),
]
RegistryCa = Annotated[
    Path | None, Parameter(help="PEM file of certificates to trust for the registry, instead of the usual ones.")
]
TrustedRoot = Annotated[
    Path | None, Parameter(help="A Sigstore trusted_root.json. Not needed where the policy's identities are keys.")
]
SubjectName = Annotated[str, Parameter(help="The artifact's name in its statements, where it is not its repository.")]
AUDIENCE: Final = "sigstore"
"""What Fulcio asks for where nothing else is set up: `dhallmark.sign.token.AUDIENCE`, without loading that."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class SigningOptions:
    """Who signs, with whose services: each of these is an option of every command that signs."""

    trust_config: TrustConfigFile = None
    key: KeyReference = None
    key_password_file: KeyPasswordFile = None
    key_password_env: KeyPasswordVariable = None
    token_file: TokenFile = None
    token_env: TokenVariable = None
    token_fd: TokenDescriptor = None
    audience: Audience = AUDIENCE


SIGNING: Final = SigningOptions()
"""The options as they are where none is given."""
