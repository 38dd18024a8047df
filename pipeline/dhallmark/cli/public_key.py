"""`dhallmark public-key`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.options import KeyPasswordFile, KeyPasswordVariable
from dhallmark.cli.result import Result


def public_key(
    *,
    key: Annotated[str, Parameter(help="The private key: a PEM file, or a pkcs11: URI (RFC 7512).")],
    key_password_file: KeyPasswordFile = None,
    key_password_env: KeyPasswordVariable = None,
    out: Annotated[Path | None, Parameter(help="Write the public key to this file, too.")] = None,
) -> Result:
    """Print the public half of a key that signs releases, in PEM, for the policy to name."""
    from dhallmark.files import write_atomic
    from dhallmark.sign.key import open_key, public_pem
    from dhallmark.sign.secret import choose_secret
    from dhallmark.verify.keys import ManagedKey

    with open_key(key, secret=choose_secret(file=key_password_file, variable=key_password_env)) as opened:
        pem = public_pem(opened)
    if out is not None:
        write_atomic(out, pem)
    return Result(
        data={
            "schema": "dhallmark.dev/public-key/v1",
            "fingerprint": ManagedKey.parse(pem).identity.fingerprint,
            "publicKey": pem.decode(),
        },
        text=pem.decode().rstrip(),
    )
