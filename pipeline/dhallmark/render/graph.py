"""The graph of imports as Dhall itself reports it: `dhall resolve --dot`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dhallmark.digest import Digest
from dhallmark.errors import RenderError
from dhallmark.render.sources import MODES, Mode, parse_path

_NODE = re.compile(r'^u(\d+)\[label="((?:[^"\\]|\\.)*)".*\];$')
_EDGE = re.compile(r"^u(\d+) -> u(\d+);$")
_ROOT = "././."
"""The label of the expression on standard input."""


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """An import that Dhall has resolved."""

    target: str
    """A path such as `./lib/a.dhall`, relative to the root, a URL, or `env:NAME`."""
    mode: Mode = "code"
    digest: Digest | None = None

    @property
    def remote(self) -> bool:
        return self.target.startswith(("http://", "https://"))

    @property
    def local(self) -> bool:
        return not self.remote and self.target.startswith((".", "/", "~"))


@dataclass(frozen=True, slots=True)
class Graph:
    """Who imports whom."""

    roots: frozenset[Node]
    """What the expression on standard input imports."""
    edges: Mapping[Node, frozenset[Node]]

    def children(self, node: Node) -> frozenset[Node]:
        return self.edges.get(node, frozenset())

    def reachable(self) -> frozenset[Node]:
        """All nodes, but none below a remote import: its hash covers the whole of what it yields."""
        seen: set[Node] = set()
        pending = list(self.roots)
        while pending:
            node = pending.pop()
            if node not in seen:
                seen.add(node)
                if not node.remote:
                    pending.extend(self.children(node))
        return frozenset(seen)


def parse_dot(text: str) -> Graph:
    """Read Dhall's dot output. Raises RenderError where it is not what Dhall 1.42 prints."""
    labels: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for line in text.splitlines():
        if match := _NODE.match(line):
            labels[match[1]] = match[2].replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
        elif match := _EDGE.match(line):
            pairs.append((match[1], match[2]))
        elif line.strip() not in ("strict digraph G {", 'rankdir="LR";', "}", ""):
            raise RenderError(f"a graph of imports that cannot be read: {line[:200]!r}")
    roots: set[Node] = set()
    edges: dict[Node, set[Node]] = {}
    for parent, child in pairs:
        if parent not in labels or child not in labels:
            raise RenderError("a graph of imports that names a node it does not describe")
        if labels[parent] == _ROOT:
            roots.add(_node(labels[child]))
        else:
            edges.setdefault(_node(labels[parent]), set()).add(_node(labels[child]))
    return Graph(frozenset(roots), {node: frozenset(children) for node, children in edges.items()})


def _node(label: str) -> Node:
    mode: Mode = "code"
    if match := re.search(r"\s+as (Text|Bytes|Location)$", label):
        mode = MODES[match[1]]
        label = label[: match.start()]
    digest = None
    if match := re.search(r"\s+sha256:([0-9a-f]{64})$", label):
        digest = Digest.from_hex(match[1])
        label = label[: match.start()]
    label = label.strip()
    return Node(parse_path(label) if label[:1] in "./~" else label, mode, digest)
