"""Policies as files."""

from __future__ import annotations

from tests.unit.controls.consumers.conftest import policy

__all__ = ["policy"]
