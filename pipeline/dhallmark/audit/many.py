"""Many audits at once: rebuilds are shared, answers come as they are there, and what was finished is not done again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from dhallmark.audit.audit import Options, audit
from dhallmark.audit.model import Audit, AuditsRecord, Sameness
from dhallmark.audit.rebuilder import Rebuilder
from dhallmark.audit.state import State
from dhallmark.audit.subject import Subject
from dhallmark.oci.concurrently import concurrently
from dhallmark.progress import Progress, Silent
from dhallmark.verdict import Check, Verdict

AT_ONCE = 4
"""Artifacts that are looked at at a time; each is held in memory as a whole."""

Gather = Callable[[], Awaitable[Subject]]
"""Finds out everything about one artifact. Not called before its turn."""


async def audit_all(
    work: Sequence[Gather],
    rebuilder: Rebuilder,
    options: Options,
    *,
    state: State | None = None,
    at_once: int = AT_ONCE,
    progress: Progress | None = None,
) -> tuple[Audit, ...]:
    """Audit everything in `work`, in its order. Raises OSError of the state folder alone."""
    report = progress or Silent()
    report.start("audit", total=len(work))

    async def one(gather: Gather) -> Audit:
        subject = await gather()
        known = state.load(subject) if state is not None else None
        if known is None:
            known = await audit(subject, rebuilder, options)
            if state is not None:
                state.keep(subject, known)
        report.advance("audit")
        return known

    found = await concurrently([partial(one, gather) for gather in work], limit=at_once)
    report.done("audit", summary=summary(found))
    return tuple(found)


def summary(audits: Sequence[Audit]) -> str:
    """How many of them are what."""
    counts = Counter(audit.sameness for audit in audits)
    said = ", ".join(f"{counts[one]} {one.value}" for one in Sameness if counts[one])
    return f"{len(audits)} audited: {said}" if audits else "nothing was audited, which is never success"


def whole_verdict(audits: Sequence[Audit], checks: Sequence[Check] = ()) -> Verdict:
    """The verdict on all of them; `checks` are about what they have in common, such as the deploy tree."""
    return Verdict.of("audit", checks=checks, parts=[audit.whole for audit in audits])


def to_record(audits: Sequence[Audit], checks: Sequence[Check] = ()) -> AuditsRecord:
    """All of them as `dhallmark audit` prints them."""
    counts = Counter(audit.sameness for audit in audits)
    return AuditsRecord(
        outcome=whole_verdict(audits, checks).outcome,
        counts={one: counts[one] for one in Sameness},
        audits=tuple(audits),
    )
