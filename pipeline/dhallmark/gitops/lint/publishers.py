"""Publishers that sign what they publish: by whom an artifact below a prefix is signed, as they document it.

A proposal comes from here; nothing is accepted because of it. Each entry is a claim about somebody else, and can
change: where a `verify` of this form refuses, look who signs now, and do not just remove it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_ACTIONS = r"^https://token\.actions\.githubusercontent\.com$"


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who signs, as anchored RE2 expressions."""

    subject: str
    issuer: str = _ACTIONS


PUBLISHERS: Mapping[str, Publisher] = MappingProxyType(
    {
        "ghcr.io/fluxcd/": Publisher(r"^https://github\.com/fluxcd/[^/]+/\.github/workflows/.+$"),
        "ghcr.io/stefanprodan/": Publisher(r"^https://github\.com/stefanprodan/podinfo/\.github/workflows/.+$"),
        "ghcr.io/controlplaneio-fluxcd/": Publisher(
            r"^https://github\.com/controlplaneio-fluxcd/[^/]+/\.github/workflows/.+$"
        ),
        "ghcr.io/home-operations/charts-mirror/": Publisher(
            r"^https://github\.com/home-operations/charts-mirror/\.github/workflows/.+$"
        ),
        "ghcr.io/bjw-s-labs/helm/": Publisher(
            r"^https://github\.com/bjw-s-labs/helm-charts/\.github/workflows/chart-release-steps\.yaml@.+$"
        ),
        "quay.io/cilium/charts/": Publisher(r"^https://github\.com/cilium/cilium/\.github/workflows/.+$"),
    }
)
"""By the prefix of registry and repository."""


def publisher_of(repository: str) -> Publisher | None:
    """Who signs what is published as `repository`, or None where nobody is known to."""
    found = [prefix for prefix in PUBLISHERS if f"{repository}/".startswith(prefix)]
    return PUBLISHERS[max(found, key=len)] if found else None
