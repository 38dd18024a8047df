"""YAML changed where it stands: a value is replaced, a key added or taken away, and every other byte stays.

No writer of YAML keeps a file as its author wrote it. So the text is changed at the places that the parser tells, one
change after the other, and then read again: unless it now says exactly what was wanted, and nothing else changed,
nothing is written. Anchors, aliases and merge keys are refused: what they stand for stands elsewhere, too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from dhallmark.errors import InputError, Location
from dhallmark.gitops.lint.yamlfile import UnreadableError, read
from dhallmark.gitops.write.yamltext import Value, dump

Step = str | int
Select = Callable[[Mapping[str, Any]], bool]
"""Says of a document whether it is the one that is meant."""


class _Absent:
    """What a key has that is to be gone."""


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is to stand at `path` of a document; ABSENT takes the key away."""

    path: tuple[Step, ...]
    value: Value | _Absent


def documents(text: str, *, file: str) -> list[Any]:
    """What the documents of a file say. Raises InputError where it is no YAML that can be changed in place."""
    where = Location(file=file)
    try:
        read(text.encode())
        found = list(yaml.safe_load_all(text))
    except UnreadableError as error:
        raise InputError(error.message, where=Location(file=file, line=error.line)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError("cannot be read as YAML", where=where, hint="change it by hand") from error
    return found


def edit(text: str, *, select: Select, changes: Sequence[Change], file: str) -> str:
    """`text` with `changes` made in the one document that `select` selects.

    Raises InputError where there is none or several, or where they cannot be made without changing anything else.
    """
    crlf = "\r\n" in text and text.count("\r\n") == text.count("\n")
    plain = text.replace("\r\n", "\n") if crlf else text
    before = documents(plain, file=file)
    numbers = [index for index, one in enumerate(before) if isinstance(one, dict) and select(one)]
    if len(numbers) != 1:
        raise InputError(
            f"{len(numbers)} documents are the object that is to be changed, where one must be",
            where=Location(file=file),
            hint="an object inside another one is changed by hand",
        )
    number = numbers[0]
    wanted = copy.deepcopy(before)
    changed = plain
    for change in changes:
        if not _apply(wanted[number], change):
            continue
        _require_plain(changed, number, file=file)
        changed = _Text(changed, number).change(change)
    if changed == plain:
        return text
    after = _read_again(changed)
    if after != wanted:
        raise InputError(
            "cannot be changed without changing something else",
            where=Location(file=file),
            hint="change it by hand; `--diff` shows what is wanted",
        )
    return changed.replace("\n", "\r\n") if crlf else changed


def append(text: str, body: Mapping[str, Any]) -> str:
    """`text` with one more document."""
    if not text.strip():
        return dump(dict(body))
    crlf = "\r\n" in text
    separator = "" if text.endswith("\n") else "\n"
    added = f"{separator}---\n{dump(dict(body))}"
    return text + (added.replace("\n", "\r\n") if crlf else added)


def _read_again(text: str) -> list[Any] | None:
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError:
        return None


def _apply(document: Any, change: Change) -> bool:  # noqa: ANN401 - what YAML holds
    """Make the change in what was read; False where it stands there already. Raises InputError without a place."""
    here = document
    *parents, last = change.path
    for step in parents:
        inner = _step(here, step)
        if inner is None and change.value is ABSENT:
            return False
        if inner is None:
            if not isinstance(here, dict):
                raise InputError(f"there is no place for {'.'.join(map(str, change.path))}")
            inner = here[step] = {}
        here = inner
    if isinstance(here, list) != isinstance(last, int) or (isinstance(last, int) and last > len(here)):
        raise InputError(f"there is no place for {'.'.join(map(str, change.path))}")
    now = here.get(last, ABSENT) if isinstance(here, dict) else (_step(here, last) or ABSENT)
    if (now is ABSENT and change.value is ABSENT) or (now == change.value and type(now) is type(change.value)):
        return False
    if change.value is ABSENT:
        del here[last]
    elif isinstance(here, list) and last == len(here):
        here.append(change.value)
    else:
        here[last] = change.value
    return True


def _step(here: Any, step: Step) -> Any:  # noqa: ANN401
    """The mapping or list at `step`; for an item of a list, whatever it is."""
    if isinstance(here, dict) and isinstance(here.get(step), dict | list):
        return here[step]
    if isinstance(here, list) and isinstance(step, int) and step < len(here):
        return here[step]
    return None


def _require_plain(text: str, number: int, *, file: str) -> None:
    document = -1
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.DocumentStartEvent):
            document += 1
        elif document == number and (isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)):
            mark = event.start_mark
            raise InputError(
                "an object with anchors or aliases is not changed in place",
                where=Location(file=file, line=mark.line + 1 if mark else None),
                hint="write out what they stand for, or change the object by hand",
            )


class _Text:
    """The text of a file, and where the parts of one document stand in it."""

    def __init__(self, text: str, number: int) -> None:
        self._text = text
        # The loader in Python counts characters; libyaml counts bytes.
        self._root = list(yaml.compose_all(text, Loader=yaml.SafeLoader))[number]

    def change(self, change: Change) -> str:
        """The text with one change."""
        here = self._root
        for depth, step in enumerate(change.path):
            rest = change.path[depth + 1 :]
            entry = _entry(here, step)
            if entry is None:
                return self._add(here, step, _nested(rest, change.value))
            if not rest:
                if change.value is ABSENT:
                    return self._remove(here, step)
                return self._replace(here, entry, change.value)
            inner = entry[1]
            if not isinstance(inner, yaml.CollectionNode):  # `spec:` with nothing in it
                return self._replace(here, entry, _nested(rest, change.value))
            here = inner
        raise InputError("a change without a path")

    def _replace(self, parent: yaml.Node, entry: tuple[yaml.Node | None, yaml.Node], value: Value) -> str:
        key, node = entry
        if isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">") and _is_scalar(value):
            written = _inline(value)
            # An empty value stands right behind its colon.
            gap = " " if node.start_mark.index == node.end_mark.index else ""
            return self._spliced(node.start_mark.index, node.end_mark.index, gap + written)
        if _is_flow(parent) or _is_flow(node):
            return self._spliced(node.start_mark.index, self._end(node), dump(value, flow=True).strip())
        if key is None:  # an item of a list
            column = node.start_mark.column
            return self._spliced(node.start_mark.index, self._end(node), _indented(value, column))
        written = _indented({_key_of(key): value}, key.start_mark.column)
        return self._spliced(key.start_mark.index, max(self._end(node), key.end_mark.index + 1), written)

    def _add(self, parent: yaml.Node, step: Step, value: Value) -> str:
        if not isinstance(parent, yaml.CollectionNode):
            raise InputError("there is no place for a key in a scalar")
        is_list = isinstance(parent, yaml.SequenceNode)
        if parent.flow_style or not parent.value:
            body = dump(value if is_list else {step: value}, flow=True).strip()
            body = body if is_list else body[1:-1]
            return self._spliced(
                parent.end_mark.index - 1, parent.end_mark.index - 1, (", " if parent.value else "") + body
            )
        last = parent.value[-1] if is_list else parent.value[-1][1]
        end = self._line_end(max(self._end(last), 0 if is_list else parent.value[-1][0].end_mark.index + 1))
        column = parent.start_mark.column
        written = _indented([value] if is_list else {step: value}, column)
        return self._spliced(end, end, f"\n{' ' * column}{written}")

    def _remove(self, parent: yaml.Node, step: Step) -> str:
        if not isinstance(parent, yaml.MappingNode):
            raise InputError("only keys of mappings are taken away")
        index = next(number for number, (key, _) in enumerate(parent.value) if _key_of(key) == step)
        key, node = parent.value[index]
        start, end = key.start_mark.index, max(self._end(node), key.end_mark.index + 1)
        if len(parent.value) == 1:
            opening = parent.start_mark.index
            return self._spliced(opening, parent.end_mark.index if parent.flow_style else end, "{}")
        following = parent.value[index + 1][0].start_mark.index if index + 1 < len(parent.value) else None
        if parent.flow_style:
            if following is not None:
                return self._spliced(start, following, "")
            return self._spliced(self._end(parent.value[index - 1][1]), end, "")
        begin = self._text.rfind("\n", 0, start) + 1
        if self._text[begin:start].strip():  # the first key of a list's item
            return self._spliced(start, following if following is not None else end, "")
        return self._spliced(begin, min(self._line_end(end) + 1, len(self._text)), "")

    def _end(self, node: yaml.Node) -> int:
        """Behind the last character that belongs to a node: not behind the comments and blank lines that follow."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            return max(self._end(last[1]), last[0].end_mark.index + 1) if isinstance(last, tuple) else self._end(last)
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return start + len(self._text[start:end].rstrip())
        return end

    def _line_end(self, index: int) -> int:
        found = self._text.find("\n", index)
        return len(self._text) if found < 0 else found

    def _spliced(self, start: int, end: int, text: str) -> str:
        return self._text[:start] + text + self._text[end:]


def _is_flow(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _entry(node: yaml.Node, step: Step) -> tuple[yaml.Node | None, yaml.Node] | None:
    """Key and value of a mapping, or an item of a list."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if _key_of(key) == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def _key_of(key: yaml.Node) -> str:
    return str(key.value)


def _nested(path: Sequence[Step], value: Value) -> Value:
    for step in reversed(path):
        value = {step: value}
    return value


def _is_scalar(value: Value) -> bool:
    return not isinstance(value, dict | list) and not (isinstance(value, str) and "\n" in value)


def _inline(value: Value) -> str:
    return dump(value).strip()


def _indented(value: Value, column: int) -> str:
    """`value` as a block whose first line begins at `column`, where it is put, and whose others are indented to it."""
    first, *others = dump(value).rstrip("\n").split("\n")
    return "\n".join([first, *(" " * column + line if line else line for line in others)])


def sync(path: tuple[Step, ...], now: Any, value: Value) -> list[Change]:  # noqa: ANN401
    """The least changes that make what stands at `path`, now `now`, into `value`: comments beside other keys stay."""
    if isinstance(now, dict) and isinstance(value, dict) and now and value:
        found: list[Change] = []
        for key, inner in value.items():
            found += sync((*path, key), now[key], inner) if key in now else [Change((*path, key), inner)]
        # Last, so that the mapping is never empty and keeps its form.
        return found + [Change((*path, key), ABSENT) for key in now if key not in value]
    if isinstance(now, list) and isinstance(value, list) and len(now) == len(value):
        return [change for index, inner in enumerate(value) for change in sync((*path, index), now[index], inner)]
    return [] if now == value and type(now) is type(value) else [Change(path, value)]
