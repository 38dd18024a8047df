"""Group "statement, layout, policy", policies: what more a policy may demand, and what must not stand in for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from dhallmark.control import Control, Group, Mutation, NotApplicableError
from dhallmark.controls.catalogue.expected import by_all
from dhallmark.controls.forge import Bench, SignedStatement
from dhallmark.controls.forging.authorities import LONG_AGO
from dhallmark.controls.forging.bundle import GENUINE, Recipe
from dhallmark.controls.mutations import Json, as_it_is, edited, exactly, resigned, restated, stranger, under_policy
from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1
from dhallmark.verify.provenance import Provenance

_DAY, _YEAR = timedelta(days=1), timedelta(days=365)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _now(bench: Bench) -> datetime:
    return bench.original.forger.forgers.now


def _expiring(after: timedelta) -> Callable[[Bench, Json], None]:
    def change(bench: Bench, policy: Json) -> None:
        policy["expires"] = _time(_now(bench) + after)

    return change


def _of_late(_: Bench, policy: Json) -> None:
    policy["freshness"] = {"maxAge": "40d"}


def _believing(confirmed: timedelta) -> Callable[[Bench, Json], None]:
    """A policy that believes the trust root that is given, as confirmed at that time from now, for ninety days."""

    def change(bench: Bench, policy: Json) -> None:
        accepted = {
            "digest": Digest.of(bench.original.trusted_root),
            "confirmed": _time(_now(bench) + confirmed),
        }
        policy["trustRoot"] = {"accepted": [accepted], "maxAge": "90d"}

    return change


def _believing_another(bench: Bench, policy: Json) -> None:
    _believing(-_DAY)(bench, policy)
    policy["trustRoot"]["accepted"][0]["digest"] = Digest.of(b"another trust root")


def _reviewer(identity: Identity) -> Identity:
    """Another workflow of the same run."""
    return replace(identity, subject=f"{identity.subject}-review")


def _by_two(bench: Bench, policy: Json) -> None:
    """Every statement but links must be signed by the release and by someone else."""
    other = _reviewer(bench.signer)
    policy["identities"]["reviewer"] = exactly(other)
    for rule in policy["statements"]:
        if "steps" not in rule:
            rule.update(identities=[*rule["identities"], "reviewer"], threshold=2)


def _signed_twice(second: Callable[[Identity], Identity]) -> Mutation:
    """The release's own bundles, and each statement signed once more by whom `second` says."""

    async def mutate(bench: Bench) -> Digest:
        digest = await bench.forge.copy()
        for one in bench.signed:
            await bench.forge.attach(digest, one.bundle)
            again = bench.forge.sign(one.statement.payload, one.identity, replace(GENUINE, identity=second))
            await bench.forge.attach(digest, again)
        return digest

    return under_policy(_by_two, mutate)


def _at_least(version: str) -> Callable[[Bench, Json], None]:
    def change(_: Bench, policy: Json) -> None:
        policy["versions"] = {"minimum": version}

    return change


def _of_version(version: str) -> Mutation:
    """The release with provenance that says that it is of `version`."""

    def payloads(_: Bench, one: SignedStatement) -> Iterator[bytes]:
        def change(body: Json) -> None:
            body["predicate"]["buildDefinition"].setdefault("externalParameters", {})["version"] = version

        is_provenance = one.statement.predicate_type == SLSA_PROVENANCE_V1
        yield edited(one.statement.payload, change) if is_provenance else one.statement.payload

    return restated(payloads, needs=SLSA_PROVENANCE_V1)


def _built_from(bench: Bench) -> Provenance:
    for one in bench.signed:
        if one.statement.predicate_type == SLSA_PROVENANCE_V1:
            return Provenance.read(one.statement)
    raise NotApplicableError("the release has no provenance")


def _from_this_commit(bench: Bench, policy: Json) -> None:
    policy["source"]["revisions"] = [_built_from(bench).revision]


def _from_another_commit(_: Bench, policy: Json) -> None:
    policy["source"]["revisions"] = ["0" * 40]


def _from_this_ref(bench: Bench, policy: Json) -> None:
    ref = _built_from(bench).ref or bench.signer.extensions.get("sourceRepositoryRef")
    if not ref:
        raise NotApplicableError("neither provenance nor certificate names a ref")
    policy["source"]["refs"] = [ref]


def _from_another_ref(_: Bench, policy: Json) -> None:
    policy["source"]["refs"] = ["refs/heads/other"]


def _with_files(mutation: Mutation) -> Mutation:
    """What `mutation` makes, judged in a working directory full of configuration that would let it in."""

    async def mutate(bench: Bench) -> Digest | None:
        policy = bench.policy()
        other = stranger(bench.signer)
        policy["identities"] = {name: {"issuer": other.issuer, "subjectRegExp": ".*"} for name in policy["identities"]}
        forged = bench.forge
        forged.judge_by(policy)
        lax, forged.policy = forged.policy, b""
        for name in ("policy.yaml", "policy.yml", "dhallmark.yaml", ".dhallmark.yaml", "dhallmark.policy.yaml"):
            forged.working_directory[name] = lax
        forged.working_directory[".in_totorc"] = b"[in-toto settings]\nARTIFACT_BASE_PATH = /\n"
        forged.working_directory["trusted_root.json"] = bench.original.trusted_root
        forged.working_directory[".env"] = b"COSIGN_EXPERIMENTAL=1\nSIGSTORE_NO_CACHE=1\n"
        return await mutation(bench)

    return mutate


CONTROLS = (
    Control(
        id="P15",
        group=Group.STATEMENT,
        title="signed by a stranger, judged in a working directory with a policy that admits everyone",
        flaw="Configuration that is read from the working directory, which the attacker writes (CVE-2023-32076).",
        mutate=_with_files(resigned(Recipe(identity=stranger))),
        good=_with_files(as_it_is),
        expect=by_all(Reason.IDENTITY_SUBJECT_MISMATCH),
    ),
    Control(
        id="P17-policy",
        group=Group.STATEMENT,
        title="a policy that ended yesterday",
        flaw="A rule that was meant for a while, and stays for ever.",
        mutate=under_policy(_expiring(-_DAY), as_it_is),
        good=under_policy(_expiring(_YEAR), as_it_is),
        expect=by_all(Reason.POLICY_EXPIRED),
    ),
    Control(
        id="P21-again",
        group=Group.STATEMENT,
        title="signed twice by one identity, under a policy that wants two",
        flaw="One signer that counts twice for a threshold.",
        mutate=_signed_twice(lambda identity: identity),
        good=_signed_twice(_reviewer),
        expect=by_all(Reason.STATEMENT_THRESHOLD),
    ),
    Control(
        id="P21-once",
        group=Group.STATEMENT,
        title="signed by one identity, under a policy that wants two",
        flaw="A threshold that nobody counts.",
        mutate=under_policy(_by_two, as_it_is),
        good=_signed_twice(_reviewer),
        expect=by_all(Reason.STATEMENT_THRESHOLD),
    ),
    Control(
        id="P22-revision",
        group=Group.STATEMENT,
        title="built from another commit than the policy lists",
        flaw="Whoever can push a branch can release from it.",
        mutate=under_policy(_from_another_commit, as_it_is),
        good=under_policy(_from_this_commit, as_it_is),
        expect=by_all(Reason.PROVENANCE_SOURCE),
    ),
    Control(
        id="P22-ref",
        group=Group.STATEMENT,
        title="built from another branch or tag than the policy lists",
        flaw="Whoever can push a branch can release from it.",
        mutate=under_policy(_from_another_ref, as_it_is),
        good=under_policy(_from_this_ref, as_it_is),
        expect=by_all(Reason.PROVENANCE_SOURCE),
    ),
    Control(
        id="T9",
        group=Group.LOG,
        title="signed fifty days ago, under a policy that wants signatures of the last forty",
        flaw="An old release that was once good is good for ever.",
        mutate=under_policy(_of_late, resigned(Recipe(at=-LONG_AGO))),
        good=under_policy(_of_late, resigned()),
        expect=by_all(Reason.FRESHNESS_TOO_OLD),
    ),
    Control(
        id="T10-stale",
        group=Group.LOG,
        title="a trust root that nobody has confirmed for a year, under a policy that allows ninety days",
        flaw="An old trust root has keys that were withdrawn since (CVE-2022-29173).",
        mutate=under_policy(_believing(-_YEAR), as_it_is),
        good=under_policy(_believing(-_DAY), as_it_is),
        expect=by_all(Reason.TRUST_ROOT_STALE),
    ),
    Control(
        id="T10-other",
        group=Group.LOG,
        title="another trust root than the policy names",
        flaw="An old trust root that is put back: nothing in it says that it is old (CVE-2022-29173).",
        mutate=under_policy(_believing_another, as_it_is),
        good=under_policy(_believing(-_DAY), as_it_is),
        expect=by_all(Reason.TRUST_ROOT_UNKNOWN),
    ),
    Control(
        id="R3",
        group=Group.REGISTRY,
        title="a valid release of an older version than the policy still allows",
        flaw="An old release with a known hole, replayed.",
        mutate=under_policy(_at_least("2.0.0"), _of_version("1.9.9")),
        good=under_policy(_at_least("2.0.0"), _of_version("2.0.0")),
        expect=by_all(Reason.VERSION_ROLLBACK),
    ),
)
