"""The TUF mirror, asked by python-tuf's own client, and what a deployment is told of it."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from tuf.ngclient import Updater  # type: ignore[attr-defined]

from dhallmark.controls.consumers.trust_deployment import deployed
from dhallmark.controls.consumers.tuf_mirror import TARGET, serving_trust
from dhallmark.errors import FormatError
from dhallmark.lab import pki
from dhallmark.lab.trust import trusted_root

CONTENT = b'{"tlogs": []}'


def fetch(url: str, root: bytes, folder: Path) -> bytes:
    """What a client finds that trusts `root`."""
    (folder / "metadata").mkdir()
    (folder / "targets").mkdir()
    updater = Updater(
        str(folder / "metadata"), url, str(folder / "targets"), f"{url}/targets/", bootstrap=root
    )  # fmt: skip
    updater.refresh()
    target = updater.get_targetinfo(TARGET)
    assert target is not None
    return Path(updater.download_target(target)).read_bytes()


def get(url: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", urlsplit(url).path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_client_finds_the_trust_root(tmp_path: Path) -> None:
    with serving_trust(CONTENT) as mirror:
        assert fetch(mirror.url, mirror.root, tmp_path) == CONTENT


def test_nothing_else_is_served_and_nothing_afterwards() -> None:
    with serving_trust(CONTENT) as mirror:
        assert get(f"{mirror.url}/2.root.json") == (404, b"")
        url = mirror.url
    with pytest.raises(OSError, match="refused"):
        get(f"{url}/1.root.json")


def test_a_deployment_is_told_where_mirror_and_keys_are(tmp_path: Path) -> None:
    ca = pki.fulcio_chain("lab")
    rekor, ct = pki.signing_key(), pki.signing_key()
    body = trusted_root(
        fulcio=("https://fulcio.test", ca.certificates),
        rekor=("https://rekor.test", pki.public_der(rekor)),
        ctlog=("https://ct.test", pki.public_der(ct)),
        timestamp=("https://tsa.test", pki.timestamp_chain().certificates),
    )
    with deployed(json.dumps(body).encode(), tmp_path) as variables:
        certificates = x509.load_pem_x509_certificates(Path(variables["SIGSTORE_ROOT_FILE"]).read_bytes())
        assert certificates == list(ca.certificates)
        for name, key in (("SIGSTORE_REKOR_PUBLIC_KEY", rekor), ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", ct)):
            assert load_pem_public_key(Path(variables[name]).read_bytes()) == key.public_key()
        root = json.loads(Path(variables["TUF_ROOT_JSON"]).read_bytes())
        assert datetime.fromisoformat(root["signed"]["expires"]) > datetime.now(UTC)
        assert get(f"{variables['TUF_MIRROR']}/1.root.json") == (200, Path(variables["TUF_ROOT_JSON"]).read_bytes())


def test_what_is_no_trust_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError), deployed(b"{", tmp_path):
        pass
