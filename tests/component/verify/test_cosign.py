"""An independent opinion: cosign accepts what dhallmark publishes, with the same trust root and identity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dhallmark.statement import LINK_V0_3

if TYPE_CHECKING:
    from tests.component.verify.conftest import Release

pytestmark = pytest.mark.component


@pytest.mark.parametrize(
    "question",
    [
        ["verify"],
        ["verify-attestation", "--type=slsaprovenance1"],
        ["verify-attestation", f"--type={LINK_V0_3}"],
    ],
)
@pytest.mark.parametrize(
    ("issuer", "status"),
    [("https://token.actions.githubusercontent.com", 0), ("https://gitlab.com", 1)],
)
def test_cosign_accepts_the_release_and_only_by_its_identity(
    release: Release, tmp_path: Path, question: list[str], issuer: str, status: int
) -> None:
    done = release.lab.run(
        [
            "cosign",
            *question,
            f"--trusted-root={release.target.trusted_root}",
            f"--certificate-oidc-issuer={issuer}",
            "--certificate-identity=https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main",
            "--allow-http-registry",
            f"{release.target.repository}@{release.target.digest}",
        ],
        env={"HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == status, done.stderr
