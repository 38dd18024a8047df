"""A token in software, with keys in it, for tests that sign as with an HSM."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "47110815"


@dataclass(frozen=True, slots=True)
class SoftToken:
    """A SoftHSM token of a label, and how to reach it. The environment of this process leads to it."""

    label: str
    pin_file: Path

    def uri(self, key: str, *, query: str = "") -> str:
        """The URI of the key with the label `key`."""
        return f"pkcs11:token={self.label};object={key}?module-path={MODULE}{query}"

    def generate(self, key: str, *, kind: str, key_id: str) -> None:
        """Make a key inside the token; `kind` is pkcs11-tool's word for it, such as `EC:secp256r1`."""
        _run(
            "pkcs11-tool", "--module", MODULE, "--token-label", self.label, "--login", "--pin", PIN,
            "--keypairgen", "--key-type", kind, "--label", key, "--id", key_id,
        )  # fmt: skip


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def soft_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    """A token with the keys `p256`, `p384` and `rsa`, shared by a session: the library is loaded once in a process."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    pin_file = folder / "pin"
    pin_file.write_text(f"{PIN}\n")
    token = SoftToken("release-keys", pin_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(configuration))
        _run("softhsm2-util", "--init-token", "--free", "--label", token.label, "--pin", PIN, "--so-pin", PIN)
        token.generate("p256", kind="EC:secp256r1", key_id="01")
        token.generate("p384", kind="EC:secp384r1", key_id="02")
        token.generate("rsa", kind="rsa:2048", key_id="03")
        yield token
