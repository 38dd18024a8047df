"""Mutated bundles of every form: a verdict each time, and where it is `accepted`, on nothing but what was signed.

A mutation may be harmless (a hint, an integer's other spelling, evidence that is not needed), or make of a good bundle
the other that it took parts from. Then what the result says is what one of the two said, with no time of another.
"""

from __future__ import annotations

import base64
import copy
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Outcome
from dhallmark.verify.bundle import BundleResult, verify_bundle, verify_parts
from dhallmark.verify.demands import Demands, SignatureKind
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.parse import parse_bundle
from dhallmark.verify.pausing import in_step
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
KEYED = Demands(kinds=frozenset(SignatureKind), log_entries=0, scts=1)
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
    return verify_bundle(content, Terms(trust, [MANAGED], KEYED))


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


ODD_TEXTS = ("", "0", "-1", "1", "9223372036854775808", "AA==", "A", "\u0000", "SHA2_512", "0.0.1", "dsse")
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(ODD_TEXTS),
    st.text(max_size=8),
    st.lists(st.text(max_size=4), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


class Draws(Protocol):
    """Where the choices of a mutation come from."""

    def choice(self, items: Sequence[Any]) -> Any: ...  # noqa: ANN401

    def number(self, most: int) -> int: ...

    def odd(self) -> Any: ...  # noqa: ANN401

    """A value that may not belong there."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Hypothesis chooses: it finds the smallest case that fails."""

    data: st.DataObject

    def choice(self, items: Sequence[Any]) -> Any:  # noqa: ANN401
        return self.data.draw(st.sampled_from(items))

    def number(self, most: int) -> int:
        return self.data.draw(st.integers(0, most))

    def odd(self) -> Any:  # noqa: ANN401
        return self.data.draw(ODD)


@dataclass(frozen=True, slots=True)
class Seeded:
    """A number chooses: in the time of one case of Hypothesis's it makes several."""

    seed: Random

    def choice(self, items: Sequence[Any]) -> Any:  # noqa: ANN401
        return self.seed.choice(items)

    def number(self, most: int) -> int:
        return self.seed.randint(0, most)

    def odd(self) -> Any:  # noqa: ANN401
        text = "".join(chr(self.seed.randint(0, self.seed.choice((0x7F, 0xD7FF)))) for _ in "abc")
        number = self.seed.choice((self.seed.randint(-2, 2), self.seed.getrandbits(70)))
        return self.seed.choice([None, True, False, number, text, [text], {text: number}, *ODD_TEXTS])


def mutate(bundle: Json, other: Json, draws: Draws) -> None:
    path = draws.choice(paths(bundle))
    holder, key = at(bundle, path[:-1]), path[-1]
    how = draws.choice(["odd", "drop", "graft", "flip", "double", "rename"])
    value = holder[key]
    if how == "odd":
        holder[key] = draws.odd()
    elif how == "drop":
        del holder[key]
    elif how == "graft":  # from another bundle, which is as good
        try:
            holder[key] = copy.deepcopy(at(other, path))
        except (KeyError, IndexError, TypeError):
            holder[key] = None
    elif how == "double" and isinstance(value, list) and value:
        value.append(copy.deepcopy(draws.choice(value)))
    elif how == "rename" and isinstance(holder, dict):
        holder[draws.choice(["x", "publicKey", "certificate", "dsseEnvelope", "keyid"])] = holder.pop(key)
    elif isinstance(value, str) and value:
        holder[key] = flipped(value, draws)


def flipped(value: str, draws: Draws) -> str:
    """A bit of what is in base64 flipped, or a character of what is not replaced."""
    try:
        content = bytearray(base64.b64decode(value, validate=True))
    except ValueError:
        content = bytearray()
    position = draws.number(2**16)
    if not content:
        index = position % len(value)
        return value[:index] + chr(ord(value[index]) ^ 1) + value[index + 1 :]
    content[position // 8 % len(content)] ^= 1 << position % 8
    return base64.b64encode(bytes(content)).decode()


def check(form: str, bundle: Json, result: BundleResult, before: Sequence[BundleResult]) -> None:
    """Refused with a reason, or harmless."""
    if result.verdict.outcome is Outcome.ACCEPTED:
        assert any(said(result) == said(one) and set(result.times) <= set(one.times) for one in before), bundle
        assert result.times or form.startswith("key"), bundle
    else:
        assert said(result) == (None, None, None)
        assert result.verdict.reason is not None


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
    draws = Drawn(data)
    for _ in range(1 + draws.number(1)):
        mutate(bundle, other, draws)
    check(form, bundle, verify(json.dumps(bundle).encode(), instance.trust()), before)


def test_so_is_a_mutant_that_a_number_makes(made: dict[str, Pair], instance: Instance) -> None:
    """DHALLMARK_FUZZ times 2,000 of all forms, in step as those of a run are.

    A number makes the same mutation each time: DHALLMARK_FUZZ_FIRST is the one to begin with.
    """
    terms = Terms(instance.trust(), [MANAGED], KEYED)
    texts = {form: json.dumps(good) for form, (good, _, _) in made.items()}
    outcomes: Counter[Outcome] = Counter()
    first = int(os.environ.get("DHALLMARK_FUZZ_FIRST", "0"))
    numbers = range(first, first + 2_000 * int(os.environ.get("DHALLMARK_FUZZ", "1")))
    for batch in (numbers[start : start + 32] for start in range(0, len(numbers), 32)):
        forms = [list(FORMS)[number % len(FORMS)] for number in batch]
        bundles = [json.loads(texts[form]) for form in forms]
        for number, form, bundle in zip(batch, forms, bundles, strict=True):
            draws = Seeded(Random(number))  # noqa: S311 - to be made again
            for _ in range(1 + draws.number(1)):
                mutate(bundle, made[form][1], draws)
        contents = [json.dumps(bundle).encode() for bundle in bundles]
        results = in_step(
            verify_parts(lambda content=content: parse_bundle(content), terms, name=str(number))  # type: ignore[misc]
            for number, content in zip(batch, contents, strict=True)
        )
        for form, bundle, result in zip(forms, bundles, results, strict=True):
            check(form, bundle, result, made[form][2])
            outcomes[result.verdict.outcome] += 1
    print(f"{len(numbers)} mutants: {dict(outcomes)}")
    assert outcomes[Outcome.REJECTED] > outcomes[Outcome.ACCEPTED] > 0


@pytest.mark.parametrize("form", FORMS)
def test_a_bundle_that_is_cut_anywhere_is_refused(made: dict[str, Pair], instance: Instance, form: str) -> None:
    content, trust = json.dumps(made[form][0]).encode(), instance.trust()
    for end in range(0, len(content), 97):
        assert verify(content[:end], trust).verdict.outcome is Outcome.REJECTED
