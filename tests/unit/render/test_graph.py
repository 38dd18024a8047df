import pytest

from dhallmark.digest import Digest
from dhallmark.errors import RenderError
from dhallmark.render.graph import Node, parse_dot

HASH = "cd" * 32
DOT = f"""strict digraph G {{
rankdir="LR";
u1[label="././.",shape="box",style="rounded"];
u2[label="./apps/a.dhall",shape="box",style="rounded"];
u3[label="./\\"a b\\"/t.txt as Text",shape="box",style="rounded"];
u4[label="http://h.test/p.dhall\\n  sha256:{HASH}",shape="box",style="rounded"];
u5[label="http://h.test/q.dhall",shape="box",style="rounded"];
u1 -> u2;
u2 -> u3;
u2 -> u4;
u4 -> u5;

}}
"""


def test_nodes_have_target_mode_and_hash() -> None:
    graph = parse_dot(DOT)
    app = Node("./apps/a.dhall")
    assert graph.roots == {app}
    assert graph.children(app) == {
        Node("./a b/t.txt", "text"),
        Node("http://h.test/p.dhall", "code", Digest.from_hex(HASH)),
    }


def test_nothing_below_a_remote_import_takes_part() -> None:
    targets = {node.target for node in parse_dot(DOT).reachable()}
    assert targets == {"./apps/a.dhall", "./a b/t.txt", "http://h.test/p.dhall"}


@pytest.mark.parametrize(
    "text", ["digraph {", DOT.replace("u2 -> u3;", "u2 -> u9;"), DOT + "something new\n"], ids=["other", "edge", "line"]
)
def test_another_format_is_an_error(text: str) -> None:
    with pytest.raises(RenderError):
        parse_dot(text)
