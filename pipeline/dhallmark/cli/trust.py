"""Which trust root a command verifies against, whatever way it was given."""

from __future__ import annotations

from pathlib import Path

from dhallmark import strictjson
from dhallmark.config.model import Config
from dhallmark.sign.services import load_trust_config
from dhallmark.verify.trust import TrustRoot

NO_INSTANCE = strictjson.dump(
    {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [],
        "certificateAuthorities": [],
        "ctlogs": [],
        "timestampAuthorities": [],
    }
)
"""The trusted_root.json of a site without any Sigstore service: nothing is believed but the keys of the policy."""


def trust_root(
    config: Config,
    *,
    root: Path,
    trusted_root: Path | None = None,
    trust_config: Path | None = None,
    keyed: bool = False,
) -> bytes:
    """The trusted_root.json to use: the file `trusted_root`, else that of the instance that signs.

    The instance is that of `trust_config`, else of the configuration (`root` is its folder). Where neither names one it
    is the public one, or none for a release that is signed with a key (`keyed`).
    Raises FormatError, ConfigError, UnavailableError; OSError where a file cannot be read.
    """
    if trusted_root is not None:
        TrustRoot.load(trusted_root)  # What is wrong with the file is told with its name.
        return trusted_root.read_bytes()
    configured = root / config.signing.trust_config if config.signing.trust_config else None
    if keyed and trust_config is None and configured is None:
        return NO_INSTANCE
    instance = load_trust_config(trust_config or configured)
    # sigstore-python has no public way from a trust config to the trust root's own text.
    return instance._inner.trusted_root.to_json().encode()  # noqa: SLF001
