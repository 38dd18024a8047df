"""cosign 2 as a consumer: what CI and admission ran before cosign 3, and what the older format needs.

It reads bundles where it finds any, and then needs a flag to take the time from timestamps, which Rekor v2 does not
give; cosign 3 does that by itself. Without bundles it takes the signature below the tag `sha256-….sig`.
"""

from __future__ import annotations

from dhallmark.controls.consumers.cosign import CosignConsumer
from dhallmark.controls.consumers.dialect import COSIGN_2


class Cosign2Consumer(CosignConsumer):
    """Asks `cosign verify` of version 2."""

    _name = COSIGN_2
    _command = "cosign2"
    _attempts = ((), ("--use-signed-timestamps",))
