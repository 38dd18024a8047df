from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.render.closure import Closure, Import, UnitRecord, closure_bytes, merge_closures, parse_closure

URL = "http://packages.example.test/p.dhall"


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def local(path: str, *imports: str, frozen: bool = False) -> Import:
    return Import(
        id=path,
        kind="local",
        path=path,
        sha256=digest(path),
        semantic_hash=digest("n" + path),
        frozen=frozen,
        imports=imports,
    )


REMOTE = Import(id=URL, kind="remote", url=URL, sha256=digest(URL), semantic_hash=digest(URL), frozen=True)


def unit(environment: str, application: str) -> UnitRecord:
    return UnitRecord(
        environment=environment,
        application=application,
        entries=(f"{application}.dhall", f"{environment}.dhall"),
        semantic_hash=digest(environment + application),
    )


WHOLE = Closure(
    dhall="1.42.1",
    imports=(
        local("a.dhall", "lib.dhall"),
        local("b.dhall", "lib.dhall", URL),
        local("dev.dhall"),
        REMOTE,
        local("lib.dhall", frozen=True),
        local("prod.dhall", "dev.dhall"),
    ),
    units=(unit("dev", "a"), unit("dev", "b"), unit("prod", "a"), unit("prod", "b")),
)


def shard(units: tuple[UnitRecord, ...]) -> Closure:
    names = {item.id for one in units for item in WHOLE.of_unit(one.environment, one.application)}
    return Closure(dhall=WHOLE.dhall, imports=tuple(item for item in WHOLE.imports if item.id in names), units=units)


def test_it_is_read_back_as_written() -> None:
    assert parse_closure(closure_bytes(WHOLE)) == WHOLE


def test_the_closure_of_a_unit_holds_what_its_entries_lead_to() -> None:
    assert [item.id for item in WHOLE.of_unit("prod", "b")] == ["b.dhall", "dev.dhall", URL, "lib.dhall", "prod.dhall"]
    with pytest.raises(FormatError, match="no unit dev/c"):
        WHOLE.of_unit("dev", "c")


def test_frozen_imports_travel() -> None:
    assert WHOLE.frozen_entries() == tuple(sorted([digest("nlib.dhall"), digest(URL)]))


@given(st.integers(1, 3), st.permutations(WHOLE.units))
def test_shards_merge_to_the_bytes_of_the_whole(cut: int, units: list[UnitRecord]) -> None:
    a = shard(tuple(sorted(units[:cut], key=lambda one: (one.environment, one.application))))
    b = shard(tuple(sorted(units[cut:], key=lambda one: (one.environment, one.application))))
    assert closure_bytes(merge_closures(a, b)) == closure_bytes(WHOLE)
    assert closure_bytes(merge_closures(b, a)) == closure_bytes(WHOLE)


def test_an_import_that_one_shard_alone_sees_pinned_is_frozen() -> None:
    loose = WHOLE.imports[4].model_copy(update={"frozen": False})
    other = Closure(dhall="1.42.1", imports=(local("a.dhall", "lib.dhall"), local("dev.dhall"), loose), units=())
    assert merge_closures(other, WHOLE) == merge_closures(WHOLE, other) == WHOLE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dhall": "1.42.2"}, "different versions"),
        ({"imports": (local("a.dhall"),), "units": ()}, "disagree about a.dhall"),
        ({"units": (WHOLE.units[0].model_copy(update={"semantic_hash": digest("x")}),)}, "disagree about dev/a"),
    ],
)
def test_shards_that_disagree_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        merge_closures(WHOLE, WHOLE.model_copy(update=changes))


def broken(change: dict[str, Any], *, index: int = 0) -> bytes:
    body = strictjson.parse(closure_bytes(WHOLE))
    body["imports"][index] |= change
    return strictjson.dump(body)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        closure_bytes(WHOLE).replace(b"closure/v1", b"closure/v9"),
        broken({"sha256": "sha256:x"}),
        broken({"sha256": 5}),
        broken({"url": URL}),
        broken({"path": None}),
        broken({"more": 1}),
        broken({"imports": ["nowhere.dhall"]}),
        broken({"frozen": False}, index=3),
        broken({"sha256": str(digest("other"))}, index=3),
    ],
)
def test_another_record_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        parse_closure(content)
