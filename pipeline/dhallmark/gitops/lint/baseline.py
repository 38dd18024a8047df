"""A baseline: findings that are known and accepted for now, so that CI fails on new ones alone.

A finding is known by its rule, file, object and message, not by its line. A baseline that names a finding which is gone
is out of date, and says so: what was mended must not come back unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dhallmark import strictjson
from dhallmark.config.model import Model
from dhallmark.errors import InputError, Location
from dhallmark.files import write_atomic
from dhallmark.gitops.lint.model import Finding
from dhallmark.record import Record, parse_record


class Known(Model):
    """One finding that is accepted for now."""

    rule: str
    file: str
    subject: str
    message: str
    reason: str = ""
    """Why it is accepted; for people, and kept when the baseline is written again."""

    @property
    def fingerprint(self) -> tuple[str, str, str, str]:
        return self.rule, self.file, self.subject, self.message


class Baseline(Record):
    """The whole file."""

    schema_: Annotated[Literal["dhallmark.dev/lint-baseline/v1"], Field(alias="schema")] = (
        "dhallmark.dev/lint-baseline/v1"
    )
    findings: tuple[Known, ...]

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read a baseline. Raises InputError where it cannot be read, FormatError where it is none."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(
                f"cannot be read: {error.strerror}",
                where=Location(file=str(path)),
                hint="write one with --write-baseline",
            ) from error
        return parse_record(cls, content, file=str(path), hint="write it again with --write-baseline")

    def split(self, findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding], list[Known]]:
        """The findings that are new, those that are known, and what the baseline names that is gone.

        Where the same finding stands twice and is known once, the second is new.
        """
        left = Counter(known.fingerprint for known in self.findings)
        new: list[Finding] = []
        known: list[Finding] = []
        for found in findings:
            if left[found.fingerprint] > 0:
                left[found.fingerprint] -= 1
                known.append(found)
            else:
                new.append(found)
        gone = []
        for item in self.findings:
            if left[item.fingerprint] > 0:
                left[item.fingerprint] -= 1
                gone.append(item)
        return new, known, gone

    @classmethod
    def of(cls, findings: Sequence[Finding], *, before: Baseline | None = None) -> Baseline:
        """A baseline of all `findings`, with the reasons that an earlier one gave."""
        reasons = {known.fingerprint: known.reason for known in before.findings} if before else {}
        return cls(
            findings=tuple(
                Known(
                    rule=found.rule,
                    file=found.file,
                    subject=found.subject,
                    message=found.message,
                    reason=reasons.get(found.fingerprint, ""),
                )
                for found in findings
            )
        )

    def write(self, path: Path) -> None:
        write_atomic(path, strictjson.dump(self.to_json()))
