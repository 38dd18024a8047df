"""Signing one document, a layout or a summary, as the options say: with an OIDC token's identity, or a managed key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio

from dhallmark.cli.options import SigningOptions
from dhallmark.cli.signing import OpenKey, open_source
from dhallmark.config.load import parse_policy
from dhallmark.config.policy import Policy
from dhallmark.config.strictyaml import MAX_BYTES
from dhallmark.errors import InputError, Location
from dhallmark.identity import KeyIdentity, Signatory
from dhallmark.sign import document
from dhallmark.sign.document import SignedDocument
from dhallmark.verify.identities import managed_keys
from dhallmark.verify.policy import demands


def sign_document(
    options: SigningOptions, payload: bytes, *, policy: Policy, allow: Callable[[Signatory], None]
) -> SignedDocument:
    """Sign `payload`. `allow` is asked before the signature, and raises. A key must satisfy what `policy` demands.

    Raises what `open_source` and signing raise.
    """
    with open_source(options) as source:
        if isinstance(source, OpenKey):
            return anyio.run(
                partial(
                    document.sign_document_with_key,
                    payload,
                    key=source.key,
                    trust_config=options.trust_config,
                    demands=demands(policy),
                    trusted=tuple(managed_keys(policy).values()),
                    allow=allow,
                )
            )
        return anyio.run(
            partial(
                document.sign_document,
                payload,
                token=source,
                trust_config=options.trust_config,
                audience=options.audience,
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
