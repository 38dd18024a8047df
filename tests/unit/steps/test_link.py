"""Links: recorded by in-toto, the same for everyone, and nothing else passes for one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from in_toto.models.metadata import Metadata

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import Error, ExitCode, FormatError, InputError, ToolError
from dhallmark.steps.link import Link, merge_links, read_links, record_step

_CANONICAL = ("dhallmark", "render", "--config", "dhallmark.yaml", "--build", "build")
_RENDER = "mkdir -p build/render/dev && tr a-z A-Z <apps/web.dhall >build/render/dev/out~"


def make_project(folder: Path) -> Path:
    (folder / "apps").mkdir(parents=True)
    (folder / "apps" / "web.dhall").write_text("web\n")
    (folder / "dhallmark.yaml").write_text("schemaVersion: 1\n")
    (folder / "build" / "links").mkdir(parents=True)
    return folder


def record(
    project: Path, script: str, *, build: Path | None = None, said: list[str] | None = None, **options: object
) -> bytes:
    arguments: dict[str, object] = {
        "materials": ["dhallmark.yaml", "apps/web.dhall"],
        "products": ["build/render"],
        "recorded_command": _CANONICAL,
        "root": project,
    } | options
    write = (said if said is not None else []).append
    command = ["/bin/sh", "-ec", f"cd {project}; {script}"]
    return record_step("render", command, build=build or project / "build", write=write, **arguments)  # type: ignore[arg-type]


def test_a_step_is_recorded_with_what_it_read_ran_and_wrote(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    payload = record(project, _RENDER)
    assert (project / "build" / "links" / "render.link").read_bytes() == payload
    assert strictjson.parse(payload) == {
        "_type": "link",
        "name": "render",
        "command": list(_CANONICAL),
        "materials": {
            "apps/web.dhall": {"sha256": Digest.of(b"web\n").hex},
            "dhallmark.yaml": {"sha256": Digest.of(b"schemaVersion: 1\n").hex},
        },
        "products": {"build/render/dev/out~": {"sha256": Digest.of(b"WEB\n").hex}},
        "byproducts": {"stdout": "", "stderr": "", "return-value": 0},
        "environment": {},
    }
    assert Link.parse(payload).to_bytes() == payload


def test_folder_user_umask_and_place_of_the_build_directory_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = record(make_project(tmp_path / "one"), _RENDER)
    other = make_project(tmp_path / "another place")
    (other / "build").rename(tmp_path / "out")
    (tmp_path / "out" / "links" / "render.link").write_text("old")
    monkeypatch.setenv("USER", "someone-else")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    before = os.umask(0o077)
    try:
        script = _RENDER.replace("build/", f"{tmp_path}/out/").replace("web.dhall >", "web.dhall | cat >")
        project = str(other).replace(" ", "\\ ")
        second = record_step(
            "render",
            ["/bin/sh", "-ec", f"cd {project}; {script}"],
            materials=["apps", "dhallmark.yaml"],
            products=["build/render"],
            root=other,
            build=tmp_path / "out",
            recorded_command=_CANONICAL,
        )
    finally:
        os.umask(before)
    assert second == first
    assert str(tmp_path).encode() not in second


def test_in_toto_run_makes_the_same_link(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "dhallmark").write_text(f"#!/bin/sh -e\n{_RENDER}\n")
    (tools / "dhallmark").chmod(0o755)
    ours = record(project, _RENDER)
    key = tmp_path / "key.pem"
    key.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    subprocess.run(
        [
            Path(sys.executable).parent / "in-toto-run",
            *("--step-name", "render", "--use-dsse", "--exclude", "!*", "--signing-key", key),
            *("--materials", "dhallmark.yaml", "apps/web.dhall", "--products", "build/render"),
            *("--metadata-directory", tmp_path, "--", *_CANONICAL),
        ],
        cwd=project,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        check=True,
    )
    (made,) = tmp_path.glob("render.*.link")
    payload = Metadata.load(str(made)).get_payload()
    assert Link.parse(ours) == Link(
        name=payload.name,
        command=tuple(payload.command),
        materials=payload.materials,
        products=payload.products,
        byproducts=payload.byproducts,
        environment=payload.environment,
    )


def test_what_the_command_says_is_passed_on_and_not_recorded(tmp_path: Path) -> None:
    said: list[str] = []
    payload = record(make_project(tmp_path / "p"), f"echo working >&2; echo result; {_RENDER}", said=said)
    assert "".join(said) == "working\n"
    assert b"working" not in payload
    assert b"result" not in payload


def test_much_output_is_passed_on_whole(tmp_path: Path) -> None:
    said: list[str] = []
    record(make_project(tmp_path / "p"), f"head -c 300000 /dev/zero | tr '\\0' x >&2; {_RENDER}", said=said)
    assert "".join(said) == "x" * 300_000


@pytest.mark.parametrize(
    ("status", "code"),
    [(4, ExitCode.INPUT), (5, ExitCode.UNAVAILABLE), (1, ExitCode.REJECTED), (77, ExitCode.UNAVAILABLE)],
)
def test_a_failed_step_fails_alike_and_leaves_no_link(tmp_path: Path, status: int, code: ExitCode) -> None:
    project = make_project(tmp_path / "p")
    (project / "build" / "links" / "render.link").write_text("of an older run")
    with pytest.raises(ToolError) as caught:
        record(project, f"echo apps/web.dhall:3: wrong >&2; exit {status}")
    assert (caught.value.status, caught.value.exit_code) == (status, code)
    assert caught.value.stderr == "apps/web.dhall:3: wrong"
    assert caught.value.command == _CANONICAL
    assert not (project / "build" / "links" / "render.link").exists()


@pytest.mark.parametrize("products", [["build/render"], ["dir:build/render/dev"]])
def test_a_step_that_fails_before_it_made_anything_says_why(tmp_path: Path, products: list[str]) -> None:
    with pytest.raises(ToolError) as caught:
        record(make_project(tmp_path / "p"), "exit 4", products=products)
    assert caught.value.exit_code is ExitCode.INPUT


def test_a_step_that_succeeds_without_a_product_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder") as caught:
        record(make_project(tmp_path / "p"), "true", products=["dir:build/render/dev"])
    assert caught.value.where is not None
    assert caught.value.where.file == "dir:build/render/dev"


def test_a_command_that_is_missing_is_a_failure_of_the_step(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    with pytest.raises(ToolError) as caught:
        record_step(
            "render",
            ["/nowhere/dhallmark"],
            materials=["apps"],
            products=["build/render"],
            build=project / "build",
            write=lambda _: None,
        )
    assert caught.value.status == 127


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("true", "no such file"),
        (f"{_RENDER}; echo more >>apps/web.dhall", "changed while the step"),
        (f"{_RENDER}; ln -s out~ build/render/dev/link", "symbolic link"),
        (f"{_RENDER}; rm apps/web.dhall", "no such file"),
    ],
)
def test_what_makes_a_record_untrue_is_refused(tmp_path: Path, script: str, message: str) -> None:
    project = make_project(tmp_path / "p")
    with pytest.raises(InputError, match=message):
        record(project, script)
    assert not (project / "build" / "links" / "render.link").exists()


def test_materials_that_were_not_used_are_left_out(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    (project / "apps" / "unused.dhall").write_text("1\n")
    payload = record(project, _RENDER, materials=["dhallmark.yaml", "apps"], used=lambda: {"apps/web.dhall"})
    assert set(Link.parse(payload).materials) == {"apps/web.dhall"}


def test_a_file_that_was_used_but_not_recorded_is_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    (project / "other.dhall").write_text("1\n")
    with pytest.raises(InputError, match="not among its materials") as caught:
        record(project, _RENDER, used=lambda: {"apps/web.dhall", "other.dhall"})
    assert caught.value.where is not None
    assert caught.value.where.file == "other.dhall"
    assert not (project / "build" / "links" / "render.link").exists()


def link(name: str = "render", **changes: object) -> Link:
    fields: dict[str, object] = {
        "name": name,
        "command": ("dhallmark", name),
        "materials": {},
        "products": {},
        "byproducts": {"return-value": 0},
    } | changes
    return Link(**fields)  # type: ignore[arg-type]


def sha(text: str) -> dict[str, str]:
    return {"sha256": Digest.of(text.encode()).hex}


def test_links_of_shards_merge_to_the_link_of_the_whole() -> None:
    whole = link(
        materials={"dhallmark.yaml": sha("c"), "n/a": sha("a"), "n/b": sha("b"), "index": sha("both")},
        products={"r/a": sha("A"), "r/b": sha("B"), "dir:build/render/all": sha("A+B")},
    )
    shards = [
        link(
            materials={"dhallmark.yaml": sha("c"), "n/b": sha("b"), "index": sha("b only")}, products={"r/b": sha("B")}
        ),
        link(
            materials={"dhallmark.yaml": sha("c"), "n/a": sha("a"), "index": sha("a only")}, products={"r/a": sha("A")}
        ),
    ]
    merged = {"index": sha("both"), "dir:build/render/all": sha("A+B"), "build/package/x": sha("of another step")}
    for order in (shards, shards[::-1]):
        assert merge_links(order, whole=merged).to_bytes() == whole.to_bytes()


@pytest.mark.parametrize(
    "other",
    [
        link("package"),
        link(command=("dhallmark", "render", "--fast")),
        link(byproducts={"return-value": 1}),
        link(environment={"a": "b"}),
        link(materials={"dhallmark.yaml": sha("other")}),
        link(products={"r/a": sha("other")}),
    ],
)
def test_shards_that_disagree_do_not_merge(other: Link) -> None:
    first = link(materials={"dhallmark.yaml": sha("c")}, products={"r/a": sha("A")})
    with pytest.raises(FormatError, match="shards"):
        merge_links([first, other])


def test_no_shard_at_all_is_no_release() -> None:
    with pytest.raises(FormatError):
        merge_links([])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("_type", "layout"),
        ("name", ""),
        ("name", None),
        ("command", "dhallmark render"),
        ("command", [1]),
        ("materials", []),
        ("materials", {"a": {"sha256": "ab"}}),
        ("materials", {"a": {}}),
        ("products", {"a": {"sha256": "ab" * 32, "md5": "ab" * 16}}),
        ("products", None),
        ("byproducts", []),
        ("environment", "x"),
        ("extra", 1),
    ],
)
def test_what_is_no_link_is_refused(field: str, value: object) -> None:
    body = strictjson.parse(link().to_bytes())
    body[field] = value
    with pytest.raises(FormatError):
        Link.parse(strictjson.dump(body))


def test_links_are_read_in_order_and_each_under_its_name(tmp_path: Path) -> None:
    for name in ("publish", "package", "render", "resolve"):
        (tmp_path / "links").mkdir(exist_ok=True)
        (tmp_path / "links" / f"{name}.link").write_bytes(link(name).to_bytes())
    assert [found.name for found in read_links(tmp_path)] == ["resolve", "render", "package", "publish"]
    # P16: a file renamed to another step.
    (tmp_path / "links" / "render.link").write_bytes(link("package").to_bytes())
    with pytest.raises(FormatError, match="package"):
        read_links(tmp_path)
    (tmp_path / "links" / "render.link").unlink()
    with pytest.raises(Error, match="dhallmark step render"):
        read_links(tmp_path)
