"""What a Dhall source imports, and where: a scan of its text, before Dhall touches anything.

Dhall alone decides what is imported (`graph.py`). The scan comes first because Dhall acts while it resolves: it reads
files wherever they stand, asks the network, and takes an alternative in silence where an import fails. The scan finds
every import that the text holds, those in alternatives never taken included, and gives positions for messages.
Lexical grammar: the Dhall standard v23, `dhall.abnf`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dhallmark.digest import Digest

Kind = Literal["local", "remote", "environment", "missing"]
Mode = Literal["code", "text", "bytes", "location"]

MODES: Mapping[str, Mode] = {"Text": "text", "Bytes": "bytes", "Location": "location"}
"""What `as …` makes of an import."""
_IMPORTS: Mapping[str, Kind] = {"local": "local", "remote": "remote", "environment": "environment"}
"""The tokens that are imports, but for `missing`, which is a label."""
_COMPONENT = r"[\x21\x24-\x27\x2a\x2b\x2d\x2e\x30-\x3b\x3d\x40-\x5a\x5e-\x7a\x7c\x7e]+"
_LOCAL = rf'(?:\.\.?|~)?(?:/(?:{_COMPONENT}|"[^"\n]*"))+'
_URL = r"https?://(?:\[[0-9A-Fa-f:.]*\]|[\w\-.~%!$&'*+;=:@])[\w\-.~%!$&'*+;=:@/]*(?:\?[\w\-.~%!$&'*+;=:@/?]*)?"
_TOKEN = re.compile(
    rf"""
      (?P<blank>[ \t\r\n]+|--[^\n]*)
    | (?P<block>\{{-)
    | (?P<multi>'')
    | (?P<text>")
    | (?P<quoted>`[^`\n]*`)
    | (?P<environment>env:(?:[A-Za-z_][A-Za-z0-9_]*|"(?:[^"\\\n]|\\.)*"))
    | (?P<remote>{_URL})
    | (?P<local>{_LOCAL})
    | (?P<label>[A-Za-z_][A-Za-z0-9_/\-]*)
    | (?P<arrow>->)
    | (?P<open>[(\[{{<])
    | (?P<close>[)\]}}>])
    | (?P<other>.)
    """,
    re.VERBOSE,
)
_BLOCK = re.compile(r"\{-|-\}")
_TEXT = re.compile(r'\\.|\$\{|"', re.DOTALL)
_MULTI = re.compile(r"'''|''\$\{|\$\{|''")
_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
_AS = re.compile(r"as(?![A-Za-z0-9_/\-])")
_MODE = re.compile(r"(Text|Bytes|Location)(?![A-Za-z0-9_/\-])")
_USING = re.compile(r"using(?![A-Za-z0-9_/\-])")
_PATH_PART = re.compile(rf'/(?:(?P<plain>{_COMPONENT})|"(?P<quoted>[^"]*)")')


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImport:
    """One import as it stands in a source."""

    kind: Kind
    target: str
    """For a local import the path as `parse_path` gives it, else the text: a URL, `env:NAME`, `missing`."""
    mode: Mode = "code"
    digest: Digest | None = None
    """The semantic hash that freezes it."""
    headers: bool = False
    """True where `using` follows: request headers, which may hold secrets."""
    has_alternative: bool = False
    """True where `?` follows: Dhall goes on with something else when this import fails."""
    line: int
    """1-based."""
    column: int
    """1-based, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A scanned source."""

    imports: tuple[SourceImport, ...]
    body: tuple[int, int]
    """Line and column where the value itself starts: after the last `in` that stands outside all brackets."""


def parse_path(text: str) -> str:
    """A local import's path with the quotes of its components taken off: `./"a b"/c` becomes `./a b/c`.

    It keeps its first part: `.`, `..`, `~`, or nothing for an absolute path.
    """
    head = text[: text.index("/")]
    parts = [match["plain"] or match["quoted"] or "" for match in _PATH_PART.finditer(text)]
    return "/".join([head, *parts])


def scan(text: str) -> Source:
    """Find all imports of a Dhall source. Never fails: a text that is no Dhall gives what can be found in it."""
    return _Scanner(text).scan()


class _Scanner:
    """Walks the tokens; a stack of frames follows interpolations: `"${ … "${ … }" … }"`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.imports: list[SourceImport] = []
        self.body: int | None = None
        # Each frame is an expression inside an interpolation: its open brackets, and the string that it stands in.
        self.frames: list[tuple[int, str]] = []
        self.depth = 0

    def scan(self) -> Source:
        position = 0
        in_keyword = False
        # Every character is a token's: `other` takes any but a newline, `blank` that one.
        while match := _TOKEN.match(self.text, position):
            group = match.lastgroup
            if group not in ("blank", "block"):
                if self.body is None or in_keyword:
                    self.body = position
                in_keyword = group == "label" and match[0] == "in" and self.depth == 0 and not self.frames
            position = self._token(group, match)
        return Source(imports=tuple(self.imports), body=self._position(self.body or 0))

    def _token(self, group: str | None, match: re.Match[str]) -> int:
        """Take one token; where the next one starts."""
        if group in _IMPORTS or (group == "label" and match[0] == "missing"):
            return self._import(match)
        if group == "block":
            return self._skip_block(match.end())
        if group in ("text", "multi"):
            return self._string(match.end(), group)
        if group == "open":
            self.depth += 1
        elif group == "close":
            if match[0] == "}" and self.depth == 0 and self.frames:
                self.depth, kind = self.frames.pop()
                return self._string(match.end(), kind)
            self.depth = max(0, self.depth - 1)
        return match.end()

    def _import(self, match: re.Match[str]) -> int:
        kind = _IMPORTS.get(match.lastgroup or "", "missing")
        target = parse_path(match[0]) if kind == "local" else match[0]
        end = match.end()
        after = self._skip_blank(end)
        headers = kind == "remote" and bool(_USING.match(self.text, after))
        digest = None
        if found := _HASH.match(self.text, after):
            digest = Digest.from_hex(found[1].lower())
            end = found.end()
            after = self._skip_blank(end)
        mode: Mode = "code"
        if found := _AS.match(self.text, after):
            named = _MODE.match(self.text, self._skip_blank(found.end()))
            if named:
                mode = MODES[named[1]]
                end = named.end()
        line, column = self._position(match.start())
        self.imports.append(
            SourceImport(
                kind=kind,
                target=target,
                mode=mode,
                digest=digest,
                headers=headers,
                has_alternative=self._question_follows(end),
                line=line,
                column=column,
            )
        )
        return end

    def _question_follows(self, position: int) -> bool:
        position = self._skip_blank(position)
        while self.text.startswith(")", position):
            position = self._skip_blank(position + 1)
        return self.text.startswith("?", position)

    def _string(self, position: int, kind: str) -> int:
        """Go to the end of a string literal, or into an interpolation, which becomes a frame."""
        pattern = _TEXT if kind == "text" else _MULTI
        while match := pattern.search(self.text, position):
            position = match.end()
            if match[0] == "${":
                self.frames.append((self.depth, kind))
                self.depth = 0
                return position
            if match[0] == ('"' if kind == "text" else "''"):
                return position
        return len(self.text)

    def _skip_block(self, position: int) -> int:
        depth = 1
        while depth and (match := _BLOCK.search(self.text, position)):
            depth += 1 if match[0] == "{-" else -1
            position = match.end()
        return len(self.text) if depth else position

    def _skip_blank(self, position: int) -> int:
        while match := _TOKEN.match(self.text, position):
            if match.lastgroup == "blank":
                position = match.end()
            elif match.lastgroup == "block":
                position = self._skip_block(match.end())
            else:
                break
        return position

    def _position(self, offset: int) -> tuple[int, int]:
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)
