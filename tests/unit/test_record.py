"""Records between steps: what is written is read, and what is wrong is told."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from dhallmark import strictjson
from dhallmark.config.model import Model
from dhallmark.errors import FormatError, Location
from dhallmark.record import Record, parse_record


class Part(Model):
    chart_name: str


class Sample(Record):
    schema_: Literal["dhallmark.dev/sample/v1"] = Field(default="dhallmark.dev/sample/v1", alias="schema")
    parts: tuple[Part, ...]
    note: str | None = None


GOOD = b'{"schema": "dhallmark.dev/sample/v1", "parts": [{"chartName": "web"}]}'


def test_what_is_written_is_read() -> None:
    sample = parse_record(Sample, GOOD, file="sample.json")
    assert sample.to_json() == strictjson.parse(GOOD)
    assert parse_record(Sample, strictjson.dump(sample.to_json()), file="sample.json") == sample


@pytest.mark.parametrize(
    ("content", "field", "message"),
    [
        (GOOD.replace(b"v1", b"v2"), "schema", "Input should be 'dhallmark.dev/sample/v1'"),
        (GOOD.replace(b'"web"', b"1"), "parts.0.chartName", "Input should be a valid string"),
        (GOOD.replace(b'"parts"', b'"part": 1, "parts"'), "part", "Extra inputs are not permitted"),
        (b"[]", None, "Input should be a valid dictionary"),
    ],
)
def test_a_wrong_field_is_told_with_its_file_and_what_to_do(content: bytes, field: str | None, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_record(Sample, content, file="sample.json", hint="run it again")
    assert caught.value.where == Location(file="sample.json", field=field)
    assert caught.value.message.startswith(message)
    assert caught.value.hint == "run it again"


@pytest.mark.parametrize("content", [b"", b"{", b'{"parts": [], "parts": []}', b"\xff"])
def test_what_is_no_strict_json_is_told_with_its_file(content: bytes) -> None:
    with pytest.raises(FormatError, match=r"sample\.json"):
        parse_record(Sample, content, file="sample.json")
