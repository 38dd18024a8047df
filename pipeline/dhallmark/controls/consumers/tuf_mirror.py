"""A TUF repository that serves one trust root, as the operator of a private Sigstore runs one.

Some consumers take their trust root from a TUF mirror and from nowhere else. The mirror is served on loopback while
they are asked; the key that signs its metadata is made for it and kept nowhere.
Source: TUF specification 1.0, with consistent snapshots.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, TypeVar

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.metadata import (  # type: ignore[attr-defined]
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

TARGET: Final = "trusted_root.json"
_VALID = timedelta(hours=1)
_T = TypeVar("_T", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where the repository is, and the root that a client must be given."""

    url: str
    root: bytes


@contextmanager
def serving_trust(trusted_root: bytes) -> Iterator[Mirror]:
    """Serve `trusted_root` for the time of the context, on a free port of 127.0.0.1."""
    files = make_repository(trusted_root)

    class Handler(_Handler):
        content = files

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="TUF mirror", daemon=True)
    thread.start()
    try:
        yield Mirror(url=f"http://127.0.0.1:{server.server_address[1]}", root=files["/1.root.json"])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_repository(trusted_root: bytes) -> Mapping[str, bytes]:
    """The files of a repository with the one target `trusted_root.json`, by URL path."""
    signer = CryptoSigner.generate_ed25519()
    expires = datetime.now(UTC).replace(microsecond=0) + _VALID
    target = TargetFile.from_data(TARGET, trusted_root, ["sha256"])
    targets = _signed(Targets(expires=expires, targets={TARGET: target}), signer)
    snapshot = _signed(Snapshot(expires=expires, meta={"targets.json": _meta(targets)}), signer)
    timestamp = _signed(Timestamp(expires=expires, snapshot_meta=_meta(snapshot)), signer)
    root = Root(expires=expires, consistent_snapshot=True)
    for role in ("root", "targets", "snapshot", "timestamp"):
        root.add_key(signer.public_key, role)
    return {
        "/1.root.json": _signed(root, signer),
        "/timestamp.json": timestamp,
        "/1.snapshot.json": snapshot,
        "/1.targets.json": targets,
        f"/targets/{target.hashes['sha256']}.{TARGET}": trusted_root,
    }


def _signed(role: _T, signer: CryptoSigner) -> bytes:
    metadata = Metadata(role)
    metadata.sign(signer)
    return metadata.to_bytes(JSONSerializer(compact=True))


def _meta(content: bytes) -> MetaFile:
    return MetaFile.from_data(1, content, ["sha256"])


class _Handler(BaseHTTPRequestHandler):
    content: Mapping[str, bytes]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = self.content.get(self.path)
        self.send_response(HTTPStatus.OK if found is not None else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        self.wfile.write(found or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
