"""From the records of the steps to the lines of the closing report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dhallmark.identity import KeyIdentity, Signatory
from dhallmark.publish.model import Published
from dhallmark.report.model import Command, ControlLine, Released, VerdictLine
from dhallmark.verdict import Verdict

if TYPE_CHECKING:
    from dhallmark.controls.report import Report as ControlsReport


def released(published: Published, verdict: Verdict) -> Released:
    """One artifact with what the verifier said of it."""
    return Released(
        kind=published.kind,
        environment=published.environment,
        name=published.name,
        reference=published.reference,
        digest=published.digest,
        statements=statements_of(published),
        verdict=VerdictLine.of(verdict),
    )


def statements_of(published: Published) -> int:
    """How many signed statements are attached to it."""
    return sum(bool(attached.predicate_type) for attached in published.attached)


def control_lines(report: ControlsReport) -> tuple[ControlLine, ...]:
    """Every control with every consumer."""
    return tuple(
        ControlLine(
            id=finding.case.id,
            title=finding.case.title,
            consumer=f"{finding.consumer} {finding.version}".strip(),
            status=finding.status.value,
            found=str(finding.mutant),
            explanation=finding.explanation,
        )
        for finding in report.findings
    )


def check_commands(
    published: Sequence[Published],
    *,
    identity: Signatory,
    key: Path | None,
    policy: Path,
    trusted_root: Path,
    tree: Path | None,
    plain_http: bool,
) -> tuple[Command, ...]:
    """Commands that check an artifact of the release, for a reader to run; the first artifact and the first chart.

    `key` is the file of the public key where the release was signed with one.
    """
    first = published[0]
    chart = next((one for one in published if one.kind != "flux"), None)
    insecure = ["--allow-http-registry"] if plain_http else []
    commands = [
        Command(
            purpose="everything that the policy asks for",
            command=_shell(
                "dhallmark", "verify", "--ref", first.pinned, "--policy", str(policy),
                "--trusted-root", str(trusted_root), *(["--plain-http"] if plain_http else []),
            ),
        ),
        Command(
            purpose="the signature, by an independent verifier",
            command=_shell(
                "cosign", "verify", *insecure, "--trusted-root", str(trusted_root), *_signer(identity, key),
                first.pinned,
            ),
        ),
    ]  # fmt: skip
    if chart is not None:
        reference = f"oci://{chart.repository}@{chart.digest}"
        plain = ["--plain-http"] if plain_http else []
        commands.append(Command(purpose="the chart itself", command=_shell("helm", "pull", *plain, reference)))
    if tree is not None:
        words = (
            "dhallmark",
            "verify",
            "--tree",
            str(tree),
            "--policy",
            str(policy),
            "--trusted-root",
            str(trusted_root),
        )
        commands.append(Command(purpose="the deploy tree, every file of it", command=_shell(*words)))
    return tuple(commands)


def _signer(identity: Signatory, key: Path | None) -> list[str]:
    if isinstance(identity, KeyIdentity):
        return ["--key", str(key)]
    return ["--certificate-oidc-issuer", identity.issuer, "--certificate-identity", identity.subject]


def _shell(*words: str) -> str:
    return shlex.join(words)
