"""What a refusal says, when an attacker wrote part of it."""

import pytest

from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal, border


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("issuer https://issuer.example.test", "issuer https://issuer.example.test"),
        ("\x1b[2Jall is well", "\\x1b[2Jall is well"),
        ("one\ntwo\r", "one\\ntwo\\r"),
        ("right\u202eleft", "right\\u202eleft"),
        ("é ✓", "é ✓"),
    ],
)
def test_nothing_in_it_steers_a_terminal(said: str, shown: str) -> None:
    check = Refusal(Reason.STATEMENT_MALFORMED, said, found=said).check("statement")
    assert check.detail == shown
    assert check.evidence == {"found": shown}


def test_it_is_of_bounded_length() -> None:
    check = Refusal(Reason.STATEMENT_MALFORMED, "x" * 100_000, found="y" * 100_000).check("statement")
    assert len(check.detail) < 1_000
    assert len(check.evidence["found"]) < 1_000


def test_whatever_a_library_raises_becomes_one() -> None:
    with pytest.raises(Refusal) as caught, border(Reason.BUNDLE_MALFORMED, "bundle"):
        raise RecursionError
    assert caught.value.check("bundle").detail == "bundle: RecursionError"
