"""`dhallmark gitops write`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dhallmark.cli.result import Result
from dhallmark.errors import UsageError
from dhallmark.gitops.tree import ROOT, Keep, TreeChange, update_tree
from dhallmark.package.model import Artifact

if TYPE_CHECKING:
    from dhallmark.config.policy import Policy
    from dhallmark.verify.trust import TrustRoot

SCHEMA = "dhallmark.dev/gitops-write/v1"


def write(
    *,
    to: Path,
    build: Path = Path("build"),
    policy: Path | None = None,
    trusted_root: Path | None = None,
) -> Result:
    """Write the deploy tree: `environments/<env>/` with each chart and its attestation.

    Only files that an attestation in the tree names are replaced or removed. Signing again makes new bundles; with
    --trusted-root and --policy an attestation that stands there and still verifies for the same files is kept, so
    that nothing changes where nothing changed.

    Parameters
    ----------
    to
        The working tree of the deploy repository.
    build
        The build directory.
    policy
        The policy file that an attestation in the tree must still fulfil to be kept.
    trusted_root
        The Sigstore trusted_root.json that it must still verify with.
    """
    if (policy is None) != (trusted_root is None):
        raise UsageError("--policy and --trusted-root belong together", hint="give both or none")
    keep = None
    if policy is not None and trusted_root is not None:
        from dhallmark.config.load import load_policy
        from dhallmark.verify.trust import TrustRoot

        keep = still_verifies(load_policy(policy), TrustRoot.load(trusted_root))
    change = update_tree(build, to, keep=keep)
    return Result(data=to_json(change, to), text=to_text(change, to))


def still_verifies(policy: Policy, trust: TrustRoot) -> Keep:
    """A function that says whether a bundle verifies, and the policy admits it as provenance."""
    from dhallmark.verdict import Outcome, Verdict
    from dhallmark.verify.claims import Signed, claim_of
    from dhallmark.verify.policy import PolicyJudge

    judge = PolicyJudge(policy, trust)

    def keep(bundle: bytes, artifact: Artifact) -> bool:
        claim = claim_of(judge.examine(bundle, name=artifact.slug))
        if not isinstance(claim, Signed):
            return False
        return Verdict.of(artifact.slug, checks=judge.judge_provenance(claim)).outcome is Outcome.ACCEPTED

    return keep


def to_json(change: TreeChange, to: Path) -> dict[str, object]:
    """What `--output json` prints."""
    return {
        "schema": SCHEMA,
        "destination": str(to),
        "written": list(change.written),
        "removed": list(change.removed),
        "unchanged": change.unchanged,
        "foreign": list(change.foreign),
        "otherEnvironments": list(change.other_environments),
    }


def to_text(change: TreeChange, to: Path) -> str:
    """What `--output text` prints."""
    lines = [f"{to}: {len(change.written)} written, {len(change.removed)} removed, {change.unchanged} unchanged"]
    lines += [f"  + {name}" for name in change.written]
    lines += [f"  - {name}" for name in change.removed]
    lines += [
        f"  ! {name}: not dhallmark's, left as it is; Helm deploys what stands in a chart" for name in change.foreign
    ]
    lines += [f"  ? {ROOT}/{name}: no part of this release, left as it is" for name in change.other_environments]
    return "\n".join(lines)
