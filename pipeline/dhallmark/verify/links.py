"""The chain of steps: that each step used what the steps before it made, up to this very artifact.

Source: in-toto attestation framework, spec/predicates/link.md (v0.3); in-toto specification 1.0, section 4.3.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import Statement
from dhallmark.verify.listed import require_comparable
from dhallmark.verify.refusal import Refusal, border

PACKAGE = "package"
PUBLISH = "publish"
MAX_LINKS_PER_STEP = 8
"""A step that was signed more often than this by allowed identities: someone floods the registry, or re-releases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRecord:
    """One step, by a link statement."""

    name: str
    """The step's name, from the signed predicate and from nowhere else (P16)."""
    materials: Mapping[str, Digest]
    products: Mapping[str, Digest]

    @classmethod
    def read(cls, statement: Statement) -> LinkRecord:
        """The link in a statement of type link/v0.3. Refuses a predicate of another shape."""
        require_comparable(statement)
        with border(Reason.STATEMENT_PREDICATE, "link"):
            name = statement.predicate.get("name")
            if not isinstance(name, str) or not name:
                raise Refusal(Reason.STATEMENT_PREDICATE, "the link has no name")
            materials = statement.predicate.get("materials", [])
            if not isinstance(materials, list):
                raise Refusal(Reason.STATEMENT_PREDICATE, "the link's materials are no list")
            return cls(
                name=name,
                materials=_unique((_descriptor(item) for item in materials), what="material"),
                products=_unique(((subject.name, subject.digest) for subject in statement.subjects), what="product"),
            )


def _descriptor(item: object) -> tuple[str, Digest]:
    if isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("digest"), dict):
        sha256 = item["digest"].get("sha256")
        if isinstance(sha256, str):
            return item["name"], Digest.from_hex(sha256)
    raise Refusal(Reason.STATEMENT_PREDICATE, "a material of the link has no name or no sha256 digest")


def _unique(items: Iterator[tuple[str, Digest]], *, what: str) -> dict[str, Digest]:
    found: dict[str, Digest] = {}
    for name, digest in items:
        if found.setdefault(name, digest) != digest:
            raise Refusal(Reason.STATEMENT_PREDICATE, f"the {what} {name[:200]!r} stands in the link with two digests")
    return found


def verify_chain(
    links: Sequence[LinkRecord], steps: Sequence[str], *, artifact: Digest, archive: Digest | None
) -> Sequence[LinkRecord]:
    """One link for each of `steps`, in their order, that fit together and end in the artifact.

    Where a step has several links (a release that was repeated), one combination that fits is enough. Refuses with
    `step.missing` or `step.chain`.
    """
    by_step = []
    for step in steps:
        candidates = [link for link in links if link.name == step]
        if not candidates:
            raise Refusal(Reason.STEP_MISSING, f"no link of the step {step}", expected=step)
        if len(candidates) > MAX_LINKS_PER_STEP:
            raise Refusal(
                Reason.STEP_CHAIN,
                f"too many links of the step {step}",
                expected=str(MAX_LINKS_PER_STEP),
                found=str(len(candidates)),
            )
        by_step.append(candidates)
    return _extend((), by_step, artifact=artifact, archive=archive)


def _extend(
    chain: tuple[LinkRecord, ...],
    remaining: Sequence[Sequence[LinkRecord]],
    *,
    artifact: Digest,
    archive: Digest | None,
) -> Sequence[LinkRecord]:
    if not remaining:
        if not any(artifact in link.products.values() for link in chain):
            raise Refusal(Reason.STEP_CHAIN, "no step made this artifact", expected=artifact)
        return chain
    refusal: Refusal | None = None
    for link in remaining[0]:
        try:
            _fit(link, chain, artifact=artifact, archive=archive)
            return _extend((*chain, link), remaining[1:], artifact=artifact, archive=archive)
        except Refusal as found:
            refusal = refusal or found
    raise refusal or Refusal(Reason.STEP_CHAIN, "no link")


def _fit(link: LinkRecord, chain: Sequence[LinkRecord], *, artifact: Digest, archive: Digest | None) -> None:
    """Refuse `link` unless it fits behind `chain`."""
    if chain:
        _check_materials(link, chain)
    if link.name == PACKAGE and archive is not None and archive not in link.products.values():
        raise Refusal(Reason.STEP_CHAIN, "the step package did not make this artifact's archive", expected=archive)
    if link.name == PUBLISH and artifact not in link.products.values():
        raise Refusal(Reason.STEP_CHAIN, "the step publish did not publish this artifact", expected=artifact)


def _check_materials(link: LinkRecord, chain: Sequence[LinkRecord]) -> None:
    """Each material must be the newest product of that name, or, where no step made it, a source that the first read.

    A step that uses nothing of what was made before it is no part of the chain, whatever its name (P13).
    """
    made: dict[str, Digest] = {}
    for earlier in chain:
        made.update(earlier.products)
    sources = chain[0].materials
    used = False
    for name, digest in link.materials.items():
        expected = made.get(name, sources.get(name))
        if expected is None:
            raise Refusal(
                Reason.STEP_CHAIN, f"the step {link.name} used a file that no step made or read before it", found=name
            )
        if expected != digest:
            raise Refusal(
                Reason.STEP_CHAIN,
                f"the step {link.name} used another {name} than the one that was made or read before it",
                expected=expected,
                found=digest,
            )
        used = used or name in made
    if not used:
        raise Refusal(Reason.STEP_CHAIN, f"the step {link.name} used nothing that the steps before it made")
