"""A read-only registry over OCI layouts, on the loopback of the namespace that a control runs in.

It answers as the distribution specification says, with the referrers API, and checks nothing: the consumer must. That
it works at all is shown by the positive twin, which the same server serves before and after each mutant.
Source: OCI distribution-spec 1.1, "Pull" and "Content Discovery".
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dhallmark import strictjson
from dhallmark.controls.layout import Layout
from dhallmark.digest import Digest
from dhallmark.oci.descriptor import OCI_INDEX

_PATH = re.compile(r"/v2/(?P<name>[a-z0-9-]+)/(?P<kind>manifests|blobs|referrers)/(?P<digest>sha256:[0-9a-f]{64})")


@contextmanager
def serving(repositories: Mapping[str, Layout]) -> Iterator[str]:
    """Serve `repositories` by name for the time of the context; yields `host:port`."""

    class Handler(_Handler):
        layouts = repositories

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="control registry", daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    layouts: Mapping[str, Layout]
    protocol_version = "HTTP/1.1"
    # One packet an answer: written in two, the second waits 40 ms for the first one's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer GET, and HEAD without the body."""
        path = self.path.partition("?")[0]
        if path in ("/v2", "/v2/"):
            self._answer(b"{}", "application/json")
            return
        match = _PATH.fullmatch(path)
        layout = self.layouts.get(match["name"]) if match else None
        found = _find(layout, match["kind"], Digest(match["digest"])) if match and layout else None
        if found is None:
            self._answer(b'{"errors":[{"code":"NOT_FOUND"}]}', "application/json", status=HTTPStatus.NOT_FOUND)
        else:
            self._answer(*found, digest=match["digest"] if match and match["kind"] != "referrers" else "")

    do_HEAD = do_GET  # noqa: N815  (the names are the standard library's)

    def _answer(self, body: bytes, media_type: str, *, status: HTTPStatus = HTTPStatus.OK, digest: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the standard library's name)
        """Say nothing: standard error belongs to the consumer."""


def _find(layout: Layout, kind: str, digest: Digest) -> tuple[bytes, str] | None:
    if kind == "manifests":
        manifest = layout.manifests.get(digest)
        return (manifest.content, manifest.media_type) if manifest else None
    if kind == "blobs":
        blob = layout.blobs.get(digest)
        return None if blob is None else (blob, "application/octet-stream")
    listed = [manifest.descriptor.to_json() for manifest in layout.referrers(digest)]
    return strictjson.dump_compact({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}), OCI_INDEX
