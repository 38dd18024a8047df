"""How a deployment is set up with a Sigstore of its own where its configuration cannot name a trust root.

A TUF mirror serves the trust root, and files that the environment names serve what older code reads by itself. cosign's
libraries read these variables wherever they are built in: in Flux's source-controller, too.
Source: github.com/sigstore/cosign v3, pkg/cosign/env.
"""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.controls.consumers.tuf_mirror import serving_trust

_PEM_COLUMNS: Final = 64


@contextmanager
def deployed(trusted_root: bytes, home: Path) -> Iterator[Mapping[str, str]]:
    """The environment's variables for `trusted_root`; files go to `home`, the mirror lives as long as the context.

    Raises FormatError where it is no trust root.
    """
    content = strictjson.parse(trusted_root, what="trust root")
    with serving_trust(trusted_root) as mirror:
        files = {
            "TUF_ROOT_JSON": mirror.root,
            "SIGSTORE_ROOT_FILE": _certificates(content),
            "SIGSTORE_REKOR_PUBLIC_KEY": _first_key(content.get("tlogs", ())),
            "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": _first_key(content.get("ctlogs", ())),
        }
        variables = {"TUF_MIRROR": mirror.url, "TUF_ROOT": str(home / "tuf")}
        for name, data in files.items():
            path = home / name.lower()
            path.write_bytes(data)
            variables[name] = str(path)
        yield variables


def _certificates(content: Mapping[str, Any]) -> bytes:
    """All certificates of all authorities: the code that reads them tells roots from others by itself."""
    return b"".join(
        _pem("CERTIFICATE", certificate["rawBytes"])
        for authority in content.get("certificateAuthorities", ())
        for certificate in authority["certChain"]["certificates"]
    )


def _first_key(logs: Sequence[Mapping[str, Any]]) -> bytes:
    """One key: the variable takes no more. Only signatures of the older format are checked with it."""
    return _pem("PUBLIC KEY", logs[0]["publicKey"]["rawBytes"]) if logs else b""


def _pem(label: str, raw: str) -> bytes:
    body = base64.b64encode(base64.b64decode(raw)).decode()
    lines = "\n".join(textwrap.wrap(body, _PEM_COLUMNS))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()
