"""What an RE2 expression matches: texts made from its own structure, to try look-alikes from.

The structure is read here, since RE2 itself tells nothing of it: literals, classes, alternatives, repetitions. Whoever
asks tries each text with RE2, so that a construct that is read wrongly costs a sample, never a wrong answer.
Source: RE2, "Syntax" (the accepted part of it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_SAMPLES = 24
_MAX_LENGTH = 2048
_MAX_DEPTH = 50
_MAX_ALTERNATIVES = 8
_FILLERS = (
    "x",
    "platform/.github/workflows/release.yaml@refs/heads/main",
    ".github/workflows/release.yaml@refs/heads/main",
    "release.yaml@refs/heads/main",
    "refs/heads/main",
    "@refs/heads/main",
)
"""What may stand where an expression leaves anything open: parts of a workflow's URI, so that it becomes a whole."""
_LIKELY = "xa0-_.@/:X"
"""Characters of identities, to choose from a class."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A text that an expression is likely to match."""

    text: str
    literal: str
    """One character for each of the text's: `1` where the expression has this very character, `0` where it leaves a
    choice, and the character was chosen here."""

    def __add__(self, other: Sample) -> Sample:
        return Sample(self.text + other.text, self.literal + other.literal)


_EMPTY = Sample("", "")
_Samples = tuple[Sample, ...]
_Contains = Callable[[str], bool]


def samples(pattern: str) -> tuple[Sample, ...]:
    """Texts that `pattern` probably matches, at most MAX_SAMPLES; none where its structure cannot be read."""
    reader = _Reader(pattern)
    try:
        found = reader.alternatives(0)
    except (_UnreadableError, IndexError, ValueError):
        return ()
    return found if reader.at_end else ()


class _UnreadableError(Exception):
    """The pattern has a construct that is not read here, or is too deep."""


_CLASSES: dict[str, _Contains] = {
    "d": lambda c: c.isascii() and c.isdigit(),
    "w": lambda c: c.isascii() and (c.isalnum() or c == "_"),
    "s": lambda c: c in "\t\n\f\r ",
}
_NAMED: dict[str, _Contains] = {
    "alpha": str.isalpha,
    "digit": str.isdigit,
    "alnum": str.isalnum,
    "lower": str.islower,
    "upper": str.isupper,
    "word": _CLASSES["w"],
    "space": str.isspace,
    "xdigit": lambda c: c in "0123456789abcdefABCDEF",
    "punct": lambda c: c in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "graph": lambda c: "!" <= c <= "~",
    "print": lambda c: " " <= c <= "~",
    "ascii": str.isascii,
}
_REPEAT = re.compile(r"\{(\d{1,4})(,(\d{1,4})?)?\}")
_GROUP = re.compile(r"\?(?:P?<\w+>|[imsU-]*:|(?P<flags>[imsU-]+)\))")
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")
_CONTROLS = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}


def _anything(character: str) -> bool:
    return character != "\n"


def _nobody(_: str) -> bool:
    return False


class _Reader:
    """Reads a pattern from left to right; each method leaves the position behind what it read."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._pattern)

    def alternatives(self, depth: int) -> _Samples:
        if depth > _MAX_DEPTH:
            raise _UnreadableError
        branches = [self._sequence(depth)]
        while self._take("|"):
            branches.append(self._sequence(depth))
        # Of every branch its first before any branch's second.
        ordered = [branch[n] for n in range(MAX_SAMPLES) for branch in branches[:MAX_SAMPLES] if n < len(branch)]
        return tuple(dict.fromkeys(ordered))[:MAX_SAMPLES]

    def _sequence(self, depth: int) -> _Samples:
        parts: list[_Samples] = []
        while not self.at_end and self._pattern[self._at] not in "|)":
            parts.append(self._repeated(depth))
        return _joined(parts)

    def _repeated(self, depth: int) -> _Samples:
        found, contains = self._atom(depth)
        while not self.at_end:
            if self._take("*"):
                found = _repeat(found, contains, least=0, most=None)
            elif self._take("+"):
                found = _repeat(found, contains, least=1, most=None)
            elif self._take("?"):
                found = _repeat(found, contains, least=0, most=1)
            elif match := _REPEAT.match(self._pattern, self._at):
                self._at = match.end()
                least = int(match[1])
                most = least if match[2] is None else int(match[3]) if match[3] else None
                found = _repeat(found, contains, least=least, most=most)
            else:
                break
            self._take("?")  # as few as possible: of the same language
        return found

    def _atom(self, depth: int) -> tuple[_Samples, _Contains]:
        """An atom's samples, and which characters it stands for where it is a class."""
        character = self._next()
        if character == "(":
            return self._group(depth), _nobody
        if character == "[":
            contains = self._class()
            return _chosen(contains), contains
        if character == ".":
            # Whoever writes one dot alone nearly always means a dot, and forgot to escape it.
            return (Sample(".", "1"),), _anything
        if character in "^$":
            return (_EMPTY,), _nobody
        if character == "\\":
            return self._escape()
        return (Sample(character, "1"),), _nobody

    def _group(self, depth: int) -> _Samples:
        match = _GROUP.match(self._pattern, self._at)
        if match is not None:
            self._at = match.end()
            if match["flags"] is not None:  # they hold for the rest of the group, and consume nothing
                return (_EMPTY,)
        found = self.alternatives(depth + 1)
        if not self._take(")"):
            raise _UnreadableError
        return found

    def _escape(self) -> tuple[_Samples, _Contains]:
        character = self._next()
        if character in "AzbB":
            return (_EMPTY,), _nobody
        if character == "Q":
            text, found, _ = self._pattern[self._at :].partition("\\E")
            self._at += len(text) + (2 if found else 0)
            return (Sample(text, "1" * len(text)),), _nobody
        contains = self._shorthand(character)
        if contains is not None:
            return _chosen(contains), contains
        return (Sample(self._escaped(character), "1"),), _nobody

    def _shorthand(self, character: str) -> _Contains | None:
        """The class that a backslash and `character` stand for; None where they stand for one character."""
        if character == "C":
            return lambda _: True
        if character in "pP":
            # Properties of Unicode are many: a letter is of most of them that stand in an expression for names.
            self._next() if self._pattern[self._at] != "{" else self._skip("}")
            return str.isalpha
        plain = _CLASSES.get(character.lower())
        if plain is None:
            return None
        return plain if character.islower() else lambda c: not plain(c)

    def _escaped(self, character: str) -> str:
        if character == "x":
            match = _HEX.match(self._pattern, self._at - 1)
            if match is None:
                raise _UnreadableError
            self._at = match.end()
            return chr(int(match[1] or match[2], 16))
        return _CONTROLS.get(character, character)

    def _class(self) -> _Contains:
        negated = self._take("^")
        members: list[_Contains] = []
        first = True
        while first or not self._take("]"):
            first = False
            members.append(self._member())

        def contains(character: str) -> bool:
            return any(member(character) for member in members) != negated

        return contains

    def _named(self) -> _Contains:
        """What stands behind `[:`, such as `alpha:]`."""
        negated = self._take("^")
        start = self._at
        self._skip(":]")
        named = _NAMED.get(self._pattern[start : self._at - 2])
        if named is None:
            raise _UnreadableError
        return (lambda c: not named(c)) if negated else named

    def _member(self) -> _Contains:
        if self._take("[:"):
            return self._named()
        low = self._next()
        if low == "\\":
            low = self._next()
            shorthand = self._shorthand(low)
            if shorthand is not None:
                return shorthand
            low = self._escaped(low)
        if not self._pattern.startswith("-", self._at) or self._pattern.startswith("-]", self._at):
            return lambda c: c == low
        self._next()
        high = self._next()
        if high == "\\":
            high = self._escaped(self._next())
        return lambda c: low <= c <= high

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _take(self, character: str) -> bool:
        if self._pattern.startswith(character, self._at):
            self._at += len(character)
            return True
        return False

    def _skip(self, end: str) -> None:
        self._at = self._pattern.index(end, self._at) + len(end)


def _chosen(contains: _Contains) -> _Samples:
    """A character of a class, the likeliest one."""
    for character in (*_LIKELY, *map(chr, range(32, 127))):
        if contains(character):
            return (Sample(character, "0"),)
    raise _UnreadableError


def _repeat(found: _Samples, contains: _Contains, *, least: int, most: int | None) -> _Samples:
    """Samples of `least` to `most` times one of `found`, or of anything that `contains` has."""
    if least * max((len(one.text) for one in found), default=0) > _MAX_LENGTH:
        raise _UnreadableError
    if contains is _anything:
        found = _chosen(_anything)
    counts = [least] if most == least else [max(least, 1)] + ([0] if least == 0 else [])
    repeated = [Sample(one.text * count, one.literal * count) for count in counts for one in found]
    fillers = [
        Sample(text, "0" * len(text))
        for text in _FILLERS
        if most is None and len(text) >= max(least, 1) and all(contains(character) for character in text)
    ]
    return tuple(dict.fromkeys([*repeated, *fillers]))[:_MAX_ALTERNATIVES]


def _joined(parts: Sequence[_Samples]) -> _Samples:
    """One sample of the first of each part, then one for each other sample of a part."""
    whole = _EMPTY
    for part in parts:
        whole += part[0]
        if len(whole.text) > _MAX_LENGTH:
            raise _UnreadableError
    found = [whole]
    start = 0
    for part in parts:
        first = part[0]
        end = start + len(first.text)
        before, after = _cut(whole, 0, start), _cut(whole, end, len(whole.text))
        found += [before + other + after for other in part[1:]]
        if len(found) >= MAX_SAMPLES:
            break
        start = end
    return tuple(dict.fromkeys(found))[:MAX_SAMPLES]


def _cut(sample: Sample, start: int, end: int) -> Sample:
    return Sample(sample.text[start:end], sample.literal[start:end])
