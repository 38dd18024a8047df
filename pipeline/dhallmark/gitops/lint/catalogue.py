"""The rules of the linter: what each finds, why it matters, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dhallmark.gitops.lint.model import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """A rule, for people."""

    title: str
    """What it finds."""
    why: str
    """What goes wrong where it is left."""
    fix: str
    """What to do."""
    severity: Severity
    control: str = ""
    """Id in the control catalogue, where there is one."""


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

RULES: Mapping[str, RuleInfo] = MappingProxyType(
    {
        "source.unverified": RuleInfo(
            title="An OCI source without `spec.verify`.",
            why="Flux applies whatever the registry serves under that name: who can push can deploy.",
            fix="Add `spec.verify` with `provider: cosign` and one entry in `matchOIDCIdentity`.",
            severity=_E,
            control="G1",
        ),
        "source.mixed": RuleInfo(
            title="Two sources of one URL, of which one is not verified.",
            why="The unverified one brings the same content past the check of the other.",
            fix="Remove the second source, or give both the same `spec.verify`.",
            severity=_E,
            control="G5",
        ),
        "source.second": RuleInfo(
            title="Two verified sources of one URL that check different things.",
            why="The weaker of the two decides what may be deployed.",
            fix="Use one source, or write the same `spec.verify` in both.",
            severity=_W,
            control="G5",
        ),
        "source.third-party": RuleInfo(
            title="A third party's artifact that is signed, and is not verified.",
            why="The publisher signs it; whoever gets into the registry or in between does not need to.",
            fix="Add the `verify` that the proposal shows.",
            severity=_W,
            control="G1",
        ),
        "source.plain-http": RuleInfo(
            title="A source read without TLS.",
            why="Anyone on the way can serve another artifact, an older one, or none.",
            fix="Use TLS; a private authority goes into `certSecretRef`.",
            severity=_E,
        ),
        "source.floating": RuleInfo(
            title="A source that follows a moving tag.",
            why="What is deployed changes without a commit, and an old, validly signed artifact can be put back.",
            fix="Pin `spec.ref.digest`, and let the pipeline change it.",
            severity=_W,
            control="G9",
        ),
        "source.tag": RuleInfo(
            title="A source by tag where a digest would say exactly what is deployed.",
            why="A tag can be moved between the check and the pull.",
            fix="Pin `spec.ref.digest` beside the tag.",
            severity=_N,
            control="G9",
        ),
        "source.git-unverified": RuleInfo(
            title="A Git source without signature verification.",
            why="Flux can check signatures of commits and tags; it cannot check attestations of what is in them.",
            fix="Protect the branch and require the check of the attestations before a merge, or set `spec.verify`.",
            severity=_N,
        ),
        "source.bucket": RuleInfo(
            title="A Bucket source, which cannot be verified.",
            why="Flux has no verification for buckets: who can write there can deploy.",
            fix="Publish the content as a signed OCI artifact.",
            severity=_W,
        ),
        "verify.provider": RuleInfo(
            title="A `verify` whose provider is blank, missing or not cosign.",
            why="Without `provider: cosign` Sigstore signatures are not what is checked.",
            fix="Write `provider: cosign`.",
            severity=_E,
            control="G10",
        ),
        "verify.no-matcher": RuleInfo(
            title="A keyless `verify` without an identity.",
            why="Bundles are refused without exactly one matcher; a legacy signature by anybody is accepted.",
            fix="Give `matchOIDCIdentity` one entry with issuer and subject.",
            severity=_E,
            control="C13",
        ),
        "verify.two-matchers": RuleInfo(
            title="A `verify` with more than one identity.",
            why='Flux refuses every bundle then ("multiple identities are not supported"): deliveries stop.',
            fix="Leave one entry, with an expression that matches all of those that may sign.",
            severity=_E,
            control="G2",
        ),
        "verify.key-wins": RuleInfo(
            title="A `verify` with a key and identities.",
            why="Flux takes the key and never looks at the identities.",
            fix="Keep the one that is meant.",
            severity=_W,
        ),
        "verify.regex-invalid": RuleInfo(
            title="An expression that the consumer cannot compile.",
            why="Flux, cosign and Kyverno use RE2: no lookahead, no back references. Verification then fails always.",
            fix="Write it in RE2.",
            severity=_E,
        ),
        "verify.regex-loose": RuleInfo(
            title="An expression that admits an identity that is not meant.",
            why="Expressions are not anchored, and a dot matches anything: `org/repo` admits `org/repo-evil`.",
            fix="Anchor it with ^ and $, and escape every dot.",
            severity=_E,
            control="C10",
        ),
        "verify.regex-any-commit": RuleInfo(
            title="A subject that admits the workflow at any commit.",
            why="A commit of a fork is reachable in the same repository: its workflow signs with this subject.",
            fix="Name the ref (`@refs/heads/main`, `@refs/tags/v…`), or list the commits that may sign.",
            severity=_E,
            control="C18",
        ),
        "verify.regex-one-commit": RuleInfo(
            title="A subject that admits the workflow at one commit alone.",
            why="The next bump of the pinned workflow signs with another subject, and deliveries stop.",
            fix="Name the ref of a workflow of your own, which calls the pinned one.",
            severity=_W,
        ),
        "key.unknown": RuleInfo(
            title="A key that the consumer does not know.",
            why="The API server drops it without a word: what it says is not in force.",
            fix="Move or rename it; the message says what stands near.",
            severity=_E,
            control="G3",
        ),
        "key.duplicate": RuleInfo(
            title="A key that stands twice in one mapping.",
            why="One reader takes the first, another the last: what was reviewed is not what is applied.",
            fix="Remove one of the two.",
            severity=_E,
            control="G8",
        ),
        "api.not-served": RuleInfo(
            title="An API version that the pinned Flux does not serve.",
            why="The object is refused, or a stored one goes on unchanged.",
            fix="Use the served version.",
            severity=_W,
        ),
        "patch.misses": RuleInfo(
            title="A patch whose target selects nothing.",
            why="Kustomize renders without it and without an error: the verification that it adds is not there.",
            fix="Correct the target's kind and name.",
            severity=_E,
            control="G4",
        ),
        "patch.undone": RuleInfo(
            title="A patch that takes verification away.",
            why="Patches are applied in order: what an earlier one or the base added is gone.",
            fix="Remove this patch, or move it before the one that adds `verify`.",
            severity=_E,
            control="G4",
        ),
        "patch.unreadable": RuleInfo(
            title="A patch that is no patch.",
            why="What it would change is not known to anyone before it is applied.",
            fix="Write a strategic merge patch or a list of JSON6902 operations.",
            severity=_E,
        ),
        "admission.lax": RuleInfo(
            title="An admission policy that reports and does not refuse, or leaves out a part of the check.",
            why="An unsigned image runs, and a line in a report says so.",
            fix="Set the action to Deny (Enforce), and verify log entries and certificate timestamps.",
            severity=_W,
        ),
        "argo.unverified": RuleInfo(
            title="An Argo CD application whose source nothing verifies before it renders.",
            why="Argo CD checks Git signatures at most: attestations are for a plug-in to check.",
            fix="Render by the plug-in that `dhallmark gitops write` makes, or require the check before a merge.",
            severity=_N,
        ),
        "tree.attestation": RuleInfo(
            title="A chart and an attestation beside it that are about different files.",
            why="The attestation proves nothing about what is deployed.",
            fix="Write the tree again from the release.",
            severity=_E,
            control="G6",
        ),
        "file.unreadable": RuleInfo(
            title="A file that is no YAML.",
            why="Nobody knows what the next reader makes of it; nothing in it was checked.",
            fix="Correct it, or exclude it with --exclude where it is none of the cluster's.",
            severity=_E,
            control="G8",
        ),
    }
)  # fmt: skip
