"""What attaches signed results, of controls or of an audit, to the artifact that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio

from dhallmark.cli.document import read_file
from dhallmark.cli.result import Result
from dhallmark.config.load import load_policy
from dhallmark.errors import UsageError
from dhallmark.publish.attach import Permit, attach_statements
from dhallmark.verify.basis import Basis
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.reference import Reference


def attach_results(
    bundles: Sequence[Path],
    ref: str,
    *,
    name: str,
    schema: str,
    permit: Permit,
    policy: Path,
    trusted_root: Path | None,
    subject_name: str,
    plain_http: bool,
    registry_ca: Path | None,
) -> Result:
    """Attach the `bundles` to the artifact `ref`, and give the verdict on it as it is then.

    `name` is what the bundles are called in messages, `permit` says who may have signed a statement. Raises UsageError
    for a reference that is no digest, and what `attach_statements` raises.
    """
    reference = Reference.parse(ref)
    if reference.digest is None:
        hint = "`dhallmark verify` shows the digest of a tag"
        raise UsageError(f"{ref} is a tag: the {name} is about a digest", hint=hint)
    contents = [read_file(path, most=MAX_BUNDLE_BYTES) for path in bundles]
    rules = load_policy(policy)
    trust = Basis.load(rules, trusted_root).judge().trust

    async def main() -> Result:
        verdict = await attach_statements(
            contents,
            reference,
            name=name,
            permit=permit,
            policy=rules,
            trust=trust,
            subject_name=subject_name,
            plain_http=plain_http,
            registry_ca=registry_ca,
        )
        data = {"schema": schema, "reference": ref, "verdict": verdict.to_json()}
        return Result(data=data, text=verdict.summary(), exit_code=verdict.exit_code)

    return anyio.run(main)
