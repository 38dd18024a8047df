"""`dhallmark prove`: what an API server and Flux's own code make of an environment's manifests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dhallmark.cli.output import progress
from dhallmark.cli.result import Result
from dhallmark.errors import UsageError
from dhallmark.gitops.lint.fields import Flux, FluxVersion

if TYPE_CHECKING:
    from dhallmark.prove.prove import Controller, Proof


def prove(
    *manifests: Path,
    environment: str,
    trusted_root: Path,
    policy: Path = Path("policy.yaml"),
    flux: Annotated[tuple[FluxVersion, ...], Parameter(negative="")] = ("2.9",),
    definitions: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    source_controller: Path | None = None,
    controller_version: str = "",
    after: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    max_age: Annotated[int, Parameter(help="Most days since an earlier proof was signed.")] = 7,
    proved_by: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    release: Path | None = None,
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    registry_ca: Path | None = None,
    lab: Annotated[Path | None, Parameter(env_var="DHALLMARK_LAB")] = None,
    flux_verify: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    statement: Path | None = None,
    report: Annotated[tuple[str, ...], Parameter(negative="")] = (),
) -> Result:
    """Prove an environment: a real API server takes its manifests, and Flux's own code refuses all but the good.

    Starts etcd and kube-apiserver in a network of its own, with the definitions of Flux; applies every manifest
    strictly and reads it back; and gives the `verify` block that was stored to Flux's verification code, with the
    artifact that the source names and with copies that must be refused: unsigned, by another identity, of another
    issuer, tampered.

    Ends with 0 where all of that is as it must be, 1 where something is not, 3 where there was no telling.

    Parameters
    ----------
    manifests
        Files, or folders with the YAML files of the environment, as they are applied.
    environment
        Its name, such as `sandbox`: it is part of the proof.
    trusted_root
        The trusted_root.json that the artifacts were signed under.
    policy
        The policy file that accepts them.
    flux
        Minor version of Flux; may be given several times.
    definitions
        File of CustomResourceDefinitions beside Flux's; may be given several times.
    source_controller
        A source-controller: it works on the sources, too, and its conditions are read. Without it its verification code
        alone is asked, and the report says so.
    controller_version
        Its version, where the program does not tell.
    after
        ENVIRONMENT=FILE: go on only if the signed proof of that environment in FILE stands for the same artifacts, or
        for the same release. ENVIRONMENT=FILE@sha256:… names an unsigned statement that you vouch for. May be given
        several times.
    proved_by
        Identity of the policy that may sign an earlier proof; may be given several times. Those that may sign test
        results where this is not given.
    release
        publish.json of the release that both environments' artifacts are of.
    plain_http
        Read the artifacts from a registry without TLS.
    registry_ca
        PEM file of the certificates to trust for the registry instead of the system's.
    lab
        Directory of a lab with whose keys bad artifacts are signed; it need not run. Keys made for the occasion
        otherwise.
    flux_verify
        VERSION=PROGRAM: the verification code of that version of Flux, where it is not on PATH.
    statement
        Write the proof as an in-toto test result (unsigned) to this file; `dhallmark evidence sign` signs it.
    report
        FORMAT=FILE, several times if need be: write the report to a file, too, as text, json, junit, sarif, markdown
        or html.
    """
    import anyio

    from dhallmark.config.load import load_policy
    from dhallmark.files import write_atomic
    from dhallmark.prove.document import proof_document
    from dhallmark.prove.evidence import make_statement, read_publication
    from dhallmark.prove.manifests import read_manifests
    from dhallmark.prove.promotion import Earlier, Promotion, check_earlier
    from dhallmark.prove.prove import Question
    from dhallmark.prove.prove import prove as run
    from dhallmark.report.formats import Wanted, write_reports
    from dhallmark.verdict import Verdict
    from dhallmark.verify.trust import TrustRoot

    if not manifests:
        raise UsageError("nothing to prove", hint="name the folder with the manifests of the environment")
    wanted = [Wanted.parse(one) for one in report]
    rules = load_policy(policy)
    unknown = sorted(set(proved_by) - set(rules.identities))
    if unknown:
        raise UsageError(f"the policy has no identity {unknown[0]!r}", hint=f"it has {', '.join(rules.identities)}")
    earlier = [Earlier.parse(one) for one in after]
    publication = read_publication(release) if release is not None else None
    if statement is not None:
        statement.unlink(missing_ok=True)  # An older one must not be taken for this run's.
    question = Question(
        environment=_name(environment),
        manifests=read_manifests(manifests),
        policy=policy,
        trusted_root=trusted_root,
        flux=tuple(dict.fromkeys(map(Flux, flux))),
        definitions=_definitions(definitions),
        controller=_controller(source_controller, controller_version) if source_controller is not None else None,
        programs=_programs(flux_verify),
        plain_http=plain_http,
        registry_ca=registry_ca,
        lab=lab,
    )

    async def main() -> Proof:
        return await run(question, progress=progress())

    proof = anyio.run(main)
    if earlier:
        promotion = Promotion(
            proved=proof.proved,
            policy=rules,
            trust=TrustRoot.load(trusted_root),
            release=publication,
            max_age=timedelta(days=max_age),
            signers=proved_by,
        )
        before = [check_earlier(one, promotion) for one in earlier]
        proof = replace(proof, verdict=Verdict.of(proof.verdict.subject, parts=[*before, *proof.verdict.parts]))
    document = proof_document(proof)
    write_reports(document, wanted)
    if statement is not None and proof.proved:
        write_atomic(statement, make_statement(proof, release=publication).payload)
    return Result(data=document.data, text=document.text, exit_code=proof.verdict.exit_code)


def _name(text: str) -> str:
    import re

    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?", text):
        raise UsageError(f"no name of an environment: {text!r}", hint="lower-case letters, digits and dashes")
    return text


def _definitions(paths: Sequence[Path]) -> list[dict[str, object]]:
    from dhallmark.prove.manifests import read_manifests

    if not paths:
        return []
    found = read_manifests(paths).objects
    return [dict(one.body) for one in found if one.kind == "CustomResourceDefinition"]


def _programs(choices: Sequence[str]) -> dict[Flux, str]:
    found = {}
    for choice in choices:
        version, equals, program = choice.partition("=")
        if not equals or not program or version not in set(Flux):
            raise UsageError(f"no program of the form {choice!r}", hint=f"VERSION=PROGRAM, of {', '.join(Flux)}")
        found[Flux(version)] = program
    return found


def _controller(program: Path, version: str) -> Controller:
    """The controller, and what of it is not what is released: the program itself tells."""
    from dhallmark.kubernetes.buildinfo import read_build_info
    from dhallmark.prove.prove import Controller, find_controller

    path = find_controller(str(program))
    info = read_build_info(Path(path))
    return Controller(
        program=path,
        version=version or info.version_of("github.com/fluxcd/source-controller") or "of unknown version",
        substitution=info.substitution,
    )
