"""Signs the links of a release with a key of its own, for `in-toto-verify`.

The key lives in memory, signs the four links, and is gone; so is the layout's. Both public halves stand beside the
links, and the provenance, which is signed with the release's identity, names their digests: that is what makes them
trustworthy, not where they lie. Envelopes are DSSE, and the payload of a link is the very bytes of `<step>.link`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from in_toto.models.link import FILENAME_FORMAT
from in_toto.models.metadata import ENVELOPE_PAYLOAD_TYPE, Envelope, Metadata
from in_toto.verifylib import in_toto_verify
from securesystemslib.exceptions import Error as SecureSystemsError
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # public, but not listed in __all__

from dhallmark.errors import FormatError, InputError, Location
from dhallmark.files import directory_atomic, write_atomic
from dhallmark.steps.artifacts import hash_names, open_view, require_covered
from dhallmark.steps.layout import FLOWS, make_layout
from dhallmark.steps.link import STEPS, Link, read_links

SIGNED = "links/signed"
"""Folder of everything that is signed here, in a build directory; what `in-toto-verify --link-dir` gets."""
LAYOUT = f"{SIGNED}/root.layout"
LAYOUT_KEY = f"{SIGNED}/layout.pub"
FUNCTIONARY_KEY = f"{SIGNED}/functionary.pub"
VALIDITY = timedelta(days=365)
"""How long `in-toto-verify` accepts the layout."""


class Functionary:
    """An Ed25519 key for one release, never written anywhere."""

    def __init__(self) -> None:
        key = Ed25519PrivateKey.generate()
        self._signer = CryptoSigner(key)
        self.public_pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        """The public half, SubjectPublicKeyInfo in PEM."""

    @property
    def keyid(self) -> str:
        """The key's id in in-toto: 64 hex digits."""
        return str(self._signer.public_key.keyid)

    @property
    def public(self) -> dict[str, Any]:
        """The public half as layouts hold it."""
        return {**self._signer.public_key.to_dict(), "keyid": self.keyid}

    def sign(self, payload: bytes) -> bytes:
        """A DSSE envelope over exactly `payload`, as in-toto reads it from a file."""
        envelope = Envelope(payload=payload, payload_type=ENVELOPE_PAYLOAD_TYPE, signatures={})
        envelope.create_signature(self._signer)
        return json.dumps(envelope.to_dict(), sort_keys=True).encode()


def sign_links(build: Path, *, readme: str = "", now: datetime | None = None) -> tuple[Link, ...]:
    """Sign the links of a build directory and a layout for them; write `links/signed/`, whole or not at all.

    What is signed is checked first, against the files, and afterwards, by in-toto's own verification. Raises
    FormatError where a step is missing, a file is not the one that its step recorded, or the chain does not hold.
    `now` sets the layout's expiry, VALIDITY later.
    """
    links = read_links(build)
    require_recorded(build, links)
    functionary, owner = Functionary(), Functionary()
    layout = make_layout(
        functionary=functionary.public,
        commands={link.name: link.command for link in links},
        expires=(now or datetime.now(UTC)) + VALIDITY,
        readme=readme,
    )
    with directory_atomic(build / SIGNED) as folder:
        for link in links:
            name = FILENAME_FORMAT.format(step_name=link.name, keyid=functionary.keyid)
            write_atomic(folder / name, functionary.sign(link.to_bytes()))
        envelope = Envelope.from_signable(layout)
        write_atomic(folder / Path(LAYOUT).name, owner.sign(envelope.payload))
        write_atomic(folder / Path(LAYOUT_KEY).name, owner.public_pem)
        write_atomic(folder / Path(FUNCTIONARY_KEY).name, functionary.public_pem)
        _verify(folder, layout_key=owner.public)
    return links


def require_recorded(build: Path, links: Sequence[Link]) -> None:
    """Raise FormatError unless the build directory holds exactly the files that the steps recorded as products."""
    with open_view(build.resolve().parent, build) as view:
        for link in links:
            try:
                found = hash_names(view, sorted(link.products))
                require_covered(view, FLOWS[link.name].made, link.products)
            except InputError as error:
                raise _altered(error.message, link, error.where) from error
            for name, digests in link.products.items():
                if found[name] != digests:
                    raise _altered("the file changed", link, Location(file=name))


def _altered(what: str, link: Link, where: Location | None) -> FormatError:
    return FormatError(
        f"after step {link.name} had recorded its products: {what}",
        where=where,
        hint="run the steps again, and let nothing else write to the build directory",
    )


def _verify(folder: Path, *, layout_key: Mapping[str, Any]) -> None:
    layout = Metadata.load(str(folder / Path(LAYOUT).name))
    try:
        in_toto_verify(layout, {layout_key["keyid"]: dict(layout_key)}, str(folder))
    except SecureSystemsError as error:
        raise FormatError(
            f"the steps are no chain: {_first_line(error)}",
            where=Location(file="links"),
            hint=f"run the steps again, in this order: {', '.join(STEPS)}",
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
