"""Reading an in-toto layout: from signed bytes to typed parts, or a refusal that says what is wrong.

Source: in-toto specification 1.0, 4.3 "File formats: layout". What is added to it, and why all else that is not known
is refused, is in docs/adr/0015-layouts.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from in_toto.rulelib import unpack_rule
from securesystemslib.exceptions import Error as SecureSystemsError

from dhallmark import strictjson
from dhallmark.errors import FormatError
from dhallmark.reasons import Reason
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.refusal import Refusal, border

MAX_LAYOUT_BYTES = 1024 * 1024
MAX_ITEMS = 64
"""Steps and inspections together."""
MAX_RULES = 256
"""Of the materials, or of the products, of one step."""
MAX_PATTERN = 1024
"""Characters of each part of a rule."""
MAX_THRESHOLD = 64

_EXPIRES = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_KEY_ID = re.compile(r"[0-9a-f]{8,128}")
_IDENTITY = re.compile(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?")

_LAYOUT_KEYS = frozenset({"_type", "version", "expires", "readme", "keys", "steps", "inspect"})
_ITEM_KEYS = frozenset({"_type", "name", "expected_materials", "expected_products"})
_STEP_KEYS = _ITEM_KEYS | {"pubkeys", "identities", "build_types", "threshold", "expected_command"}
_INSPECTION_KEYS = _ITEM_KEYS | {"run"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One artifact rule (in-toto specification 1.0, 4.3.3)."""

    words: tuple[str, ...]
    """As it stands in the layout."""
    data: Mapping[str, str]
    """As in-toto unpacks it: `rule_type`, `pattern`, and for MATCH its prefixes and its destination."""

    @property
    def step(self) -> str:
        """The item that a MATCH looks at; empty for other rules."""
        return self.data.get("dest_name", "")

    def __str__(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What steps and inspections have in common."""

    name: str
    materials: tuple[Rule, ...]
    products: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Item):
    """A step that must have been done."""

    identities: tuple[str, ...]
    """Names of identities of the policy that may do it."""
    keys: tuple[ManagedKey, ...]
    """Keys of the layout that may do it, each once."""
    build_types: tuple[str, ...]
    """Build types of SLSA provenance that stand for it; a link always does."""
    threshold: int
    """How many of them, at least, must report the same."""
    command: tuple[str, ...]
    """What the layout expects to have been run; told in the report, as a link's word for it proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection(Item):
    """A check of the artifact itself at verification."""

    run: tuple[str, ...]
    """Which one. Compared with those that are known; never run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A layout. Nothing in it is verified by reading it."""

    version: int
    """0 where it has none."""
    expires: datetime
    readme: str
    steps: tuple[Step, ...]
    """At least one."""
    inspections: tuple[Inspection, ...]

    @classmethod
    def parse(cls, payload: bytes) -> Layout:
        """Read a layout. Raises Refusal (`layout.malformed`), and nothing else."""
        with border(Reason.LAYOUT_MALFORMED, "layout"):
            return _parse(strictjson.parse(payload, what="layout", max_bytes=MAX_LAYOUT_BYTES))

    @property
    def keys(self) -> tuple[ManagedKey, ...]:
        """The keys of all steps, each once."""
        return _distinct([key for step in self.steps for key in step.keys])


def _parse(body: object) -> Layout:
    if not isinstance(body, dict) or body.get("_type") != "layout":
        raise _malformed("not an in-toto layout")
    _only(body, _LAYOUT_KEYS, "the layout")
    version = body.get("version", 0)
    if type(version) is not int or not 0 <= version < 2**53:
        raise _malformed("version must be a number from 0 on")
    readme = body.get("readme", "")
    if not isinstance(readme, str):
        raise _malformed("readme must be a string")
    keys = _keys(body.get("keys", {}))
    steps = tuple(_step(item, keys) for item in _objects(body, "steps", "the layout"))
    inspections = tuple(_inspection(item) for item in _objects(body, "inspect", "the layout"))
    if not steps:
        raise _malformed("a layout needs at least one step")
    _check_names(steps, inspections)
    return Layout(
        version=version, expires=_expires(body.get("expires")), readme=readme, steps=steps, inspections=inspections
    )


def _expires(value: object) -> datetime:
    # in-toto takes this one form (RFC 3339 in UTC without fractions) and nothing else.
    if not isinstance(value, str) or not _EXPIRES.fullmatch(value):
        raise _malformed("expires must be a time such as 2027-01-31T00:00:00Z")
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise _malformed(f"expires is no time: {value}") from error


def _keys(value: object) -> Mapping[str, ManagedKey]:
    """The public keys by their id. The id is a label: keys are told apart by what they are (S11, S12)."""
    if not isinstance(value, dict):
        raise _malformed("keys must be an object")
    found = {}
    for keyid, item in value.items():
        public = item.get("keyval", {}).get("public") if isinstance(item, dict) else None
        if not _KEY_ID.fullmatch(keyid) or not isinstance(public, str):
            raise _malformed("a key must have an id in hex and a public key", found=keyid)
        try:
            found[keyid] = ManagedKey.parse(public.encode())
        except FormatError as error:
            raise _malformed(f"the key {keyid} is {error.message}") from error
    return found


def _step(body: Mapping[str, Any], keys: Mapping[str, ManagedKey]) -> Step:
    name = _item_name(body, "step", _STEP_KEYS)
    keyids = _strings(body, "pubkeys", name)
    unknown = [keyid for keyid in keyids if keyid not in keys]
    if unknown:
        raise _malformed(f"the step {name} names a key that the layout does not have", found=unknown[0])
    identities = _strings(body, "identities", name)
    odd = [one for one in identities if not _IDENTITY.fullmatch(one)]
    if odd:
        raise _malformed(f"the step {name} names an identity that no policy can have", found=odd[0])
    threshold = body.get("threshold", 1)
    distinct = _distinct([keys[keyid] for keyid in keyids])
    authorised = len(set(identities)) + len(distinct)
    if type(threshold) is not int or not 1 <= threshold <= MAX_THRESHOLD:
        raise _malformed(f"the threshold of the step {name} must be a number from 1 to {MAX_THRESHOLD}")
    if threshold > authorised:
        raise _malformed(f"the step {name} needs more functionaries than it names", found=str(authorised))
    return Step(
        name=name,
        identities=tuple(dict.fromkeys(identities)),
        keys=distinct,
        build_types=_strings(body, "build_types", name),
        threshold=threshold,
        command=_strings(body, "expected_command", name),
        materials=_rules(body, "expected_materials", name),
        products=_rules(body, "expected_products", name),
    )


def _inspection(body: Mapping[str, Any]) -> Inspection:
    name = _item_name(body, "inspection", _INSPECTION_KEYS)
    return Inspection(
        name=name,
        run=_strings(body, "run", name),
        materials=_rules(body, "expected_materials", name),
        products=_rules(body, "expected_products", name),
    )


def _item_name(body: Mapping[str, Any], kind: str, known: frozenset[str]) -> str:
    if body.get("_type", kind) != kind:
        raise _malformed(f"expected a {kind}", found=str(body["_type"])[:100])
    name = body.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _malformed(f"the name of a {kind} must be letters, digits, '.', '_' and '-'", found=str(name)[:100])
    _only(body, known, f"the {kind} {name}")
    return name


def _check_names(steps: Sequence[Step], inspections: Sequence[Inspection]) -> None:
    """Refuse what could be read in two ways: a name or build type of two items, a MATCH with what is not there."""
    if len(steps) + len(inspections) > MAX_ITEMS:
        raise _malformed(f"more than {MAX_ITEMS} steps and inspections")
    names = [item.name for item in (*steps, *inspections)]
    if len({name.casefold() for name in names}) != len(names):
        raise _malformed("two steps or inspections have one name")
    types = [build_type for step in steps for build_type in step.build_types]
    if len(set(types)) != len(types):
        raise _malformed("one build type stands for two steps")
    of_steps = {step.name for step in steps}
    for item in (*steps, *inspections):
        # As in in-toto, steps are judged before inspections: a step cannot be matched with one.
        known = of_steps if isinstance(item, Step) else set(names)
        for rule in (*item.materials, *item.products):
            if rule.step and rule.step not in known:
                raise _malformed(f"a rule of {item.name} matches with what is no step", found=str(rule)[:200])


def _rules(body: Mapping[str, Any], key: str, name: str) -> tuple[Rule, ...]:
    value = body.get(key, [])
    if not isinstance(value, list) or len(value) > MAX_RULES:
        raise _malformed(f"{key} of {name} must be a list of at most {MAX_RULES} rules")
    return tuple(_rule(words, name) for words in value)


def _rule(words: object, name: str) -> Rule:
    if not isinstance(words, list) or not all(isinstance(word, str) and len(word) <= MAX_PATTERN for word in words):
        raise _malformed(f"a rule of {name} must be a list of strings")
    try:
        data = unpack_rule(list(words))
    except SecureSystemsError as error:
        raise _malformed(f"{name} has a rule that in-toto does not know", found=" ".join(words)[:200]) from error
    if not data["pattern"]:
        raise _malformed(f"a rule of {name} has an empty pattern", found=" ".join(words)[:200])
    return Rule(words=tuple(words), data=data)


def _objects(body: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    value = body.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _malformed(f"{key} of {where} must be a list of objects")
    return value


def _strings(body: Mapping[str, Any], key: str, name: str) -> tuple[str, ...]:
    value = body.get(key, [])
    if not isinstance(value, list) or len(value) > MAX_RULES or not all(isinstance(item, str) for item in value):
        raise _malformed(f"{key} of {name} must be a list of strings")
    return tuple(value)


def _only(body: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = body.keys() - known
    if unknown:
        raise _malformed(f"{where} has a field that is not known, and might be a condition", found=min(unknown)[:100])


def _distinct(keys: Sequence[ManagedKey]) -> tuple[ManagedKey, ...]:
    return tuple({key.identity.fingerprint: key for key in keys}.values())


def _malformed(detail: str, **evidence: str) -> Refusal:
    return Refusal(Reason.LAYOUT_MALFORMED, detail, **evidence)
