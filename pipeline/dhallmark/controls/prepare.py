"""Preparing controls: from a good artifact in a registry to a folder of cases that can be judged anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dhallmark import strictjson
from dhallmark.config import strictyaml
from dhallmark.config.load import load_policy
from dhallmark.consumer import Target
from dhallmark.control import Control, Kind, Mutation, NotApplicableError
from dhallmark.controls.case import GOOD, MUTANT, Case, Side, write_index
from dhallmark.controls.forge import Bench, Forge, Original, SignedStatement, attach_bundle
from dhallmark.controls.forging.authorities import Forgers
from dhallmark.controls.forging.bundle import Forger
from dhallmark.controls.layout import Layout
from dhallmark.controls.mutations import as_it_is
from dhallmark.digest import Digest
from dhallmark.errors import UsageError, VerdictError
from dhallmark.files import directory_atomic
from dhallmark.identity import Identity
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import Manifest, fallback_tag, split_repository
from dhallmark.oci.referrers import LEGACY_SUFFIXES
from dhallmark.progress import Progress, Silent
from dhallmark.verdict import Outcome
from dhallmark.verify.artifact import verify_artifact
from dhallmark.verify.policy import PolicyJudge
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

    `lab` is the directory of a lab, which need not run: mutants are then signed with its keys, and with those of an
    instance made for the occasion otherwise. `registry_ca` is a PEM file of certificates to trust instead of the
    system's. Raises VerdictError where the artifact is not accepted to begin with: nothing can be learnt from a mutant
    of a bad one.
    """
    listener = progress or Silent()
    original = await read_original(target, lab=lab, registry_ca=registry_ca)
    listener.start("prepare", total=len(controls))
    with directory_atomic(into) as folder:
        for control in controls:
            await write_case(control, original, folder / control.id, reference=f"{target.repository}@{target.digest}")
            listener.advance("prepare")
        write_index(folder, [control.id for control in controls], made=original.forger.forgers.now)
    listener.done("prepare", summary=f"{len(controls)} controls")


async def read_original(target: Target, *, lab: Path | None = None, registry_ca: Path | None = None) -> Original:
    """Read the good artifact, and make the forgers that its mutants are signed by. Raises as `prepare_controls`."""
    policy, trusted_root = load_policy(target.policy), target.trusted_root.read_bytes()
    trust = TrustRoot.parse(trusted_root)
    host = split_repository(target.repository)[0]
    async with Registry(host, plain_http=target.plain_http, ca=registry_ca) as registry:
        verdict = await verify_artifact(registry, target, policy, trust)
        if verdict.outcome is not Outcome.ACCEPTED:
            raise VerdictError(verdict, hint="controls start from an artifact that the policy accepts")
        layout, attached, legacy = await _read(registry, target)
    forgers = Forgers.make(lab=lab)
    for root in forgers.trusted_roots:
        trusted_root = merge_trust(trusted_root, json.dumps(root).encode())
    signed, keyed = _own(attached, PolicyJudge(policy, trust))
    return Original(
        layout=layout,
        digest=target.digest,
        name=target.subject_name or target.repository,
        signed=tuple(signed),
        keyed=tuple(keyed),
        legacy=legacy,
        policy=believing(target.policy.read_bytes(), Digest.of(trusted_root), given=trust.digest),
        beside=_beside(target.policy),
        trusted_root=trusted_root,
        forger=Forger(forgers),
    )


def _own(bundles: Sequence[bytes], rules: PolicyJudge) -> tuple[Sequence[SignedStatement], Sequence[bytes]]:
    """Those of `bundles` that identities of the policy signed: with a certificate, and with a key.

    A stranger's are no material.
    """
    signed: list[SignedStatement] = []
    keyed: list[bytes] = []
    for bundle in bundles:
        result = rules.examine(bundle, name="bundle")
        if result.statement is None or result.identity is None or not rules.identities.knows(result.identity):
            continue
        if isinstance(result.identity, Identity):
            signed.append(SignedStatement(bundle=bundle, statement=result.statement, identity=result.identity))
        else:
            keyed.append(bundle)
    return signed, keyed


def believing(policy: bytes, trusted_root: Digest, *, given: Digest | None) -> bytes:
    """The policy; one that says which trust roots it believes also believes `trusted_root`, for as long as `given`.

    `given` is the user's trust root, which the policy accepted; the other one holds it and the forgers' authorities.
    """
    body = strictyaml.parse(policy, file="policy").value
    if not isinstance(body, dict) or "trustRoot" not in body:
        return policy
    accepted = body["trustRoot"]["accepted"]
    accepted += [{**one, "digest": trusted_root} for one in accepted if one["digest"] == given]
    return json.dumps(body, indent=2).encode()


def _beside(policy: Path) -> Mapping[str, bytes]:
    """The files that the policy names."""
    return {name: (policy.parent / name).read_bytes() for name in load_policy(policy).files}


async def write_case(control: Control, original: Original, folder: Path, *, reference: str) -> None:
    """Make both sides of `control` and write the case to `folder`."""
    known = {"reference": reference, "subject_name": original.name}
    try:
        mutant = await _write_side(control, control.mutate, original, Side(folder / MUTANT))
        good = await _write_side(control, control.good or as_it_is, original, Side(folder / GOOD))
    except NotApplicableError as error:
        Case.of(control, not_applicable=str(error), **known).write(folder)
        return
    Case.of(control, good=good, mutant=mutant, **known).write(folder)


async def _write_side(control: Control, mutation: Mutation, original: Original, side: Side) -> Digest | None:
    forge = Forge(original)
    if control.kind is not Kind.ARTIFACT:
        side.files.mkdir(parents=True)
        forge.files = side.files
    digest = await mutation(Bench(original=original, forge=forge))
    forge.write(side)
    return digest


async def _read(registry: Registry, target: Target) -> tuple[Layout, list[bytes], Mapping[str, Digest]]:
    """The good artifact with its bundles as a layout; the bundles; and what is at older tags, where there is none."""
    _, repository = split_repository(target.repository)
    layout = Layout()
    manifest = await _copy(registry, repository, target.digest, layout)
    if layout.first_layer(target.digest) is None:
        raise UsageError(f"{target.repository}@{target.digest} has no layer: controls change the first one")
    bundles = await registry.bundles(repository, target.digest)
    for bundle in bundles:
        attach_bundle(layout, manifest, bundle)
    legacy: dict[str, Digest] = {}
    for suffix in () if bundles else LEGACY_SUFFIXES:
        tag = f"{fallback_tag(target.digest)}{suffix}"
        found = await registry.find_manifest(repository, tag)
        if found is not None:
            await _copy(registry, repository, found.digest, layout)
            layout.tags[tag] = legacy[suffix] = found.digest
    return layout, bundles, legacy


async def _copy(registry: Registry, repository: str, digest: Digest, layout: Layout) -> Manifest:
    """Put a manifest of the registry into `layout`, with all that it is made of."""
    manifest = await registry.get_manifest(repository, digest)
    layout.add_manifest(manifest)
    for blob in manifest.blobs():
        layout.add_blob(await registry.get_blob(repository, blob.digest))
    for child in manifest.children():
        await _copy(registry, repository, child.digest, layout)
    return manifest


def _identity_of(entry: Any) -> object:  # noqa: ANN401 - an entry of any list of a trust root
    """What makes two entries one: a log's id and key, whatever URL each was given; of an authority everything."""
    if isinstance(entry, dict) and isinstance(entry.get("publicKey"), dict):
        return entry.get("logId"), entry["publicKey"].get("rawBytes")
    return entry


def merge_trust(first: bytes, second: bytes) -> bytes:
    """A trust root that holds what both hold: mutants that a lab signed must fail for their flaw, not for their CA.

    Raises FormatError where they contradict each other.
    """
    merged = strictjson.parse(first, what="trust root")
    other = strictjson.parse(second, what="trust root")
    for name in _LISTS:
        entries = merged.setdefault(name, [])
        known = [_identity_of(entry) for entry in entries]
        entries += [entry for entry in other.get(name, []) if _identity_of(entry) not in known]
    content = json.dumps(merged, indent=2).encode()
    TrustRoot.parse(content)
    return content
