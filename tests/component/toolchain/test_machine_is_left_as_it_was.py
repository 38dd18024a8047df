"""Engines and the registry start on a real machine, work, and leave it as they found it.

Everything runs in a network namespace of its own, with a cache of its own that shares the built results: so the
tables of the kernel can be compared whole, whatever else runs on the machine.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLCHAIN = ROOT / "ci" / "toolchain"
SECONDS = 600

pytestmark = [
    pytest.mark.component,
    pytest.mark.skipif(os.geteuid() != 0, reason="engines need root"),
]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A network namespace, seen through a process that keeps it, and the tool chain in it."""

    holder: int
    cache: Path

    def run(self, *arguments: str | Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", f"--net=/proc/{self.holder}/ns/net", *map(str, arguments)],
            env={**os.environ, "DHALLMARK_CACHE": str(self.cache), **env},
            check=check,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def toolchain(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, TOOLCHAIN, *arguments, check=check)

    def start(self, *arguments: str) -> None:
        done = self.toolchain("engine", "start", "--own", *arguments, check=False)
        assert done.returncode == 0, done.stderr

    def engine_root(self) -> Path:
        status = json.loads(self.toolchain("status", "--output", "json").stdout)
        return Path(status["parts"]["engine"]["path"]) / "root"

    def query(self, name: str, *command: str) -> str:
        """Run a command in a container of the base image on an engine; return what it printed."""
        env = json.loads(self.toolchain("env", "--name", name, "--output", "json").stdout)
        words = ", ".join(json.dumps(word) for word in command)
        query = f'{{container{{from(address:"{env["DHALLMARK_BASE_IMAGE"]}"){{withExec(args:[{words}]){{stdout}}}}}}}}'
        dagger = env["_EXPERIMENTAL_DAGGER_CLI_BIN"]
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{self.holder}/ns/net", dagger, "query", "--no-mod", "--silent"],
            env={**os.environ, **env},
            input=query,
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["container"]["from"]["withExec"]["stdout"])

    def trace(self) -> dict[str, object]:
        """Describe all that an engine could leave behind."""
        chroot = ("chroot", self.engine_root())
        rules = self.run(*chroot, "iptables-save", PATH="/usr/sbin:/usr/bin").stdout
        links = self.run(*chroot, "ip", "-o", "link", PATH="/usr/sbin:/usr/bin:/sbin:/bin").stdout
        # Counters and dates are no configuration.
        return {
            "rules": [line for line in rules.splitlines() if line.startswith(("-A", ":CNI"))],
            "links": [line.split(":")[1] for line in links.splitlines()],
            "forwarding": self.run("cat", "/proc/sys/net/ipv4/ip_forward").stdout,
            "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(self.cache) in line],
            "name resolution": Path("/etc/resolv.conf").read_text(),
            "upstream copy": Path("/etc/dnsmasq-resolv.conf").exists(),
            "processes": sorted(processes_below(self.cache)),
            # Not glob: others' groups go while they are walked, which os.walk takes for empty ones.
            "control groups": sorted(
                f"{folder}/{name}"
                for folder, names, _ in os.walk("/sys/fs/cgroup")
                for name in names
                if name.startswith("dhallmark-test")
            ),
        }


def processes_below(folder: Path) -> Iterator[str]:
    """Yield the command lines of processes that name the folder, or run in one of its namespaces."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if str(folder) in line or f"STATE={folder}" in environment:
            yield line


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    status = subprocess.run(
        [sys.executable, TOOLCHAIN, "status", "--output", "json"], check=True, capture_output=True, text=True
    )
    real = Path(json.loads(status.stdout)["cache"])
    cache = tmp_path_factory.mktemp("c")
    (cache / "store").symlink_to(real / "store")
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 3600"],
        env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        machine = Machine(holder=holder.pid, cache=cache)
        try:
            yield machine
        finally:
            machine.toolchain("engine", "stop", "--all")
            machine.toolchain("registry", "stop")
            holder.kill()


@pytest.fixture
def untouched(machine: Machine) -> Iterator[Machine]:
    before = machine.trace()
    yield machine
    stopped = machine.toolchain("engine", "stop", "--all")
    machine.toolchain("registry", "stop")
    assert stopped.returncode == 0
    assert machine.trace() == before


def test_two_engines_at_once_run_containers_with_name_resolution_of_their_own(untouched: Machine) -> None:
    for name in ("test1", "test2"):
        untouched.start("--name", name)
        assert "trixie" in untouched.query(name, "cat", "/etc/os-release")
    resolvers = {name: untouched.query(name, "cat", "/etc/resolv.conf") for name in ("test1", "test2")}
    assert "nameserver 10.87.0.1" in resolvers["test1"]
    assert "nameserver 10.87.16.1" in resolvers["test2"]
    # One is stopped while the other goes on working.
    untouched.toolchain("engine", "stop", "--name", "test1")
    assert untouched.query("test2", "echo", "still here") == "still here\n"


def test_second_start_changes_nothing(untouched: Machine) -> None:
    untouched.start("--name", "test1")
    record = (untouched.cache / "run/engine-test1/engine.pid").read_text()
    untouched.start("--name", "test1")
    assert (untouched.cache / "run/engine-test1/engine.pid").read_text() == record
    refused = untouched.toolchain("engine", "start", "--own", "--name", "test1", "--fresh", check=False)
    assert refused.returncode == 1
    assert "stop it before" in refused.stderr


def test_cache_is_kept_between_runs_unless_a_fresh_one_is_asked_for(untouched: Machine) -> None:
    stamp = ("date", "+%s%N")
    untouched.start("--name", "test1", "--fresh")
    first = untouched.query("test1", *stamp)
    untouched.toolchain("engine", "stop", "--name", "test1")
    untouched.start("--name", "test1")
    assert untouched.query("test1", *stamp) == first
    untouched.toolchain("engine", "stop", "--name", "test1")
    untouched.start("--name", "test1", "--fresh")
    assert untouched.query("test1", *stamp) != first


def test_engine_that_was_killed_is_cleaned_up_after(untouched: Machine) -> None:
    untouched.start("--name", "test1")
    untouched.query("test1", "true")
    pid = json.loads((untouched.cache / "run/engine-test1/engine.pid").read_text())["pid"]
    os.kill(pid, 9)
    status = untouched.toolchain("engine", "status", "--name", "test1", check=False)
    assert (status.returncode, "stopped" in status.stdout) == (3, True)
    # Starting again cleans up first; so does stopping, which the fixture asks for.
    untouched.start("--name", "test1")
    assert untouched.query("test1", "echo", "again") == "again\n"


def test_engine_that_cannot_start_says_why_and_leaves_nothing(untouched: Machine) -> None:
    broken = replace(untouched, cache=untouched.cache)
    (untouched.cache / "state/engine-test3").mkdir(parents=True)
    (untouched.cache / "state/engine-test3/lib").write_text("a file where the engine wants a folder")
    failed = broken.toolchain("engine", "start", "--own", "--name", "test3", check=False)
    assert failed.returncode == 1
    assert "engine ended at once" in failed.stderr
    (untouched.cache / "state/engine-test3/lib").unlink()


def test_registry_keeps_its_port_and_its_images(untouched: Machine) -> None:
    untouched.toolchain("registry", "start")
    env = json.loads(untouched.toolchain("env", "--output", "json").stdout)
    untouched.toolchain("registry", "stop")
    assert untouched.toolchain("registry", "status", check=False).returncode == 3
    untouched.toolchain("registry", "start")
    again = json.loads(untouched.toolchain("env", "--output", "json").stdout)
    assert again["DHALLMARK_BASE_IMAGE"] == env["DHALLMARK_BASE_IMAGE"]
    digest = untouched.run("crane", "digest", again["DHALLMARK_BASE_IMAGE"].partition("@")[0], PATH=again["PATH"])
    assert digest.stdout.strip() == again["DHALLMARK_BASE_IMAGE"].partition("@")[2]
