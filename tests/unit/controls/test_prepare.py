"""What preparing a control does to the user's policy."""

from __future__ import annotations

from dhallmark.config.load import parse_policy
from dhallmark.controls.prepare import believing
from dhallmark.digest import Digest

GIVEN, OTHER, MERGED = Digest.of(b"given"), Digest.of(b"other"), Digest.of(b"merged")
POLICY = b"""\
schemaVersion: 1
identities: {release: {issuer: https://issuer.test, subject: https://subject.test}}
statements: [{predicateType: https://sigstore.dev/cosign/sign/v1, identities: [release]}]
"""
PINNED = (
    POLICY
    + f"""\
trustRoot:
  accepted:
    - {{digest: "{OTHER}", confirmed: 2026-01-01T00:00:00Z}}
    - {{digest: "{GIVEN}", confirmed: 2026-11-01T00:00:00Z}}
  maxAge: 30d
""".encode()
)


def test_a_policy_that_believes_any_trust_root_stays_as_it_is() -> None:
    assert believing(POLICY, MERGED, given=GIVEN) == POLICY


def test_the_trust_root_with_the_forgers_is_believed_as_the_given_one_is() -> None:
    policy = parse_policy(believing(PINNED, MERGED, given=GIVEN), file="policy.yaml")
    assert policy.trust_root is not None
    found = {one.digest: one.confirmed.date().isoformat() for one in policy.trust_root.accepted}
    assert found == {OTHER: "2026-01-01", GIVEN: "2026-11-01", MERGED: "2026-11-01"}
