"""A released project with its deploy repository, and somebody else's signed artifact."""

from __future__ import annotations

from tests.component.controls.conftest import make_original
from tests.component.release.conftest import make_project, released

__all__ = ["make_original", "make_project", "released"]
