"""The CustomResourceDefinitions of the pinned versions of Flux, as its controllers bring them to a cluster.

The files are made by `ci/crds/definitions.py` from the modules and manifests of the controllers that they name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Definitions:
    """What one version of Flux defines."""

    flux: str
    """Its minor version, such as 2.9."""
    controllers: Mapping[str, str]
    """The version of each controller that the definitions are of."""
    objects: Sequence[Mapping[str, Any]]
    """CustomResourceDefinitions, without descriptions."""


@cache
def definitions_of(flux: str) -> Definitions:
    """The definitions of a minor version of Flux, such as 2.9. Raises FileNotFoundError for one that is not pinned."""
    body = json.loads(files("dhallmark.kubernetes").joinpath(f"crds-{flux}.json").read_bytes())
    return Definitions(flux=flux, controllers=body["controllers"], objects=body["definitions"])
