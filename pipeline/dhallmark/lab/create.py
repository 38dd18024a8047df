"""Makes a lab's directory: keys, certificates, the servers' settings, and the trust files for clients."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from dhallmark.errors import UsageError
from dhallmark.files import write_atomic
from dhallmark.lab import pki, programs, trust
from dhallmark.lab.model import DEFAULT_ISSUERS, Address, Authority, Issuer, LabModel, LabPaths, write_lab
from dhallmark.record import first_fault

_SECRET = 0o600
_FIRST_FULCIO_PORT = 5550


def create_lab(
    directory: Path,
    *,
    hostname: str = "localhost",
    listen: Address = "127.0.0.1",
    authorities: Iterable[str] = ("main",),
    issuers: Mapping[str, Issuer] | None = None,
) -> LabModel:
    """Make a lab in `directory`, which must not exist or be empty; nothing is started.

    `hostname` is the name under which clients will reach it: it goes into the trust files and is the origin of
    Rekor's checkpoints. `authorities` names Fulcio instances, each with a CA and a CT log of its own; they share
    the log, the timestamp authority and the issuers. `issuers` adds to the ones that every lab has.

    The directory may be moved before the lab is started. Raises UsageError where it has other content, or a
    name is none. A failure leaves no half-made lab.
    """
    directory = directory.absolute()
    if directory.exists() and any(directory.iterdir()):
        raise UsageError(f"{directory} is not empty", hint="give a directory that does not exist yet")
    try:
        lab = LabModel(
            hostname=hostname,
            listen=listen,
            issuers=DEFAULT_ISSUERS | dict(issuers or {}),
            authorities={
                name: Authority(port=port, grpc_port=port + 1, metrics_port=port + 2)
                for name, port in zip(authorities, range(_FIRST_FULCIO_PORT, 65000, 10), strict=False)
            },
        )
    except ValidationError as error:
        field, message = first_fault(error)
        raise UsageError(f"no lab can be made of this: {field or 'all of it'}: {message}") from error
    directory.parent.mkdir(parents=True, exist_ok=True)
    # mkdtemp gives mode 0700, which the rename keeps.
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.new-", dir=directory.parent))
    try:
        _write(LabPaths(temporary), lab)
        if directory.exists():
            directory.rmdir()
        temporary.rename(directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return lab


def _write(paths: LabPaths, lab: LabModel) -> None:
    for folder in ("keys", "certs", "settings", "trust", "data", "logs", "jobs"):
        (paths.root / folder).mkdir(mode=0o700)

    tls = pki.tls_chain([issuer.host for issuer in lab.issuers.values()])
    write_atomic(paths.key("tls"), pki.private_pem(tls.key), mode=_SECRET)
    write_atomic(paths.certificates("tls"), tls.pem)
    write_atomic(paths.tls_ca, tls.certificates[-1].public_bytes(serialization.Encoding.PEM))
    for name in lab.issuers:
        write_atomic(paths.key(f"issuer-{name}"), pki.private_pem(pki.token_key()), mode=_SECRET)

    rekor = pki.signing_key()
    write_atomic(paths.key("rekor"), pki.private_pem(rekor), mode=_SECRET)
    start = datetime.now(UTC) - pki.AGE
    timestamp = pki.timestamp_chain(start=start)
    write_atomic(paths.key("timestamp"), pki.private_pem(timestamp.key), mode=_SECRET)
    write_atomic(paths.certificates("timestamp"), timestamp.pem)

    for name in lab.authorities:
        chain = pki.fulcio_chain(name, start=start)
        password = secrets.token_urlsafe(24)
        ctlog = pki.signing_key()
        write_atomic(paths.key(f"fulcio-{name}"), pki.private_pem(chain.key, password=password.encode()), mode=_SECRET)
        write_atomic(paths.certificates(f"fulcio-{name}"), chain.pem)
        write_atomic(paths.key(f"ctlog-{name}"), pki.private_pem(ctlog), mode=_SECRET)
        write_atomic(paths.certificates(f"ctlog-{name}"), pki.public_pem(ctlog))
        settings = programs.fulcio_settings(lab, authority=name, password=password)
        write_atomic(paths.settings(f"fulcio-{name}.json"), _json(settings), mode=_SECRET)

        root = trust.trusted_root(
            fulcio=(lab.fulcio_url(name), chain.certificates),
            rekor=(lab.rekor_url, pki.public_der(rekor)),
            ctlog=(lab.ctlog_url(name), pki.public_der(ctlog)),
            timestamp=(lab.timestamp_url, timestamp.certificates),
        )
        signing = trust.signing_config(
            fulcio=lab.fulcio_url(name),
            oidc=lab.issuers["github"].url,
            rekor=lab.rekor_url,
            timestamp=lab.timestamp_url,
            start=chain.certificates[-1].not_valid_before_utc,
        )
        target = paths.trust(name)
        write_atomic(target / "trusted_root.json", _json(root))
        write_atomic(target / "signing_config.json", _json(signing))
        write_atomic(target / "trust_config.json", _json(trust.trust_config(root, signing)))

    write_atomic(paths.settings("issuers.yaml"), yaml.safe_dump(programs.fulcio_issuers(lab), sort_keys=False))
    write_atomic(paths.settings("registry-fallback.yaml"), yaml.safe_dump(programs.distribution_settings(lab)))
    write_atomic(paths.hosts, lab.hosts)
    write_lab(paths, lab)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
