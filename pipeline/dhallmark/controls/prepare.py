"""Preparing controls: from a good artifact in a registry to a folder of cases that can be judged anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from dhallmark import strictjson
from dhallmark.config.load import load_policy
from dhallmark.config.policy import Policy
from dhallmark.consumer import Target
from dhallmark.control import Bench, Control
from dhallmark.controls.case import GOOD, MUTANT, POLICY, TRUSTED_ROOT, Case, write_index
from dhallmark.controls.forge import LayoutForge, Tokens, attach_bundle
from dhallmark.controls.layout import Layout
from dhallmark.controls.signer import LabSigner
from dhallmark.errors import UsageError, VerdictError
from dhallmark.files import directory_atomic, write_atomic
from dhallmark.identity import Identity
from dhallmark.lab.model import LabPaths, read_lab
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import split_repository
from dhallmark.progress import Progress, Silent
from dhallmark.verdict import Outcome
from dhallmark.verify.artifact import verify_artifact
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.identities import IdentityMatcher
from dhallmark.verify.trust import TrustRoot

_LISTS = ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")


async def prepare_controls(
    target: Target,
    controls: Sequence[Control],
    *,
    into: Path,
    lab: Path | None = None,
    registry_ca: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the cases of `controls` for the good artifact `target` to the folder `into`, all or none.

    `lab` is the directory of a lab that this process can reach; controls that sign need it; `registry_ca` is a PEM file
    of certificates to trust instead of the system's. Raises VerdictError where the artifact is not accepted to begin
    with: nothing can be learnt from a mutant of a bad one.
    """
    listener = progress or Silent()
    signing = [control.id for control in controls if control.needs_signer]
    if signing and lab is None:
        raise UsageError(f"controls that sign need a lab: {', '.join(signing)}", hint="name one with --lab")
    trusted_root = target.trusted_root.read_bytes()
    host = split_repository(target.repository)[0]
    async with Registry(host, plain_http=target.plain_http, ca=registry_ca) as registry:
        verdict = await verify_artifact(
            registry, target, load_policy(target.policy), TrustRoot.load(target.trusted_root)
        )
        if verdict.outcome is not Outcome.ACCEPTED:
            raise VerdictError(verdict, hint="controls start from an artifact that the policy accepts")
        good, attached = await _read(registry, target)
    signed = _by_the_release(attached, load_policy(target.policy), TrustRoot.parse(trusted_root))
    bundles = list(signed)
    tokens = None
    if lab is not None:
        identity = next(iter(signed.values()))
        tokens = Tokens(signer=LabSigner(lab), issuers=read_lab(lab).issuers, release=identity)
        trusted_root = merge_trust(trusted_root, _lab_root(lab))
    listener.start("prepare", total=len(controls))
    with directory_atomic(into) as folder:
        for control in controls:
            forge = LayoutForge(good=good, digest=target.digest, tokens=tokens)
            name = target.subject_name or target.repository
            bench = Bench(good=target.digest, name=name, bundles=bundles, forge=forge)
            mutant = await control.mutate(bench)
            case = Case.of(
                control,
                reference=f"{target.repository}@{target.digest}",
                subject_name=name,
                good=target.digest,
                mutant=mutant,
            )
            good.write(folder / control.id / GOOD)
            forge.layout.write(folder / control.id / MUTANT)
            write_atomic(folder / control.id / POLICY, target.policy.read_bytes())
            write_atomic(folder / control.id / TRUSTED_ROOT, trusted_root)
            case.write(folder / control.id)
            listener.advance("prepare")
        write_index(folder, [control.id for control in controls])
    listener.done("prepare", summary=f"{len(controls)} controls")


async def _read(registry: Registry, target: Target) -> tuple[Layout, list[bytes]]:
    """The good artifact with its bundles as a layout, and the bundles."""
    _, repository = split_repository(target.repository)
    layout = Layout()
    manifest = await registry.get_manifest(repository, target.digest)
    if not manifest.blobs()[1:]:
        raise UsageError(f"{target.repository}@{target.digest} has no layer: controls change the first one")
    layout.add_manifest(manifest)
    for blob in manifest.blobs():
        layout.add_blob(await registry.get_blob(repository, blob.digest))
    bundles = await registry.bundles(repository, target.digest)
    for bundle in bundles:
        attach_bundle(layout, manifest, bundle)
    return layout, bundles


def _by_the_release(bundles: Sequence[bytes], policy: Policy, trust: TrustRoot) -> Mapping[bytes, Identity]:
    """Those of `bundles` that identities of the policy signed, and who did. What strangers attached is no material."""
    matcher = IdentityMatcher(policy.identities)
    found: dict[bytes, Identity] = {}
    for bundle in bundles:
        identity = verify_bundle(bundle, trust).identity
        if identity is not None and matcher.knows(identity):
            found[bundle] = identity
    return found


def _lab_root(lab: Path) -> bytes:
    return (LabPaths(lab).trust(read_lab(lab).main_authority) / TRUSTED_ROOT).read_bytes()


def merge_trust(first: bytes, second: bytes) -> bytes:
    """A trust root that holds what both hold: mutants that a lab signed must fail for their flaw, not for their CA.

    Raises FormatError where they contradict each other.
    """
    merged = strictjson.parse(first, what="trust root")
    other = strictjson.parse(second, what="trust root")
    for name in _LISTS:
        entries = merged.setdefault(name, [])
        entries += [entry for entry in other.get(name, []) if entry not in entries]
    content = json.dumps(merged, indent=2).encode()
    TrustRoot.parse(content)
    return content
