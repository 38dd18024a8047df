"""Group "statement, layout, policy", statements: signed by the right identity, saying the wrong thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dhallmark.control import Control, Group, Mutation, NotApplicableError
from dhallmark.controls.catalogue.expected import by_all
from dhallmark.controls.forge import Bench, SignedStatement, only_layer
from dhallmark.controls.mutations import Json, beside, edited, note, of_type, restated, under_policy
from dhallmark.digest import Digest
from dhallmark.oci.descriptor import BUNDLE_V0_3, EMPTY_CONFIG, EMPTY_CONFIG_TYPE, Descriptor, build_manifest
from dhallmark.reasons import Reason
from dhallmark.statement import LINK_V0_3, SLSA_PROVENANCE_V1, TEST_RESULT_V0_1, VSA_V1

NOTE_TYPE = "https://dhallmark.dev/control/note/v1"
"""A predicate type that no policy asks for."""
_VERIFIER = "https://verifier.forge.test"
_OTHER = {"sha256": "0" * 64}
_MAX_SUBJECTS = 1024


async def _provenance_absent(bench: Bench) -> Digest:
    of_type(bench, SLSA_PROVENANCE_V1)
    digest = await bench.forge.copy()
    others = [one for one in bench.signed if one.statement.predicate_type != SLSA_PROVENANCE_V1]
    if not others:
        raise NotApplicableError("the provenance is all that is signed about the artifact")
    for one in others:
        await bench.forge.attach(digest, one.bundle)
    return digest


def _alone(predicate_type: str, predicate: Json) -> Mutation:
    """The good artifact with one statement of that type by the right identity, and nothing else."""

    async def mutate(bench: Bench) -> Digest:
        digest = await bench.forge.copy()
        payload = note(bench, predicate_type=predicate_type, predicate=predicate)
        await bench.forge.attach(digest, bench.forge.sign(payload, bench.signer))
        return digest

    return mutate


async def _referrers_of_nothing(bench: Bench) -> Digest:
    """Referrers that call themselves bundles and hold none."""
    digest = await bench.forge.copy()
    subject = bench.forge.layout.manifests[digest].descriptor
    bench.forge.layout.add_blob(EMPTY_CONFIG)
    config = Descriptor.of(EMPTY_CONFIG, EMPTY_CONFIG_TYPE)
    for number in range(max(1, len(bench.bundles))):
        bench.forge.layout.add_manifest(
            build_manifest(
                config=config,
                layers=[config],
                artifact_type=BUNDLE_V0_3,
                subject=subject,
                annotations={"number": str(number)},
            )
        )
    return digest


def _each(change: Callable[[Bench, Json], None], *, but: str = "") -> Mutation:
    """Every statement after `change`, but those of the type `but`; all of them signed without a flaw."""

    def payloads(bench: Bench, one: SignedStatement) -> Iterator[bytes]:
        if one.statement.predicate_type == but:
            yield one.statement.payload
        else:
            yield edited(one.statement.payload, lambda body: change(bench, body))

    return restated(payloads)


def _provenance(change: Callable[[Json], None]) -> Mutation:
    """The provenance after `change`."""

    def payloads(_: Bench, one: SignedStatement) -> Iterator[bytes]:
        if one.statement.predicate_type == SLSA_PROVENANCE_V1:
            try:
                yield edited(one.statement.payload, change)
            except (KeyError, TypeError) as error:
                raise NotApplicableError(f"the provenance has not the shape that is changed: {error!r}") from error
        else:
            yield one.statement.payload

    return restated(payloads, needs=SLSA_PROVENANCE_V1)


def _under_sha512(_: Bench, body: Json) -> None:
    for subject in body["subject"]:
        subject["digest"] = {"sha512": "0" * 128}


def _with_another(_: Bench, body: Json) -> None:
    body["subject"].append({"name": "registry.forge.test/other", "digest": _OTHER})


def _with_path_out(_: Bench, body: Json) -> None:
    body["subject"].append({"name": "environments/../../../etc/passwd", "digest": _OTHER})


def _of_another_environment(bench: Bench, body: Json) -> None:
    for subject in body["subject"]:
        if subject["digest"].get("sha256") == bench.good.hex:
            subject["name"] = f"{bench.name}-dev"


def _about_nothing(_: Bench, body: Json) -> None:
    body["subject"] = []


def _about_too_much(_: Bench, body: Json) -> None:
    body["subject"] += body["subject"][-1:] * _MAX_SUBJECTS


def _no_predicate_fields(body: Json) -> None:
    body["predicate"] = {}


def _other_source(body: Json) -> None:
    for item in body["predicate"]["buildDefinition"]["resolvedDependencies"]:
        if "gitCommit" in item.get("digest", {}):
            item["uri"] = "git+https://git.forge.test/other"


def _other_builder(body: Json) -> None:
    body["predicate"]["runDetails"]["builder"]["id"] = "https://builder.forge.test"


def _uncommitted(body: Json) -> None:
    body["predicate"]["buildDefinition"].setdefault("internalParameters", {})["dirty"] = True


def _without_archive(bench: Bench, one: SignedStatement) -> Iterator[bytes]:
    """Provenance that no longer names the chart, only the manifest."""
    if one.statement.predicate_type == SLSA_PROVENANCE_V1:
        archive = only_layer(bench.original.layout, bench.good).digest.hex

        def change(body: Json) -> None:
            body["subject"] = [item for item in body["subject"] if item["digest"].get("sha256") != archive]

        yield edited(one.statement.payload, change)
    else:
        yield one.statement.payload


def _result(value: str, **fields: Any) -> Json:  # noqa: ANN401  (JSON)
    return {"result": value, "configuration": [], **fields}


def _wants_test(_: Bench, policy: Json) -> None:
    names = policy["statements"][0]["identities"]
    policy["statements"].append({"predicateType": TEST_RESULT_V0_1, "identities": names, "passedTests": ["controls"]})


def _tested(predicate: Json) -> Mutation:
    return under_policy(
        _wants_test, beside(lambda bench: note(bench, predicate_type=TEST_RESULT_V0_1, predicate=predicate))
    )


def _wants_summary(_: Bench, policy: Json) -> None:
    names = policy["statements"][0]["identities"]
    rule = {"verifiers": [_VERIFIER], "policies": [f"sha256:{'1' * 64}"], "levels": ["SLSA_BUILD_LEVEL_2"]}
    policy["statements"].append({"predicateType": VSA_V1, "identities": names, "summary": rule})


def _summary(**fields: Any) -> Mutation:  # noqa: ANN401  (JSON)
    """The release with a verification summary of it, under a policy that wants one."""

    def payload(bench: Bench) -> bytes:
        said: Json = {
            "verifier": {"id": _VERIFIER},
            "timeVerified": bench.original.forger.forgers.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "resourceUri": f"oci://{bench.name}@{bench.good}",
            "policy": {"uri": "https://verifier.forge.test/policy", "digest": {"sha256": "1" * 64}},
            "inputAttestations": [],
            "verificationResult": "PASSED",
            "verifiedLevels": ["SLSA_BUILD_LEVEL_2"],
            "slsaVersion": "1.1",
        }
        return note(bench, predicate_type=VSA_V1, predicate={**said, **fields})

    return under_policy(_wants_summary, beside(payload))


CONTROLS = (
    Control(
        id="P1-absent",
        group=Group.STATEMENT,
        title="wrong predicate: all statements but the provenance",
        flaw="An attestation of any type taken for the one that is required (CVE-2022-35929).",
        mutate=_provenance_absent,
        release=True,
        expect=by_all(Reason.STATEMENT_MISSING),
    ),
    Control(
        id="P1-other",
        group=Group.STATEMENT,
        title="wrong predicate: nothing but a note of another type, by the right identity",
        flaw="Any statement by an authorised identity authorises a deployment.",
        mutate=_alone(NOTE_TYPE, {"note": "says nothing about how the artifact was made"}),
        release=True,
        expect=by_all(Reason.STATEMENT_MISSING),
    ),
    *(
        Control(
            id=f"P2-{name}",
            group=Group.STATEMENT,
            title=f"a verification summary {what}, under a policy that wants one",
            flaw="A summary that is there, and that nobody reads.",
            mutate=_summary(**fields),
            good=_summary(),
            expect=by_all(reason),
        )
        for name, what, reason, fields in (
            (
                "failed",
                "that says FAILED",
                Reason.SUMMARY_FAILED,
                {"verificationResult": "FAILED", "verifiedLevels": ["FAILED"]},
            ),
            (
                "verifier",
                "of another verifier",
                Reason.SUMMARY_VERIFIER,
                {"verifier": {"id": "https://other.forge.test"}},
            ),
            ("resource", "of another resource", Reason.SUMMARY_RESOURCE, {"resourceUri": "oci://registry.test/other"}),
            (
                "policy",
                "by another policy",
                Reason.SUMMARY_POLICY,
                {"policy": {"uri": "https://verifier.forge.test/old", "digest": {"sha256": "2" * 64}}},
            ),
            ("level", "of a lower level", Reason.SUMMARY_LEVEL, {"verifiedLevels": ["SLSA_BUILD_LEVEL_1"]}),
            ("time", "of a time that has not come", Reason.SUMMARY_TIME, {"timeVerified": "2999-01-01T00:00:00Z"}),
        )
    ),
    Control(
        id="P3-alone",
        group=Group.STATEMENT,
        title="nothing but a test result that says FAILED, by the right identity",
        flaw="A consumer that takes any signed statement for a permission, a failed test included.",
        mutate=_alone(TEST_RESULT_V0_1, _result("FAILED", failedTests=["controls"])),
        expect=by_all(Reason.TEST_RESULT_FAILED),
    ),
    Control(
        id="P3-beside",
        group=Group.STATEMENT,
        title="a test result that says FAILED, beside all that is required",
        flaw="Evidence against a release that nobody reads.",
        mutate=beside(
            lambda bench: note(
                bench, predicate_type=TEST_RESULT_V0_1, predicate=_result("FAILED", failedTests=["controls"])
            )
        ),
        expect=by_all(Reason.TEST_RESULT_FAILED),
    ),
    Control(
        id="P3-warned",
        group=Group.STATEMENT,
        title="a test result that lacks the test that must have passed, under a policy that wants one",
        flaw="A result that is there, and that nobody reads.",
        mutate=_tested(_result("PASSED", passedTests=["another"])),
        good=_tested(_result("PASSED", passedTests=["controls"])),
        expect=by_all(Reason.TEST_RESULT_INSUFFICIENT),
    ),
    Control(
        id="P4",
        group=Group.STATEMENT,
        title="subjects under another digest algorithm than SHA-256 only",
        flaw="A digest that cannot be compared, and so never differs.",
        mutate=_each(_under_sha512),
        expect=by_all(Reason.SUBJECT_ALGORITHM),
    ),
    Control(
        id="P5",
        group=Group.STATEMENT,
        title="one more subject, which is another artifact",
        flaw="A statement about the good artifact lets something else in with it.",
        mutate=_each(_with_another, but=LINK_V0_3),
        expect=by_all(Reason.SUBJECT_EXTRA),
    ),
    Control(
        id="P6",
        group=Group.STATEMENT,
        title="the same bytes, attested for another environment",
        flaw="What was tested in dev only, deployed in prod.",
        mutate=_each(_of_another_environment, but=LINK_V0_3),
        expect=by_all(Reason.SUBJECT_NAME),
    ),
    Control(
        id="P7",
        group=Group.STATEMENT,
        title="statements about nothing",
        flaw="A loop over no subjects in which none differs.",
        mutate=_each(_about_nothing),
        expect=by_all(Reason.STATEMENT_MALFORMED),
    ),
    Control(
        id="P8",
        group=Group.STATEMENT,
        title=f"statements whose last subject stands there {_MAX_SUBJECTS} times more",
        flaw="A verifier that can be kept busy.",
        mutate=_each(_about_too_much),
        expect=by_all(Reason.SUBJECT_TOO_MANY),
    ),
    Control(
        id="P9",
        group=Group.STATEMENT,
        title="referrers that call themselves bundles and hold none",
        flaw="Zero attestations, none of which is wrong (CVE-2025-25204).",
        mutate=_referrers_of_nothing,
        expect=by_all(Reason.SIGNATURE_NONE),
    ),
    Control(
        id="P12",
        group=Group.STATEMENT,
        title="a subject whose name leads out of the deploy tree",
        flaw="Names of artifacts that are used as paths (CVE-2021-41087).",
        mutate=_each(_with_path_out, but=LINK_V0_3),
        expect=by_all(Reason.SUBJECT_EXTRA),
    ),
    Control(
        id="P22-archive",
        group=Group.STATEMENT,
        title="provenance of the manifest that does not name the chart in it",
        flaw="Provenance of a name instead of the bytes that are deployed.",
        mutate=restated(_without_archive, needs=SLSA_PROVENANCE_V1),
        expect=by_all(Reason.ARTIFACT_CONTENT_MISMATCH),
    ),
    *(
        Control(
            id=f"P22-{name}",
            group=Group.STATEMENT,
            title=f"provenance {what}",
            flaw="Provenance that is there, and that nobody reads.",
            mutate=_provenance(change),
            expect=by_all(reason),
        )
        for name, what, change, reason in (
            ("predicate", "that says nothing", _no_predicate_fields, Reason.STATEMENT_PREDICATE),
            ("source", "of another repository", _other_source, Reason.PROVENANCE_SOURCE),
            ("builder", "by another builder", _other_builder, Reason.PROVENANCE_BUILDER),
            ("dirty", "of a tree with uncommitted changes", _uncommitted, Reason.PROVENANCE_DIRTY),
        )
    ),
)
