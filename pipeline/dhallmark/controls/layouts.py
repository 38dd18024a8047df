"""Releases under an in-toto layout of the forger's: two steps, each with its link, and the policy that wants them.

The layout's steps have names of their own, so that it fits any artifact, whatever links its release has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.control import Mutation
from dhallmark.controls.forge import Bench, first_layer
from dhallmark.controls.forging.bundle import GENUINE, Recipe
from dhallmark.controls.mutations import exactly, under_policy
from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.statement import LINK_V0_3, Statement, Subject

Json = dict[str, Any]

MAKE: Final = "control-make"
"""The step that makes the chart."""
PUBLISH: Final = "control-publish"
"""The step that publishes it."""
OWNER: Final = "control-owner"
"""The identity that may sign layouts."""
REVIEWER: Final = "control-reviewer"
"""An identity that may do steps, beside who signed the release."""
LOOK: Final = "control-look"
"""The inspection of the artifact."""
_FUNCTIONARY: Final = "control-functionary"
_FILE: Final = "layout.sigstore.json"
_DAY: Final = timedelta(days=1)


def _nothing(_: Json) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """A release under a layout that it fulfils, but for what is said here."""

    layout: Callable[[Json], None] = field(default=_nothing)
    """Changes the layout before it is signed."""
    links: Callable[[Json], None] = field(default=_nothing)
    """Changes what the steps report: by step, `materials` and `products`, each a SHA-256 by name."""
    rule: Mapping[str, object] = field(default_factory=dict)
    """What more the policy says of the layout."""
    version: int = 3
    expires: int = 365
    """In days from now."""
    recipe: Recipe = GENUINE
    """How the layout is signed."""
    signed_since: bool = False
    """True where the policy counts layouts of the last hour only."""
    reviewed: bool = False
    """True where the reviewer reports the steps, too."""
    own: bool = False
    """True where who did the steps signs the layout."""
    attached: bool | None = None
    """True where the layout is attached to the artifact, False where it should be; beside the policy otherwise."""

    def mutation(self, artifact: Mutation | None = None) -> Mutation:
        """The release, or what `artifact` makes of it, under the layout."""

        async def mutate(bench: Bench) -> Digest:
            digest = await (artifact or _own)(bench)
            assert digest is not None  # noqa: S101  (both are about artifacts)
            await self._attach(bench, digest)
            return digest

        return under_policy(self._demand, mutate)

    def _demand(self, bench: Bench, policy: Json) -> None:
        for name, identity in (
            (_FUNCTIONARY, bench.signer),
            (OWNER, _owner(bench.signer)),
            (REVIEWER, _reviewer(bench.signer)),
        ):
            policy["identities"][name] = exactly(identity)
        rule: Json = {"identities": [OWNER], **self.rule}
        if self.attached is None:
            rule["file"] = _FILE
        if self.signed_since:
            rule["signedSince"] = _time(bench, -timedelta(hours=1))
        policy["layout"] = rule

    async def _attach(self, bench: Bench, digest: Digest) -> None:
        links = _links(bench, digest)
        self.links(links)
        for name, record in links.items():
            payload = _link(name, record)
            await bench.forge.attach(digest, bench.forge.sign(payload, bench.signer))
            if self.reviewed:
                await bench.forge.attach(digest, bench.forge.sign(payload, _reviewer(bench.signer)))
        body = _layout(version=self.version, expires=_time(bench, self.expires * _DAY))
        self.layout(body)
        signer = bench.signer if self.own else _owner(bench.signer)
        bundle = bench.forge.sign(strictjson.dump_compact(body), signer, self.recipe)
        if self.attached is None:
            bench.forge.beside[_FILE] = bundle
        elif self.attached:
            await bench.forge.attach(digest, bundle)


def _with_inspection(body: Json) -> None:
    body["inspect"] = [
        {
            "name": LOOK,
            "run": ["dhallmark", "inspect", "layer"],
            "expected_materials": [
                ["MATCH", "oci/manifest", "WITH", "PRODUCTS", "FROM", PUBLISH],
                ["ALLOW", "oci/layer"],
                ["DISALLOW", "*"],
            ],
            "expected_products": [["ALLOW", "*"]],
        }
    ]


INSPECTED: Final = LaidOut(layout=_with_inspection)
"""A release under a layout that looks into the artifact's layer."""


async def _own(bench: Bench) -> Digest:
    digest = await bench.forge.copy()
    for bundle in bench.bundles:
        await bench.forge.attach(digest, bundle)
    return digest


def _owner(identity: Identity) -> Identity:
    return replace(identity, subject=f"{identity.subject}-owner")


def _reviewer(identity: Identity) -> Identity:
    return replace(identity, subject=f"{identity.subject}-review")


def _time(bench: Bench, after: timedelta) -> str:
    return (bench.original.forger.forgers.now + after).strftime("%Y-%m-%dT%H:%M:%SZ")


def _links(bench: Bench, digest: Digest) -> Json:
    layer = first_layer(bench.forge.layout, digest).digest
    return {
        MAKE: {"materials": {"src/main": Digest.of(b"source").hex}, "products": {"out/chart": layer.hex}},
        PUBLISH: {"materials": {"out/chart": layer.hex}, "products": {"oci/manifest": digest.hex}},
    }


def _link(name: str, record: Json) -> bytes:
    return Statement.build(
        predicate_type=LINK_V0_3,
        subjects=[Subject(path, Digest.from_hex(digest)) for path, digest in record["products"].items()],
        predicate={
            "name": name,
            "command": [],
            "materials": [{"name": path, "digest": {"sha256": hex_}} for path, hex_ in record["materials"].items()],
            "byproducts": {},
            "environment": {},
        },
    ).payload


def _layout(*, version: int, expires: str) -> Json:
    return {
        "_type": "layout",
        "version": version,
        "expires": expires,
        "readme": "Of a control",
        "keys": {},
        "steps": [
            {
                "name": MAKE,
                "identities": [_FUNCTIONARY],
                "expected_materials": [["ALLOW", "src/*"], ["DISALLOW", "*"]],
                "expected_products": [["CREATE", "out/chart"], ["DISALLOW", "*"]],
            },
            {
                "name": PUBLISH,
                "identities": [_FUNCTIONARY],
                "expected_materials": [["MATCH", "out/*", "WITH", "PRODUCTS", "FROM", MAKE], ["DISALLOW", "*"]],
                "expected_products": [["CREATE", "oci/manifest"], ["DISALLOW", "*"]],
            },
        ],
        "inspect": [],
    }
