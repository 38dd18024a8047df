"""`dhallmark verify`: the verdict on what was published, or on a deploy tree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dhallmark.cli.result import Result

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dhallmark.verdict import Verdict


def verify(
    *,
    ref: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    tree: Path | None = None,
    policy: Path = Path("policy.yaml"),
    minimum_policy: int = 0,
    trusted_root: Path,
    subject_name: str = "",
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    registry_ca: Path | None = None,
    record: Path | None = None,
) -> Result:
    """Verify artifacts in a registry, or a deploy tree, against a policy and a trust root.

    Ends with 0 where everything is accepted, 1 where something is rejected, 3 where there was no telling.

    Parameters
    ----------
    ref
        REGISTRY/REPOSITORY@sha256:… or REGISTRY/REPOSITORY:TAG; may be given several times. A tag is resolved once.
    tree
        Folder of a deploy tree.
    policy
        The policy file.
    minimum_policy
        The least `version` that the policy must have: an older one is not to be put back.
    trusted_root
        A Sigstore trusted_root.json. Nothing is downloaded.
    subject_name
        Name that the artifact must have in its statements, where it is not the repository that it is read from (a copy
        in a mirror or a staging repository). Only with one --ref.
    plain_http
        Read from a registry without TLS.
    registry_ca
        PEM file of the certificates to trust instead of the system's.
    record
        Write the verdicts to this file, too, as --output json prints them.
    """
    import anyio

    from dhallmark import strictjson
    from dhallmark.config.load import load_policy
    from dhallmark.errors import UsageError
    from dhallmark.files import write_atomic
    from dhallmark.verdict import Verdict
    from dhallmark.verify.reference import verify_reference
    from dhallmark.verify.tree import verify_tree
    from dhallmark.verify.trust import TrustRoot

    if not ref and tree is None:
        raise UsageError("nothing to verify", hint="give --ref or --tree")
    if subject_name and len(ref) != 1:
        raise UsageError("--subject-name goes with exactly one --ref")
    rules, trust = load_policy(policy, minimum_version=minimum_policy), TrustRoot.load(trusted_root)

    async def main() -> list[Verdict]:
        return [
            await verify_reference(
                one, rules, trust, subject_name=subject_name, plain_http=plain_http, registry_ca=registry_ca
            )
            for one in ref
        ]

    parts = anyio.run(main)
    if tree is not None:
        parts.append(verify_tree(tree, rules, trust))
    verdict = Verdict.of("all", parts=parts)
    data = {
        "schema": "dhallmark.dev/verdicts/v1",
        "outcome": verdict.outcome.value,
        "verdicts": [part.to_json() for part in parts],
    }
    if record is not None:
        write_atomic(record, strictjson.dump(data))
    return Result(
        data=data,
        text=_text(parts),
        exit_code=verdict.exit_code,
    )


def _text(parts: list[Verdict]) -> RenderableType:
    from rich.console import Group

    from dhallmark.verify.show import verdict_tree

    return Group(*(verdict_tree(part) for part in parts))
