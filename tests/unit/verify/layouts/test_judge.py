"""The verdict of a layout: a good release, and each thing that may be wrong with one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.statement import Statement
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.layouts import chain
from dhallmark.verify.layouts.layer import read_layer

if TYPE_CHECKING:
    from tests.unit.verify.layouts.conftest import World

Json = dict[str, Any]
OTHER = Digest.of(b"other")
_FROM_RENDER = ["WITH", "PRODUCTS", "FROM", "render"]


def step(name: str, **fields: object) -> Callable[[Json], object]:
    """A change of a step of the layout."""

    def change(layout: Json) -> None:
        next(item for item in layout["steps"] if item["name"] == name).update(fields)

    return change


def rewritten(item: Statement, change: Callable[[Json], object]) -> Statement:
    """`item` after a change of its JSON."""
    body = json.loads(item.payload)
    change(body)
    return Statement.parse(json.dumps(body).encode())


def _certified(world: World, commit: str) -> Identity:
    """The builder, as its certificate names its run."""
    extensions = {"sourceRepositoryDigest": commit, "buildSignerURI": "https://ci.test/x@refs/heads/main"}
    return replace(world.builder, extensions=extensions)


def _ran(commit: str, item: Statement) -> Statement:
    return rewritten(item, lambda body: body["predicate"].update(environment={"GITHUB_SHA": commit}))


def _built(builder: str, world: World) -> Statement:
    materials = [{"name": "web.dhall", "digest": {"sha256": world.source.hex}}]
    return rewritten(
        world.provenance(materials, world.rendered),
        lambda body: body["predicate"]["runDetails"]["builder"].update(id=builder),
    )


def part(verdict: Verdict, subject: str) -> Verdict:
    return next(one for one in verdict.parts if one.subject == subject)


def test_accepts_a_release_that_went_through_all_steps(world: World) -> None:
    verdict = world.judge()
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()
    assert [one.subject for one in verdict.parts] == ["step render", "step package", "inspection layer"]
    assert {check.name for check in verdict.walk()} == {
        "step.functionaries",
        "rules.materials",
        "rules.products",
        "inspection.record",
        "layout.names",
        "layout.product",
    }


CASES: dict[str, tuple[Callable[[World], Verdict], Reason]] = {
    "no statement at all (P9)": (lambda w: w.judge([]), Reason.STEP_MISSING),
    "a step is missing (P18)": (lambda w: w.judge(w.evidence(render=None)), Reason.STEP_MISSING),
    "a step under another step's name (P16)": (
        lambda w: w.judge(w.evidence(render=w.link("package", {"web.dhall": w.source}, w.rendered))),
        Reason.STEP_MISSING,
    ),
    "a link says another run than its certificate (C15)": (
        lambda w: w.judge(
            [w.signed(_ran("ab" * 20, w.evidence()[0].statement), _certified(w, "cd" * 20)), *w.evidence(render=None)]
        ),
        Reason.PROVENANCE_CLAIM_MISMATCH,
    ),
    "provenance of a step says another builder than its certificate (C15)": (
        lambda w: w.judge(
            [
                w.signed(_built("https://ci.test/x@refs/heads/evil", w), _certified(w, "cd" * 20)),
                *w.evidence(render=None),
            ],
            change=step("render", build_types=[w.build_type]),
        ),
        Reason.PROVENANCE_CLAIM_MISMATCH,
    ),
    "a stranger did a step": (
        lambda w: w.judge([*w.evidence(render=None), w.signed(w.evidence()[0].statement, w.stranger)]),
        Reason.IDENTITY_SUBJECT_MISMATCH,
    ),
    "another issuer's token for the builder's name": (
        lambda w: w.judge(
            [
                *w.evidence(render=None),
                w.signed(w.evidence()[0].statement, Identity(issuer="https://evil.test", subject=w.builder.subject)),
            ]
        ),
        Reason.IDENTITY_ISSUER_MISMATCH,
    ),
    "a file changed between two steps": (
        lambda w: w.judge(
            w.evidence(package=w.link("package", {**w.rendered, "out/prod/web/Chart.yaml": OTHER}, w.packed))
        ),
        Reason.STEP_ARTIFACT_RULE,
    ),
    "a file was added between two steps": (
        lambda w: w.judge(w.evidence(package=w.link("package", {**w.rendered, "out/evil.yaml": OTHER}, w.packed))),
        Reason.STEP_ARTIFACT_RULE,
    ),
    "a product was not recorded (P13)": (
        lambda w: w.judge(w.evidence(package=w.link("package", w.rendered, {"web.manifest": w.manifest}))),
        Reason.LAYOUT_PRODUCT,
    ),
    "the artifact is of another release": (
        lambda w: w.judge(product=replace(w.product, digest=OTHER)),
        Reason.LAYOUT_PRODUCT,
    ),
    "a material that no rule checks (P13)": (
        lambda w: w.judge(change=step("package", expected_materials=[["MATCH", "out/*.yml", *_FROM_RENDER]])),
        Reason.STEP_ARTIFACT_UNCHECKED,
    ),
    "a required file is missing": (
        lambda w: w.judge(w.evidence(render=w.link("render", {"other.dhall": w.source}, w.rendered))),
        Reason.STEP_ARTIFACT_RULE,
    ),
    "a name that leads out (P12)": (
        lambda w: w.judge(
            w.evidence(render=w.link("render", {"web.dhall": w.source, "../evil.dhall": OTHER}, w.rendered))
        ),
        Reason.STEP_ARTIFACT_NAME,
    ),
    "two names that differ in case within a step (P20)": (
        lambda w: w.judge(w.evidence(render=w.link("render", {"web.dhall": w.source, "Web.dhall": OTHER}, w.rendered))),
        Reason.STEP_ARTIFACT_NAME,
    ),
    "two names that differ in case between steps (P20)": (
        lambda w: w.judge(
            w.evidence(
                render=w.link("render", {"web.dhall": w.source}, w.rendered),
                package=w.link("package", w.rendered, {**w.packed, "WEB.dhall": OTHER}),
            ),
            change=step("package", expected_products=[["ALLOW", "*"]]),
        ),
        Reason.STEP_ARTIFACT_NAME,
    ),
    "one name with two digests": (
        lambda w: w.judge(
            w.evidence(
                render=rewritten(
                    w.evidence()[0].statement,
                    lambda body: body["subject"].append({**body["subject"][0], "digest": {"sha256": OTHER.hex}}),
                )
            )
        ),
        Reason.STATEMENT_PREDICATE,
    ),
    "a material without a digest": (
        lambda w: w.judge(
            w.evidence(
                render=rewritten(
                    w.evidence()[0].statement, lambda body: body["predicate"]["materials"][0].update(digest={})
                )
            )
        ),
        Reason.STATEMENT_PREDICATE,
    ),
    "a chart that unpacks to something else": (
        lambda w: replace(w, files={**w.files, "templates/evil.yaml": "kind: Secret\n"}).judge(
            w.evidence(
                package=w.link(
                    "package",
                    w.rendered,
                    replace(w, files={**w.files, "templates/evil.yaml": "kind: Secret\n"}).packed,
                )
            )
        ),
        Reason.STEP_ARTIFACT_RULE,
    ),
    "a chart of another environment (P6)": (
        lambda w: w.judge(product=replace(w.product, name="registry.test/acme/dev/web")),
        Reason.STEP_ARTIFACT_RULE,
    ),
    "a layer that is no archive": (
        lambda w: w.judge(product=replace(w.product, layer=read_layer(b"x"), archive=Digest.of(b"x"))),
        Reason.LAYOUT_PRODUCT,
    ),
    "an identity that the policy does not have": (
        lambda w: w.judge(change=step("render", identities=["nobody"])),
        Reason.LAYOUT_MALFORMED,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refuses(name: str, world: World) -> None:
    make, reason = CASES[name]
    verdict = make(world)
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, reason), verdict.to_json()


@pytest.mark.parametrize("run", [["sh", "-c", "touch pwned"], [], ["dhallmark", "inspect", "layer", "--fix"]])
def test_runs_no_command_of_a_layout(run: list[str], world: World) -> None:
    verdict = world.judge(change=lambda layout: layout["inspect"][0].update(run=run))
    assert (verdict.outcome, verdict.reason) == (Outcome.INDETERMINATE, Reason.LAYOUT_INSPECTION_UNKNOWN)
    assert part(verdict, "step package").outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"layer": None}, "not exactly one layer"),
        ({"archive": None}, "not exactly one layer"),
        ({"name": "web"}, "no part for its environment"),
        ({"layer": read_layer(b"x"), "archive": Digest.of(b"x")}, "cut off"),
    ],
)
def test_refuses_an_artifact_that_the_inspection_is_not_for(change: Json, detail: str, world: World) -> None:
    verdict = part(world.judge(product=replace(world.product, **change)), "inspection layer")
    assert verdict.reason is Reason.LAYOUT_INSPECTION
    assert detail in verdict.checks[0].detail


def test_refuses_a_layer_that_is_not_the_manifests(world: World) -> None:
    verdict = part(
        world.judge(product=replace(world.product, layer=read_layer(world.layer_of({"web/x": "y"})))),
        "inspection layer",
    )
    assert verdict.reason is Reason.ARTIFACT_DIGEST_MISMATCH


def test_accepts_provenance_for_a_step_by_its_build_type(world: World) -> None:
    materials = [
        {"name": "web.dhall", "digest": {"sha256": world.source.hex}},
        {"uri": "git+https://ci.test/acme/platform@refs/heads/main", "digest": {"gitCommit": "ab" * 20}},
    ]
    allow = [["ALLOW", "*.dhall"], ["ALLOW", "git+https://ci.test/*"], ["DISALLOW", "*"]]
    change = step("render", build_types=[world.build_type], expected_materials=allow)
    good = world.provenance(materials, world.rendered)
    assert world.judge(world.evidence(render=good), change=change).outcome is Outcome.ACCEPTED
    other = world.provenance(materials, world.rendered, build_type="https://ci.test/build/v2")
    assert world.judge(world.evidence(render=other), change=change).reason is Reason.STEP_MISSING


def test_a_statement_with_too_many_subjects_stands_for_no_step(world: World) -> None:
    """P8"""
    many = {f"out/prod/web/{number}": OTHER for number in range(1025)}
    verdict = world.judge(world.evidence(render=world.link("render", {"web.dhall": world.source}, many)))
    assert verdict.reason is Reason.SUBJECT_TOO_MANY


def test_names_of_statements_say_nothing(world: World) -> None:
    """P16: where a bundle came from is for the report alone."""
    moved = [replace(item, source="package") for item in world.evidence()]
    assert world.judge(moved).outcome is Outcome.ACCEPTED


def test_finds_the_records_that_fit_among_those_of_several_releases(world: World) -> None:
    older = replace(world, files={**world.files, "Chart.yaml": "name: old\n"})
    verdict = world.judge([*older.evidence(), *world.evidence(), *older.evidence()])
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()


def test_gives_up_where_signers_flood_a_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def release(number: int) -> World:
        return replace(world, files={**world.files, "Chart.yaml": f"name: {number}\n"})

    flood = [item for number in range(70) for item in release(number).evidence(package=None)]
    assert world.judge([*flood, *world.evidence()]).reason is Reason.STEP_CHAIN
    monkeypatch.setattr(chain, "MAX_ATTEMPTS", 20)
    many = [item for number in range(30) for item in release(number).evidence(package=None)]
    verdict = world.judge([*many, *world.evidence(render=None)])
    assert verdict.checks[0].reason is Reason.STEP_CHAIN


def test_a_strangers_statement_beside_good_ones_changes_nothing(world: World) -> None:
    item = world.signed(world.link("render", {"evil.dhall": OTHER}, world.rendered), world.stranger, source="strange")
    verdict = world.judge([item, *world.evidence()])
    assert verdict.outcome is Outcome.ACCEPTED
    assert [one.subject for one in verdict.ignored] == ["strange"]


def key_step(*keys: ec.EllipticCurvePrivateKey, threshold: int = 1, identities: list[str]) -> Callable[[Json], object]:
    """A layout whose step `render` these keys may do."""
    pems = [key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for key in keys]

    def change(layout: Json) -> None:
        layout["keys"] = {f"{index:064x}": {"keyval": {"public": pem}} for index, pem in enumerate(pems)}
        step("render", pubkeys=list(layout["keys"]), identities=identities, threshold=threshold)(layout)

    return change


def managed(key: ec.EllipticCurvePrivateKey) -> ManagedKey:
    return ManagedKey.parse(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_a_step_can_be_done_by_a_key_of_the_layout(world: World) -> None:
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    rest, render = world.evidence(render=None), world.evidence()[0]
    change = key_step(key, identities=[])
    by_key = [*rest, replace(render, signatory=managed(key).identity)]
    assert world.judge(by_key, change=change).outcome is Outcome.ACCEPTED
    for signatory in (managed(other).identity, world.builder):
        verdict = world.judge([*rest, replace(render, signatory=signatory)], change=change)
        assert verdict.reason is Reason.IDENTITY_SUBJECT_MISMATCH


class TestThresholds:
    """P21, S12: only different identities count."""

    BOTH = staticmethod(step("render", identities=["builder", "reviewer"], threshold=2))

    def test_two_identities_that_report_the_same(self, world: World) -> None:
        both = [*world.evidence(), world.signed(world.evidence()[0].statement, world.reviewer)]
        verdict = world.judge(both, change=self.BOTH)
        assert verdict.outcome is Outcome.ACCEPTED
        assert part(verdict, "step render").checks[0].evidence["threshold"] == "2"

    def test_one_identity_twice(self, world: World) -> None:
        """Under two certificates: only issuer and subject tell signers apart."""
        again = replace(world.builder, extensions={"runInvocationURI": "https://ci.test/2"})
        twice = [*world.evidence(), world.signed(world.evidence()[0].statement, again)]
        assert world.judge(twice, change=self.BOTH).reason is Reason.STEP_THRESHOLD

    def test_two_subjects_that_one_expression_admits(self, world: World) -> None:
        change = step("render", identities=["anyone", "builder"], threshold=2)
        pair = [world.signed(world.evidence()[0].statement, who) for who in (world.stranger, world.reviewer)]
        rest = world.evidence(render=None)
        assert world.judge([*rest, *pair], change=change).reason is Reason.STEP_THRESHOLD

    def test_a_signer_who_is_two_identities(self, world: World) -> None:
        change = step("render", identities=["anyone", "builder"], threshold=2)
        assert world.judge(change=change).reason is Reason.STEP_THRESHOLD

    def test_two_identities_that_report_different_products(self, world: World) -> None:
        odd = world.link("render", {"web.dhall": world.source}, {**world.rendered, "out/x": OTHER})
        both = [*world.evidence(), world.signed(odd, world.reviewer)]
        assert world.judge(both, change=self.BOTH).reason is Reason.STEP_THRESHOLD

    def test_one_key_under_two_key_ids(self, world: World) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        verdict = world.judge(change=key_step(key, key, threshold=2, identities=["builder"]))
        assert verdict.reason is Reason.STEP_THRESHOLD  # the builder alone
        render = world.evidence()[0]
        by_key = replace(render, signatory=managed(key).identity)
        change = key_step(key, key, threshold=2, identities=["builder"])
        assert (
            world.judge([*world.evidence(render=None), by_key, by_key], change=change).reason is Reason.STEP_THRESHOLD
        )
        assert world.judge([*world.evidence(), by_key], change=change).outcome is Outcome.ACCEPTED
