"""`verify-bundle`, as the suite's `docs/cli_protocol.md` has it.

The suite's clients take a bundle for what it is: an identity or a key, and no more, decides who may have signed. So
nothing is demanded but what the signer's kind needs; a managed key needs neither log nor time, and what a bundle brings
of them must verify.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, Location, UsageError
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.bundle import BundleResult, verify_bundle
from dhallmark.verify.demands import Demands, SignatureKind
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_INSTANCES = {False: "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev", True: "https%3A%2F%2Ftuf-repo-cdn.sigstage.dev"}
"""Where the sigstore package keeps the trust roots of the public instance and of its staging."""
_MAX_HELD_BYTES = 64 * 1024 * 1024
"""A larger artifact is known by its digest alone."""
_KINDS = frozenset(SignatureKind)


def main(arguments: Sequence[str]) -> int:
    """Verify, say what was found, and give the exit code. Raises Error for files that cannot be read."""
    options = _parser().parse_args(arguments)
    if (options.certificate_identity is None) != (options.certificate_oidc_issuer is None):
        raise UsageError("an identity needs its issuer, and an issuer its identity")
    identity = options.certificate_identity and (options.certificate_identity, options.certificate_oidc_issuer)
    if (identity is None) == (options.key is None):
        raise UsageError("either a key or an identity with its issuer says who may have signed")
    verdict = verify(
        _read(options.bundle, MAX_BUNDLE_BYTES),
        load_trust_root(options.trusted_root, staging=options.staging),
        artifact=read_artifact(options.artifact),
        identity=identity,
        key=None if options.key is None else ManagedKey.load(options.key),
    )
    for check in verdict.walk():
        if check.reason is not None:
            print(f"{check.reason.value}: {check.detail}", *_shown(check), sep="\n  ", file=sys.stderr)
    print(verdict.summary(), file=sys.stderr)
    return verdict.exit_code


def verify(
    bundle: bytes,
    trust: TrustRoot,
    *,
    artifact: Digest | bytes,
    identity: tuple[str, str] | None = None,
    key: ManagedKey | None = None,
) -> Verdict:
    """The verdict on a bundle about `artifact`, signed by `key` or else by `identity` (subject and issuer)."""
    demands = Demands(kinds=_KINDS) if key is None else Demands(kinds=_KINDS, log_entries=0, scts=0)
    result = verify_bundle(bundle, Terms(trust, () if key is None else (key,), demands), message=artifact)
    checks = (
        [] if result.identity is None else [_check_signatory(result, identity, key), _check_artifact(result, artifact)]
    )
    return Verdict.of("bundle", checks=checks, parts=[result.verdict])


def load_trust_root(path: Path | None, *, staging: bool = False) -> TrustRoot:
    """The trust root of a file, or that of the public instance, which comes with the sigstore package."""
    if path is not None:
        return TrustRoot.load(path)
    return TrustRoot.parse(
        (resources.files("sigstore._store") / _INSTANCES[staging] / "trusted_root.json").read_bytes()
    )


def read_artifact(argument: str) -> Digest | bytes:
    """The artifact of the command line: a digest, if it has the form of one and no file has that name."""
    path = Path(argument)
    if _DIGEST.fullmatch(argument) and not path.exists():
        return Digest(argument)
    try:
        return path.read_bytes() if path.stat().st_size <= _MAX_HELD_BYTES else Digest.of_file(path)
    except OSError as error:
        raise FormatError(f"the artifact cannot be read: {error.strerror}", where=Location(file=argument)) from error


def _check_signatory(result: BundleResult, identity: tuple[str, str] | None, key: ManagedKey | None) -> Check:
    found = result.identity
    if key is not None:
        if found == key.identity:
            return Check(name="key")
        return Check(name="key", reason=Reason.KEY_UNKNOWN, detail="signed with a certificate, and not with the key")
    subject, issuer = identity or ("", "")
    if not isinstance(found, Identity) or found.issuer != issuer:
        return Check(
            name="identity", reason=Reason.IDENTITY_ISSUER_MISMATCH, detail="signed by another issuer's identity"
        )
    if found.subject != subject:
        return Check(name="identity", reason=Reason.IDENTITY_SUBJECT_MISMATCH, detail=f"signed by {found.subject}")
    return Check(name="identity")


def _check_artifact(result: BundleResult, artifact: Digest | bytes) -> Check:
    """That a statement is about the artifact. Of a message signature the digest was verified with it."""
    digest = artifact if isinstance(artifact, Digest) else Digest.of(artifact)
    if result.statement is None or any(subject.digest == digest for subject in result.statement.subjects):
        return Check(name="subject")
    return Check(name="subject", reason=Reason.SUBJECT_MISMATCH, detail="no subject of the statement is the artifact")


def _shown(check: Check) -> list[str]:
    return [f"{name}: {value}" for name, value in check.evidence.items()]


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise FormatError(f"the bundle cannot be read: {error.strerror}", where=Location(file=str(path))) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="client verify-bundle", allow_abbrev=False)
    parser.add_argument("--staging", action="store_true", help="the trust root of Sigstore's staging instance")
    parser.add_argument("--bundle", type=Path, required=True, metavar="FILE")
    parser.add_argument("--certificate-identity", metavar="IDENTITY")
    parser.add_argument("--certificate-oidc-issuer", metavar="URL")
    parser.add_argument("--key", type=Path, metavar="FILE", help="a public key in PEM, instead of an identity")
    parser.add_argument("--trusted-root", type=Path, metavar="FILE")
    parser.add_argument("artifact", metavar="FILE_OR_DIGEST")
    return parser
