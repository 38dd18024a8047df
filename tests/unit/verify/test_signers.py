"""Thresholds count signers, each as another identity of the policy."""

from __future__ import annotations

import pytest

from dhallmark.digest import Digest
from dhallmark.identity import Identity, KeyIdentity, Signatory
from dhallmark.verify.signers import count_signers

ANN, BOB, EVE = (Identity(issuer="https://issuer.test", subject=name) for name in ("ann", "bob", "eve"))
KEY = KeyIdentity(fingerprint=Digest.of(b"key"))


@pytest.mark.parametrize(
    ("found", "count"),
    [
        ([], 0),
        ([(ANN, ["a"])], 1),
        ([(ANN, ["a"]), (BOB, ["b"])], 2),
        ([(ANN, ["a"]), (ANN, ["a"])], 1),
        # One person under two names of the policy is one; two people under one name, too.
        ([(ANN, ["a", "b"])], 1),
        ([(ANN, ["a"]), (ANN, ["b"])], 1),
        ([(ANN, ["a"]), (BOB, ["a"])], 1),
        # The best assignment counts, whatever the order.
        ([(ANN, ["a", "b"]), (BOB, ["a"])], 2),
        ([(BOB, ["a"]), (ANN, ["a", "b"])], 2),
        ([(ANN, ["a", "b"]), (BOB, ["a", "b"]), (EVE, ["a", "b"])], 2),
        ([(ANN, ["a", "b", "c"]), (BOB, ["a", "b"]), (EVE, ["a"])], 3),
        ([(KEY, ["a"]), (ANN, ["b"]), (KEY, ["a"])], 2),
        ([(ANN, [])], 0),
    ],
)
def test_different_signers_are_counted(found: list[tuple[Signatory, list[str]]], count: int) -> None:
    assert count_signers(found) == count
