"""`dhallmark schema`."""

from __future__ import annotations

from dhallmark import strictjson
from dhallmark.cli.result import Result
from dhallmark.config.schema import Kind, json_schema


def schema(kind: Kind, /) -> Result:
    """Print the JSON Schema of a file, for editors and other checkers.

    Most editors take it from a first line such as `# yaml-language-server: $schema=config.schema.json`.

    Parameters
    ----------
    kind
        `config` for dhallmark.yaml, `policy` for the policy file.
    """
    body = json_schema(kind)
    return Result(data=body, text=strictjson.dump(body).decode())
