"""Objects as YAML: one text for one value, readable, and read back as the same value by every parser.

The emitter is dhallmark's own, because the text is signed: a library's line folding and quoting change with its
version and with libyaml. It writes a small part of YAML 1.2: block mappings and sequences, plain scalars only where
neither YAML 1.1 nor 1.2 could take them for anything but text, literal blocks for texts of several lines, and double
quotes for all else. No anchors, aliases or tags.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from dhallmark.render.values import Json

_FIRST = ("apiVersion", "kind", "metadata")
"""The fields that people look for first."""
_PLAIN = re.compile(
    r"[A-Za-z_/][A-Za-z0-9_./@-]*(?:[:=+][A-Za-z0-9_./@-]+)*(?: [A-Za-z0-9_./@(-][A-Za-z0-9_./@()+=-]*)*"
)
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"})
"""Not texts in some version of YAML, in any case."""
_LITERAL = re.compile(r"[^\s\x00-\x1f](?:[^\x00-\x09\x0b-\x1f])*")
_PRINTABLE = re.compile(r"[\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff\n]*")
_SPECIAL = re.compile(r'["\\]|[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_INDENT = "  "


def to_yaml(value: Json, *, templated: bool = False) -> str:
    """`value` as a YAML document, without `---`, ending in a newline.

    With `templated`, texts that hold `{{` are put in single quotes: a template's own double quotes stay as they are.
    """
    return "\n".join(_Emitter(templated=templated).document(value)) + "\n"


class _Emitter:
    def __init__(self, *, templated: bool) -> None:
        self.templated = templated

    def document(self, value: Json) -> Iterator[str]:
        if isinstance(value, dict) and value:
            first = {key: value[key] for key in _FIRST if key in value}
            yield from self._mapping(first | {key: value[key] for key in sorted(value) if key not in first}, "")
        else:
            yield from self._block(value, "", "")

    def _mapping(self, value: dict[str, Json], indent: str) -> Iterator[str]:
        for key, item in value.items():
            yield from self._block(item, f"{indent}{self._scalar(key)}:", indent)

    def _block(self, value: Json, head: str, indent: str) -> Iterator[str]:
        """The lines of `value` after `head` (a key with its colon, or a dash), whose own indentation is `indent`."""
        space = " " if head else ""
        if isinstance(value, dict) and value:
            if head:
                yield head
            yield from self._mapping({key: value[key] for key in sorted(value)}, indent + _INDENT if head else indent)
        elif isinstance(value, list) and value:
            if head:
                yield head
            inner = indent + _INDENT if head else indent
            for item in value:
                yield from self._item(item, inner)
        elif isinstance(value, str) and _is_literal(value):
            yield f"{head}{space}{'|' if value.endswith(chr(10)) else '|-'}"
            for line in value.removesuffix("\n").split("\n"):
                yield f"{indent}{_INDENT}{line}" if line else ""
        else:
            yield f"{head}{space}{self._scalar(value)}"

    def _item(self, item: Json, indent: str) -> Iterator[str]:
        """A sequence's item: its first line stands beside the dash."""
        inner = indent + _INDENT
        lines: Iterator[str]
        if isinstance(item, dict) and item:
            lines = self._mapping({key: item[key] for key in sorted(item)}, inner)
        elif isinstance(item, list) and item:
            lines = (line for element in item for line in self._item(element, inner))
        else:
            yield from self._block(item, f"{indent}-", indent)
            return
        yield f"{indent}- {next(lines)[len(inner) :]}"
        yield from lines

    def _scalar(self, value: Json) -> str:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, float):
            return _double(value)
        # null, true, false, integers, {} and []: JSON's forms are YAML's.
        return json.dumps(value)

    def _text(self, text: str) -> str:
        if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
            return text
        if self.templated and "{{" in text and "\n" not in text and _PRINTABLE.fullmatch(text):
            return "'" + text.replace("'", "''") + "'"
        return '"' + _SPECIAL.sub(_escape, text) + '"'


def _is_literal(text: str) -> bool:
    """True for a text of several lines that a literal block holds as it is, with no indentation indicator."""
    lines = text.removesuffix("\n").split("\n")
    return (
        "\n" in text
        and not text.endswith("\n\n")
        and bool(_LITERAL.match(text))
        and bool(_PRINTABLE.fullmatch(text))
        # A line of blanks alone reads differently in different parsers; NEL and the Unicode separators may break lines.
        and not any(line.isspace() or line.endswith(" ") for line in lines)
        and not re.search("[\x85\u2028\u2029]", text)
    )


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if short := _SHORT.get(character):
        return short
    if code <= 0xFF:  # noqa: PLR2004
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def _double(value: float) -> str:
    """A form that YAML 1.1 and 1.2 both take for a float: with a point, and a signed exponent."""
    mantissa, exponent, power = repr(value).partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return f"{mantissa}e{int(power):+03}" if exponent else mantissa


def escape_template(text: str) -> str:
    """`text` such that Helm's template engine prints it as it is: each `{{` becomes an action that prints `{{`."""
    return text.replace("{{", '{{ "{{" }}')
