"""Real servers for component tests. They run in a network namespace of their own; nothing outside is reached."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.softhsm import soft_token

from dhallmark.lab.session import Lab, open_lab

__all__ = ["soft_token"]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A whole Sigstore and both kinds of registry, with a second authority `other`, shared by all tests of a session.

    Tests use repositories of their own, and start a stopped service again. Who stops a registry has a lab apart, since
    its content goes with it. Not below pytest's own temporary folder: the keys go when the session ends.
    """
    directory = Path(tempfile.mkdtemp(prefix="dhallmark-lab-"))
    packages = ROOT / "examples" / "packages"
    try:
        with open_lab(
            directory / "lab", authorities=("main", "other"), packages=packages if packages.is_dir() else None
        ) as running:
            yield running
    finally:
        shutil.rmtree(directory)
