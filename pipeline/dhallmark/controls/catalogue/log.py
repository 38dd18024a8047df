"""Group "log and time": signed by the right identity; what log and timestamps say of it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from dhallmark.control import Control, Group
from dhallmark.controls.catalogue.expected import accepted_by_all, by_all
from dhallmark.controls.forging.authorities import PAST, Of
from dhallmark.controls.forging.bundle import GENUINE_V1, Recipe, Stamp
from dhallmark.controls.forging.log import Entry, b64
from dhallmark.controls.mutations import Json, resigned
from dhallmark.reasons import Reason
from dhallmark.verify.timestamps import MAX_TIMESTAMPS

_LATER = timedelta(days=90)
_OTHER = b64(bytes(32))


def _v2(change: Callable[[Json], None]) -> Recipe:
    """Logged by Rekor v2, which took the entry after `change`."""

    def body(entry: Json) -> None:
        change(entry["spec"]["hashedRekordV002"])

    return Recipe(entry=Entry(body=body))


def _v1(change: Callable[[Json], None]) -> Recipe:
    """Logged by Rekor v1, which took the entry after `change`."""

    def body(entry: Json) -> None:
        change(entry["spec"])

    return replace(GENUINE_V1, entry=Entry(v1=True, body=body))


def _entry_after(change: Callable[[Json], None], recipe: Recipe = Recipe()) -> Recipe:  # noqa: B008  (frozen)
    """As `recipe` says, and then the bundle's log entry changed."""

    def after(bundle: Json) -> None:
        change(bundle["verificationMaterial"]["tlogEntries"][0])

    return replace(recipe, change=after)


def _other_digest(spec: Json) -> None:
    spec["data"]["digest"] = _OTHER


def _other_signature(spec: Json) -> None:
    spec["signature"]["content"] = _OTHER


def _other_certificate(spec: Json) -> None:
    spec["signature"]["verifier"]["x509Certificate"]["rawBytes"] = _OTHER


def _other_payload(spec: Json) -> None:
    spec["payloadHash"]["value"] = "0" * 64


def _other_kind(entry: Json) -> None:
    entry["kind"] = "rekord"


def _no_entries(bundle: Json) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = []


def _no_proof(entry: Json) -> None:
    del entry["inclusionProof"]


def _no_checkpoint(entry: Json) -> None:
    del entry["inclusionProof"]["checkpoint"]


def _other_path(entry: Json) -> None:
    entry["inclusionProof"]["hashes"] = [_OTHER]


def _negative(entry: Json) -> None:
    entry["inclusionProof"]["logIndex"] = "-1"


def _no_promise(entry: Json) -> None:
    del entry["inclusionPromise"]


def _doubled(bundle: Json) -> None:
    bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 2


_CONTENT = "An entry of the log that was found and not compared (CVE-2026-22703, CVE-2022-36056)."

CONTROLS = (
    Control(
        id="T0",
        group=Group.LOG,
        title="positive: every statement signed again, in a Rekor v1 log, whose promise gives the time",
        flaw="A consumer that refuses whatever is strange to it, and so proves nothing by refusing.",
        mutate=resigned(GENUINE_V1),
        expect=accepted_by_all(),
    ),
    *(
        Control(
            id=f"T1-{name}",
            group=Group.LOG,
            title=f"a log entry {what}",
            flaw=_CONTENT,
            mutate=resigned(recipe),
            expect=by_all(Reason.LOG_ENTRY_MISMATCH),
        )
        for name, what, recipe in (
            ("digest", "of other content", _v2(_other_digest)),
            ("signature", "of another signature", _v2(_other_signature)),
            ("certificate", "of another certificate", _v2(_other_certificate)),
            ("kind", "of another kind than the bundle says", Recipe(entry=Entry(body=_other_kind))),
            ("v1", "of another payload, in a Rekor v1 log", _v1(_other_payload)),
        )
    ),
    Control(
        id="T2-entry",
        group=Group.LOG,
        title="no log entry",
        flaw="A signature that nobody could see.",
        mutate=resigned(Recipe(change=_no_entries)),
        expect=by_all(Reason.LOG_ENTRY_MISSING),
    ),
    Control(
        id="T2-log",
        group=Group.LOG,
        title="an entry of a log that nobody trusts",
        flaw="Anyone can run a log that takes any entry.",
        mutate=resigned(Recipe(log=Of.STRANGER)),
        expect=by_all(Reason.LOG_ENTRY_MISSING),
    ),
    Control(
        id="T2-proof",
        group=Group.LOG,
        title="no inclusion proof",
        flaw="An entry that is not in the log.",
        mutate=resigned(_entry_after(_no_proof)),
        expect=by_all(Reason.LOG_INCLUSION),
    ),
    Control(
        id="T2-path",
        group=Group.LOG,
        title="an inclusion proof that leads elsewhere",
        flaw="An entry that is not in the log.",
        mutate=resigned(_entry_after(_other_path)),
        expect=by_all(Reason.LOG_INCLUSION),
    ),
    Control(
        id="T3-missing",
        group=Group.LOG,
        title="no checkpoint",
        flaw="A tree that the log never signed.",
        mutate=resigned(_entry_after(_no_checkpoint)),
        expect=by_all(Reason.LOG_CHECKPOINT),
    ),
    Control(
        id="T3-signature",
        group=Group.LOG,
        title="a checkpoint that another log signed",
        flaw="A tree that the log never signed.",
        mutate=resigned(Recipe(log_signer=Of.STRANGER)),
        expect=by_all(Reason.LOG_CHECKPOINT),
    ),
    Control(
        id="T3-root",
        group=Group.LOG,
        title="a checkpoint of another root hash",
        flaw="A proof for another tree than the log's.",
        mutate=resigned(Recipe(entry=Entry(root=bytes(32)))),
        expect=by_all(Reason.LOG_INCLUSION),
    ),
    Control(
        id="T3-size",
        group=Group.LOG,
        title="a checkpoint of a larger tree than the proof is for",
        flaw="A proof for another tree than the log's.",
        mutate=resigned(Recipe(entry=Entry(size=5))),
        expect=by_all(Reason.LOG_INCLUSION),
    ),
    Control(
        id="T3-origin",
        group=Group.LOG,
        title="a checkpoint with another origin, signed with the log's key",
        flaw="One key that signs for two logs; sigstore-python does not compare the origin.",
        mutate=resigned(Recipe(entry=Entry(origin="other.test"))),
        expect=by_all(Reason.LOG_ORIGIN),
    ),
    Control(
        id="T4-negative",
        group=Group.LOG,
        title="a negative index in the log",
        flaw="Arithmetic on an index that cannot be.",
        mutate=resigned(_entry_after(_negative)),
        expect=by_all(Reason.BUNDLE_MALFORMED),
    ),
    Control(
        id="T4-beyond",
        group=Group.LOG,
        title="an index beyond the end of the tree",
        flaw="Arithmetic on an index that cannot be.",
        mutate=resigned(Recipe(entry=Entry(index=5))),
        expect=by_all(Reason.LOG_INCLUSION),
    ),
    Control(
        id="T5-log",
        group=Group.LOG,
        title="logged in three months, by the log's own word",
        flaw="A log or a clock that is wrong, or a key that is used before its time.",
        mutate=resigned(replace(GENUINE_V1, at=_LATER)),
        expect=by_all(Reason.TIMESTAMP_FUTURE),
    ),
    Control(
        id="T5-timestamp",
        group=Group.LOG,
        title="timestamped in three months, by the authority's own word",
        flaw="A timestamp authority or a clock that is wrong.",
        mutate=resigned(Recipe(at=_LATER)),
        expect=by_all(Reason.TIMESTAMP_FUTURE),
    ),
    Control(
        id="T6-missing",
        group=Group.LOG,
        title="an integrated time without the log's promise, and no timestamp",
        flaw="A time that only the bundle itself vouches for.",
        mutate=resigned(_entry_after(_no_promise, GENUINE_V1)),
        expect=by_all(Reason.TIMESTAMP_MISSING),
    ),
    Control(
        id="T6-forged",
        group=Group.LOG,
        title="a promise over another time than the entry's",
        flaw="A time that only the bundle itself vouches for.",
        mutate=resigned(_entry_after(lambda entry: entry.update(integratedTime="1700000000"), GENUINE_V1)),
        expect=by_all(Reason.LOG_PROMISE),
    ),
    Control(
        id="T7-missing",
        group=Group.LOG,
        title="no timestamp, in a log that gives no time",
        flaw="A certificate of ten minutes that is good for ever.",
        mutate=resigned(Recipe(stamps=())),
        expect=by_all(Reason.TIMESTAMP_MISSING),
    ),
    *(
        Control(
            id=f"T7-{name}",
            group=Group.LOG,
            title=what,
            flaw=flaw,
            mutate=resigned(recipe),
            good=good,
            expect=by_all(Reason.TIMESTAMP_INVALID),
        )
        for name, what, flaw, recipe, good in (
            (
                "bytes",
                "a timestamp of another signature",
                "A timestamp that was found and not compared.",
                Recipe(stamps=(Stamp(other_bytes=True),)),
                None,
            ),
            (
                "stranger",
                "a timestamp by an authority that nobody trusts",
                "Anyone can run a timestamp authority.",
                Recipe(stamps=(Stamp(of=Of.STRANGER),)),
                None,
            ),
            (
                "retired",
                "a timestamp by an authority that is believed no longer; the twin's is from before",
                "`validFor` of a timestamp authority that nobody reads.",
                Recipe(stamps=(Stamp(of=Of.RETIRED),)),
                resigned(Recipe(stamps=(Stamp(of=Of.RETIRED),), at=PAST)),
            ),
            (
                "many",
                f"{MAX_TIMESTAMPS + 1} timestamps, all of them good",
                "A verifier that can be kept busy.",
                Recipe(stamps=(Stamp(),) * (MAX_TIMESTAMPS + 1)),
                None,
            ),
            (
                "twice",
                "one timestamp, twice",
                "One timestamp that counts twice for a threshold.",
                Recipe(change=_doubled),
                None,
            ),
        )
    ),
    Control(
        id="T8",
        group=Group.LOG,
        title="an entry made when the log's key was valid no longer; the twin was made before",
        flaw="A log's retired key that signs new entries.",
        mutate=resigned(Recipe(log=Of.RETIRED)),
        good=resigned(Recipe(log=Of.RETIRED, at=PAST)),
        expect=by_all(Reason.LOG_KEY_VALIDITY),
    ),
)
