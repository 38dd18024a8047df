"""Engines by name, their configuration, and the user's own Dagger."""

import tomllib
from pathlib import Path

import pytest

from toolchain import cgroups
from toolchain.cache import Cache
from toolchain.cli import main
from toolchain.engine import Engine, render_config, user_engine
from toolchain.errors import ToolchainError
from toolchain.whole import IMAGES, Toolchain


def script(path: Path, *, code: int) -> None:
    path.write_text(f"#!/bin/sh\nexit {code}\n")
    path.chmod(0o755)


def test_configuration_names_registries_without_tls_and_the_control_group() -> None:
    config = tomllib.loads(render_config(name="one", plain_http=["127.0.0.1:5000", "lab:80"]))
    assert config["registry"] == {"127.0.0.1:5000": {"http": True}, "lab:80": {"http": True}}
    assert config["worker"]["oci"]["defaultCgroupParent"] == "dhallmark-one"
    assert config["worker"]["oci"]["maxUsedSpace"] == "20GB"


def test_engines_share_nothing(tmp_path: Path) -> None:
    one, two = (Engine(cache=Cache(root=tmp_path), name=name) for name in ("one", "two"))
    assert one.socket != two.socket
    assert one.state != two.state
    assert one.runner_host == f"unix://{tmp_path}/run/engine-one/engine.sock"


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "../x", "a" * 25, "a b"])
def test_names_that_do_not_fit_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ToolchainError, match="engine name"):
        Engine(cache=Cache(root=tmp_path), name=name)


def test_socket_path_that_is_too_long_is_refused() -> None:
    with pytest.raises(ToolchainError, match="DHALLMARK_CACHE"):
        Engine(cache=Cache(root=Path("/") / ("x" * 100)))


@pytest.mark.parametrize(
    ("dagger", "runtime", "found"), [(0, 0, True), (0, 1, False), (None, 0, False), (0, None, False)]
)
def test_users_dagger_counts_with_a_runtime_that_answers(
    tmp_path: Path, *, dagger: int | None, runtime: int | None, found: bool
) -> None:
    for name, code in (("dagger", dagger), ("docker", runtime)):
        if code is not None:
            script(tmp_path / name, code=code)
    theirs = user_engine({"PATH": str(tmp_path)}, ours=Cache(root=tmp_path / "cache"))
    assert (theirs is not None) is found


def test_the_demo_makes_neither_engine_nor_images_where_the_user_has_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[tuple[str, ...], tuple[str, ...] | None]] = []
    monkeypatch.setattr(Toolchain, "install", lambda _, names, programs=None: asked.append((tuple(names), programs)))
    monkeypatch.setenv("DHALLMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST", raising=False)
    assert main(["install", "--for", "demo"]) == 0
    monkeypatch.setenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST", "tcp://engine:1234")
    assert main(["install", "--for", "demo"]) == 0
    script(tmp_path / "dagger", code=0)
    assert main(["install", "--for", "demo"]) == 0
    (own, host), (remote, few), (whole, _) = asked
    assert {"dagger", "engine", "gosdk", "base"} <= set(own)
    assert host is None
    assert not {"engine", "gosdk", *IMAGES} & {*remote, *whole}
    assert set(remote) - set(whole) == {"dagger"}
    assert {"helm", "cosign", "fulcio", "registry"} <= set(whole)
    assert few is not None
    assert not any("debootstrap" in line for line in few)


def test_our_own_dagger_is_not_the_users(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "bin"
    folder.mkdir(parents=True)
    script(folder / "dagger", code=0)
    script(folder / "docker", code=0)
    assert user_engine({"PATH": str(folder)}, ours=Cache(root=tmp_path / "cache")) is None


@pytest.mark.parametrize(("host", "found"), [("tcp://engine:1234", True), ("unix:///cache/run/engine-x/s", False)])
def test_runner_host_of_the_environment_counts_unless_it_is_ours(tmp_path: Path, *, host: str, found: bool) -> None:
    environ = {"_EXPERIMENTAL_DAGGER_RUNNER_HOST": host, "PATH": str(tmp_path)}
    assert (user_engine(environ, ours=Cache(root=Path("/cache"))) is not None) is found


def test_control_groups_are_found_in_both_versions() -> None:
    mounts = "".join(
        f"{source} {target} {kind} rw 0 0\n"
        for source, target, kind in (
            ("cgroup", "/sys/fs/cgroup/cpu", "cgroup"),
            ("cgroup2", "/sys/fs/cgroup/unified", "cgroup2"),
            ("proc", "/proc", "proc"),
        )
    )
    assert cgroups.hierarchies(mounts) == [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/unified")]


def test_control_groups_of_one_engine_go_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "dhallmark-one/buildkit/abc").mkdir(parents=True)
    (tmp_path / "dhallmark-one-more/buildkit").mkdir(parents=True)
    cgroups.remove("one", roots=[tmp_path, tmp_path / "absent"])
    assert [path.name for path in tmp_path.iterdir()] == ["dhallmark-one-more"]
