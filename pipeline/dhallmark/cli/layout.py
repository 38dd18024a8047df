"""`dhallmark layout`: write, sign, show and apply an in-toto layout for a release."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dhallmark.cli.options import SIGNING, BuildFolder, ConfigFile, SigningOptions
from dhallmark.cli.result import Result

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dhallmark.config.policy import LayoutRule, Policy
    from dhallmark.verdict import Verdict
    from dhallmark.verify.layouts.model import Item, Layout

SCHEMA_SHOW = "dhallmark.dev/layout/v1"
SCHEMA_SIGN = "dhallmark.dev/layout-sign/v1"

PolicyFile = Annotated[Path, Parameter(help="The policy, whose `layout` says who may sign one.")]
LayoutFile = Annotated[Path, Parameter(help="The layout, as JSON.")]


def init(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    out: Annotated[Path, Parameter(help="Where to write it.")] = Path("layout.json"),
    identity: Annotated[
        tuple[str, ...],
        Parameter(
            help="Name of an identity of the policy that may do the steps; may be given several times. Those that may "
            "sign links where this is not given.",
            negative=(),
        ),
    ] = (),
    version: Annotated[int, Parameter(help="Number of this layout; each change needs a higher one.")] = 1,
    days: Annotated[int, Parameter(help="How many days it is valid.")] = 365,
) -> Result:
    """Write a layout for the steps of a release, to be reviewed and then signed by who owns it.

    Nothing is overwritten.
    """
    from datetime import UTC, datetime, timedelta

    from dhallmark.config.load import load_config
    from dhallmark.errors import UsageError
    from dhallmark.files import write_atomic
    from dhallmark.steps.layout import make_policy_layout

    if version < 1 or days < 1:
        raise UsageError("--version and --days must be at least 1")
    if out.exists():
        raise UsageError(f"{out} is there already", hint="name another file with --out, or remove it")
    settings = load_config(config)
    names = _functionaries(_read_policy(config.parent / settings.policy), identity)
    content = make_policy_layout(
        identities=names,
        version=version,
        expires=datetime.now(UTC) + timedelta(days=days),
        readme=f"How {settings.project} is released",
    )
    write_atomic(out, content)
    layout = _parse(content, file=str(out))
    lines = [
        f"{out}: version {version}, valid for {days} days, steps by {' or '.join(names)}",
        "review it, then let its owner sign it: dhallmark layout sign",
    ]
    return Result(data=_to_json(layout), text="\n".join(lines))


def sign(
    *,
    layout: LayoutFile = Path("layout.json"),
    out: Annotated[Path, Parameter(help="Where to write the bundle.")] = Path("layout.sigstore.json"),
    policy: PolicyFile = Path("policy.yaml"),
    signing: SigningOptions = SIGNING,
) -> Result:
    """Sign a layout, as one of the identities that the policy names for it.

    Refuses a layout that the policy would refuse: expired, too old, or by identities that the policy lacks.
    """
    from datetime import UTC, datetime

    from dhallmark.cli.document import name_of, read_file, sign_document
    from dhallmark.errors import InputError, Location, VerdictError
    from dhallmark.files import write_atomic
    from dhallmark.identity import Signatory
    from dhallmark.verdict import Verdict
    from dhallmark.verify.identities import IdentityMatcher
    from dhallmark.verify.layouts.model import MAX_LAYOUT_BYTES
    from dhallmark.verify.refusal import Refusal

    content = read_file(layout, most=MAX_LAYOUT_BYTES)
    parsed = _parse(content, file=str(layout))
    rules = _read_policy(policy)
    rule = _rule_of(rules, file=policy)
    where = Location(file=str(layout))
    if parsed.expires <= datetime.now(UTC):
        raise InputError("the layout has expired", where=where, hint="set `expires`, and a higher `version`")
    if parsed.version < rule.minimum_version:
        raise InputError(f"the policy wants version {rule.minimum_version} or later", where=where)
    strangers = [name for step in parsed.steps for name in step.identities if name not in rules.identities]
    if strangers:
        raise InputError(f"the policy has no identity {strangers[0]!r}", where=where)
    matcher = IdentityMatcher.of(rules)

    def allow(signatory: Signatory) -> None:
        try:
            matcher.require(signatory, rule.identities)
        except Refusal as refusal:
            raise VerdictError(
                Verdict.of(name_of(signatory), checks=[refusal.check("layout.signer")]),
                hint="nothing was signed: the policy does not let this signer sign a layout",
            ) from refusal

    signed = sign_document(signing, content, policy=rules, allow=allow)
    write_atomic(out, signed.bundle)
    data = {"schema": SCHEMA_SIGN, "identity": signed.identity.to_json(), "bundle": str(out)}
    return Result(data=data, text=f"{out}\nsigned by {name_of(signed.identity)}")


def show(
    *,
    layout: Annotated[Path, Parameter(help="A layout, signed or not.")] = Path("layout.sigstore.json"),
) -> Result:
    """Show what a layout says. Nothing is verified."""
    from dhallmark.cli.document import read_file
    from dhallmark.verify.claimed import claimed_payload
    from dhallmark.verify.parse import MAX_BUNDLE_BYTES

    content = read_file(layout, most=MAX_BUNDLE_BYTES)
    payload = claimed_payload(content)
    parsed = _parse(payload if payload is not None else content, file=str(layout))
    text = _to_text(parsed)
    if payload is not None:
        text += "\n\nsigned; the signature was not verified here"
    return Result(data=_to_json(parsed), text=text)


def verify(
    *,
    config: ConfigFile = Path("dhallmark.yaml"),
    build: BuildFolder = Path("build"),
    trusted_root: Annotated[Path, Parameter(help="A Sigstore trusted_root.json. Nothing is downloaded.")],
    layout: Annotated[
        Path | None, Parameter(help="The signed layout. That of the policy where this is not given.")
    ] = None,
) -> Result:
    """Apply the policy's layout to the signed statements of a build directory, before anything is published.

    Ends with 0 where everything is accepted, 1 where something is rejected, 3 where there was no telling.
    """
    from dhallmark.cli.document import read_file
    from dhallmark.config.load import load_config
    from dhallmark.steps.statements import final_reference
    from dhallmark.verify.layouts.release import judge_build
    from dhallmark.verify.parse import MAX_BUNDLE_BYTES
    from dhallmark.verify.trust import TrustRoot

    settings = load_config(config)
    file = config.parent / settings.policy
    rules = _read_policy(file)
    _rule_of(rules, file=file)
    verdict = judge_build(
        build,
        rules,
        TrustRoot.load(trusted_root),
        name=lambda artifact: final_reference(settings, artifact),
        layout=read_file(layout, most=MAX_BUNDLE_BYTES) if layout is not None else None,
    )
    data = {
        "schema": "dhallmark.dev/verdicts/v1",
        "outcome": verdict.outcome.value,
        "verdicts": [part.to_json() for part in verdict.parts],
    }
    return Result(data=data, text=_tree(verdict), exit_code=verdict.exit_code)


def _read_policy(path: Path) -> Policy:
    from dhallmark.cli.document import read_policy

    return read_policy(path)


def _rule_of(policy: Policy, *, file: Path) -> LayoutRule:
    from dhallmark.errors import ConfigError, Location

    if policy.layout is None:
        raise ConfigError(
            "the policy asks for no layout",
            where=Location(file=str(file)),
            hint="write `layout: {file: layout.sigstore.json, identities: [NAME]}`; NAME owns the layout",
        )
    return policy.layout


def _functionaries(policy: Policy, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The identities that may do the steps: those that were chosen, or those that may sign links."""
    from dhallmark.errors import UsageError
    from dhallmark.statement import LINK_V0_3

    unknown = [name for name in chosen if name not in policy.identities]
    if unknown:
        raise UsageError(f"the policy has no identity {unknown[0]!r}", hint=f"it has: {', '.join(policy.identities)}")
    names = chosen or tuple(
        dict.fromkeys(
            name for rule in policy.statements if rule.predicate_type == LINK_V0_3 for name in rule.identities
        )
    )
    if not names:
        raise UsageError("the policy does not say who signs links", hint="name who may do the steps with --identity")
    return names


def _parse(content: bytes, *, file: str) -> Layout:
    from dhallmark.errors import FormatError, Location
    from dhallmark.verify.layouts.model import Layout
    from dhallmark.verify.refusal import Refusal

    try:
        return Layout.parse(content)
    except Refusal as refusal:
        found = refusal.evidence.get("found")
        message = f"{refusal.detail}: {found}" if found else refusal.detail
        raise FormatError(message, where=Location(file=file)) from refusal


def _to_json(layout: Layout) -> Mapping[str, object]:
    return {
        "schema": SCHEMA_SHOW,
        "version": layout.version,
        "expires": layout.expires.isoformat(),
        "readme": layout.readme,
        "steps": [
            {
                "name": step.name,
                "identities": list(step.identities),
                "keys": [key.identity.fingerprint for key in step.keys],
                "buildTypes": list(step.build_types),
                "threshold": step.threshold,
                "materials": [str(rule) for rule in step.materials],
                "products": [str(rule) for rule in step.products],
            }
            for step in layout.steps
        ],
        "inspections": [
            {
                "name": item.name,
                "run": list(item.run),
                "materials": [str(rule) for rule in item.materials],
                "products": [str(rule) for rule in item.products],
            }
            for item in layout.inspections
        ],
    }


def _to_text(layout: Layout) -> str:
    lines = [f"layout version {layout.version}, expires {layout.expires.isoformat()}", *layout.readme.splitlines()]
    for step in layout.steps:
        who = [*step.identities, *(key.identity.fingerprint for key in step.keys)]
        lines += ["", f"step {step.name}: {step.threshold} of {', '.join(who)}"]
        lines += [f"  provenance of {build_type} stands for it" for build_type in step.build_types]
        lines += _rules(step)
    for item in layout.inspections:
        lines += ["", f"inspection {item.name}: {' '.join(item.run)}", *_rules(item)]
    return "\n".join(lines)


def _rules(item: Item) -> list[str]:
    return [
        *(f"  materials: {rule}" for rule in item.materials),
        *(f"  products: {rule}" for rule in item.products),
    ]


def _tree(verdict: Verdict) -> RenderableType:
    from rich.console import Group

    from dhallmark.verify.show import verdict_tree

    return Group(*(verdict_tree(part) for part in verdict.parts))
