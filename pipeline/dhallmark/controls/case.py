"""A prepared control, as files: the good artifact and the mutant, the trust root, the policy, and what must be said.

::

    <prepared>/controls.json           schema dhallmark.dev/controls/v1: the ids, in order, and when they were made
    <prepared>/<id>/case.json          schema dhallmark.dev/control/v1
    <prepared>/<id>/good/, mutant/     the two sides, each with what the consumer is shown and is given:
        artifact/                      an OCI image layout, or
        files/                         a folder, where the control is about files
        policy/policy.yaml             with the files that it names beside it
        trusted_root.json
        working-directory/             where something lies in it

A case needs nothing else to be judged: no lab, no registry, no network, no secret. One that cannot be made of the
user's artifact under the user's policy has its `case.json` alone, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from dhallmark import strictjson
from dhallmark.config.model import Model
from dhallmark.config.values import Moment
from dhallmark.control import Control, Expectation, Group, Kind
from dhallmark.controls.faults import Fault
from dhallmark.controls.forging.authorities import SHELF_LIFE
from dhallmark.errors import FormatError, Location, UsageError
from dhallmark.files import write_atomic, write_new
from dhallmark.reasons import Reason
from dhallmark.record import Record, parse_record
from dhallmark.verdict import Outcome

CASE = "case.json"
INDEX = "controls.json"
GOOD, MUTANT = "good", "mutant"

_Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
_Id = Annotated[str, Field(pattern=r"^[A-Z][0-9]{1,2}(-[a-z0-9-]{1,30})?$")]


@dataclass(frozen=True, slots=True)
class Side:
    """Where the parts of one side of a case lie."""

    folder: Path

    @property
    def artifact(self) -> Path:
        """The OCI image layout."""
        return self.folder / "artifact"

    @property
    def files(self) -> Path:
        return self.folder / "files"

    @property
    def policy(self) -> Path:
        return self.folder / "policy" / "policy.yaml"

    @property
    def trusted_root(self) -> Path:
        return self.folder / "trusted_root.json"

    @property
    def working_directory(self) -> Path:
        """There only where something lies in it."""
        return self.folder / "working-directory"


class ExpectationRecord(Model):
    """What one consumer must say."""

    outcome: Outcome
    reason: Reason | None = None
    out_of_scope: str = ""

    @classmethod
    def of(cls, expectation: Expectation) -> Self:
        return cls(outcome=expectation.outcome, reason=expectation.reason, out_of_scope=expectation.out_of_scope)


class Case(Model):
    """One prepared control."""

    schema_: Annotated[Literal["dhallmark.dev/control/v1"], Field(alias="schema")] = "dhallmark.dev/control/v1"
    id: _Id
    group: Group
    title: str
    flaw: str
    reference: str
    """The good artifact, by digest, as the user named it."""
    subject_name: str
    """Its name in its statements."""
    kind: Kind = Kind.ARTIFACT
    good: _Digest | None = None
    """None where the control is about files, or could not be made."""
    mutant: _Digest | None = None
    not_applicable: str = ""
    """Why it cannot be made of this artifact under this policy; empty where it was made."""
    faults: tuple[Fault, ...] = ()
    """What the registry does wrong while it is asked for the mutant."""
    by_tag: bool = False
    """True where consumers are asked about a tag that names the artifact."""
    expect: dict[str, ExpectationRecord]

    @classmethod
    def of(
        cls,
        control: Control,
        *,
        reference: str,
        subject_name: str,
        good: str | None = None,
        mutant: str | None = None,
        not_applicable: str = "",
    ) -> Self:
        return cls(
            id=control.id,
            group=control.group,
            title=control.title,
            flaw=control.flaw,
            kind=control.kind,
            reference=reference,
            subject_name=subject_name,
            good=good,
            mutant=mutant,
            not_applicable=not_applicable,
            faults=control.faults,
            by_tag=control.by_tag,
            expect={name: ExpectationRecord.of(expectation) for name, expectation in control.expect.items()},
        )

    def write(self, folder: Path) -> None:
        write_new(folder / CASE, strictjson.dump(self.model_dump(mode="json", by_alias=True)))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a case. Raises FormatError."""
        try:
            content = (folder / CASE).read_bytes()
        except OSError as error:
            raise FormatError(f"cannot be read: {error.strerror}", where=Location(file=str(folder / CASE))) from error
        return parse_record(cls, content, file=str(folder / CASE), hint="prepare the controls again")


class _Index(Record):
    """Which cases a folder holds."""

    schema_: Annotated[Literal["dhallmark.dev/controls/v1"], Field(alias="schema")] = "dhallmark.dev/controls/v1"
    made: Moment
    controls: list[_Id]


def write_index(prepared: Path, ids: list[str], *, made: datetime) -> None:
    """Say which cases `prepared` holds; written last, so that a folder with an index is whole."""
    index = _Index(made=made, controls=ids)
    write_atomic(prepared / INDEX, strictjson.dump(index.to_json()))


def read_index(prepared: Path) -> list[str]:
    """The ids of the cases that `prepared` holds, in order.

    Raises UsageError where it is not whole, or older than what its cases say of the time holds.
    """
    try:
        content = (prepared / INDEX).read_bytes()
    except OSError as error:
        raise UsageError(
            f"no prepared controls in {prepared}", hint="prepare them first, with --ref and --prepare-only"
        ) from error
    index = parse_record(_Index, content, file=str(prepared / INDEX), hint="prepare the controls again")
    if datetime.now(UTC) > index.made + SHELF_LIFE:
        raise UsageError(
            f"the controls in {prepared} were prepared more than {SHELF_LIFE.days} days ago",
            hint="prepare them again: what is signed in them for a time is no longer what they say it is",
        )
    return index.controls
