"""Signing one document, a layout or a summary, as the options say: with an OIDC token's identity, or a managed key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from dhallmark.config.load import parse_policy
from dhallmark.config.policy import Policy
from dhallmark.config.strictyaml import MAX_BYTES
from dhallmark.errors import InputError, Location, UsageError
from dhallmark.identity import KeyIdentity, Signatory
from dhallmark.sign.document import SignedDocument, sign_document, sign_document_with_key
from dhallmark.sign.key import open_key
from dhallmark.sign.secret import choose_secret
from dhallmark.sign.token import choose_source
from dhallmark.verify.identities import managed_keys
from dhallmark.verify.policy import demands


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningOptions:
    """Who signs, and against which instance."""

    trust_config: Path | None
    key: str | None
    key_password_file: Path | None
    key_password_env: str | None
    token_file: Path | None
    token_env: str | None
    token_fd: int | None
    audience: str

    def sign(self, payload: bytes, *, policy: Policy, allow: Callable[[Signatory], None]) -> SignedDocument:
        """Sign `payload`. `allow` is asked before the signature, and raises. A key must satisfy what `policy` demands.

        Raises UsageError for options that do not fit together, and what signing raises.
        """
        if self.key is None:
            if self.key_password_file is not None or self.key_password_env is not None:
                raise UsageError("a key's password without a key", hint="name the key with --key")
            token = choose_source(file=self.token_file, variable=self.token_env, descriptor=self.token_fd)
            return anyio.run(
                partial(
                    sign_document,
                    payload,
                    token=token,
                    trust_config=self.trust_config,
                    audience=self.audience,
                    allow=allow,
                )
            )
        if self.token_file is not None or self.token_env is not None or self.token_fd is not None:
            raise UsageError("both a key and an OIDC token are given", hint="sign with one of them")
        secret = choose_secret(file=self.key_password_file, variable=self.key_password_env)
        with open_key(self.key, secret=secret) as opened:
            return anyio.run(
                partial(
                    sign_document_with_key,
                    payload,
                    key=opened,
                    trust_config=self.trust_config,
                    demands=demands(policy),
                    trusted=tuple(managed_keys(policy).values()),
                    allow=allow,
                )
            )


def read_policy(path: Path) -> Policy:
    """A policy whose layout may not be there yet: it is what will be signed. Raises ConfigError, InputError."""
    return parse_policy(read_file(path, most=MAX_BYTES), file=str(path), folder=path.parent)


def read_file(path: Path, *, most: int) -> bytes:
    """The bytes of a small file. Raises InputError."""
    where = Location(file=str(path))
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where) from error
    if len(content) > most:
        raise InputError(f"larger than {most} bytes", where=where)
    return content


def name_of(signatory: Signatory) -> str:
    """Who signed, for people."""
    if isinstance(signatory, KeyIdentity):
        return f"the key {signatory.fingerprint}"
    return f"{signatory.subject} (issuer {signatory.issuer})"
