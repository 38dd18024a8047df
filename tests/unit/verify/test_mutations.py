"""Mutated bundles of every form: a verdict each time, and where it is `accepted`, on nothing but what was signed.

A mutation may be harmless (a hint, an integer's other spelling, evidence that is not needed), or make of a good bundle
the other that it took parts from. Then what the result says is what one of the two said, with no time of another.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Outcome
from dhallmark.verify.bundle import BundleResult, verify_bundle
from dhallmark.verify.demands import Demands, SignatureKind
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance

Json = dict[str, Any]
Pair = tuple[Json, Json, list[BundleResult]]
MESSAGE = b"the bytes of a file"
PAYLOADS = [
    Statement.build(
        predicate_type=COSIGN_SIGN_V1, subjects=[Subject("registry.test/web", Digest.of(content))], predicate={}
    ).payload
    for content in (b"web", b"other")
]
KEY = ec.generate_private_key(ec.SECP256R1())
MANAGED = ManagedKey.parse(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def _chain(bundle: Json) -> Json:
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"
    material = bundle["verificationMaterial"]
    material["x509CertificateChain"] = {"certificates": [material.pop("certificate")]}
    return bundle


FORMS: dict[str, Callable[[Instance, int], Json]] = {
    "Rekor v1": lambda i, n: i.sign(PAYLOADS[n]),
    "Rekor v1, with a timestamp": lambda i, n: i.sign(PAYLOADS[n], stamps=lambda c: [i.stamp(c)]),
    "Rekor v2": lambda i, n: i.sign(PAYLOADS[n], kind=("hashedrekord", "0.0.2"), stamps=lambda c: [i.stamp(c)]),
    "intoto, v0.1": lambda i, n: _chain(i.sign(PAYLOADS[n], kind=("intoto", "0.0.2"))),
    "message": lambda i, n: i.sign_message(MESSAGE + bytes([n])),
    "message, Rekor v2": lambda i, n: i.sign_message(
        MESSAGE + bytes([n]), kind=("hashedrekord", "0.0.2"), stamps=lambda c: [i.stamp(c)]
    ),
    "key": lambda i, n: i.sign(PAYLOADS[n], key=KEY),
    "key, no log": lambda i, n: i.sign(PAYLOADS[n], key=KEY, kind=None),
}


def verify(content: bytes, trust: TrustRoot) -> BundleResult:
    keyed = Demands(kinds=frozenset(SignatureKind), log_entries=0, scts=1)
    return verify_bundle(content, Terms(trust, [MANAGED], keyed))


def said(result: BundleResult) -> tuple[object, ...]:
    return (result.statement and result.statement.payload, result.identity, result.message)


def paths(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += paths(item, (*path, key))
    return found


def at(value: Any, path: tuple[Any, ...]) -> Any:  # noqa: ANN401
    for key in path:
        value = value[key]
    return value


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(["", "0", "-1", "1", "9223372036854775808", "AA==", "A", "\u0000", "SHA2_512", "0.0.1", "dsse"]),
    st.text(max_size=8),
    st.lists(st.text(max_size=4), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


def mutate(bundle: Json, other: Json, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths(bundle)))
    holder, key = at(bundle, path[:-1]), path[-1]
    how = data.draw(st.sampled_from(["odd", "drop", "graft", "flip", "double", "rename"]))
    value = holder[key]
    if how == "odd":
        holder[key] = data.draw(ODD)
    elif how == "drop":
        del holder[key]
    elif how == "graft":  # from another bundle, which is as good
        try:
            holder[key] = copy.deepcopy(at(other, path))
        except (KeyError, IndexError, TypeError):
            holder[key] = None
    elif how == "double" and isinstance(value, list) and value:
        value.append(copy.deepcopy(data.draw(st.sampled_from(value))))
    elif how == "rename" and isinstance(holder, dict):
        holder[data.draw(st.sampled_from(["x", "publicKey", "certificate", "dsseEnvelope", "keyid"]))] = holder.pop(key)
    elif isinstance(value, str) and value:
        holder[key] = flipped(value, data)


def flipped(value: str, data: st.DataObject) -> str:
    """A bit of what is in base64 flipped, or a character of what is not replaced."""
    try:
        content = bytearray(base64.b64decode(value, validate=True))
    except ValueError:
        content = bytearray()
    position = data.draw(st.integers(0, 2**16))
    if not content:
        index = position % len(value)
        return value[:index] + chr(ord(value[index]) ^ 1) + value[index + 1 :]
    content[position // 8 % len(content)] ^= 1 << position % 8
    return base64.b64encode(bytes(content)).decode()


@pytest.fixture(scope="module")
def made(instance: Instance) -> dict[str, Pair]:
    """For each form two good bundles, and what is said of them."""
    found = {}
    for name, make in FORMS.items():
        bundles = (make(instance, 0), make(instance, 1))
        results = [verify(json.dumps(bundle).encode(), instance.trust()) for bundle in bundles]
        for result in results:
            assert result.verdict.outcome is Outcome.ACCEPTED, (name, result.verdict.to_json())
        found[name] = (*bundles, results)
    return found


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=150)
@given(data=st.data())
def test_a_mutant_is_refused_or_says_what_was_signed(
    made: dict[str, Pair], instance: Instance, form: str, data: st.DataObject
) -> None:
    good, other, before = made[form]
    bundle = copy.deepcopy(good)
    for _ in range(data.draw(st.integers(1, 2))):
        mutate(bundle, other, data)
    result = verify(json.dumps(bundle).encode(), instance.trust())
    if result.verdict.outcome is Outcome.ACCEPTED:
        assert any(said(result) == said(one) and set(result.times) <= set(one.times) for one in before), bundle
        assert result.times or form.startswith("key"), bundle
    else:
        assert said(result) == (None, None, None)
        assert result.verdict.reason is not None


@pytest.mark.parametrize("form", FORMS)
def test_a_bundle_that_is_cut_anywhere_is_refused(made: dict[str, Pair], instance: Instance, form: str) -> None:
    content, trust = json.dumps(made[form][0]).encode(), instance.trust()
    for end in range(0, len(content), 97):
        assert verify(content[:end], trust).verdict.outcome is Outcome.REJECTED
