"""A layout applied to a build directory: to the signed statements of a release that is not published yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dhallmark.config.policy import Policy
from dhallmark.errors import FormatError, Location
from dhallmark.package.model import Artifact
from dhallmark.package.package import load_artifacts
from dhallmark.steps.statements import BUNDLES
from dhallmark.verdict import Verdict
from dhallmark.verify.claims import Signed, claim_of
from dhallmark.verify.layouts.gate import LayoutGate
from dhallmark.verify.layouts.inspections import Product
from dhallmark.verify.layouts.layer import read_layer
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.policy import PolicyJudge
from dhallmark.verify.trust import TrustRoot

_LINKS = "links"
_SUFFIX = ".sigstore.json"


def judge_build(
    build: Path, policy: Policy, trust: TrustRoot, *, name: Callable[[Artifact], str], layout: bytes | None = None
) -> Verdict:
    """The verdict of the policy's layout on the build directory `build`, with one part for each artifact.

    `name` gives the artifact's name in its statements. `layout` is the bundle of a layout to take instead of the
    policy's; a policy without a layout gives `indeterminate(check.none)`. Raises ConfigError where the policy's layout
    cannot be read, FormatError for a build directory that is not packaged and signed.
    """
    rule = policy.layout
    if layout is not None and rule is not None:
        policy = policy.model_copy(update={"layout": rule.model_copy(update={"file": None})})
    rules = PolicyJudge(policy, trust)
    gate = LayoutGate.of(rules)
    artifacts = load_artifacts(build)
    parts: list[Verdict] = []
    if gate is None:
        return Verdict.of(f"{artifacts.project} {artifacts.version}")
    for artifact in artifacts.artifacts:
        opened = gate.open({"layout": layout} if layout is not None else {})
        claims: list[Signed] = []
        ignored = []
        for source, content in _bundles(build, artifact).items():
            result = rules.examine(content, name=source, keys=opened.keys)
            claim = claim_of(result)
            if isinstance(claim, Signed):
                claims.append(claim)
            else:
                ignored.append(result.verdict)
        product = Product(
            name=name(artifact),
            digest=artifact.manifest_digest,
            archive=artifact.archive.digest,
            layer=read_layer((build / artifact.archive.path).read_bytes()) if gate.needs_layer else None,
        )
        subject = f"{name(artifact)}@{artifact.manifest_digest}"
        parts.append(Verdict.of(subject, parts=[opened.judge(claims, product)], ignored=ignored))
    return Verdict.of(f"{artifacts.project} {artifacts.version}", parts=parts)


def _bundles(build: Path, artifact: Artifact) -> dict[str, bytes]:
    """The bundles about `artifact` and those of the release's links, by their paths below the build directory."""
    found = {}
    for folder in (artifact.slug, _LINKS):
        for path in sorted((build / BUNDLES / folder).glob(f"*{_SUFFIX}")):
            with path.open("rb") as file:
                found[path.relative_to(build).as_posix()] = file.read(MAX_BUNDLE_BYTES + 1)
    if not found:
        raise FormatError(
            "there are no signed statements", where=Location(file=str(build / BUNDLES)), hint="run `dhallmark sign`"
        )
    return found
