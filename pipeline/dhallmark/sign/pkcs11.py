"""Keys in a token: an HSM, a smart card, or software that behaves like one, through its vendor's PKCS#11 library.

The key never leaves the token. Which token and which key is said by a URI (RFC 7512). Its path attributes must fit
exactly one of each: a key that was not meant must not sign because it was the first to be found.
Source: RFC 7512; PKCS #11 v2.40, sections 6 (mechanisms) and 10 (objects).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from dhallmark.errors import ConfigError, SigningError, UsageError
from dhallmark.sign.scheme import scheme_of
from dhallmark.sign.secret import FileSecret, SecretSource

if TYPE_CHECKING:
    import pkcs11

MODULE_VARIABLE = "PKCS11_MODULE_PATH"
"""Names the vendor's library where the URI does not; the variable that OpenSSL's PKCS#11 engine reads."""
_TOKEN_ATTRIBUTES = ("token", "manufacturer", "serial", "model")
_PATH_ATTRIBUTES = frozenset({*_TOKEN_ATTRIBUTES, "slot-id", "object", "id", "type"})
_QUERY_ATTRIBUTES = frozenset({"module-path", "pin-source"})
# RFC 7512, section 2.3: pk11-pchar and pk11-qchar, here as one set without the separators.
_VALUE = re.compile(r"(?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=/?|]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """Which key in which token, and how to reach it. An attribute that is not given fits anything."""

    token: Mapping[str, str]
    """What the token must say of itself: `token` (its label), `manufacturer`, `serial`, `model`."""
    slot: int | None = None
    label: str | None = None
    """The key's label (`object`)."""
    key_id: bytes | None = None
    """The key's CKA_ID (`id`)."""
    module: Path | None = None
    """The vendor's library (`module-path`)."""
    pin_file: Path | None = None
    """A file that holds the PIN (`pin-source`)."""

    @classmethod
    def parse(cls, text: str) -> Pkcs11Uri:
        """Read a URI. Raises UsageError for a malformed one, and for attributes that would not be heeded."""
        scheme, _, rest = text.partition(":")
        if scheme != "pkcs11":
            raise _malformed("it does not begin with pkcs11:")
        path, _, query = rest.partition("?")
        attributes = {
            **_attributes(path, separator=";", known=_PATH_ATTRIBUTES),
            **_attributes(query, separator="&", known=_QUERY_ATTRIBUTES),
        }
        raw_id = attributes.pop("id", None)
        values = {name: _text(name, value) for name, value in attributes.items()}
        if values.get("type", "private") != "private":
            raise UsageError(f"a key of type {values['type']} does not sign", hint="leave `type` out of the URI")
        if "object" not in values and not raw_id:
            raise UsageError("the URI names no key", hint="add object=LABEL or id=%XX to it")
        slot = values.get("slot-id")
        if slot is not None and not re.fullmatch(r"[0-9]{1,10}", slot):
            raise _malformed("slot-id is no number")
        module = values.get("module-path")
        return cls(
            token={name: values[name] for name in _TOKEN_ATTRIBUTES if name in values},
            slot=None if slot is None else int(slot),
            label=values.get("object"),
            key_id=None if raw_id is None else unquote_to_bytes(raw_id),
            module=None if module is None else _absolute("module-path", module),
            pin_file=_pin_file(values["pin-source"]) if "pin-source" in values else None,
        )


def _attributes(text: str, *, separator: str, known: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if name == "pin-value":
            # Arguments can be read by every process of the machine, and stay in the shell's history.
            raise UsageError(
                "a PIN must not stand in the URI", hint="use pin-source=file:/PATH, or --key-password-file"
            )
        if not equals or not _VALUE.fullmatch(value):
            raise _malformed(f"the attribute {name[:40]!r} breaks the syntax")
        if name not in known:
            raise UsageError(
                f"the PKCS#11 URI has an attribute that is not heeded here: {name[:40]!r}",
                hint=f"known are {', '.join(sorted(known))}",
            )
        if name in found:
            raise _malformed(f"the attribute {name!r} stands there twice")
        found[name] = value
    return found


def _text(name: str, value: str) -> str:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise _malformed(f"the attribute {name!r} is not UTF-8") from error


def _absolute(name: str, value: str) -> Path:
    path = Path(value)
    if not path.is_absolute():
        # A library that is looked for in the working directory is whatever someone put there.
        raise UsageError(f"{name} must be an absolute path: {value!r}")
    return path


def _pin_file(value: str) -> Path:
    if value.startswith("|"):
        raise UsageError("pin-source names a program, and none is run", hint="write the PIN to a file, or be asked")
    return _absolute("pin-source", urlsplit(value).path if value.startswith("file:") else value)


def _malformed(what: str) -> UsageError:
    return UsageError(
        f"not a PKCS#11 URI: {what}", hint="write it as pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/….so"
    )


class TokenKey:
    """A private key in a token, with an open session."""

    def __init__(self, private: Any, public: PublicKeyTypes, prehash: hashes.HashAlgorithm) -> None:  # noqa: ANN401
        self._private = private
        self._prehash = prehash
        self._lock = threading.Lock()
        self.public = public
        """The public half, as the token or the certificate beside it says."""

    def sign(self, data: bytes) -> bytes:
        """As `SigningKey.sign`. One at a time: a session has one operation."""
        from pkcs11 import Mechanism
        from pkcs11.exceptions import PKCS11Error

        try:
            with self._lock:
                if isinstance(self.public, rsa.RSAPublicKey):
                    return bytes(self._private.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS))
                raw: bytes = self._private.sign(_hash(data, self._prehash), mechanism=Mechanism.ECDSA)
        except PKCS11Error as error:
            raise SigningError(f"the token did not sign: {_say(error)}") from error
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


def _hash(data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


@contextmanager
def open_token_key(uri: Pkcs11Uri, *, secret: SecretSource) -> Iterator[TokenKey]:
    """The key that `uri` names, logged in until the context ends.

    `secret` gives the PIN where the token wants one and the URI names no file for it. The PIN is tried once: tokens
    lock themselves after a few wrong ones. Raises ConfigError, SigningError.
    """
    try:
        from pkcs11.exceptions import PKCS11Error
    except ImportError as error:
        raise ConfigError(
            "keys in tokens need the Python package python-pkcs11", hint="pip install 'dhallmark[pkcs11]'"
        ) from error
    token = _find_token(uri)
    pin = _pin(token, uri, secret)
    try:
        session = token.open(user_pin=pin)
    except PKCS11Error as error:
        raise SigningError(
            f"the token {token.label!r} does not open: {_say(error)}",
            hint="a PIN is tried once; tokens lock themselves after a few wrong ones",
        ) from error
    with session:
        try:
            key = _find_key(session, uri, token.label)
        except PKCS11Error as error:
            raise SigningError(f"the token {token.label!r} does not show its key: {_say(error)}") from error
        yield key


def _find_token(uri: Pkcs11Uri) -> pkcs11.Token:
    import pkcs11
    from pkcs11.exceptions import PKCS11Error

    module = uri.module or Path(os.environ.get(MODULE_VARIABLE, ""))
    if not module.is_absolute():
        raise UsageError(
            "no PKCS#11 library is named",
            hint=f"add ?module-path=/PATH/OF/LIBRARY.so to the URI, or set {MODULE_VARIABLE} to its absolute path",
        )
    try:
        slots = pkcs11.lib(str(module)).get_slots(token_present=True)
        tokens = [(slot.slot_id, slot.get_token()) for slot in slots]
    except PKCS11Error as error:
        raise ConfigError(f"the PKCS#11 library {module} cannot be used: {_say(error)}") from error
    usable = [(slot, token) for slot, token in tokens if pkcs11.TokenFlag.TOKEN_INITIALIZED in token.flags]
    fitting = [token for slot, token in usable if _fits(uri, slot, token)]
    if len(fitting) != 1:
        raise SigningError(
            f"{len(fitting) or 'no'} tokens fit the URI",
            hint=f"the library shows {', '.join(sorted(repr(token.label) for _, token in usable)) or 'none'}; "
            "name one by token=LABEL or serial=NUMBER",
        )
    return fitting[0]


def _fits(uri: Pkcs11Uri, slot: int, token: pkcs11.Token) -> bool:
    says = {
        "token": token.label,
        "manufacturer": token.manufacturer_id,
        "serial": token.serial.decode(errors="replace").rstrip(),
        "model": token.model,
    }
    return uri.slot in {None, slot} and all(says[name] == value for name, value in uri.token.items())


def _pin(token: pkcs11.Token, uri: Pkcs11Uri, secret: SecretSource) -> str | object | None:
    from pkcs11 import PROTECTED_AUTH, TokenFlag

    if TokenFlag.LOGIN_REQUIRED not in token.flags:
        return None
    if TokenFlag.PROTECTED_AUTHENTICATION_PATH in token.flags:
        return PROTECTED_AUTH  # it has keys of its own to type the PIN on
    what = f"the PIN of the token {token.label!r}"
    pin = FileSecret(uri.pin_file).read(what) if uri.pin_file is not None else secret.read(what)
    try:
        return pin.decode()
    except UnicodeDecodeError:
        pass
    # Not tried: it could only be wrong (PKCS #11 v2.40, C_Login), and a wrong one counts.
    raise SigningError(f"{what} is no UTF-8")


def _find_key(session: pkcs11.Session, uri: Pkcs11Uri, token: str) -> TokenKey:
    from pkcs11 import Attribute, ObjectClass

    wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    if uri.label is not None:
        wanted[Attribute.LABEL] = uri.label
    if uri.key_id is not None:
        wanted[Attribute.ID] = uri.key_id
    found: list[Any] = list(session.get_objects(wanted))
    if len(found) != 1:
        shown = [key.label for key in session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})]  # type: ignore[attr-defined]
        raise SigningError(
            f"{len(found) or 'no'} private keys in the token {token!r} fit the URI",
            hint=f"it has {', '.join(sorted(map(repr, shown))) or 'none'}; name one by object=LABEL, id=%XX or both",
        )
    public = _public_half(session, found[0])
    prehash = scheme_of(public).prehash
    if prehash is None:
        raise _unknown_kind(found[0].key_type)
    return TokenKey(found[0], public, prehash)


def _unknown_kind(kind: object) -> ConfigError:
    return ConfigError(f"a token's key of this kind does not sign releases: {kind}", hint="use ECDSA P-256, or RSA")


def _public_half(session: pkcs11.Session, private: Any) -> PublicKeyTypes:  # noqa: ANN401 - its attributes are untyped
    """The public key that stands beside a private one under the same id, or that of the certificate there."""
    from pkcs11 import Attribute, ObjectClass

    beside = {Attribute.ID: private.id} if private.id else {Attribute.LABEL: private.label}
    publics: list[Any] = list(session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY, **beside}))
    certificates: list[Any] = list(session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE, **beside}))
    try:
        if publics:
            return load_der_public_key(_encode(publics[0]))
        if certificates:
            return load_der_x509_certificate(certificates[0][Attribute.VALUE]).public_key()
    except ValueError as error:
        raise SigningError(f"the public half of the token's key cannot be read: {error}") from error
    raise SigningError(
        "the token has no public key and no certificate beside the private key",
        hint="import one of them under the private key's id",
    )


def _encode(public: Any) -> bytes:  # noqa: ANN401 - what a search yields has no narrower type
    """SubjectPublicKeyInfo, or for RSA PKCS#1, in DER."""
    from pkcs11 import KeyType
    from pkcs11.util import ec as token_ec
    from pkcs11.util import rsa as token_rsa

    if public.key_type == KeyType.EC:
        return token_ec.encode_ec_public_key(public)
    if public.key_type == KeyType.RSA:
        return bytes(token_rsa.encode_rsa_public_key(public))
    raise _unknown_kind(public.key_type)


def _say(error: Exception) -> str:
    """What a PKCS#11 library answered: python-pkcs11 has a class for each return value, mostly without a text."""
    return f"{type(error).__name__} {error}".strip()
