"""Who signs, as the options of the commands say it: an OIDC token's identity, or a managed key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from dhallmark.cli.options import SigningOptions
from dhallmark.cli.output import progress
from dhallmark.config.policy import Policy
from dhallmark.errors import UsageError
from dhallmark.identity import Signatory
from dhallmark.sign.key import SigningKey, open_key
from dhallmark.sign.keyed import sign_release_with_key
from dhallmark.sign.secret import choose_secret
from dhallmark.sign.signer import SignedRelease, sign_release
from dhallmark.sign.token import TokenSource, choose_source
from dhallmark.steps.attest import allow_by
from dhallmark.verify.identities import managed_keys
from dhallmark.verify.policy import demands

Sign = Callable[[Path, Path | None, Policy], SignedRelease[Signatory]]
"""Signs a build directory against the instance of a trust config, None for the default, as far as a policy allows."""


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A managed key, ready to sign."""

    key: SigningKey


@contextmanager
def open_source(options: SigningOptions) -> Iterator[TokenSource | OpenKey]:
    """Where a token comes from, or the key, which is open; a token is fetched only when signing starts.

    Raises UsageError for options that do not fit together, and the errors of `open_key` and `choose_source`.
    """
    if options.key is None:
        if options.key_password_file is not None or options.key_password_env is not None:
            raise UsageError("a key's password without a key", hint="name the key with --key")
        yield choose_source(file=options.token_file, variable=options.token_env, descriptor=options.token_fd)
        return
    if options.token_file is not None or options.token_env is not None or options.token_fd is not None:
        raise UsageError("both a key and an OIDC token are given", hint="sign with one of them")
    secret = choose_secret(file=options.key_password_file, variable=options.key_password_env)
    with open_key(options.key, secret=secret) as key:
        yield OpenKey(key)


@contextmanager
def open_signing(options: SigningOptions, *, concurrency: int) -> Iterator[Sign]:
    """What signs a release, ready to be used. Raises what `open_source` does."""
    with open_source(options) as source:

        def sign(build: Path, trust_config: Path | None, policy: Policy) -> SignedRelease[Signatory]:
            if isinstance(source, OpenKey):
                return anyio.run(
                    partial(
                        sign_release_with_key,
                        build,
                        key=source.key,
                        trust_config=trust_config,
                        demands=demands(policy),
                        trusted=tuple(managed_keys(policy).values()),
                        allow=allow_by(policy),
                        concurrency=concurrency,
                        progress=progress(),
                    )
                )
            return anyio.run(
                partial(
                    sign_release,
                    build,
                    token=source,
                    trust_config=trust_config,
                    audience=options.audience,
                    allow=allow_by(policy),
                    concurrency=concurrency,
                    progress=progress(),
                )
            )

        yield sign
