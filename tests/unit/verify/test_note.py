"""Checkpoints: what is one, and what only looks like one."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import FormatError
from dhallmark.verify.note import Checkpoint

ROOT = base64.b64encode(b"r" * 32).decode()
SIGNATURE = base64.b64encode(b"hint" + b"s" * 64).decode()
TEXT = f"log.test - 7\n5\n{ROOT}\n"
LINE = f"\u2014 log.test {SIGNATURE}\n"


def test_a_checkpoint_is_read_with_its_signatures_and_extensions() -> None:
    other = f"\u2014 witness.test {base64.b64encode(b'else' + b's' * 64).decode()}\n"
    checkpoint = Checkpoint.parse(f"{TEXT}an extension\n\n{other}{LINE}")
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == ("log.test - 7", 5, b"r" * 32)
    assert checkpoint.text == f"{TEXT}an extension\n".encode()
    assert [line.name for line in checkpoint.lines] == ["witness.test", "log.test"]
    line = checkpoint.signed_by({b"hint"}, {"log.test"})
    assert line is not None
    assert (line.name, line.signature) == ("log.test", b"s" * 64)
    assert checkpoint.signed_by({b"none"}, {"log.test"}) is None


def test_a_signature_is_the_logs_by_name_and_hint() -> None:
    namesake = LINE.replace("log.test", "other.test")
    checkpoint = Checkpoint.parse(f"{TEXT}\n{namesake}{LINE}")
    for names, found in (({"log.test"}, "log.test"), ({"other.test"}, "other.test"), ({"third.test"}, "other.test")):
        line = checkpoint.signed_by({b"hint"}, names)
        assert line is not None
        assert line.name == found


@pytest.mark.parametrize(
    "envelope",
    [
        "",
        TEXT,
        f"{TEXT}\n",
        LINE,
        f"{TEXT}{LINE}",
        f"{TEXT}\n{LINE.rstrip()}",
        f"{TEXT}\n{LINE}\n",
        f"{TEXT}\n\n{LINE}",
        f"{TEXT}\n{LINE.replace(chr(0x2014), '-')}",
        f"{TEXT}\n{LINE}not a signature\n",
        f"{TEXT}\n\u2014 log.test {base64.b64encode(b'hint').decode()}\n",
        f"{TEXT}\n\u2014 log.test A===\n",
        f"{TEXT}\n\u2014 log test {SIGNATURE}\n",
        f"{TEXT}\n{LINE * 65}",
        f"\n5\n{ROOT}\n\n{LINE}",
        f"log.test\n{ROOT}\n\n{LINE}",
        f"log.test\n05\n{ROOT}\n\n{LINE}",
        f"log.test\n-5\n{ROOT}\n\n{LINE}",
        f"log.test\n5\n\n{LINE}",
        f"log.test\n5\n{ROOT[:-4]}\n\n{LINE}",
        f"log.test\n5\n!{ROOT}\n\n{LINE}",
        f"{TEXT}{'x' * 70000}\n\n{LINE}",
    ],
)
def test_another_text_is_an_error(envelope: str) -> None:
    with pytest.raises(FormatError):
        Checkpoint.parse(envelope)


@given(st.text(alphabet=st.sampled_from(f"{TEXT}{LINE}=-"), max_size=300))
def test_any_text_is_read_or_an_error(text: str) -> None:
    with contextlib.suppress(FormatError):
        assert Checkpoint.parse(text).lines
