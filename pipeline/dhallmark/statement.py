"""in-toto Statement v1: what is signed, as the bytes that are signed.

Source: in-toto attestation framework, spec/v1/statement.md. The bytes are kept: whoever verified them reads these and
no second encoding of them (control S10).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError

STATEMENT_V1 = "https://in-toto.io/Statement/v1"
STATEMENT_V0_1 = "https://in-toto.io/Statement/v0.1"
"""What `cosign attest` writes to this day: the same fields with the same meaning."""
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_SUBJECTS = 1024
"""Of a statement that is verified: as many as sigstore-go takes (P8)."""

COSIGN_SIGN_V1 = "https://sigstore.dev/cosign/sign/v1"
"""The statement that Flux and cosign take for "the" signature of an artifact."""
SLSA_PROVENANCE_V1 = "https://slsa.dev/provenance/v1"
LINK_V0_3 = "https://in-toto.io/attestation/link/v0.3"
TEST_RESULT_V0_1 = "https://in-toto.io/attestation/test-result/v0.1"
VSA_V1 = "https://slsa.dev/verification_summary/v1"
SPDX_V2_3 = "https://spdx.dev/Document/v2.3"


class DigestAlgorithmError(FormatError):
    """A subject has digests, and no SHA-256 among them: what it is about cannot be compared with anything (P4)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A ResourceDescriptor that a statement is about, by name and SHA-256."""

    name: str
    digest: Digest

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "digest": {"sha256": self.digest.hex}}


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that was read from, or is about to be, signed bytes."""

    payload: bytes
    """The bytes that are signed."""
    predicate_type: str
    subjects: tuple[Subject, ...]
    """At least one; each has a SHA-256 digest."""
    predicate: Mapping[str, Any]
    foreign: tuple[str, ...] = ()
    """Of each subject that has no SHA-256 digest, and so is none of `subjects`, what to say of it."""

    @property
    def count(self) -> int:
        """How many subjects it has, with those that have no SHA-256 digest."""
        return len(self.subjects) + len(self.foreign)

    @classmethod
    def build(cls, *, predicate_type: str, subjects: Sequence[Subject], predicate: Mapping[str, Any]) -> Statement:
        """A new statement in its one encoding: sorted keys, no white space. Raises FormatError without subjects."""
        if not subjects:
            raise FormatError("a statement needs at least one subject")
        payload = strictjson.dump_compact(
            {
                "_type": STATEMENT_V1,
                "subject": [subject.to_json() for subject in subjects],
                "predicateType": predicate_type,
                "predicate": dict(predicate),
            }
        )
        return cls(payload, predicate_type, tuple(subjects), dict(predicate))

    @classmethod
    def parse(cls, payload: bytes, *, foreign: bool = False) -> Statement:
        """Read verified bytes. Raises FormatError for anything but a Statement (v1, v0.1), and DigestAlgorithmError,
        which is one, where no subject has a SHA-256 digest; without `foreign`, where any has none."""
        body = strictjson.parse(payload, what="statement")
        if not isinstance(body, dict) or body.get("_type") not in (STATEMENT_V1, STATEMENT_V0_1):
            raise FormatError(f"not a statement of type {STATEMENT_V1}")
        predicate_type = body.get("predicateType")
        if not isinstance(predicate_type, str) or not predicate_type:
            raise FormatError("statement: predicateType must be a non-empty string")
        predicate = body.get("predicate", {})
        if not isinstance(predicate, dict):
            raise FormatError("statement: predicate must be an object")
        subjects = body.get("subject")
        if not isinstance(subjects, list) or not subjects:
            raise FormatError("statement: subject must be a list that is not empty")
        read = [_subject(item, index) for index, item in enumerate(subjects)]
        known = tuple(one for one in read if isinstance(one, Subject))
        others = tuple(one for one in read if isinstance(one, str))
        if others and not (foreign and known):
            raise DigestAlgorithmError(f"statement: {others[0]}")
        return cls(payload, predicate_type, known, predicate, others)


def _subject(item: object, index: int) -> Subject | str:
    """A subject; of one without a SHA-256 digest, what to say of it."""
    if not isinstance(item, dict):
        raise FormatError(f"statement: subject[{index}] must be an object")
    name = item.get("name", "")
    if not isinstance(name, str):
        raise FormatError(f"statement: subject[{index}].name must be a string")
    digests = item.get("digest")
    if not isinstance(digests, dict) or not digests:
        raise FormatError(f"statement: subject[{index}] has no digest")
    if "sha256" not in digests:
        algorithms = ", ".join(sorted(str(algorithm)[:20] for algorithm in digests)[:5])
        return f"subject[{index}] has no sha256 digest, only {algorithms}"
    sha256 = digests["sha256"]
    if not isinstance(sha256, str):
        raise FormatError(f"statement: subject[{index}].digest.sha256 must be a string")
    return Subject(name, Digest.from_hex(sha256))
