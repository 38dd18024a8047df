"""Layouts are signed byte for byte as statements are; anything else is not."""

from __future__ import annotations

import pytest
from sigstore import dsse
from sigstore.errors import Error as SigstoreError

from dhallmark.digest import Digest
from dhallmark.sign.payload import holds_layout, signable
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject

STATEMENT = Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=[Subject("x", Digest.of(b"x"))], predicate={})


@pytest.mark.parametrize("payload", [STATEMENT.payload, b'{"_type":  "layout", "steps": []}'])
def test_signs_the_very_bytes(payload: bytes) -> None:
    kind = b"application/vnd.in-toto+json"
    assert signable(payload)._pae() == b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    assert isinstance(signable(payload), dsse.Statement)


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b'{"_type": "link"}', b'{"_type": "layout", "_type": "layout"}', b"\xff"]
)
def test_signs_nothing_else(payload: bytes) -> None:
    assert not holds_layout(payload)
    with pytest.raises(SigstoreError):
        signable(payload)
