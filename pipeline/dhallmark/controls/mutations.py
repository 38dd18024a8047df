"""The ways in which the catalogue makes mutants: small functions that yield mutations.

`resigned` has the forger sign the same statements, as a recipe says; `restated` has the forger sign other statements,
flawlessly. Both keep the artifact's own bytes. What the user's own signer signed is carried along, and never altered:
which log vouches for it, and so what a consumer says first, is not for a control to know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from dhallmark import strictjson
from dhallmark.control import Mutation, NotApplicableError
from dhallmark.controls.forge import Bench, SignedStatement
from dhallmark.controls.forging.bundle import GENUINE, Recipe
from dhallmark.controls.layout import Layout
from dhallmark.digest import Digest
from dhallmark.identity import Identity, SubjectKind
from dhallmark.lab import pki
from dhallmark.statement import Statement, Subject

Json = dict[str, Any]
STRANGER = "stranger"


def resigned(recipe: Recipe = GENUINE) -> Mutation:
    """The good artifact with its statements, each signed again by the forger as `recipe` says."""

    async def mutate(bench: Bench) -> Digest:
        digest = await bench.forge.copy()
        for one in bench.signed:
            await bench.forge.attach(digest, bench.forge.sign(one.statement.payload, one.identity, recipe))
        return digest

    return mutate


def restated(change: Callable[[Bench, SignedStatement], Iterator[bytes]], *, needs: str = "") -> Mutation:
    """The good artifact with whatever payloads `change` yields for each of its statements, signed without a flaw.

    Only for releases that have a statement of the predicate type `needs`, where that is given.
    """

    async def mutate(bench: Bench) -> Digest:
        if needs:
            of_type(bench, needs)
        digest = await bench.forge.copy()
        for one in bench.signed:
            for payload in change(bench, one):
                await bench.forge.attach(digest, bench.forge.sign(payload, one.identity))
        return digest

    return mutate


def beside(payload: Callable[[Bench], bytes], *, recipe: Recipe = GENUINE) -> Mutation:
    """The good artifact with all that is signed about it, and one statement more by the same identity."""

    async def mutate(bench: Bench) -> Digest:
        digest = await bench.forge.copy()
        for bundle in bench.bundles:
            await bench.forge.attach(digest, bundle)
        await bench.forge.attach(digest, bench.forge.sign(payload(bench), bench.signer, recipe))
        return digest

    return mutate


def under_policy(change: Callable[[Bench, Json], None], mutation: Mutation) -> Mutation:
    """What `mutation` makes, judged by the user's policy after `change`."""

    async def mutate(bench: Bench) -> Digest | None:
        policy = bench.policy()
        with _shaped():
            change(bench, policy)
        bench.forge.judge_by(policy)
        return await mutation(bench)

    return mutate


async def as_it_is(bench: Bench) -> Digest:
    """The good artifact with all that is attached to it."""
    original = bench.original.layout
    bench.forge.layout = Layout(dict(original.manifests), dict(original.blobs), dict(original.tags))
    return bench.good


def keyed(recipe: Recipe, *, until: timedelta | None = None) -> Mutation:
    """The good artifact with its statements signed as `recipe` says, under a policy whose only identity is the forger's
    managed key; signatures count until then, from now, where that is given."""

    def change(bench: Bench, policy: Json) -> None:
        forgers = bench.original.forger.forgers
        bench.forge.beside[_KEY] = pki.public_pem(forgers.managed)
        end = {} if until is None else {"validUntil": (forgers.now + until).strftime("%Y-%m-%dT%H:%M:%SZ")}
        policy["identities"] = {"forger": {"key": _KEY, **end}}
        for rule in policy["statements"]:
            rule["identities"] = ["forger"]
            rule.pop("threshold", None)
        for name in ("signature", "layout"):
            policy.pop(name, None)

    return under_policy(change, resigned(recipe))


def with_key(mutation: Mutation) -> Mutation:
    """What `mutation` makes, under a policy that knows the forger's managed key, too, and gives it nothing to sign."""

    def change(bench: Bench, policy: Json) -> None:
        bench.forge.beside[_KEY] = pki.public_pem(bench.original.forger.forgers.managed)
        policy["identities"]["forger"] = {"key": _KEY}

    return under_policy(change, mutation)


_KEY = "forger.pem"


def by_expression(make: Callable[[str], str]) -> Callable[[Bench, Json], None]:
    """A change to the policy: it names its signers by expressions, `make` of whose subject is one."""

    def change(bench: Bench, policy: Json) -> None:
        signers = [one.identity for one in bench.signed]
        for name, rule in policy["identities"].items():
            if "key" not in rule:
                policy["identities"][name] = {
                    "issuerRegExp": _any_of(re.escape(signer.issuer) for signer in signers),
                    "subjectRegExp": _any_of(make(signer.subject) for signer in signers),
                    "subjectKind": signers[0].subject_kind.value,
                }

    return change


def exactly(identity: Identity) -> Json:
    """An identity as a policy names it."""
    return {"issuer": identity.issuer, "subject": identity.subject, "subjectKind": identity.subject_kind.value}


def _any_of(expressions: Iterable[str]) -> str:
    return "|".join(dict.fromkeys(expressions))


@contextmanager
def _shaped() -> Iterator[None]:
    """A policy is of many shapes, all of them valid; one that a change does not know is none that it applies to."""
    try:
        yield
    except (KeyError, IndexError, TypeError) as error:
        raise NotApplicableError(f"the policy has not the shape that this control changes: {error!r}") from error


def edited(payload: bytes, change: Callable[[Json], None]) -> bytes:
    """A payload after `change`, in its one encoding."""
    body = strictjson.parse(payload)
    change(body)
    return strictjson.dump_compact(body)


def of_type(bench: Bench, predicate_type: str) -> SignedStatement:
    """The first statement of that type. Raises NotApplicableError where there is none."""
    for one in bench.signed:
        if one.statement.predicate_type == predicate_type:
            return one
    raise NotApplicableError(f"the release has no statement of type {predicate_type}")


def note(bench: Bench, *, predicate_type: str, predicate: Json) -> bytes:
    """A statement of another type about the good artifact."""
    return Statement.build(
        predicate_type=predicate_type, subjects=[Subject(bench.name, bench.good)], predicate=predicate
    ).payload


def stranger(identity: Identity) -> Identity:
    """Another owner's identity by the same issuer, alike in all else: the first part of its path, or the local part
    of its e-mail address, is another."""
    if identity.subject_kind is not SubjectKind.URI:
        mark = "@" if identity.subject_kind is SubjectKind.EMAIL else "!"
        return replace(identity, subject=STRANGER + mark + identity.subject.partition(mark)[2])
    parts = urlsplit(identity.subject)
    host = f"{parts.scheme}://{parts.netloc}/"
    owned = host + parts.path.strip("/").partition("/")[0]

    def rename(text: str) -> str:
        return host + STRANGER + text.removeprefix(owned) if f"{text}/".startswith(f"{owned}/") else text

    return replace(
        identity,
        subject=rename(identity.subject),
        extensions={name: rename(value) for name, value in identity.extensions.items()},
    )


def foreigner(identity: Identity) -> Identity:
    """The same subject by another issuer."""
    return replace(identity, issuer="https://issuer.forge.test")


def to_url_safe(body: Json) -> None:
    """Turn the base64 of a bundle into the URL-safe alphabet, as protobuf's JSON mapping lets anyone write it."""
    for key, value in body.items():
        if isinstance(value, dict):
            to_url_safe(value)
        elif isinstance(value, list) and key != "hashes":
            for item in value:
                to_url_safe(item)
        elif isinstance(value, list):
            body[key] = [item.translate(_URL_SAFE) for item in value]
        elif key in _BASE64:
            body[key] = value.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")
_BASE64 = {"rawBytes", "keyId", "rootHash", "signedEntryTimestamp", "canonicalizedBody", "signedTimestamp", "payload",
           "sig", "signature", "digest"}  # fmt: skip


def retargeted(payload: bytes, good: Digest, other: Digest) -> bytes:
    """A payload that names `other` wherever it named `good`."""
    return payload.replace(good.hex.encode(), other.hex.encode())
