"""The cases: those of the public suite, read where they stand, and our own, made by an instance in memory."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance

ROOT = Path(__file__).resolve().parents[2]
SUITE = "DHALLMARK_CONFORMANCE"
IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/"
    ".github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"


@dataclass(frozen=True, slots=True)
class Case:
    """A folder of the suite's layout: one bundle, and what must become of it by the folder's name."""

    folder: Path

    @property
    def good(self) -> bool:
        return not self.folder.name.endswith("_fail")

    @property
    def artifact(self) -> Path:
        own = self.folder / "artifact"
        return own if own.is_file() else self.folder.parent / "a.txt"

    @property
    def identity(self) -> tuple[str, str]:
        """Subject and issuer."""
        return self._read("identity", IDENTITY), self._read("issuer", ISSUER)

    @property
    def options(self) -> list[str]:
        """The client's options, all but the artifact."""
        options = ["--bundle", str(self.folder / "bundle.sigstore.json")]
        if (self.folder / "key.pub").is_file():
            options += ["--key", str(self.folder / "key.pub")]
        if not (self.folder / "key.pub").is_file() or "key-and-client-identity" in self.folder.name:
            subject, issuer = self.identity
            options += ["--certificate-identity", subject, "--certificate-oidc-issuer", issuer]
        if (self.folder / "trusted_root.json").is_file():
            options += ["--trusted-root", str(self.folder / "trusted_root.json")]
        return options

    def _read(self, name: str, default: str) -> str:
        path = self.folder / name
        return path.read_text().strip() if path.is_file() else default


def suite() -> Path | None:
    """The public suite's cases: below the folder that the environment names, or `shared/conformance` beside the
    repository. None where neither is there; a folder that is named must be."""
    named = os.environ.get(SUITE)
    folder = Path(named or ROOT.parent / "shared" / "conformance") / "bundle-verify"
    if named and not folder.is_dir():
        raise pytest.UsageError(f"{SUITE}: there is no {folder}")
    return folder if folder.is_dir() else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "public_case" in metafunc.fixturenames:
        folder = suite()
        cases = sorted(path for path in folder.iterdir() if path.is_dir()) if folder else []
        metafunc.parametrize("public_case", [Case(path) for path in cases], ids=[path.name for path in cases])


@pytest.fixture
def public_envelope() -> Case:
    """The public case whose bundle is Rekor v2's of a statement."""
    folder = suite()
    if folder is None:
        pytest.skip(f"the public suite is not at hand: {SUITE} would name it")
    return Case(folder / "rekor2-dsse-happy-path")


@pytest.fixture(scope="session")
def case_in() -> type[Case]:
    """What a folder of the suite's layout is read with."""
    return Case


@pytest.fixture(scope="session")
def instance() -> Instance:
    """The instance in memory of the verifier's unit tests: pytest's importlib mode puts no folder on the path."""
    spec = importlib.util.spec_from_file_location("verify_instance", ROOT / "tests" / "unit" / "verify" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["verify_instance"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    made: Instance = module.Instance()
    return made
