"""Fixtures of tests that sign."""

from __future__ import annotations

from tests.component.softhsm import soft_token

__all__ = ["soft_token"]
