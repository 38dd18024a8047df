"""YAML as it stands in GitOps repositories: many documents, anchors, templates; read by its events, with positions.

Readers of Kubernetes manifests disagree about what is out of the ordinary, and an attacker may have written any of it:
so aliases are followed and never expanded, and depth, size and number of nodes are bounded. A duplicate key is kept for
the rules to report: the readers disagree about which one counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import yaml

MAX_BYTES = 8 * 1024 * 1024
"""Most bytes of a file. CRDs and dashboards have some hundred KiB."""
MAX_DEPTH = 200
MAX_NODES = 1_000_000
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableError(Exception):
    """A file is no YAML, or more of it than anyone needs."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        """From 1."""


@dataclass(slots=True)
class Scalar:
    """A value that has no parts."""

    value: str
    line: int
    column: int
    """Both from 1."""
    plain: bool
    """Whether it stands there without quotes, so that `true` and `null` are no strings."""
    tag: str = ""


@dataclass(slots=True)
class Mapping:
    """Keys and values, in the file's order."""

    line: int
    items: dict[str, Node] = field(default_factory=dict)
    """The last value of each key, as most readers take it."""
    lines: dict[str, int] = field(default_factory=dict)
    """Where each key stands."""
    duplicates: list[tuple[str, int]] = field(default_factory=list)
    """Keys that stand there again, with the line of the second one."""
    merged: list[Node] = field(default_factory=list)
    """What `<<` brings in: keys that `items` has not."""
    tag: str = ""

    def get(self, *path: str) -> Node | None:
        """The value below `path`, or None."""
        here: Node | None = self
        for key in path:
            if not isinstance(here, Mapping):
                return None
            here = here.own(key)
        return here

    def own(self, key: str) -> Node | None:
        """The value of `key`, its own or one that `<<` brings in: the first there is, outer ones first."""
        if not self.merged or key in self.items:
            return self.items.get(key)
        waiting, seen = list(reversed(self.merged)), {id(self)}
        while waiting:
            other = waiting.pop()
            if id(other) in seen:
                continue  # a ring, or the same mapping once more
            seen.add(id(other))
            if isinstance(other, Sequence):
                waiting += reversed(other.items)
            elif isinstance(other, Mapping):
                if key in other.items:
                    return other.items[key]
                waiting += reversed(other.merged)
        return None

    def text(self, *path: str) -> str:
        """The scalar below `path` as text; empty where there is none."""
        found = self.get(*path)
        return found.value if isinstance(found, Scalar) and not is_null(found) else ""

    def mapping(self, *path: str) -> Mapping | None:
        found = self.get(*path)
        return found if isinstance(found, Mapping) else None

    def items_of(self, *path: str) -> list[Node]:
        """The items of the list below `path`; none where there is no list."""
        found = self.get(*path)
        return found.items if isinstance(found, Sequence) else []

    def line_of(self, *path: str) -> int:
        """Where the deepest key of `path` that is there stands."""
        line, here = self.line, self
        for key in path:
            line = here.lines.get(key, line)
            inner = here.own(key)
            if not isinstance(inner, Mapping):
                break
            here = inner
        return line


@dataclass(slots=True)
class Sequence:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)
    tag: str = ""


Node = Scalar | Mapping | Sequence


def is_null(scalar: Scalar) -> bool:
    """Whether a scalar is null in YAML 1.1 and 1.2."""
    return scalar.plain and scalar.value in ("", "~", "null", "Null", "NULL")


def is_true(node: Node | None) -> bool:
    """Whether a node is the boolean true."""
    return isinstance(node, Scalar) and node.plain and node.value in ("true", "True", "TRUE")


def walk(node: Node, *, limit: int, within: Callable[[Scalar], list[Node]] | None = None) -> Iterator[Node]:
    """Every node of `node`, itself first, each once however many aliases lead to it; at most `limit` of them.

    `within` gives the nodes that a text holds, which are walked, too.
    """
    waiting = [node]
    seen: dict[int, Node] = {}  # The nodes as well as their ids: one that is gone would leave its id to another.
    while waiting and len(seen) < limit:
        here = waiting.pop()
        if id(here) in seen:
            continue
        seen[id(here)] = here
        yield here
        if isinstance(here, Mapping):
            waiting += reversed(here.items.values())
        elif isinstance(here, Sequence):
            waiting += reversed(here.items)
        elif within is not None:
            waiting += within(here)


def read(content: bytes) -> list[Node]:
    """The documents of a file, without empty ones. Raises UnreadableError, and nothing else.

    A file with template actions (`{{ … }}`) that is no YAML as it stands is read with each action replaced.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableError(f"{len(content)} bytes; at most {MAX_BYTES} are read", 1)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError("not UTF-8", content.count(b"\n", 0, error.start) + 1) from error
    try:
        return list(_documents(text))
    except UnreadableError:
        if "{{" not in text:
            raise
        return list(_documents(without_actions(text)))


_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_CONTROL = re.compile(r"^[ \t]*(\{\{.*?\}\}[ \t]*)+$", re.DOTALL | re.MULTILINE)
PLACEHOLDER = "templated"
"""What stands for a value that a template computes."""


def without_actions(text: str) -> str:
    """A template as YAML: lines of actions alone are emptied, actions within a line become `PLACEHOLDER`."""
    emptied = _CONTROL.sub(lambda match: "\n" * match[0].count("\n"), text)
    return _ACTION.sub(lambda match: PLACEHOLDER + "\n" * match[0].count("\n"), emptied)


def _documents(text: str) -> Iterator[Node]:
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            found = builder.take(event)
            if found is not None and not (isinstance(found, Scalar) and is_null(found)):
                yield found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(f"not YAML: {error.problem or error.context}", mark.line + 1 if mark else 1) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise UnreadableError("not YAML: a character that is not allowed", 1) from error


class _Builder:
    """Puts nodes together from events, without recursion: depth costs no stack."""

    def __init__(self) -> None:
        self._open: list[Mapping | Sequence] = []
        self._keys: list[str | None] = []
        """For each open node, the key that waits for its value; None where a key comes next."""
        self._anchors: dict[str, Node] = {}
        self._nodes = 0
        self._root: Node | None = None

    def take(self, event: yaml.Event) -> Node | None:
        """A whole document, where `event` ends one."""
        match event:
            case yaml.ScalarEvent():
                line, column = _position(event)
                self._put(Scalar(event.value, line, column, event.style in (None, ""), event.tag or ""), event.anchor)
            case yaml.MappingStartEvent():
                self._start(Mapping(_position(event)[0], tag=event.tag or ""), event)
            case yaml.SequenceStartEvent():
                self._start(Sequence(_position(event)[0], tag=event.tag or ""), event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()
                self._keys.pop()
            case yaml.AliasEvent():
                known = self._anchors.get(str(event.anchor))
                if known is None:
                    raise UnreadableError(f"an alias to no anchor: *{event.anchor}", _position(event)[0])
                self._put(known, None)
            case yaml.DocumentStartEvent():
                self._anchors, self._root = {}, None
            case yaml.DocumentEndEvent():
                return self._root
        return None

    def _start(self, node: Mapping | Sequence, event: yaml.NodeEvent) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise UnreadableError(f"nested deeper than {MAX_DEPTH}", node.line)
        self._put(node, event.anchor)
        self._open.append(node)
        self._keys.append(None)

    def _put(self, node: Node, anchor: str | None) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise UnreadableError(f"more than {MAX_NODES} nodes", node.line)
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            # A key that is no scalar is none that a manifest has; it stays as what cannot be asked for.
            name = node.value if isinstance(node, Scalar) else "\0"
            self._keys[-1] = name
            if name in parent.lines and name != "<<":
                parent.duplicates.append((name, node.line))
            parent.lines.setdefault(name, node.line)
            return
        if key == "<<":
            parent.merged.append(node)  # a list is filled only later
        else:
            parent.items[key] = node
        self._keys[-1] = None


def _position(event: yaml.Event) -> tuple[int, int]:
    """Line and column, both from 1."""
    mark = event.start_mark
    assert mark is not None  # noqa: S101 - only events that a program makes by hand have none
    return mark.line + 1, mark.column + 1
