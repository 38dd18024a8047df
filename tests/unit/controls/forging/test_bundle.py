"""Forged bundles: without a flaw they are accepted, and with one that flaw is all that is found."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from dhallmark.controls.forging.authorities import LONG_AGO, PAST, Forgers, Of
from dhallmark.controls.forging.bundle import GENUINE, GENUINE_V1, NOW, Forger, Recipe, Stamp
from dhallmark.controls.forging.certificate import Leaf
from dhallmark.controls.forging.log import Entry
from dhallmark.errors import UsageError
from dhallmark.identity import Identity, KeyIdentity
from dhallmark.lab import pki
from dhallmark.lab.create import create_lab
from dhallmark.lab.model import LabPaths
from dhallmark.reasons import Reason
from dhallmark.verdict import Outcome
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot

RETIRED = Recipe(
    ca=Of.RETIRED,
    log=Of.RETIRED,
    leaf=Leaf(scts=(Of.RETIRED,)),
    stamps=(Stamp(of=Of.RETIRED),),
    at=PAST,
)


@pytest.mark.parametrize(
    "recipe",
    [GENUINE, GENUINE_V1, Recipe(at=PAST), RETIRED, Recipe(ca=Of.LAPSED, at=PAST), Recipe(stamps=(Stamp(), Stamp()))],
)
def test_what_is_forged_without_a_flaw_is_accepted(
    forger: Forger, forgers: Forgers, trust: TrustRoot, signer: Identity, payload: bytes, recipe: Recipe
) -> None:
    result = verify_bundle(forger.bundle(payload, signer, recipe), Terms(trust))
    assert result.verdict.outcome is Outcome.ACCEPTED, result.verdict.summary()
    assert isinstance(result.identity, Identity)
    assert (result.identity.issuer, result.identity.subject) == (signer.issuer, signer.subject)
    assert result.identity.extensions == signer.extensions
    assert set(result.times) == {forgers.now + recipe.at}


FLAWS = [
    (Recipe(ca=Of.STRANGER), Reason.CERTIFICATE_UNTRUSTED),
    (Recipe(issued=timedelta(hours=1)), Reason.CERTIFICATE_OUTSIDE_VALIDITY),
    (Recipe(leaf=Leaf(scts=())), Reason.CERTIFICATE_SCT),
    (Recipe(leaf=Leaf(sct_of_another=True)), Reason.CERTIFICATE_SCT),
    (Recipe(leaf=Leaf(digital_signature=False)), Reason.CERTIFICATE_PROFILE),
    (Recipe(signs=lambda content: content + b" "), Reason.SIGNATURE_INVALID),
    (Recipe(payload_type="text/plain"), Reason.ENVELOPE_PAYLOAD_TYPE),
    (Recipe(log_signer=Of.STRANGER), Reason.LOG_CHECKPOINT),
    (Recipe(entry=Entry(origin="other.test")), Reason.LOG_ORIGIN),
    (Recipe(entry=Entry(root=bytes(32))), Reason.LOG_INCLUSION),
    (Recipe(entry=Entry(index=1)), Reason.LOG_INCLUSION),
    (Recipe(entry=Entry(v1=True), log_signer=Of.STRANGER), None),
    (Recipe(stamps=()), Reason.TIMESTAMP_MISSING),
    (Recipe(stamps=(Stamp(other_bytes=True),)), Reason.TIMESTAMP_INVALID),
    (Recipe(message=True), None),
]


@pytest.mark.parametrize(("recipe", "reason"), FLAWS)
def test_a_flaw_is_all_that_is_found(
    forger: Forger, trust: TrustRoot, signer: Identity, payload: bytes, recipe: Recipe, reason: Reason | None
) -> None:
    verdict = verify_bundle(forger.bundle(payload, signer, recipe), Terms(trust)).verdict
    assert verdict.outcome is Outcome.REJECTED
    if reason is not None:  # a promise by another log is no time either
        assert verdict.reasons == {reason}


def test_a_key_signs_under_its_own_hint_and_another_under_the_same(
    forger: Forger, forgers: Forgers, trust: TrustRoot, signer: Identity, payload: bytes
) -> None:
    key = ManagedKey.parse(pki.public_pem(forgers.managed))
    good = verify_bundle(forger.bundle(payload, signer, Recipe(keyed=True)), Terms(trust, [key]))
    assert good.verdict.outcome is Outcome.ACCEPTED
    assert good.identity == KeyIdentity(fingerprint=key.identity.fingerprint)
    other = forger.bundle(payload, signer, Recipe(keyed=True, other_key=True))
    assert verify_bundle(other, Terms(trust, [key])).verdict.reason is Reason.SIGNATURE_INVALID
    hints = {json.loads(forger.bundle(payload, signer, Recipe(keyed=True, other_key=one)))["verificationMaterial"]
             ["publicKey"]["hint"] for one in (True, False)}  # fmt: skip
    assert len(hints) == 1


@pytest.mark.parametrize("at", [NOW, PAST, -LONG_AGO])
def test_the_keys_of_a_lab_sign_what_its_own_trust_root_accepts(
    tmp_path: Path, signer: Identity, payload: bytes, at: timedelta
) -> None:
    """Also what was signed long before the lab was made: controls need it."""
    lab = create_lab(tmp_path / "lab")
    trust = TrustRoot.load(LabPaths(tmp_path / "lab").trust(lab.main_authority) / "trusted_root.json")
    bundle = Forger(Forgers.make(lab=tmp_path / "lab")).bundle(payload, signer, Recipe(at=at))
    verdict = verify_bundle(bundle, Terms(trust)).verdict
    assert verdict.outcome is Outcome.ACCEPTED, verdict.summary()
    stranger = Forger(Forgers.make()).bundle(payload, signer)
    assert verify_bundle(stranger, Terms(trust)).verdict.outcome is Outcome.REJECTED


def test_a_lab_that_began_too_late_signs_nothing_in_the_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pki, "AGE", timedelta(hours=1))
    create_lab(tmp_path / "lab")
    with pytest.raises(UsageError, match="began too late"):
        Forgers.make(lab=tmp_path / "lab")
