"""Group "statement, layout, policy", steps: chains of links, and in-toto layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dhallmark.control import Control, Group, Mutation, NotApplicableError
from dhallmark.controls.catalogue.expected import by_all
from dhallmark.controls.forge import Bench, SignedStatement
from dhallmark.controls.forging.authorities import PAST
from dhallmark.controls.forging.bundle import Recipe
from dhallmark.controls.layouts import MAKE, PUBLISH, REVIEWER, LaidOut
from dhallmark.controls.mutations import Json, edited, of_type, restated
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import LINK_V0_3

_ZERO = "0" * 64


def _steps(bench: Bench) -> list[str]:
    """The steps that the policy wants a chain of links of."""
    for rule in bench.policy()["statements"]:
        if len(rule.get("steps", ())) > 1:
            return list(rule["steps"])
    raise NotApplicableError("the policy wants no chain of links")


def _link(change: Callable[[Bench, Json], None]) -> Mutation:
    """The link of the second step after `change`."""

    def payloads(bench: Bench, one: SignedStatement) -> Iterator[bytes]:
        if _is_second(bench, one):
            yield edited(one.statement.payload, lambda body: change(bench, body))
        else:
            yield one.statement.payload

    return restated(payloads, needs=LINK_V0_3)


def _is_second(bench: Bench, one: SignedStatement) -> bool:
    statement = one.statement
    return statement.predicate_type == LINK_V0_3 and statement.predicate.get("name") == _steps(bench)[1]


def _other_material(_: Bench, body: Json) -> None:
    body["predicate"]["materials"][0]["digest"] = {"sha256": _ZERO}


def _no_materials(_: Bench, body: Json) -> None:
    body["predicate"]["materials"] = []


def _other_products(_: Bench, body: Json) -> None:
    for subject in body["subject"]:
        subject["digest"] = {"sha256": _ZERO}


def _without_second(*, instead: bool) -> Mutation:
    """The release without the link of its second step; if wanted, with that of the first attached under its name."""

    async def mutate(bench: Bench) -> Digest:
        of_type(bench, LINK_V0_3)
        digest = await bench.forge.copy()
        for one in bench.signed:
            if not _is_second(bench, one):
                await bench.forge.attach(digest, one.bundle)
            elif instead:
                first = next(
                    other
                    for other in bench.signed
                    if other.statement.predicate_type == LINK_V0_3
                    and other.statement.predicate.get("name") == _steps(bench)[0]
                )
                await bench.forge.attach(digest, first.bundle, annotations={"in-toto.io/step": _steps(bench)[1]})
        return digest

    return mutate


def _each_link(change: Callable[[Json], None]) -> Mutation:
    """Every link after `change`."""

    def payloads(_: Bench, one: SignedStatement) -> Iterator[bytes]:
        is_link = one.statement.predicate_type == LINK_V0_3
        yield edited(one.statement.payload, change) if is_link else one.statement.payload

    return restated(payloads, needs=LINK_V0_3)


def _unnamed(body: Json) -> None:
    body["predicate"].pop("name", None)


async def _claiming_another_commit(bench: Bench) -> Digest | None:
    if "sourceRepositoryDigest" not in bench.signer.extensions:
        raise NotApplicableError("the signer's certificate says nothing of a source")

    def change(_: Bench, body: Json) -> None:
        body["predicate"]["environment"] = {"GITHUB_SHA": "0" * 40}

    return await _link(change)(bench)


def _file_of_another_step(links: Json) -> None:
    links[MAKE]["products"]["oci/MANIFEST"] = _ZERO


def _making_any(body: Json) -> None:
    body["steps"][0]["expected_products"] = [["CREATE", "*"]]


def _one_file_more(links: Json) -> None:
    links[MAKE]["products"]["out/attack"] = _ZERO


def _same_file_by_case(links: Json) -> None:
    links[MAKE]["products"]["out/CHART"] = links[MAKE]["products"]["out/chart"]


def _same_file_by_form(links: Json) -> None:
    links[MAKE]["products"]["out/cha\u0301rt"] = _ZERO


def _path_out(links: Json) -> None:
    links[MAKE]["products"]["../out/chart"] = _ZERO


def _another_chart(links: Json) -> None:
    links[PUBLISH]["materials"]["out/chart"] = _ZERO


def _another_manifest(links: Json) -> None:
    links[PUBLISH]["products"]["oci/manifest"] = _ZERO


def _not_published(links: Json) -> None:
    del links[PUBLISH]


def _without_last_rule(body: Json) -> None:
    body["steps"][1]["expected_materials"] = []


def _by_two(body: Json) -> None:
    for step in body["steps"]:
        step["identities"] = [*step["identities"], REVIEWER]
        step["threshold"] = 2


def _with_condition(body: Json) -> None:
    body["steps"][0]["only_on"] = "sundays"


def _asking_for_a_program(body: Json) -> None:
    body["inspect"] = [{"name": "look", "run": ["sh", "-c", "exit 0"]}]


CONTROLS = (
    *(
        Control(
            id=f"P13-{name}",
            group=Group.STATEMENT,
            title=f"links of which the second step {what}",
            flaw="A product that is not recorded, or a material that is never checked (GHSA-p86f-xmg6-9q4x).",
            mutate=_link(change),
            expect=by_all(Reason.STEP_CHAIN),
        )
        for name, what, change in (
            ("material", "used another file than the first one made", _other_material),
            ("nothing", "used nothing", _no_materials),
            ("product", "made what no other step used", _other_products),
        )
    ),
    Control(
        id="C15-link",
        group=Group.CERTIFICATE,
        title="a record of a step that claims another commit than the certificate proves",
        flaw="A build script that writes what it likes into its record.",
        mutate=_claiming_another_commit,
        expect=by_all(Reason.STEP_MISSING),
    ),
    Control(
        id="P16-unnamed",
        group=Group.STATEMENT,
        title="records of steps that do not say of which",
        flaw="A step that is named by its file.",
        mutate=_each_link(_unnamed),
        expect=by_all(Reason.STATEMENT_PREDICATE),
    ),
    Control(
        id="P16-file",
        group=Group.STATEMENT,
        title="the record of the first step, attached under the name of the second",
        flaw="A step that is named by its file.",
        mutate=_without_second(instead=True),
        expect=by_all(Reason.STEP_MISSING),
    ),
    Control(
        id="P18-link",
        group=Group.STATEMENT,
        title="no record of the second step",
        flaw="A step that was left out.",
        mutate=_without_second(instead=False),
        expect=by_all(Reason.STEP_MISSING),
    ),
    *(
        Control(
            id=name,
            group=Group.STATEMENT,
            title=f"a release under a layout {what}",
            flaw=flaw,
            mutate=mutant.mutation(),
            good=good.mutation(),
            expect=by_all(reason),
        )
        for name, what, flaw, mutant, good, reason in (
            (
                "P13-rule",
                "whose second step used another file than the first one made",
                "A material that is never checked (GHSA-p86f-xmg6-9q4x).",
                LaidOut(links=_another_chart),
                LaidOut(),
                Reason.STEP_ARTIFACT_RULE,
            ),
            (
                "P13-more",
                "whose first step made a file more than it may",
                "A file that slips in between two steps.",
                LaidOut(links=_one_file_more),
                LaidOut(),
                Reason.STEP_ARTIFACT_RULE,
            ),
            (
                "P13-unchecked",
                "without a rule for what its second step used",
                "A material that is never checked (GHSA-p86f-xmg6-9q4x).",
                LaidOut(layout=_without_last_rule),
                LaidOut(),
                Reason.STEP_ARTIFACT_UNCHECKED,
            ),
            (
                "P13-artifact",
                "whose steps made another artifact",
                "A product that is not recorded (GHSA-p86f-xmg6-9q4x).",
                LaidOut(links=_another_manifest),
                LaidOut(),
                Reason.LAYOUT_PRODUCT,
            ),
            (
                "P17-layout",
                "that ended",
                "An old layout whose functionaries have left.",
                LaidOut(expires=-1),
                LaidOut(),
                Reason.LAYOUT_EXPIRED,
            ),
            (
                "P18-layout",
                "of which a step was left out",
                "A step that was left out.",
                LaidOut(links=_not_published),
                LaidOut(),
                Reason.STEP_MISSING,
            ),
            (
                "P19-version",
                "of an older version than the policy allows",
                "An old layout, still valid, put back over a newer one.",
                LaidOut(version=2, rule={"minimumVersion": 3}),
                LaidOut(version=3, rule={"minimumVersion": 3}),
                Reason.LAYOUT_ROLLBACK,
            ),
            (
                "P19-signed",
                "that was signed before the time that the policy allows",
                "An old layout, still valid, put back over a newer one.",
                LaidOut(recipe=Recipe(at=PAST), signed_since=True),
                LaidOut(signed_since=True),
                Reason.LAYOUT_ROLLBACK,
            ),
            (
                "P20-case",
                "whose step made two files that are one where case does not count",
                "A rule that is about another file than it seems.",
                LaidOut(links=_same_file_by_case),
                LaidOut(),
                Reason.STEP_ARTIFACT_NAME,
            ),
            (
                "P20-steps",
                "of which two steps made files that are one where case does not count",
                "A rule that is about another file than it seems.",
                LaidOut(layout=_making_any, links=_file_of_another_step),
                LaidOut(layout=_making_any),
                Reason.STEP_ARTIFACT_NAME,
            ),
            (
                "P20-form",
                "whose step made a file with a name that Unicode writes in two ways",
                "A rule that is about another file than it seems.",
                LaidOut(links=_same_file_by_form),
                LaidOut(),
                Reason.STEP_ARTIFACT_NAME,
            ),
            (
                "P20-path",
                "whose step made a file outside of its folder",
                "Names of artifacts that are used as paths (CVE-2021-41087).",
                LaidOut(links=_path_out),
                LaidOut(),
                Reason.STEP_ARTIFACT_NAME,
            ),
            (
                "P21-layout",
                "that wants two functionaries, of whom one reported",
                "A threshold that nobody counts.",
                LaidOut(layout=_by_two),
                LaidOut(layout=_by_two, reviewed=True),
                Reason.STEP_THRESHOLD,
            ),
            (
                "P23-signer",
                "that who did its steps signed",
                "A functionary who writes the rules for its own work.",
                LaidOut(own=True),
                LaidOut(),
                Reason.IDENTITY_SUBJECT_MISMATCH,
            ),
            (
                "P23-condition",
                "with a condition that nobody knows",
                "A condition that is not understood, and so not checked.",
                LaidOut(layout=_with_condition),
                LaidOut(),
                Reason.LAYOUT_MALFORMED,
            ),
            (
                "P23-missing",
                "that is not there",
                "A layout that is demanded, and that nobody misses.",
                LaidOut(attached=False),
                LaidOut(attached=True),
                Reason.LAYOUT_MISSING,
            ),
            (
                "P23-program",
                "that wants a program to be run",
                "A layout that runs commands on the machine of whoever verifies.",
                LaidOut(layout=_asking_for_a_program),
                LaidOut(),
                Reason.LAYOUT_INSPECTION_UNKNOWN,
            ),
        )
    ),
)
