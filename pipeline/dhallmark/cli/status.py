"""`dhallmark gitops status`: whether the verification that Git says is in force in a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.result import Result
from dhallmark.errors import UsageError

SCHEMA = "dhallmark.dev/gitops-status/v1"
_MAX_ROOT = 16 * 1024 * 1024


def status(
    *manifests: Path,
    kubeconfig: Path | None = None,
    context: str = "",
    trusted_root: Path | None = None,
    report: Annotated[tuple[str, ...], Parameter(negative="")] = (),
) -> Result:
    """Say whether the verification that Git says is in force in a cluster.

    Compares every source of the manifests with the object in the cluster, reads the controller's conditions for its
    current generation, compares what is served with the digest that Git names, and looks for other sources of the same
    repository and for controllers that are too old. Changes nothing. Needs to read sources and Deployments in all
    namespaces.

    Ends with 0 where all of it is in force, 1 where something is not, 3 where there was no telling.

    Parameters
    ----------
    manifests
        Files, or folders with the YAML files of the environment, as they are applied.
    kubeconfig
        The kubeconfig; as kubectl finds it otherwise. One with an exec plug-in is refused: no program is run.
    context
        The context of it that is meant.
    trusted_root
        The trusted_root.json that the Secrets of sources must hold. Needs to read those Secrets.
    report
        FORMAT=FILE, several times if need be: write the report to a file, too, as text, json, junit, sarif, markdown
        or html.
    """
    import os

    from dhallmark.files import read_regular
    from dhallmark.gitops.status.kubeconfig import Kubeconfig, find_kubeconfig
    from dhallmark.gitops.status.status import look
    from dhallmark.prove.document import verdict_document
    from dhallmark.prove.manifests import read_manifests
    from dhallmark.report.formats import Wanted, write_reports

    if not manifests:
        raise UsageError("nothing to look for", hint="name the folder with the manifests of the environment")
    wanted = [Wanted.parse(one) for one in report]
    read = read_manifests(manifests)
    root = read_regular(trusted_root, max_bytes=_MAX_ROOT) if trusted_root is not None else None
    chosen = Kubeconfig.load(find_kubeconfig(kubeconfig, os.environ), context=context)
    found = look(chosen.api(), read, trusted_root=root)
    verdict = found.verdict
    reason = verdict.reason
    document = verdict_document(
        verdict,
        kind="status",
        title="Verification in force",
        summary=f"{found.sources} sources of Git's: {verdict.outcome.value}",
        facts={
            "context": chosen.context,
            "manifests": str(read.digest),
            "controllers": ", ".join(found.controllers) or "none",
        },
        notes=(),
        data={
            "schema": SCHEMA,
            "outcome": verdict.outcome.value,
            **({"reason": reason.value} if reason else {}),
            "context": chosen.context,
            "manifests": str(read.digest),
            "controllers": list(found.controllers),
            "sources": found.sources,
            "verdict": verdict.to_json(),
        },
    )
    write_reports(document, wanted)
    return Result(data=document.data, text=document.text, exit_code=verdict.exit_code)
