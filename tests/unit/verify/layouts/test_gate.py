"""The layout of a policy, from the file beside it or attached to the artifact, and the whole verdict with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dhallmark.config.load import parse_policy
from dhallmark.digest import Digest
from dhallmark.errors import ConfigError
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.claims import ArtifactFacts
from dhallmark.verify.judge import Evidence, Judge
from dhallmark.verify.layouts.gate import MAX_ATTACHED
from dhallmark.verify.layouts.layer import read_layer

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance, Leaf
    from tests.unit.verify.layouts.conftest import World

Json = dict[str, Any]
ISSUER = "https://token.actions.githubusercontent.com"
OWNER, BUILDER = "https://ci.test/security", "https://ci.test/builder"
POLICY: Json = {
    "schemaVersion": 1,
    "identities": {
        "security": {"issuer": ISSUER, "subject": OWNER},
        "builder": {"issuer": ISSUER, "subject": BUILDER},
    },
    "statements": [{"predicateType": COSIGN_SIGN_V1, "identities": ["builder"]}],
    "layout": {"identities": ["security"], "minimumVersion": 2},
}


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where artifacts are judged: an instance that signs, a folder with the policy."""

    world: World
    instance: Instance
    leaf: type[Leaf]
    folder: Path

    def sign(self, payload: bytes, subject: str) -> bytes:
        return json.dumps(self.instance.sign(payload, leaf=self.leaf.of(subject))).encode()

    def layout(self, subject: str = OWNER, **changed: object) -> bytes:
        return self.sign(json.dumps({**self.world.layout, **changed}).encode(), subject)

    def bundles(self) -> dict[str, bytes | Verdict]:
        """Everything about the artifact but the layout."""
        signature = Statement.build(
            predicate_type=COSIGN_SIGN_V1, subjects=[Subject(self.world.name, self.world.manifest)], predicate={}
        )
        links = {item.source: item.statement for item in self.world.evidence()}
        return {name: self.sign(item.payload, BUILDER) for name, item in {"sign": signature, **links}.items()}

    def judge(
        self, bundles: Mapping[str, bytes | Verdict], *, file: str | None = None, reachable: Sequence[str] = ()
    ) -> Verdict:
        """The verdict; the commits of the identities `reachable` must stand on a branch that nothing shows."""
        demand = {"sourceRepositoryDigest": {"bundle": "main.bundle", "branches": ["refs/heads/main"]}}
        identities = {
            name: {**one, "reachable": demand} if name in reachable else one
            for name, one in POLICY["identities"].items()
        }
        rule = {**POLICY["layout"], **({"file": file} if file else {})}
        policy = {**POLICY, "identities": identities, "layout": rule}
        content = json.dumps(policy).encode()
        judge = Judge(parse_policy(content, file="policy.yaml", folder=self.folder), self.instance.trust())
        layer = read_layer(self.world.layer) if judge.needs_layer else None
        facts = ArtifactFacts(name=self.world.name, digest=self.world.manifest, archive=Digest.of(self.world.layer))
        gathered = Evidence(
            subject="artifact", checks=(Check(name="artifact"),), facts=facts, bundles=bundles, layer=layer
        )
        return judge.judge(gathered)


@pytest.fixture
def site(world: World, instance: Instance, make_leaf: type[Leaf], tmp_path: Path) -> Site:
    return Site(world=world, instance=instance, leaf=make_leaf, folder=tmp_path)


def test_a_layout_beside_the_policy(site: Site) -> None:
    (site.folder / "layout.sigstore.json").write_bytes(site.layout())
    bundles = site.bundles()
    assert site.judge(bundles, file="layout.sigstore.json").outcome is Outcome.ACCEPTED
    del bundles["render"]
    assert site.judge(bundles, file="layout.sigstore.json").reason is Reason.STEP_MISSING


def test_the_file_counts_whatever_is_attached(site: Site) -> None:
    (site.folder / "layout").write_bytes(site.layout())
    verdict = site.judge({**site.bundles(), "easy": site.layout(version=9, inspect=[])}, file="layout")
    assert verdict.outcome is Outcome.ACCEPTED
    assert "easy" in {one.subject for one in verdict.ignored}


def test_a_layout_file_that_cannot_be_read_is_the_policys_error(site: Site) -> None:
    with pytest.raises(ConfigError, match="the layout cannot be read"):
        site.judge(site.bundles(), file="layout")


def test_a_layout_attached_to_the_artifact(site: Site) -> None:
    assert site.judge({**site.bundles(), "layout": site.layout()}).outcome is Outcome.ACCEPTED


def test_no_layout_attached(site: Site) -> None:
    assert site.judge(site.bundles()).reason is Reason.LAYOUT_MISSING


def test_too_many_layouts_attached(site: Site) -> None:
    flood: dict[str, bytes | Verdict] = {f"layout {number}": site.layout() for number in range(MAX_ATTACHED + 1)}
    assert site.judge({**site.bundles(), **flood}).reason is Reason.LAYOUT_MISSING


def test_the_newest_layout_counts_and_others_count_for_nothing(site: Site) -> None:
    """P19: an older one, however lax, and those of people who own no layout."""
    lax: Json = {"inspect": [], "steps": [{**step, "threshold": 1} for step in site.world.layout["steps"][:1]]}
    attached = {
        "older": site.layout(version=2, **lax),
        "layout": site.layout(version=3),
        "stranger": site.layout("https://ci.test/stranger", version=9, **lax),
    }
    verdict = site.judge({**site.bundles(), **attached})
    assert verdict.outcome is Outcome.ACCEPTED
    assert verdict.parts[-1].subject == "layout version 3"
    assert len(verdict.parts[-1].ignored) == 2


def test_only_an_older_layout_is_a_rollback(site: Site) -> None:
    assert site.judge({**site.bundles(), "layout": site.layout(version=1)}).reason is Reason.LAYOUT_ROLLBACK


def test_two_different_layouts_of_one_version(site: Site) -> None:
    attached = {"one": site.layout(), "other": site.layout(inspect=[])}
    assert site.judge({**site.bundles(), **attached}).reason is Reason.LAYOUT_MALFORMED
    same = {"one": site.layout(), "again": site.layout()}
    assert site.judge({**site.bundles(), **same}).outcome is Outcome.ACCEPTED


def test_a_layout_that_nobody_asked_for_explains_nothing(site: Site, instance: Instance) -> None:
    """Where the policy has no layout, an attached one is ignored, and neither helps nor harms."""
    policy = {name: value for name, value in POLICY.items() if name != "layout"}
    judge = Judge(parse_policy(json.dumps(policy).encode(), file="policy.yaml"), instance.trust())
    assert not judge.needs_layer
    facts = ArtifactFacts(name=site.world.name, digest=site.world.manifest, archive=None)
    bundles = {"layout": site.layout()}
    verdict = judge.judge(Evidence(subject="artifact", checks=(), facts=facts, bundles=bundles))
    assert verdict.reason is Reason.STATEMENT_MISSING
    assert [one.subject for one in verdict.ignored] == ["layout"]


def test_commits_of_signers_must_be_reachable_here_too(site: Site) -> None:
    """C18: of who signs the layout, and of who does a step."""
    bundles: dict[str, bytes | Verdict] = {**site.bundles(), "layout": site.layout()}
    owner = site.judge(bundles, reachable=["security"]).parts[-1]
    assert owner.subject == "layout"
    assert owner.reason is Reason.SOURCE_UNREACHABLE
    builder = site.judge(bundles, reachable=["builder"]).parts[-1]
    assert builder.subject == "layout version 3"
    assert builder.reason is Reason.SOURCE_UNREACHABLE


def test_a_key_of_the_layout_signs_a_step(site: Site) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    site.world.layout["keys"] = {"ab" * 32: {"keyval": {"public": pem}}}
    site.world.layout["steps"][0].update(identities=[], pubkeys=["ab" * 32])
    render = site.world.evidence()[0].statement.payload
    by_key = json.dumps(site.instance.sign(render, key=key)).encode()
    bundles = {**site.bundles(), "layout": site.layout(), "render": by_key}
    assert site.judge(bundles).outcome is Outcome.ACCEPTED
    other = json.dumps(site.instance.sign(render, key=ec.generate_private_key(ec.SECP256R1()))).encode()
    assert site.judge({**bundles, "render": other}).reason is Reason.STEP_MISSING
