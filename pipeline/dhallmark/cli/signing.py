"""Who signs, as the options of `sign` and `release` say it: an OIDC token's identity, or a managed key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio

from dhallmark.cli.output import progress
from dhallmark.config.policy import Policy
from dhallmark.errors import UsageError
from dhallmark.identity import Signatory
from dhallmark.sign.key import open_key
from dhallmark.sign.keyed import sign_release_with_key
from dhallmark.sign.secret import choose_secret
from dhallmark.sign.signer import SignedRelease, sign_release
from dhallmark.sign.token import choose_source
from dhallmark.steps.attest import allow_by
from dhallmark.verify.identities import managed_keys
from dhallmark.verify.policy import demands

Sign = Callable[[Path, Path | None, Policy], SignedRelease[Signatory]]
"""Signs a build directory against the instance of a trust config, None for the default, as far as a policy allows."""


@contextmanager
def open_signing(
    *,
    key: str | None,
    key_password_file: Path | None,
    key_password_env: str | None,
    token_file: Path | None,
    token_env: str | None,
    token_fd: int | None,
    audience: str,
    concurrency: int,
) -> Iterator[Sign]:
    """What signs, ready to be used: with a key, it is open; a token is fetched only when signing starts.

    Raises UsageError for options that do not fit together, and the errors of `open_key` and `choose_source`.
    """
    if key is None:
        if key_password_file is not None or key_password_env is not None:
            raise UsageError("a key's password without a key", hint="name the key with --key")
        source = choose_source(file=token_file, variable=token_env, descriptor=token_fd)

        def sign_keyless(build: Path, trust_config: Path | None, policy: Policy) -> SignedRelease[Signatory]:
            return anyio.run(
                partial(
                    sign_release,
                    build,
                    token=source,
                    trust_config=trust_config,
                    audience=audience,
                    allow=allow_by(policy),
                    concurrency=concurrency,
                    progress=progress(),
                )
            )

        yield sign_keyless
        return
    if token_file is not None or token_env is not None or token_fd is not None:
        raise UsageError("both a key and an OIDC token are given", hint="sign with one of them")
    with open_key(key, secret=choose_secret(file=key_password_file, variable=key_password_env)) as opened:

        def sign_with_key(build: Path, trust_config: Path | None, policy: Policy) -> SignedRelease[Signatory]:
            return anyio.run(
                partial(
                    sign_release_with_key,
                    build,
                    key=opened,
                    trust_config=trust_config,
                    demands=demands(policy),
                    trusted=tuple(managed_keys(policy).values()),
                    allow=allow_by(policy),
                    concurrency=concurrency,
                    progress=progress(),
                )
            )

        yield sign_with_key
