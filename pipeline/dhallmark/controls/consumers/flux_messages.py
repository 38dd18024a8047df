"""What source-controller writes into a condition of an OCIRepository that it refuses, read into a reason.

`flux-verify` gives the same words, and the types of Go's errors beside them; a condition has the words alone. They are
read from the beginning: what a registry or a bundle says of itself stands at the end.
Source: source-controller v1.8.5 and v1.9.6, internal/controller/ocirepository_controller.go; cosign v3.0.6,
pkg/cosign/errors.go; go-containerregistry v0.21, pkg/v1/remote/transport/error.go; net/url, Error.
"""

from __future__ import annotations

import re
from typing import Final

from dhallmark.controls.consumers.legacy_cosign import LEGACY
from dhallmark.controls.consumers.sigstore_go import BUNDLE, split_messages
from dhallmark.reasons import Reason

_UNVERIFIED: Final = re.compile(r"failed to verify the signature using provider '\w+( keyless)?': ")
_ATTESTATIONS: Final = "no matching attestations: "
_SIGNATURES: Final = "no matching signatures: "
_NONE: Final = "no signatures found"
_NO_TAG: Final = "image tag not found: "
_PULLED: Final = re.compile(
    r"failed to (determine artifact digest|pull artifact from '[^']*'|parse artifact manifest|parse artifact layers"
    r"|extract the first layer from artifact|copy layer from artifact|extract layer contents from artifact): "
)
_OUTAGE: Final = re.compile(
    r"(HEAD|GET|POST) https?://\S+: .+"  # transport.Error: the registry answered with an error
    r'|(Head|Get|Post) "https?://[^"]+": .+'  # url.Error: it did not answer
    r"|context deadline exceeded",
    re.DOTALL,
)
_OTHERS: Final[tuple[tuple[Reason, re.Pattern[str]], ...]] = tuple(
    (reason, re.compile(pattern))
    for reason, pattern in (
        (
            Reason.ARTIFACT_DIGEST_MISMATCH,
            r"failed to (copy layer|extract layer contents) from artifact: .*error verifying sha256 checksum after .*",
        ),
        (
            Reason.ARTIFACT_DIGEST_MISMATCH,
            r'failed to .*: manifest digest: ".*" does not match requested digest: ".*" .*',
        ),
        # With public keys the controller keeps to itself why none fits.
        (
            Reason.SIGNATURE_INVALID,
            r"failed to verify the signature using provider 'cosign': no matching signatures were found for '\S+'",
        ),
    )
)


def reason_of(message: str) -> Reason | None:
    """Why the controller refused, from its whole message; None where it cannot be told."""
    if (unverified := _UNVERIFIED.match(message)) is not None:
        cause = message[unverified.end() :]
        if cause.startswith(_ATTESTATIONS):
            return BUNDLE.furthest(split_messages(cause.removeprefix(_ATTESTATIONS)))
        if cause.startswith(_SIGNATURES):
            return legacy_reason_of(cause)
        if cause == _NONE:
            return Reason.SIGNATURE_NONE
        if cause.startswith(_NO_TAG) or _OUTAGE.fullmatch(cause):
            return Reason.REGISTRY_UNAVAILABLE
    elif (pulled := _PULLED.match(message)) is not None and _OUTAGE.fullmatch(message[pulled.end() :]):
        return Reason.REGISTRY_UNAVAILABLE
    return other_reason_of(message)


def legacy_reason_of(message: str) -> Reason | None:
    """Why signatures in the older format were refused: their causes stand below each other."""
    return LEGACY.furthest(cause.strip() for cause in message.partition(_SIGNATURES)[2].splitlines())


def other_reason_of(message: str) -> Reason | None:
    """The reason of a message that is told by its words alone, whoever hands it on."""
    return next((reason for reason, pattern in _OTHERS if pattern.fullmatch(message)), None)
