"""Commits that stand on a branch of the real repository, or on none: C18, and the same of the provenance's source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from dhallmark.control import Control, Group, Mutation, NotApplicableError
from dhallmark.controls.catalogue.expected import by_all
from dhallmark.controls.forge import Bench, SignedStatement
from dhallmark.controls.forging.bundle import Recipe
from dhallmark.controls.forging.git import BRANCH, make_bundle
from dhallmark.controls.mutations import Json, edited, of_type, under_policy
from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1

_FILE = "source.bundle"
_FORK = "0" * 40
_RULE = {"bundle": _FILE, "branches": [BRANCH]}


def _by_workflow(commit: str) -> Callable[[Identity], Identity]:
    return lambda identity: replace(identity, extensions={**identity.extensions, "buildSignerDigest": commit})


def _workflow(*, fork: bool = False, readable: bool = True) -> Mutation:
    """The release, signed by the workflow at a commit of the branch, or of a fork, under a policy that looks it up."""

    async def mutate(bench: Bench) -> Digest | None:
        bundle, commit = make_bundle()
        bench.forge.beside[_FILE] = bundle if readable else b"no bundle of Git's"

        def change(_: Bench, policy: Json) -> None:
            for rule in policy["identities"].values():
                if "key" not in rule:
                    rule["reachable"] = {"buildSignerDigest": _RULE}

        return await under_policy(change, _signed(_by_workflow(_FORK if fork else commit)))(bench)

    return mutate


def _signed(by: Callable[[Identity], Identity]) -> Mutation:
    async def mutate(bench: Bench) -> Digest:
        digest = await bench.forge.copy()
        for one in bench.signed:
            await bench.forge.attach(digest, bench.forge.sign(one.statement.payload, one.identity, Recipe(identity=by)))
        return digest

    return mutate


def _built(*, fork: bool = False) -> Mutation:
    """The release, built from a commit of the branch, or of a fork, under a policy that looks it up."""

    async def mutate(bench: Bench) -> Digest | None:
        of_type(bench, SLSA_PROVENANCE_V1)
        bundle, commit = make_bundle()
        bench.forge.beside[_FILE] = bundle
        revision = _FORK if fork else commit

        def demand(_: Bench, policy: Json) -> None:
            policy["source"]["reachable"] = _RULE

        async def rebuilt(bench: Bench) -> Digest:
            digest = await bench.forge.copy()
            for one in bench.signed:
                recipe = Recipe(identity=_at(revision))
                for payload in _from(one, revision):
                    await bench.forge.attach(digest, bench.forge.sign(payload, one.identity, recipe))
            return digest

        return await under_policy(demand, rebuilt)(bench)

    return mutate


def _at(commit: str) -> Callable[[Identity], Identity]:
    """The same run of another commit."""

    def change(identity: Identity) -> Identity:
        old = identity.extensions.get("sourceRepositoryDigest")
        return replace(
            identity,
            extensions={name: commit if value == old else value for name, value in identity.extensions.items()},
        )

    return change


def _from(one: SignedStatement, revision: str) -> Iterator[bytes]:
    """The statement as that of a release from another commit."""
    old = one.identity.extensions.get("sourceRepositoryDigest")

    def change(body: Json) -> None:
        for item in body["predicate"]["buildDefinition"]["resolvedDependencies"]:
            if "gitCommit" in item.get("digest", {}):
                item["digest"]["gitCommit"] = revision

    payload = one.statement.payload
    if old:
        payload = payload.replace(old.encode(), revision.encode())
    try:
        yield edited(payload, change) if one.statement.predicate_type == SLSA_PROVENANCE_V1 else payload
    except (KeyError, TypeError) as error:
        raise NotApplicableError(f"the provenance has not the shape that is changed: {error!r}") from error


CONTROLS = (
    Control(
        id="C18-fork",
        group=Group.CERTIFICATE,
        title="signed by the workflow at a commit that is on no branch of the repository",
        flaw="A forge serves the commits of every fork under the repository's own name.",
        mutate=_workflow(fork=True),
        good=_workflow(),
        expect=by_all(Reason.SOURCE_UNREACHABLE),
    ),
    Control(
        id="C18-lost",
        group=Group.CERTIFICATE,
        title="signed by the workflow at a good commit, where the branch cannot be looked up",
        flaw="What could not be looked up, taken for what was found.",
        mutate=_workflow(readable=False),
        good=_workflow(),
        expect=by_all(Reason.SOURCE_UNAVAILABLE),
    ),
    Control(
        id="P22-fork",
        group=Group.STATEMENT,
        title="built from a commit that is on no branch of the repository",
        flaw="A forge serves the commits of every fork under the repository's own name.",
        mutate=_built(fork=True),
        good=_built(),
        expect=by_all(Reason.SOURCE_UNREACHABLE),
    ),
)
