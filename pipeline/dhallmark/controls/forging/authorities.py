"""The authorities that a forger signs with: Sigstore instances of its own, or a lab's with fresh ones beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dhallmark.errors import UsageError
from dhallmark.lab import pki, trust
from dhallmark.lab.model import LabPaths, read_lab

Json = dict[str, Any]

RETIRED_FOR = timedelta(hours=1)
"""How long ago the retired instance and the lapsed certificate ended."""
PAST = -2 * RETIRED_FOR
"""When they were valid, from now."""
LONG_AGO = timedelta(days=50)
"""Long before anybody prepares controls, and after the forger's authorities began."""
SHELF_LIFE = timedelta(days=30)
"""How long prepared controls can be judged. What they say of the time is wrong or right by more than that."""


class Of(StrEnum):
    """Whose key or certificate a part of a bundle is by."""

    OWN = "own"
    """The forger's instance, in the trust root for all time."""
    RETIRED = "retired"
    """In the trust root, for a time that is over."""
    LAPSED = "lapsed"
    """In the trust root for all time, but its issuing certificate expired; all else is the forger's own."""
    STRANGER = "stranger"
    """Another instance, of which the trust root knows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Authorities:
    """One Sigstore instance."""

    host: str
    """Host name of its logs, which their checkpoints begin with."""
    rekor_url: str
    ca: pki.Chain
    ct: ec.EllipticCurvePrivateKey
    rekor: ec.EllipticCurvePrivateKey
    """Of its Rekor v2 log."""
    rekor_v1: ec.EllipticCurvePrivateKey
    tsa: pki.Chain

    @classmethod
    def fresh(cls, name: str, *, now: datetime) -> Authorities:
        """An instance that is old enough to have signed in the past."""
        start = now - pki.AGE
        return cls(
            host=f"rekor.{name}.forge.test",
            rekor_url=f"https://rekor.{name}.forge.test",
            ca=pki.fulcio_chain(f"{name} forger", start=start),
            ct=pki.signing_key(),
            rekor=pki.signing_key(),
            rekor_v1=pki.signing_key(),
            tsa=pki.timestamp_chain(start=start),
        )

    def trusted_root(self, *, until: datetime | None = None) -> Json:
        """The trust root of this instance. All of it is believed until then only, where that is given."""
        root = trust.trusted_root(
            fulcio=(f"https://fulcio.{self.host}", self.ca.certificates),
            rekor=(self.rekor_url, pki.public_der(self.rekor)),
            ctlog=(f"https://ct.{self.host}", pki.public_der(self.ct)),
            timestamp=(f"https://tsa.{self.host}", self.tsa.certificates),
        )
        v1 = trust.trusted_root(
            fulcio=(f"https://fulcio.{self.host}", self.ca.certificates),
            rekor=(f"https://v1.{self.host}", pki.public_der(self.rekor_v1)),
            ctlog=(f"https://ct.{self.host}", pki.public_der(self.ct)),
            timestamp=(f"https://tsa.{self.host}", self.tsa.certificates),
        )
        body = cast("Json", json.loads(json.dumps(root)))
        body["tlogs"] += json.loads(json.dumps(v1))["tlogs"]
        if until is not None:
            end = until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for item in (*body["tlogs"], *body["ctlogs"]):
                item["publicKey"]["validFor"]["end"] = end
            for item in (*body["certificateAuthorities"], *body["timestampAuthorities"]):
                item["validFor"]["end"] = end
        return body


def of_lab(directory: Path, *, now: datetime) -> Authorities:
    """The main instance of the lab in `directory`; it need not run. Its Rekor v1 log is a fresh one: a lab has none.

    Raises UsageError where there is no lab, or one that cannot have signed in the past.
    """
    lab, paths = read_lab(directory), LabPaths(directory)
    name = lab.main_authority
    password = json.loads(paths.settings(f"fulcio-{name}.json").read_bytes())["fileca-key-passwd"]
    ca, tsa = _chain(paths, f"fulcio-{name}", password=str(password).encode()), _chain(paths, "timestamp")
    if any(one.not_valid_before_utc > now - LONG_AGO for chain in (ca, tsa) for one in chain.certificates):
        raise UsageError(
            f"the authorities of the lab in {directory} began too late for what controls sign in the past",
            hint="make the lab anew, or leave out --lab",
        )
    return replace(
        Authorities.fresh("lab", now=now),
        host=lab.hostname,
        rekor_url=lab.rekor_url,
        ca=ca,
        ct=_key(paths, f"ctlog-{name}"),
        rekor=_key(paths, "rekor"),
        tsa=tsa,
    )


def _chain(paths: LabPaths, name: str, *, password: bytes | None = None) -> pki.Chain:
    certificates = x509.load_pem_x509_certificates(paths.certificates(name).read_bytes())
    return pki.Chain(_key(paths, name, password=password), tuple(certificates))


def _key(paths: LabPaths, name: str, *, password: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    return cast("ec.EllipticCurvePrivateKey", load_pem_private_key(paths.key(name).read_bytes(), password))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Forgers:
    """All instances that mutants are signed with."""

    now: datetime
    """When the mutants are made, in whole seconds."""
    instances: Mapping[Of, Authorities]
    trusted_roots: tuple[Json, ...]
    """What the trust root of a case holds beside the user's."""
    managed: ec.EllipticCurvePrivateKey
    """For bundles that are signed with a key instead of a certificate."""

    @classmethod
    def make(cls, *, lab: Path | None = None) -> Forgers:
        """New instances; the forger's own is that of the lab, where one is given."""
        now = datetime.now(UTC).replace(microsecond=0)
        own = of_lab(lab, now=now) if lab is not None else Authorities.fresh("own", now=now)
        retired = Authorities.fresh("retired", now=now)
        lapsed = replace(own, ca=pki.fulcio_chain("lapsed", start=now - pki.AGE, issuing_until=now - RETIRED_FOR))
        return cls(
            now=now,
            instances=MappingProxyType(
                {
                    Of.OWN: own,
                    Of.RETIRED: retired,
                    Of.LAPSED: lapsed,
                    Of.STRANGER: Authorities.fresh("stranger", now=now),
                }
            ),
            trusted_roots=(
                own.trusted_root(),
                retired.trusted_root(until=now - RETIRED_FOR),
                {"certificateAuthorities": lapsed.trusted_root()["certificateAuthorities"]},
            ),
            managed=pki.signing_key(),
        )
