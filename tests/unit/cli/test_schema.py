"""The JSON Schemas that editors use: published, described, and no stricter than the models."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from dhallmark import strictjson
from dhallmark.cli.init import init
from dhallmark.cli.schema import Kind, schema_of

_PUBLISHED = Path(__file__).parents[3] / "docs" / "schemas"
_FILES = {Kind.CONFIG: "dhallmark.yaml", Kind.POLICY: "policy.yaml"}


@pytest.mark.parametrize("kind", Kind)
def test_published_schema_is_the_one_of_the_models(kind: Kind) -> None:
    published = (_PUBLISHED / f"{kind.value}-v1.schema.json").read_bytes()
    assert published == strictjson.dump(schema_of(kind)), f"run: dhallmark schema {kind.value} > docs/schemas/…"


@pytest.mark.parametrize("kind", _FILES)
def test_schema_is_valid_and_accepts_what_init_writes(kind: Kind, tmp_path: Path) -> None:
    schema = schema_of(kind)
    Draft202012Validator.check_schema(schema)
    init(directory=tmp_path)
    document = yaml.safe_load((tmp_path / _FILES[kind]).read_text())
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    refused = [error.message for error in Draft202012Validator(schema).iter_errors({**document, "unknown": 1})]
    assert any("unknown" in message for message in refused)


@pytest.mark.parametrize("kind", _FILES)
def test_every_key_is_described_in_one_line(kind: Kind) -> None:
    schema: dict[str, Any] = schema_of(kind)
    descriptions = {
        # pydantic leaves a description out that says the same as the model's own.
        f"{name}.{key}": {**schema["$defs"].get(item.get("$ref", "").rpartition("/")[2], {}), **item}.get("description")
        for name, definition in {"": schema, **schema["$defs"]}.items()
        for key, item in definition.get("properties", {}).items()
    }
    assert len(descriptions) > 10
    assert [key for key, text in descriptions.items() if not text or "\n" in text] == []
