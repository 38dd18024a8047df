import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.errors import FormatError

HEX = "ab" * 32


def test_a_digest_is_its_text() -> None:
    assert Digest(f"sha256:{HEX}") == f"sha256:{HEX}"
    assert Digest.from_hex(HEX).hex == HEX


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        HEX,
        f"sha256:{HEX.upper()}",
        f"sha256:{HEX}0",
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}\n",
        f" sha256:{HEX}",
        f"sha512:{HEX}",
        "Usage:\n  cosign manifest [command]",
    ],
    ids=repr,
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="not a digest"):
        Digest(text)


@given(st.binary(max_size=200))
def test_bytes_and_file_give_the_same_digest(content: bytes) -> None:
    assert Digest.of(content).hex == hashlib.sha256(content).hexdigest()


def test_a_file_is_digested_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "big").write_bytes(content)
    assert Digest.of_file(tmp_path / "big") == Digest.of(content)


def test_the_message_shows_no_more_than_a_line_of_the_text() -> None:
    with pytest.raises(FormatError) as caught:
        Digest("x" * 10_000)
    assert len(str(caught.value)) < 300
