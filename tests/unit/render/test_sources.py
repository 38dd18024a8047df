import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.render.sources import SourceImport, parse_path, scan

HASH = "ab" * 32
REMOTE = "https://packages.example.test/v1/package.dhall"


def only(text: str) -> SourceImport:
    (found,) = scan(text).imports
    return found


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("./a.dhall", "local", "./a.dhall"),
        ("../lib/b.dhall", "local", "../lib/b.dhall"),
        ("/etc/passwd", "local", "/etc/passwd"),
        ("~/secret.dhall", "local", "~/secret.dhall"),
        ('./"a b"/c.dhall', "local", "./a b/c.dhall"),
        ("[./a.dhall]", "local", "./a.dhall"),
        ("(./a.dhall)", "local", "./a.dhall"),
        ("{ x = ./a.dhall, y = 1 }", "local", "./a.dhall"),
        ("λ(x : Natural) → ./a.dhall x", "local", "./a.dhall"),
        (REMOTE, "remote", REMOTE),
        (f"[{REMOTE}]", "remote", REMOTE),
        (f"{{ x = {REMOTE}, y = 1 }}", "remote", REMOTE),
        ("http://[::1]:8080/x.dhall", "remote", "http://[::1]:8080/x.dhall"),
        (f"{REMOTE}?a=b ? 1", "remote", f"{REMOTE}?a=b"),
        ("env:HOME", "environment", "env:HOME"),
        ('env:"A B"', "environment", 'env:"A B"'),
        ("missing", "missing", "missing"),
        ('"${./a.dhall}"', "local", "./a.dhall"),
        ('"${{ x = "}" }.x} ${./a.dhall}"', "local", "./a.dhall"),
        ("''\n${./a.dhall}\n''", "local", "./a.dhall"),
        ("{- {- nested -} ./no.dhall -} ./a.dhall", "local", "./a.dhall"),
        ("-- ./no.dhall\n./a.dhall", "local", "./a.dhall"),
    ],
)
def test_an_import_is_found(text: str, kind: str, target: str) -> None:
    found = only(text)
    assert (found.kind, found.target, found.mode, found.digest) == (kind, target, "code", None)


@pytest.mark.parametrize(
    "text",
    [
        '"./a.dhall"',
        '"\\${./a.dhall}"',
        '"a\\" ./a.dhall"',
        "''\n./a.dhall '''still ''${./b.dhall}\n''",
        "`./a.dhall`",
        "{- ./a.dhall -} 1",
        "{- never closed ./a.dhall",
        '"never closed ./a.dhall',
        "x // y /\\ z",
        "{ env : Text }",
        "List/map Natural",
        "\\(missing-part : Natural) -> missing-part",
        "x.y.z",
        "a ⫽ b",
        "",
    ],
)
def test_what_is_no_import_is_not_found(text: str) -> None:
    assert scan(text).imports == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"./a.dhall sha256:{HASH}", {"digest": Digest.from_hex(HASH)}),
        (f"./a.dhall\n  -- why\n  sha256:{HASH.upper()}", {"digest": Digest.from_hex(HASH)}),
        ("./a.sql as Text", {"mode": "text"}),
        ("./a.bin as Bytes", {"mode": "bytes"}),
        (f"{REMOTE} sha256:{HASH} as Text", {"digest": Digest.from_hex(HASH), "mode": "text"}),
        ("./a.dhall as Location", {"mode": "location"}),
        (f"{REMOTE} using (toMap {{ A = 1 }})", {"headers": True}),
        ("./a.dhall ? 1", {"has_alternative": True}),
        (f"(({REMOTE} sha256:{HASH})) ? 1", {"has_alternative": True, "digest": Digest.from_hex(HASH)}),
        ("./a.dhall assertion", {}),
    ],
)
def test_what_follows_an_import_belongs_to_it(text: str, expected: dict[str, object]) -> None:
    found = only(text)
    for field in ("digest", "mode", "headers", "has_alternative"):
        default = {"digest": None, "mode": "code"}.get(field, False)
        assert getattr(found, field) == expected.get(field, default)


def test_positions_count_lines_and_characters() -> None:
    found = scan("let é = 1\n\nin  [ ./a.dhall\n    , ./b.dhall ]").imports
    assert [(item.line, item.column) for item in found] == [(3, 7), (4, 7)]


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("[ 1 ]", (1, 1)),
        ("-- about\n[ 1 ]", (2, 1)),
        ("let x = 1\n\nin  [ x ]", (3, 5)),
        ("let x = (let y = 1 in y)\nlet z = 2\nin  \\(e : Natural) ->\n      let w = 3\n      in  [ w ]", (5, 11)),
        ('let x = "${let y = "a" in y}"\nin  x', (2, 5)),
        ("", (1, 1)),
    ],
)
def test_the_body_starts_after_the_last_in(text: str, body: tuple[int, int]) -> None:
    assert scan(text).body == body


@given(st.text(alphabet="./~ \n\"'${}()ab-{}`?:senvhtp\\"))
def test_any_text_can_be_scanned(text: str) -> None:
    found = scan(text)
    lines = text.split("\n")
    assert all(1 <= item.line <= len(lines) for item in found.imports)


def test_a_deep_interpolation_needs_no_deep_stack() -> None:
    text = '"${' * 50_000 + "./a.dhall" + '}"' * 50_000
    assert [item.target for item in scan(text).imports] == ["./a.dhall"]


def test_quotes_of_path_components_are_taken_off() -> None:
    assert parse_path('../"a b"/c') == "../a b/c"
    assert parse_path("/etc/x") == "/etc/x"
