"""The makers of packages, for tests that cannot import a neighbour."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def debs() -> ModuleType:
    """The module `debs.py` beside this file: pytest's importlib mode puts no folder on the path."""
    spec = importlib.util.spec_from_file_location("image_debs", Path(__file__).with_name("debs.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
