"""`dhallmark gitops write` and `dhallmark gitops template`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dhallmark.cli.options import BuildFolder, ConfigFile
from dhallmark.cli.result import Result
from dhallmark.config.gitops import Follower
from dhallmark.gitops.tree import ROOT, Keep
from dhallmark.package.model import Artifact

if TYPE_CHECKING:
    from dhallmark.config.model import Config
    from dhallmark.config.policy import Policy
    from dhallmark.gitops.write.deployment import Deployment
    from dhallmark.gitops.write.model import Trust
    from dhallmark.verify.trust import TrustRoot

SCHEMA = "dhallmark.dev/gitops-write/v1"
TEMPLATE_SCHEMA = "dhallmark.dev/gitops-template/v1"
TRUSTED_ROOT = "trusted_root.json"
"""Where a release leaves the trust root that it was verified with."""


def write(
    *,
    to: Path,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    policy: Path | None = None,
    trusted_root: Path | None = None,
    consumer: Annotated[tuple[Follower, ...], Parameter(negative="")] = (),
    diff: Annotated[bool, Parameter(negative="")] = False,
) -> Result:
    """Write the deploy tree, and what the consumers of the release need to check it.

    The deploy tree is `environments/<env>/` with each chart and its attestation; only files that an attestation there
    names are replaced or removed. Consumers get `consumers/<env>/<consumer>/`: objects that stand in the repository
    already, in whatever file, are changed there, with comments and order kept. `docs/<env>/` says who may sign, who
    checks what, and how that is changed. What a consumer does not check is printed. A second run changes nothing.

    Parameters
    ----------
    to
        The working tree of the deploy repository.
    policy
        The policy file. That of the configuration otherwise.
    trusted_root
        The Sigstore trusted_root.json. That of `gitops.trustedRoot`, of the release or of `signing.trustConfig`
        otherwise.
    consumer
        Whom to set up, instead of `gitops.consumers` of the configuration; may be given several times.
    diff
        Write nothing, and print what would change as a patch for `git apply`.
    """
    from dhallmark.config.load import load_config, load_policy
    from dhallmark.gitops.write.deployment import Basis, plan_deployment

    settings = load_config(config)
    if consumer:
        chosen = settings.gitops.model_copy(update={"consumers": tuple(dict.fromkeys(consumer))})
        settings = settings.model_copy(update={"gitops": chosen})
    path = policy or config.parent / settings.policy
    rules = load_policy(path)
    trust = consumers_trust(settings, root=config.parent, build=build, given=trusted_root)
    deployment = plan_deployment(
        Basis(config=settings, policy=rules, policy_file=path.read_bytes(), trust=trust),
        build=build,
        to=to,
        keep=still_verifies(rules, trust),
    )
    if not diff:
        deployment.apply()
    return Result(data=to_json(deployment, diff=diff), text=deployment.patch() if diff else to_text(deployment))


def consumers_trust(config: Config, *, root: Path, build: Path, given: Path | None = None) -> Trust:
    """The trust root that consumers are to believe; `root` is the configuration's folder. Raises FormatError."""
    from dhallmark.cli.trust import trust_root
    from dhallmark.gitops.write.model import Trust
    from dhallmark.verify.trust import TrustRoot

    named = root / config.gitops.trusted_root if config.gitops.trusted_root else None
    left = build / TRUSTED_ROOT if (build / TRUSTED_ROOT).is_file() else None
    path = given or named or left
    if path is not None:
        TrustRoot.load(path)  # What is wrong with the file is told with its name.
        # Whoever names one in the configuration wants consumers to be told, be it the public instance's.
        return Trust.of(path.read_bytes(), named=True if path == named else None)
    if config.signing.trust_config is not None:
        return Trust.of(trust_root(config, root=root))
    return Trust.of(None)


def still_verifies(policy: Policy, trust: Trust) -> Keep | None:
    """A function that says whether a bundle verifies, and the policy admits it as provenance; None without a trust
    root, where nothing can vouch for one."""
    if trust.text is None:
        return None
    from dhallmark.verify.trust import TrustRoot

    return _keep(policy, TrustRoot.parse(trust.text.encode()))


def _keep(policy: Policy, trust: TrustRoot) -> Keep:
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


def to_json(deployment: Deployment, *, diff: bool = False) -> dict[str, object]:
    """What `--output json` prints."""
    change = deployment.tree.change
    files = deployment.files
    body: dict[str, object] = {
        "schema": SCHEMA,
        "destination": str(deployment.to),
        "written": [one.path for one in files if one.after is not None],
        "removed": [one.path for one in files if one.after is None],
        "unchanged": change.unchanged + deployment.consumers.placed.unchanged,
        "foreign": list(change.foreign),
        "otherEnvironments": list(change.other_environments),
        "adopted": list(deployment.consumers.placed.adopted),
        "notExpressed": [limit.to_json() for limit in deployment.consumers.limits],
    }
    return body | ({"patch": deployment.patch()} if diff else {})


def to_text(deployment: Deployment) -> str:
    """What `--output text` prints."""
    change, files = deployment.tree.change, deployment.files
    written = [one.path for one in files if one.after is not None]
    removed = [one.path for one in files if one.after is None]
    unchanged = change.unchanged + deployment.consumers.placed.unchanged
    lines = [f"{deployment.to}: {len(written)} written, {len(removed)} removed, {unchanged} unchanged"]
    lines += [f"  + {name}" for name in written]
    lines += [f"  - {name}" for name in removed]
    lines += [
        f"  ! {name}: not dhallmark's, left as it is; Helm deploys what stands in a chart" for name in change.foreign
    ]
    lines += [f"  ? {ROOT}/{name}: no part of this release, left as it is" for name in change.other_environments]
    lines += [
        f"  = {name}: changed where it stands; that it is applied is yours"
        for name in deployment.consumers.placed.adopted
    ]
    lines += dict.fromkeys(str(limit) for limit in deployment.consumers.limits)
    return "\n".join(lines)


def template(
    folder: Path = Path(),
    /,
    *,
    policy: Path,
    trusted_root: Path | None = None,
    minimum_policy: int = 0,
    release: Annotated[str, Parameter(env_var="ARGOCD_APP_NAME")],
    namespace: Annotated[str, Parameter(env_var="ARGOCD_APP_NAMESPACE")] = "default",
    kube_version: Annotated[str, Parameter(env_var="KUBE_VERSION")] = "",
    api_versions: Annotated[str, Parameter(env_var="KUBE_API_VERSIONS")] = "",
) -> Result:
    """Verify an environment of a deploy tree, then print its objects: the plug-in for Argo CD.

    Nothing is printed to standard output unless every file is what was signed for this environment and the policy
    accepts it. Values cannot be given: they would change what was signed. With --output json the objects are a text in
    the document.

    Parameters
    ----------
    folder
        `environments/<env>` of the deploy tree; the working directory otherwise, as Argo CD runs it.
    policy
        The policy file. Not one that whoever changes the tree can change.
    trusted_root
        The Sigstore trusted_root.json. Not needed where the policy's identities are all keys.
    minimum_policy
        The least `version` that the policy must have.
    release
        Name of the Helm release.
    namespace
        Namespace that objects without one go to.
    kube_version
        The cluster's version, for charts that ask.
    api_versions
        What the cluster serves, with commas between.
    """
    from dhallmark.config.load import load_policy
    from dhallmark.gitops.template import Target, render_verified
    from dhallmark.verify.trust import TrustRoot

    target = Target(
        release=release,
        namespace=namespace,
        kube_version=kube_version,
        api_versions=tuple(one for one in api_versions.split(",") if one),
    )
    rules = load_policy(policy, minimum_version=minimum_policy)
    trust = TrustRoot.load(trusted_root) if trusted_root is not None else None
    # The working directory by its real name: the path says which environment this is.
    objects = render_verified(folder.absolute(), rules, trust, target=target).decode()
    return Result(data={"schema": TEMPLATE_SCHEMA, "objects": objects}, text=objects)
