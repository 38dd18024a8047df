"""The two pages of an environment: who may sign what and who checks it, and how that is changed without an outage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template

from dhallmark.config.gitops import Follower
from dhallmark.config.identities import IdentityRule
from dhallmark.config.policy import Policy
from dhallmark.gitops.write.limits import EXPRESSED, NAMES, SEES, demands, limits
from dhallmark.gitops.write.matcher import subject_expression
from dhallmark.gitops.write.model import Checks
from dhallmark.gitops.write.place import MARK
from dhallmark.gitops.write.wanted import OwnFile

_HEAD = f"<!-- Written by `{MARK}`: changes are lost. -->\n"


def pages(checks: Checks, *, folder: str) -> tuple[OwnFile, ...]:
    """Identities and rollout of one environment."""
    return (
        OwnFile(path=f"{folder}/identities.md", content=_identities(checks).encode()),
        OwnFile(path=f"{folder}/rollout.md", content=_rollout(checks).encode()),
    )


def _identities(checks: Checks) -> str:
    policy, consumers = checks.policy, checks.settings.consumers
    lines = [
        _HEAD + f"# Who may sign for {checks.environment}",
        "",
        f"{checks.project} {checks.version}. What follows is from the policy{_which(policy)}.",
        "",
        "## Identities",
    ]
    for name, rule in policy.identities.items():
        lines += ["", f"### {name}", *_identity(rule), *_signs(policy, name)]
    matcher = checks.matcher() if not _MATCHED.isdisjoint(consumers) else None
    if matcher is not None:
        lines += [
            "",
            "Consumers that know one matcher get this one, tried with the near misses of every identity:",
            "",
            "```",
            f"issuer:  {matcher.issuer}",
            f"subject: {matcher.subject}",
            "```",
        ]
    root = checks.trust.digest
    lines += ["", "## Trust root", "", _trust(checks) + (f" Its SHA-256 is `{root.hex}`." if root else "")]
    lines += ["", "## What is signed", "", "| artifact | digest |", "|---|---|"]
    lines += [f"| `{one.repository}:{one.tag}` | `{one.digest}` |" for one in (checks.manifests, *checks.charts)]
    lines += ["", "## Who checks what", ""]
    lines += ["| demand | " + " | ".join(one.value for one in consumers) + " |", "|---|" + "---|" * len(consumers)]
    for demand in demands(policy, private=checks.trust.named):
        marks = ["yes" if demand.topic in EXPRESSED[one] else "**no**" for one in consumers]
        lines.append(f"| {demand.says} | {' | '.join(marks)} |")
    lines += ["", *_per_consumer(checks, consumers)]
    return "\n".join(lines) + "\n" + _template("checked.md").substitute()


def _which(policy: Policy) -> str:
    version = f" (version {policy.version})" if policy.version else ""
    return f"{version} `{policy.origin.digest}`" if policy.origin.digest else version


def _per_consumer(checks: Checks, consumers: Sequence[Follower]) -> Iterator[str]:
    for one in consumers:
        yield f"### {one.value}"
        yield ""
        yield f"Sees {SEES[one]}."
        unseen = limits(checks.policy, one, private=checks.trust.named)
        if unseen:
            yield ""
            yield f"{NAMES[one]} does not check:"
            yield ""
            yield from (f"- {limit.demand.says}" for limit in unseen)
        yield ""


def _identity(rule: IdentityRule) -> Iterator[str]:
    yield ""
    if rule.key is not None:
        yield f"- public key: `{rule.key}`"
        for said, moment in (("from", rule.valid_from), ("until", rule.valid_until)):
            if moment is not None:
                yield f"- counts {said} {moment.isoformat()}"
        return
    yield f"- issuer: `{rule.issuer or rule.issuer_reg_exp}`"
    yield f"- subject: `{rule.subject or subject_expression(rule)}`"
    for name, value in rule.extensions.items():
        values = [value] if isinstance(value, str) else list(value)
        yield f"- {name}: {', '.join(f'`{one}`' for one in values)}"
    for extension, reachable in rule.reachable.items():
        yield f"- {extension} stands on {', '.join(f'`{one}`' for one in reachable.branches)} of `{reachable.bundle}`"


def _signs(policy: Policy, name: str) -> Iterator[str]:
    for rule in policy.statements:
        if name in rule.identities:
            steps = f" ({', '.join(rule.steps)})" if rule.steps else ""
            among = f", {rule.threshold} of {len(rule.identities)}" if rule.threshold > 1 else ""
            yield f"- may sign `{rule.predicate_type}`{steps}{among}"
    if policy.layout is not None and name in policy.layout.identities:
        yield "- may sign the in-toto layout"


def _trust(checks: Checks) -> str:
    if checks.trust.empty:
        return "No Sigstore's: nothing is believed but the public keys of the policy."
    if checks.trust.named:
        return "A private Sigstore's: consumers are told, and believe no other."
    return "The public Sigstore's, which consumers fetch and renew by themselves."


def _rollout(checks: Checks) -> str:
    return _HEAD + _template("rollout.md").substitute(
        environment=checks.environment,
        project=checks.project,
        namespace=checks.settings.namespace,
        source=checks.prefix,
        repository=checks.manifests.repository,
        digest=checks.manifests.digest,
        plain="--plain-http " if checks.plain_http else "",
        pinned=_pinned(checks.policy),
        night=_night(checks),
    )


def _pinned(policy: Policy) -> str:
    """What a bump of a workflow that is called by its commit needs here."""
    listed = [name for name, rule in policy.identities.items() if "buildSignerDigest" in rule.extensions]
    template = _template("pinned/listed.md" if listed else "pinned/none.md")
    return template.substitute(names=", ".join(listed)).strip()


def _night(checks: Checks) -> str:
    """How each consumer shows a refusal."""
    names = {
        "namespace": checks.settings.namespace,
        "source": checks.prefix,
        "argo": checks.settings.argo_namespace,
        "environment": checks.environment,
    }
    shown = [one for one in checks.settings.consumers if one not in _SILENT]
    return "\n".join(_template(f"night/{one.value}.md").substitute(names) for one in shown)


def _template(name: str) -> Template:
    folder = files("dhallmark.gitops.write").joinpath("templates")
    return Template(folder.joinpath(*name.split("/")).read_text(encoding="utf-8"))


_MATCHED = frozenset({Follower.FLUX, Follower.FLUX_HELM, Follower.FLUX_INSTANCE, Follower.KSAIL, Follower.TALOS})
"""Those that know one matcher."""
_SILENT = frozenset({Follower.KSAIL, Follower.TALOS})
"""Those that show no refusal of a release: one leaves it to Flux, the other sees none."""
