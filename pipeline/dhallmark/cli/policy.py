"""`dhallmark policy`: look at a policy before it decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dhallmark.cli.result import Result
from dhallmark.errors import ExitCode, Location

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dhallmark.config.policy import Policy
    from dhallmark.config.review import Advice

SCHEMA = "dhallmark.dev/policy-check/v1"


def check(
    file: Path,
    /,
    *,
    meant: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    minimum_policy: int = 0,
    strict: Annotated[bool, Parameter(negative="")] = False,
) -> Result:
    """Say what a policy lets in that it may not mean to: look-alikes of identities, and weak demands.

    The policy, its keys and its layout are read as for verifying; what is wrong with them is an error. Warnings leave
    the exit code at 0, unless --strict.

    Parameters
    ----------
    file
        The policy file.
    meant
        A subject that is known to be good, to make look-alikes of; may be given several times.
    minimum_policy
        The least `version` that the policy must have.
    strict
        End with 1 where there is a warning.
    """
    from dhallmark.config import strictyaml
    from dhallmark.config.load import load_policy
    from dhallmark.config.review import review
    from dhallmark.errors import ConfigError
    from dhallmark.verify.identities import managed_keys

    policy = load_policy(file, minimum_version=minimum_policy)
    if (policy.version or 0) < minimum_policy:
        raise ConfigError(
            f"version {policy.version or 'none'} is below {minimum_policy}",
            where=Location(file=str(file), field="version"),
            hint="get the current policy from its owner",
        )
    managed_keys(policy)
    document = strictyaml.parse(file.read_bytes(), file=str(file))
    found = [(document.location(one.field, file=str(file)), one) for one in review(policy, meant=meant)]
    found.sort(key=lambda one: (one[0].line or 0, one[0].column or 0))
    return Result(
        data={
            "schema": SCHEMA,
            "file": str(file),
            "digest": policy.origin.digest,
            "files": list(policy.files),
            "warnings": [
                {"line": where.line, "column": where.column, "field": where.field, **advice.to_json()}
                for where, advice in found
            ],
        },
        text=_text(file, policy, found),
        exit_code=ExitCode.REJECTED if found and strict else ExitCode.OK,
    )


def warn_of_loose(policy: Policy, file: Path) -> None:
    """Tell, beside the progress, which expressions of the policy let look-alikes in."""
    if not policy.has_expressions:
        return
    from dhallmark.cli.output import relay
    from dhallmark.config.review import loose_expressions
    from dhallmark.config.strictyaml import dotted

    tell = relay()
    for advice in loose_expressions(policy):
        tell(f"warning: {file} ({dotted(advice.field)}) {advice.message}, such as {advice.example}\n")


def reference() -> Result:
    """Print the reference of the policy file, as Markdown: every key, made from the model that checks it."""
    from dhallmark.config.reference import policy_reference

    text = policy_reference()
    return Result(data={"schema": "dhallmark.dev/policy-reference/v1", "markdown": text}, text=text)


def _text(file: Path, policy: Policy, found: Sequence[tuple[Location, Advice]]) -> str:
    lines = []
    for where, advice in found:
        lines.append(f"{where}: warning: {advice.message}")
        lines += [f"  such as {advice.example}"] if advice.example else []
        lines.append(f"  hint: {advice.hint}")
    counted = f"{len(found)} warning{'' if len(found) == 1 else 's'}" if found else "no warnings"
    return "\n".join([*lines, f"{file}: version {policy.version or 'none'}, {counted}"])
