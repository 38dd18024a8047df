"""What an audit of many artifacts has found so far: one file each, so that a run that was killed goes on where it was.

A file is whole or absent. It stands under a hash of all that decides: the artifact's digest or files, the provenance,
the policy, the trust root and the options. An answer that was not to be had (`indeterminate`) is not kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dhallmark import strictjson
from dhallmark.audit.model import Audit
from dhallmark.audit.subject import Subject
from dhallmark.digest import Digest
from dhallmark.errors import Error
from dhallmark.files import write_atomic
from dhallmark.record import parse_record
from dhallmark.verdict import Outcome
from dhallmark.version import tool_version


@dataclass(frozen=True, slots=True)
class State:
    """A folder of finished audits."""

    folder: Path
    basis: str
    """What all audits of a run have in common, as text: policy, trust root, options."""

    def load(self, subject: Subject) -> Audit | None:
        """The audit of `subject`, where it was finished before."""
        try:
            return parse_record(Audit, self._path(subject).read_bytes(), file=str(self._path(subject)))
        except (OSError, Error):
            return None

    def keep(self, subject: Subject, audit: Audit) -> None:
        """Keep a finished audit."""
        if audit.whole.outcome is not Outcome.INDETERMINATE:
            write_atomic(self._path(subject), strictjson.dump(audit.to_json()))

    def _path(self, subject: Subject) -> Path:
        found = hashlib.sha256()
        verdict = subject.verification
        parts = [
            tool_version(),
            self.basis,
            subject.subject,
            subject.name,
            str(subject.digest),
            str(subject.provenance_digest),
            str(subject.published.manifest.digest if subject.published is not None else ""),
            verdict.summary() if verdict is not None else "",
            *(f"{name}={Digest.of(content)}" for name, content in sorted((subject.files or {}).items())),
        ]
        found.update("\n".join(parts).encode(errors="surrogateescape"))
        return self.folder / f"{found.hexdigest()}.json"
