"""A normal form as JSON, by the rules of dhall-json (`Dhall.JSON`, version 1.7), with its default options.

| Dhall | JSON |
|---|---|
| Bool, Natural, Integer, Text | bool, number, string |
| Double | number, `1.0` is 1; NaN and infinities are errors |
| Bytes; Date, Time, TimeZone | base-16 text; ISO 8601 text |
| List | array; a list of `{ mapKey : Text, mapValue : T }` is an object, the last of equal keys wins |
| record | object without the fields that are null |
| `Some x`, `None T` | x, null |
| `(< A : T | B >.A) x`, `< A : T | B >.B` | x, `"B"` |
| `{ field, nesting, contents }` with contents a union | the union tagged by name: inline or nested |
| a value of the Prelude's `JSON.Type` | that JSON value |

Anything else (a function, a type) has no JSON form and is an error that names the field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dhallmark.errors import RenderError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

# The kinds of expressions, as Dhall's binary encoding numbers them.
_APPLY, _LAMBDA, _PI, _LIST, _SOME, _RECORD_TYPE, _RECORD, _FIELD, _UNION = 0, 1, 2, 4, 5, 7, 8, 9, 11
_NATURAL, _INTEGER, _TEXT, _EMPTY_LIST, _DATE, _TIME, _ZONE, _BYTES = 15, 16, 18, 28, 30, 31, 32, 33

_MAP_ENTRY = {"mapKey", "mapValue"}
_EXACT = 1 << 53
"""Below it every whole Double is the integer that it shows."""
_MAX_NODES = 20_000_000
"""Expressions in one conversion; more is no set of objects that a cluster could take."""


def to_json(expression: object, *, path: str = "") -> Json:
    """The JSON value of a raw normal form (`cbor.decode`). `path` is where it stands, for errors.

    Raises RenderError with `where.field` in its message, never anything else.
    """
    try:
        return _omit_null(_Converter().convert(expression, path))
    except RecursionError as error:
        raise RenderError("the normal form is nested too deeply") from error


def list_items(expression: object) -> list[object] | None:
    """The items of a list's raw normal form, or None where it is not a list."""
    match expression:
        case [4, None, *items] if items:
            return items
        case [4, element] if element is not None:
            return []
        case [28, _]:
            return []
        case _:
            return None


def _omit_null(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _omit_null(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_omit_null(item) for item in value]
    return value


class _Converter:
    """One conversion; counts what it visits, so that no input keeps it busy for ever."""

    def __init__(self) -> None:
        self.nodes = 0

    def convert(self, expression: object, path: str) -> Json:  # noqa: PLR0911 - one return a kind
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            raise RenderError(f"{path or 'the value'}: more than {_MAX_NODES} expressions")
        if isinstance(expression, bool):
            return expression
        if isinstance(expression, float):
            return _double(expression, path)
        if not isinstance(expression, list) or not expression or type(expression[0]) is not int:
            raise _unsupported(expression, path)
        kind = expression[0]
        if kind == _RECORD and len(expression) == 2 and isinstance(expression[1], dict):  # noqa: PLR2004
            return self._record(expression[1], path)
        if kind == _TEXT:
            return _text(expression, path)
        if kind in (_LIST, _EMPTY_LIST):
            return self._list(expression, path)
        if kind == _APPLY:
            return self._apply(expression, path)
        return self._other(kind, expression, path)

    def _other(self, kind: int, expression: list[Any], path: str) -> Json:  # noqa: PLR0911 - one return a kind
        match expression:
            case [15, int() as number] if type(number) is int and number >= 0:
                return number
            case [16, int() as number] if type(number) is int:
                return number
            case [5, None, value]:
                return self.convert(value, path)
            case [9, [11, dict() as alternatives], str() as name] if name in alternatives:
                return name
            case [33, bytes() as content]:
                return content.hex()
            case [1, *_]:
                return self._prelude_json(expression, path)
        if kind in (_DATE, _TIME, _ZONE):
            return _temporal(expression, path)
        raise _unsupported(expression, path)

    def _apply(self, expression: list[Any], path: str) -> Json:
        match expression:
            case [0, "None", _]:
                return None
            case [0, [9, [11, dict() as alternatives], str() as name], value] if name in alternatives:
                return self.convert(value, path)
        raise _unsupported(expression, path)

    def _list(self, expression: list[Any], path: str) -> Json:
        match expression:
            case [4, [7, dict() as entry]] if set(entry) == _MAP_ENTRY:
                return {}
        items = list_items(expression)
        if items is None:
            raise _unsupported(expression, path)
        entries = [_map_entry(item) for item in items]
        if items and all(entry is not None for entry in entries):
            # The last of equal keys wins, so that `defaults # overrides` means what it says; its place is the first's.
            return {entry[0]: self.convert(entry[1], f"{path}.{entry[0]}") for entry in entries if entry}
        return [self.convert(item, f"{path}[{index}]") for index, item in enumerate(items)]

    def _record(self, record: Mapping[Any, object], path: str) -> Json:
        tagged = self._tagged_union(record, path)
        if tagged is not None:
            return tagged
        return {name: self.convert(record[name], f"{path}.{name}" if path else name) for name in _names(record, path)}

    def _tagged_union(self, record: Mapping[Any, object], path: str) -> Json:
        """`{ contents, field, nesting }`: dhall-json's way to keep the name of a union's alternative."""
        if set(record) != {"contents", "field", "nesting"}:
            return None
        match record["field"]:
            case [18, str() as field]:
                pass
            case _:
                return None
        match record["contents"]:
            case [0, [9, [11, dict()], str() as name], contents]:
                pass
            case [9, [11, dict()], str() as name]:
                contents = None
            case _:
                return None
        value = {} if contents is None else self.convert(contents, path)
        match record["nesting"]:
            case [9, [11, dict() as alternatives], "Inline"] if set(alternatives) == {"Inline", "Nested"}:
                if not isinstance(value, dict):
                    raise RenderError(
                        f"{path or 'the value'}: the alternative {name!r} is no record, so its tag cannot be inline",
                        hint="use nesting = Nesting.Nested, or a record",
                    )
                return value | {field: name}
            case [0, [9, [11, dict() as alternatives], "Nested"], [18, str() as nested]] if set(alternatives) == {
                "Inline",
                "Nested",
            }:
                return {field: name} if contents is None else {field: name, nested: value}
        return None

    def _prelude_json(self, expression: list[Any], path: str) -> Json:
        """λ(JSON : Type) → λ(json : { array : …, bool : …, … }) → value: the Prelude's encoding of any JSON."""
        match expression:
            case [1, "Type", [1, [7, dict() as constructors], value]] if (
                {"array", "bool", "null", "object", "string"}
                <= set(constructors)
                <= {"array", "bool", "double", "integer", "null", "number", "object", "string"}
            ):
                return self._prelude_value(value, path)
        raise _unsupported(expression, path)

    def _prelude_value(self, value: object, path: str) -> Json:  # noqa: PLR0911 - one return a kind
        self.nodes += 1
        # Names are gone from a normal form: the constructors' record is the innermost variable: the bare number 0.
        match value:
            case [9, 0, "null"]:
                return None
            case [0, [9, 0, "bool"], bool() as flag]:
                return flag
            case [0, [9, 0, "double" | "number"], float() as number]:
                return _double(number, path)
            case [0, [9, 0, "integer"], [16, int() as integer]]:
                return integer
            case [0, [9, 0, "string"], [18, str() as text]]:
                return text
            case [0, [9, 0, "array"], [4 | 28, *_] as items]:
                return [
                    self._prelude_value(item, f"{path}[{index}]") for index, item in enumerate(list_items(items) or ())
                ]
            case [0, [9, 0, "object"], [4 | 28, *_] as items]:
                found: dict[str, Json] = {}
                for item in list_items(items) or ():
                    entry = _map_entry(item)
                    if entry is None:
                        raise _unsupported(item, path)
                    found[entry[0]] = self._prelude_value(entry[1], f"{path}.{entry[0]}")
                return found
        raise _unsupported(value, path)


def _names(record: Mapping[Any, object], path: str) -> list[str]:
    names = list(record)
    if not all(isinstance(name, str) for name in names):
        raise RenderError(f"{path or 'the value'}: a field whose name is no text")
    return names


def _map_entry(item: object) -> tuple[str, object] | None:
    match item:
        case [8, {"mapKey": [18, str() as key], "mapValue": value, **rest}] if not rest:
            return key, value
    return None


def _text(expression: list[Any], path: str) -> str:
    match expression:
        case [18, str() as text]:
            return text
    raise _unsupported(expression, path)


def _double(number: float, path: str) -> float:
    if not math.isfinite(number):
        raise RenderError(f"{path or 'the value'}: {number} has no form in JSON", hint="give a finite Double")
    # JSON has one kind of number: a whole one is written without a point, and an integer field takes it.
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _temporal(expression: list[Any], path: str) -> str:
    match expression:
        case [30, int() as year, int() as month, int() as day]:
            return f"{year:04}-{month:02}-{day:02}"
        case [31, int() as hour, int() as minute, Decimal() | int() as second]:
            return f"{hour:02}:{minute:02}:{_seconds(Decimal(second))}"
        case [32, bool() as positive, int() as hour, int() as minute]:
            return f"{'+' if positive else '-'}{hour:02}:{minute:02}"
    raise _unsupported(expression, path)


def _seconds(second: Decimal) -> str:
    whole, _, fraction = format(second, "f").partition(".")
    return whole.zfill(2) + (f".{fraction}" if fraction else "")


def _unsupported(expression: object, path: str) -> RenderError:
    kinds = {
        _LAMBDA: "a function", _PI: "a function type", _RECORD_TYPE: "a record type", _UNION: "a union type",
        _TEXT: "a text that depends on an argument", _FIELD: "a constructor or a field that waits for its value",
        _APPLY: "an application that waits for an argument", _NATURAL: "a number", _INTEGER: "a number",
    }  # fmt: skip
    what = "an expression"
    if isinstance(expression, str):
        what = f"the builtin {expression[:40]!r}"
    elif isinstance(expression, list) and expression and type(expression[0]) is int:
        what = kinds.get(expression[0], what)
    return RenderError(
        f"{path or 'the value'}: {what} has no form in JSON",
        hint="objects are made of records, lists, texts, numbers, bools, Optionals and unions of these",
    )
