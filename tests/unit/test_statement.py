import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject

SUBJECT = Subject("a", Digest.of(b"a"))
GOOD: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "a", "digest": {"sha256": "ab" * 32}}],
    "predicateType": "https://example.test/p/v1",
    "predicate": {},
}


def test_a_statement_is_read_back_from_its_own_bytes() -> None:
    built = Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=[SUBJECT], predicate={"b": 1, "a": "é"})
    read = Statement.parse(built.payload)
    assert read == built


def test_the_encoding_does_not_depend_on_the_order_of_keys() -> None:
    one = Statement.build(predicate_type="t", subjects=[SUBJECT], predicate={"a": 1, "b": 2})
    other = Statement.build(predicate_type="t", subjects=[SUBJECT], predicate={"b": 2, "a": 1})
    assert one.payload == other.payload


def test_a_statement_of_the_older_version_is_read() -> None:
    """`cosign attest` writes no other."""
    statement = Statement.parse(json.dumps(GOOD | {"_type": "https://in-toto.io/Statement/v0.1"}).encode())
    assert statement.predicate_type == GOOD["predicateType"]


def test_a_statement_about_nothing_is_not_made() -> None:
    with pytest.raises(FormatError, match="at least one subject"):
        Statement.build(predicate_type="t", subjects=[], predicate={})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_type": "https://in-toto.io/Statement/v2"}, "not a statement"),
        ({"subject": []}, "not empty"),
        ({"subject": None}, "not empty"),
        ({"subject": ["a"]}, r"subject\[0\] must be an object"),
        ({"subject": [{"name": 1, "digest": {"sha256": "ab" * 32}}]}, "name must be a string"),
        ({"subject": [{"name": "a"}]}, "no digest"),
        ({"subject": [{"name": "a", "digest": {}}]}, "no digest"),
        ({"subject": [{"name": "a", "digest": {"sha256": None}}]}, "must be a string"),
        ({"subject": [{"name": "a", "digest": {"sha512": "ab" * 64}}]}, "no sha256 digest, only sha512"),
        ({"subject": [{"name": "a", "digest": {"sha256": "AB" * 32}}]}, "not a digest"),
        ({"predicateType": ""}, "predicateType"),
        ({"predicateType": 7}, "predicateType"),
        ({"predicate": []}, "predicate must be an object"),
    ],
)
def test_another_shape_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Statement.parse(json.dumps(GOOD | change).encode())


@given(st.binary() | st.dictionaries(st.sampled_from([*GOOD, "x"]), st.none() | st.text() | st.lists(st.text())))
def test_any_payload_gives_a_statement_or_a_format_error(payload: bytes | dict[str, object]) -> None:
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    with pytest.raises(FormatError):
        Statement.parse(content)
