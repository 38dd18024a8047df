"""Consumers: verifiers that decide in production, each the real program behind one narrow interface.

A consumer is described in `dialect` and made here. Its program is found on PATH, or is the one that the user names:
`flux-1.9=/opt/flux/flux-verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from dhallmark.consumer import Consumer
from dhallmark.controls.consumers.dialect import (
    COSIGN,
    COSIGN_2,
    COSIGN_ATTESTATION,
    DHALLMARK,
    FLUX_1_8,
    FLUX_1_9,
    KYVERNO,
    SIGSTORE_PYTHON,
    SOURCE_CONTROLLER_1_8,
    SOURCE_CONTROLLER_1_9,
)
from dhallmark.errors import UsageError


def _dhallmark(program: str) -> Consumer:
    from dhallmark.controls.consumers.dhallmark import DhallmarkConsumer

    return DhallmarkConsumer(program)


def _cosign(program: str) -> Consumer:
    from dhallmark.controls.consumers.cosign import CosignConsumer

    return CosignConsumer(program)


def _cosign_attestation(program: str) -> Consumer:
    from dhallmark.controls.consumers.cosign import CosignAttestationConsumer

    return CosignAttestationConsumer(program)


def _cosign_2(program: str) -> Consumer:
    from dhallmark.controls.consumers.cosign2 import Cosign2Consumer

    return Cosign2Consumer(program)


def _flux_1_8(program: str) -> Consumer:
    from dhallmark.controls.consumers.flux import flux_1_8

    return flux_1_8(program)


def _flux_1_9(program: str) -> Consumer:
    from dhallmark.controls.consumers.flux import flux_1_9

    return flux_1_9(program)


def _source_controller_1_8(program: str) -> Consumer:
    from dhallmark.controls.consumers.source_controller import source_controller_1_8

    return source_controller_1_8(program)


def _source_controller_1_9(program: str) -> Consumer:
    from dhallmark.controls.consumers.source_controller import source_controller_1_9

    return source_controller_1_9(program)


def _kyverno(program: str) -> Consumer:
    from dhallmark.controls.consumers.kyverno import KyvernoConsumer

    return KyvernoConsumer(program)


def _sigstore_python(program: str) -> Consumer:
    from dhallmark.controls.consumers.sigstore_python import SigstorePythonConsumer

    return SigstorePythonConsumer(program)


CONSUMERS: Final[Mapping[str, Callable[[str], Consumer]]] = MappingProxyType(
    {
        DHALLMARK: _dhallmark,
        COSIGN: _cosign,
        COSIGN_ATTESTATION: _cosign_attestation,
        COSIGN_2: _cosign_2,
        FLUX_1_8: _flux_1_8,
        FLUX_1_9: _flux_1_9,
        SOURCE_CONTROLLER_1_8: _source_controller_1_8,
        SOURCE_CONTROLLER_1_9: _source_controller_1_9,
        KYVERNO: _kyverno,
        SIGSTORE_PYTHON: _sigstore_python,
    }
)
"""By name, each from the path of a program, or an empty text for the one on PATH."""
BUILT_IN: Final = (DHALLMARK, COSIGN, COSIGN_ATTESTATION)
"""Those that a release asks, which signs with the same cosign; the others are asked where they are named."""


def split_choice(choice: str) -> tuple[str, str]:
    """The name and the program of `NAME` or `NAME=PROGRAM`. Raises UsageError for an unknown name."""
    name, given, program = choice.partition("=")
    if name not in CONSUMERS or (given and not program):
        raise UsageError(f"no consumer {choice!r}", hint=f"a name, or NAME=PROGRAM; consumers: {', '.join(CONSUMERS)}")
    return name, program


def make_consumer(choice: str) -> Consumer:
    """The consumer that `NAME` or `NAME=PROGRAM` names. Raises UsageError."""
    name, program = split_choice(choice)
    return CONSUMERS[name](program)
