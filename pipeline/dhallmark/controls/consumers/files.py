"""dhallmark about files: deploy trees, chart archives, Dhall projects. No other consumer is asked about these."""

from __future__ import annotations

from dhallmark.config.load import load_policy
from dhallmark.control import Kind
from dhallmark.controls.case import Side
from dhallmark.errors import Error
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.tree import verify_tree
from dhallmark.verify.trust import TrustRoot


async def examine_files(kind: Kind, side: Side) -> Verdict:
    """The verdict on the files of one side of a case."""
    try:
        if kind is Kind.TREE:
            return verify_tree(side.files, load_policy(side.policy), TrustRoot.load(side.trusted_root))
    except (Error, OSError) as error:
        return Verdict.of(kind.value, checks=[_unavailable(str(error))])
    return Verdict.of(kind.value, checks=[_unavailable(f"nobody judges a {kind.value}")])


def _unavailable(detail: str) -> Check:
    return Check(name="consumer", reason=Reason.CONSUMER_UNAVAILABLE, detail=detail)
