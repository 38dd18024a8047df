"""Whether the statements about an artifact are what a layout demands.

1. Each statement is read as the record of a step (`evidence`); those of no step of the layout are passed over.
2. Of each step, those who signed are matched with those who may (`functionaries`), and what they say of the run with
   their certificates (C15). Records that say the same count
   together; those of enough different functionaries can stand for the step (P21). None at all: P18.
3. Of each step one record is chosen, so that all artifact rules hold (`rules`, `chain`) and the artifact is among what
   was made. A step has several that can stand where a release was repeated.
4. Inspections are records of the artifact itself (`inspections`), with rules as steps have.

Whether the layout itself is to be believed is not decided here: see `signed`.
Source: in-toto specification 1.0, 5.2 "Verifying the final product", steps 4 to 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from dhallmark.digest import Digest
from dhallmark.identity import Signatory
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.contradictions import require_no_contradiction
from dhallmark.verify.layouts.chain import Chain, Search, Test, tests_of
from dhallmark.verify.layouts.evidence import Evidence, StepRecord, read_record
from dhallmark.verify.layouts.functionaries import Identities, functionaries_of
from dhallmark.verify.layouts.inspections import Product, inspect
from dhallmark.verify.layouts.model import Inspection, Layout, Step
from dhallmark.verify.layouts.names import check_names
from dhallmark.verify.listed import require_count
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.run import Run
from dhallmark.verify.signers import count_signers

MAX_RECORDS = 64
"""Different records of one step, by those who may do it. More is a flood."""


def judge_layout(
    layout: Layout,
    evidence: Sequence[Evidence],
    product: Product,
    identities: Identities,
    *,
    max_subjects: int = 1024,
) -> Verdict:
    """The verdict of `layout` on an artifact, from signed statements about it. Raises nothing.

    One part for each step and each inspection, in the layout's order. A statement with more than `max_subjects`
    subjects stands for no step (P8).
    """
    found = _collect(layout, evidence, identities, max_subjects=max_subjects)
    inspected = [(item, _inspect(item, product)) for item in layout.inspections]
    tests = tests_of(layout)
    complete = all(one.standing for one in found)
    search = Search(
        tests=tests,
        choices=[(one.step.name, one.standing) for one in found if one.standing],
        fixed={item.name: record for item, (_, record) in inspected if record is not None},
        accept=lambda chain: not complete or _missing(chain, layout, product) is None,
    )
    chain = search.run()
    run = Run()
    if search.gave_up:
        run.step("layout.chain", _give_up)
    run.step("layout.names", lambda: check_names(_names_in(chain.values())))
    if complete:
        run.step("layout.product", lambda: _require_product(chain, layout, product))
    parts = [_verdict_on_step(one, tests, chain) for one in found]
    parts += [
        Verdict.of(f"inspection {item.name}", checks=[check, *_apply(item.name, tests, chain)])
        for item, (check, _) in inspected
    ]
    ignored = [verdict for one in found if one.standing for verdict in one.refused]
    return Verdict.of(f"layout version {layout.version}", checks=run.checks, parts=parts, ignored=ignored)


def judge_records(layout: Layout, records: Iterable[StepRecord], product: Product) -> Verdict:
    """The verdict of the rules of `layout` on `records`, whoever will sign them. Raises nothing.

    Of steps that have no record, which others may do, nothing is said. Each step has one record; a second one that says
    something else is refused.
    """
    run = Run()
    chain: dict[str, StepRecord] = {}
    for record in records:
        run.step("step.record", partial(_add, chain, record))
    run.step("layout.names", lambda: check_names(_names_in(chain.values())))
    if all(step.name in chain for step in layout.steps):
        run.step("layout.product", lambda: _require_product(chain, layout, product))
    inspected = [(item, _inspect(item, product)) for item in layout.inspections]
    chain |= {item.name: record for item, (_, record) in inspected if record is not None}
    tests = tests_of(layout)
    parts = [
        Verdict.of(f"step {step.name}", checks=_apply(step.name, tests, chain))
        for step in layout.steps
        if step.name in chain
    ]
    parts += [
        Verdict.of(f"inspection {item.name}", checks=[check, *_apply(item.name, tests, chain)])
        for item, (check, _) in inspected
    ]
    return Verdict.of(
        f"layout version {layout.version} (unsigned)", checks=run.checks, parts=[part for part in parts if part.checks]
    )


def _add(chain: dict[str, StepRecord], record: StepRecord) -> None:
    if chain.setdefault(record.name, record).reported != record.reported:
        raise Refusal(Reason.STEP_CHAIN, f"two statements say different things of the step {record.name}")


@dataclass(slots=True, kw_only=True)
class _Candidate:
    """A record of a step, and who signed it."""

    record: StepRecord
    signers: list[tuple[Signatory, frozenset[str]]] = field(default_factory=list)
    """Each with what it may count as."""

    @property
    def count(self) -> int:
        return count_signers(self.signers)


@dataclass(slots=True, kw_only=True)
class _Found:
    """What was found of one step."""

    step: Step
    candidates: list[_Candidate] = field(default_factory=list)
    refused: list[Verdict] = field(default_factory=list)
    """Statements of the step that do not count, each with what is wrong with it."""
    reasons: list[Refusal] = field(default_factory=list)
    """The same as what was refused."""

    @property
    def standing(self) -> list[StepRecord]:
        """The records that can stand for the step."""
        if len(self.candidates) > MAX_RECORDS:
            return []
        return [one.record for one in self.candidates if one.count >= self.step.threshold]

    def add(self, record: StepRecord, signatory: Signatory, roles: frozenset[str]) -> None:
        for candidate in self.candidates:
            if candidate.record.reported == record.reported:
                candidate.signers.append((signatory, roles))
                return
        self.candidates.append(_Candidate(record=record, signers=[(signatory, roles)]))

    def refuse(self, source: str, refusal: Refusal) -> None:
        self.refused.append(Verdict.of(source, checks=[refusal.check("step.functionary")]))
        self.reasons.append(refusal)

    def require(self) -> None:
        """Refuse where no record can stand for the step."""
        if self.standing:
            return
        if len(self.candidates) > MAX_RECORDS:
            raise Refusal(
                Reason.STEP_CHAIN,
                f"too many different records of the step {self.step.name}",
                expected=str(MAX_RECORDS),
                found=str(len(self.candidates)),
            )
        if self.candidates:
            raise Refusal(
                Reason.STEP_THRESHOLD,
                f"too few different identities report the same of the step {self.step.name}",
                expected=str(self.step.threshold),
                found=str(max(one.count for one in self.candidates)),
            )
        if self.reasons:
            raise self.reasons[0]  # Somebody reported it, and why that does not count says more than its absence.
        raise Refusal(Reason.STEP_MISSING, f"no signed statement of the step {self.step.name}", expected=self.step.name)


def _collect(
    layout: Layout, evidence: Sequence[Evidence], identities: Identities, *, max_subjects: int
) -> list[_Found]:
    by_name = {step.name: _Found(step=step) for step in layout.steps}
    for item in evidence:
        try:
            require_count(item.statement, max_subjects)
            record = read_record(item.statement, layout)
        except Refusal as refusal:
            claimed = _claimed_step(item, layout)
            if claimed is not None:
                by_name[claimed].refuse(item.source, refusal)
            continue
        if record is None:
            continue
        found = by_name[record.name]
        try:
            roles = functionaries_of(found.step, item.signatory, identities)
            require_no_contradiction(item.statement, item.signatory)
        except Refusal as refusal:
            found.refuse(item.source, refusal)
        else:
            if len(found.candidates) <= MAX_RECORDS:
                found.add(record, item.signatory, roles)
    return list(by_name.values())


def _claimed_step(item: Evidence, layout: Layout) -> str | None:
    """The step that an unreadable statement is about, to explain that step; None where that cannot be told."""
    definition = item.statement.predicate.get("buildDefinition")
    build_type = definition.get("buildType") if isinstance(definition, dict) else None
    for step in layout.steps:
        if item.statement.predicate.get("name") == step.name or build_type in step.build_types:
            return step.name
    return None


def _verdict_on_step(found: _Found, tests: Sequence[Test], chain: Chain) -> Verdict:
    run = Run()
    run.step("step.functionaries", found.require, seen=lambda _: _seen(found, chain))
    parts = [] if found.standing else found.refused
    return Verdict.of(
        f"step {found.step.name}", checks=[*run.checks, *_apply(found.step.name, tests, chain)], parts=parts
    )


def _seen(found: _Found, chain: Chain) -> Mapping[str, str]:
    record = chain[found.step.name]
    chosen = next(one for one in found.candidates if one.record.reported == record.reported)
    names = sorted({"/".join(sorted(roles)) for _, roles in chosen.signers})
    seen = {"functionaries": ", ".join(names), "threshold": str(found.step.threshold)}
    if found.step.command and record.command and record.command != found.step.command:
        seen["command"] = "another than the layout expects"
    return seen


def _apply(name: str, tests: Iterable[Test], chain: Chain) -> list[Check]:
    """The checks of an item's rules, as far as there are records of all that they look at."""
    run = Run()
    for test in tests:
        if test.item == name and test.needs <= chain.keys():
            run.step(f"rules.{test.side}", partial(test.apply, chain))
    return run.checks


def _inspect(item: Inspection, product: Product) -> tuple[Check, StepRecord | None]:
    run = Run()
    record = run.step("inspection.record", lambda: inspect(item, product))
    return run.checks[0], record


def _names_in(records: Iterable[StepRecord]) -> dict[str, None]:
    return dict.fromkeys(name for record in records for side in record.reported for name in side)


def _missing(chain: Chain, layout: Layout, product: Product) -> Digest | None:
    """What of the artifact no step made: its manifest, its archive; None where all of it was made."""
    made = {digests.get("sha256") for step in layout.steps for digests in chain[step.name].products.values()}
    wanted = [product.digest, *([product.archive] if product.archive is not None else [])]
    return next((digest for digest in wanted if digest.hex not in made), None)


def _require_product(chain: Chain, layout: Layout, product: Product) -> None:
    missing = _missing(chain, layout, product)
    if missing is not None:
        what = "manifest" if missing == product.digest else "archive"
        raise Refusal(Reason.LAYOUT_PRODUCT, f"no step of the layout made this artifact's {what}", expected=missing)


def _give_up() -> None:
    raise Refusal(Reason.STEP_CHAIN, "the steps have too many records to find out which of them fit together")
