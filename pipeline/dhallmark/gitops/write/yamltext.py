"""YAML as it is written: block style, indented lists, long texts as they are, expressions in single quotes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

Value = Any
"""What JSON can hold."""


class _Dumper(yaml.SafeDumper):
    """Writes objects the way people write them by hand."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, False)  # noqa: FBT003


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None
    if "\n" in value:
        style = "|"
    elif "\\" in value or value.startswith("^"):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(value: Value, *, flow: bool = False) -> str:
    """`value` as YAML that ends with a line feed; in one line where `flow`."""
    text = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1, default_flow_style=flow
    )
    return text.removesuffix("...\n")


def dump_all(objects: Sequence[Mapping[str, Value]], *, header: str = "") -> str:
    """Several objects as documents of one file, below the comment `header`."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
    return comment + "---\n".join(dump(dict(one)) for one in objects)
