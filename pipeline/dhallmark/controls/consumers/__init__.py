"""Consumers: verifiers that decide in production, each the real program behind one narrow interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dhallmark.consumer import Consumer
from dhallmark.controls.consumers.dialect import COSIGN, COSIGN_ATTESTATION, DHALLMARK
from dhallmark.errors import UsageError


def _dhallmark() -> Consumer:
    from dhallmark.controls.consumers.dhallmark import DhallmarkConsumer

    return DhallmarkConsumer()


def _cosign() -> Consumer:
    from dhallmark.controls.consumers.cosign import CosignConsumer

    return CosignConsumer()


def _cosign_attestation() -> Consumer:
    from dhallmark.controls.consumers.cosign import CosignAttestationConsumer

    return CosignAttestationConsumer()


CONSUMERS: Mapping[str, Callable[[], Consumer]] = MappingProxyType(
    {DHALLMARK: _dhallmark, COSIGN: _cosign, COSIGN_ATTESTATION: _cosign_attestation}
)


def make_consumer(name: str) -> Consumer:
    """The consumer of that name. Raises UsageError."""
    if name not in CONSUMERS:
        raise UsageError(f"no consumer {name!r}", hint=f"consumers: {', '.join(CONSUMERS)}")
    return CONSUMERS[name]()
