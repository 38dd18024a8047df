"""A lab starts in seconds, is alone in its network, says which service died, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from dhallmark.errors import ToolError, UsageError
from dhallmark.lab.create import create_lab
from dhallmark.lab.model import LabPaths
from dhallmark.lab.namespace import is_inside, isolated
from dhallmark.lab.session import Lab, attach_lab, open_lab, running_lab, start_lab, stop_lab
from dhallmark.lab.state import is_alive
from dhallmark.lab.supervisor import supervise

SERVICES = {"fulcio-main", "rekor", "timestamp", "registry", "registry-fallback"}


def processes(directory: Path) -> set[int]:
    """Every process that has the lab's directory as its working directory or in its command line."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            inside = (entry / "cwd").readlink() == directory
        except OSError:
            continue
        if inside or bytes(directory) in command:
            found.add(int(entry.name))
    return found - {os.getpid()}


def namespaces() -> set[str]:
    """The network namespaces that some process is in."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found.add(str((entry / "ns/net").readlink()))
        except OSError:
            continue
    return found


def eventually(condition: object, *, within: float = 60.0) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(name="own")
def _own(tmp_path: Path) -> Iterator[Lab]:
    """A lab that a test may break."""
    with open_lab(tmp_path / "lab") as lab:
        yield lab


def test_it_starts_and_stops_in_seconds_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "lab"
    start = time.monotonic()
    with open_lab(directory) as lab:
        ready = time.monotonic() - start
        assert {name: one.status for name, one in lab.state().services.items()} == dict.fromkeys(SERVICES, "running")
        running = processes(directory)
        assert {lab.pid} | {one.pid for one in lab.state().services.values()} <= running
        network = str(Path(f"/proc/{lab.pid}/ns/net").readlink())
        assert network in namespaces()
        stopping = time.monotonic()
    stopped = time.monotonic() - stopping
    with capsys.disabled():
        sys.stdout.write(f"\n  a new lab: ready after {ready:.2f} s, stopped after {stopped:.2f} s\n")
    # About one and half a second; a machine that does ten other things at once takes its time.
    assert ready < 30
    assert stopped < 15
    assert processes(directory) == set()
    assert network not in namespaces()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert not (directory / "control").exists()
    assert not is_alive(LabPaths(directory))


def test_inside_there_is_no_way_out(lab: Lab) -> None:
    assert lab.run(["cat", "/proc/net/route"]).stdout.splitlines()[1:] == []
    devices = re.findall(r"^ *([^ :]+):", lab.run(["cat", "/proc/net/dev"]).stdout, re.MULTILINE)
    assert devices == ["lo"]
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        port = listener.getsockname()[1]
        # What is reachable out here (the twin) is not reachable in there: neither by loopback nor by an address.
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        assert lab.call(_connects, "127.0.0.1", port) == "ConnectionRefusedError"
    assert lab.call(_connects, "192.0.2.1", 443) == "OSError: Network is unreachable"


def _connects(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except ConnectionRefusedError:
        return "ConnectionRefusedError"
    except OSError as error:
        return f"OSError: {error.strerror}"
    return "connected"


def test_from_outside_no_port_is_reachable(lab: Lab) -> None:
    inside, outside = lab.call(_listening), _listening()
    ports = lab.model.ports.model_dump()
    assert {ports["issuer"], ports["rekor"], ports["timestamp"], ports["registry"], 2112} <= set(inside)
    held = {socket for pid in processes(lab.directory) for socket in _sockets(pid)}
    assert set(inside.values()) <= held
    assert not set(outside.values()) & held
    # What else happens to run here may listen on some of these ports itself.
    for port in set(inside) - set(outside):
        assert _connects("127.0.0.1", port) == "ConnectionRefusedError", port


def _listening() -> dict[int, str]:
    """The TCP ports that are listened on in the network of the calling thread, each with its socket's inode."""
    found = {}
    for kind in ("tcp", "tcp6"):
        for line in Path(f"/proc/thread-self/net/{kind}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found[int(fields[1].rpartition(":")[2], 16)] = fields[9]
    return found


def _sockets(pid: int) -> set[str]:
    """The inodes of the sockets that a process holds."""
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def test_a_function_is_called_inside_with_its_threads(lab: Lab) -> None:
    async def main() -> tuple[bool, bool]:
        return is_inside(lab.pid), await anyio.to_thread.run_sync(is_inside, lab.pid)

    assert not is_inside(lab.pid)
    assert lab.call(anyio.run, main) == (True, True)
    assert not is_inside(lab.pid)
    assert lab.call(Path.cwd) == Path.cwd()
    assert lab.call(socket.gethostbyname, "token.actions.githubusercontent.com") == "127.0.0.1"
    with pytest.raises(ZeroDivisionError):
        lab.call(lambda: 1 // 0)


def test_a_command_inside_gets_the_labs_ca_and_no_proxy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://192.0.2.1:3128")
    done = lab.run(["curl", "-sS", "https://token.actions.githubusercontent.com/.well-known/openid-configuration"])
    assert '"issuer": "https://token.actions.githubusercontent.com"' in done.stdout
    with pytest.raises(ToolError, match=r"sh ended with status 3 in the lab:\nwhy") as caught:
        lab.run(["sh", "-c", "echo why >&2; exit 3"])
    assert caught.value.status == 3


def test_a_killed_service_is_reported_with_its_last_lines(own: Lab) -> None:
    own.check()
    victim = own.state().services["rekor"].pid
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    assert eventually(lambda: own.state().services["rekor"].status == "died")
    with pytest.raises(ToolError, match=r"rekor ended with status -9; its last lines:\n.*level=") as caught:
        own.check()
    assert "rekor.log" in str(caught.value)
    assert own.state().services["timestamp"].status == "running"
    own.start_service("rekor")
    own.check()


def test_a_service_can_be_stopped_and_started(own: Lab) -> None:
    own.stop_service("timestamp")
    assert own.state().services["timestamp"].status == "stopped"
    assert own.call(_connects, "127.0.0.1", own.model.ports.timestamp) == "ConnectionRefusedError"
    own.check()
    own.start_service("timestamp")
    assert own.call(_connects, "127.0.0.1", own.model.ports.timestamp) == "connected"
    for verb, name, message in (
        (own.stop_service, "nothing", "cannot stop 'nothing'; services: fulcio-main"),
        (own.start_service, "timestamp", "timestamp runs already"),
    ):
        with pytest.raises(ToolError, match=message):
            verb(name)


def test_a_caller_of_the_control_socket_that_goes_away_harms_nothing(own: Lab) -> None:
    for sent in (b"", b"half a li", b"x" * 500, b"\xff\xfe\n", b"stop\n"):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(own.paths.control))
            control.sendall(sent)
    own.stop_service("registry")
    own.start_service("registry")
    own.check()


def test_a_killed_supervisor_takes_its_services_with_it(tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    create_lab(directory)
    lab = start_lab(directory)
    os.kill(lab.pid, signal.SIGKILL)
    assert eventually(lambda: processes(directory) == set())
    # The kernel takes a killed process's memory before its files, and with them the lock.
    assert eventually(lambda: not is_alive(lab.paths))
    with pytest.raises(ToolError, match="does not run"):
        lab.check()
    assert stop_lab(directory) is False
    start_lab(directory).check()
    assert stop_lab(directory) is True
    assert eventually(lambda: processes(directory) == set())


def test_a_lab_ends_with_its_owner_however_that_ends(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib\n"
        "from dhallmark.lab.session import open_lab\n"
        "with open_lab(pathlib.Path(sys.argv[1])) as lab:\n"
        "    print('ready', flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    directory = tmp_path / "lab"
    done = subprocess.run(
        [sys.executable, "-c", script, directory],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-9, "ready\n"), done.stderr
    assert eventually(lambda: processes(directory) == set())


def test_two_labs_run_at_once_on_the_same_ports(lab: Lab, own: Lab) -> None:
    assert lab.model.ports == own.model.ports
    for one in (lab, own):
        assert one.call(_connects, "127.0.0.1", one.model.ports.rekor) == "connected"


def test_one_directory_runs_once(own: Lab) -> None:
    for start in (start_lab, lambda directory: open_lab(directory).__enter__()):
        with pytest.raises(UsageError, match="runs already"):
            start(own.directory)
    assert attach_lab(own.directory).pid == own.pid
    own.check()


def test_what_was_published_goes_with_the_run(tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    with open_lab(directory) as lab:
        root = lab.trusted_root().read_bytes()
        (tmp_path / "layer.tar").write_bytes(b"\0" * 1024)
        for registry in (lab.registry, lab.registry_fallback):
            lab.run(["crane", "append", "-f", tmp_path / "layer.tar", "-t", f"{registry}/kept:1"])
    with open_lab(directory) as lab:
        assert lab.trusted_root().read_bytes() == root
        for registry in (lab.registry, lab.registry_fallback):
            assert lab.run(["crane", "manifest", f"{registry}/kept:1"], check=False).returncode != 0


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("unshare", "mount", "setpriv"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="not on PATH: fulcio, rekor-server") as caught, open_lab(tmp_path / "lab"):
        pytest.fail("started without its programs")
    assert "ci/toolchain" in str(caught.value)
    assert processes(tmp_path / "lab") == set()


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        ("unshare", "cannot start the lab: .*No such file or directory: 'unshare'"),
        ("setpriv", "cannot start .*No such file or directory: 'setpriv'"),
    ],
)
def test_a_missing_system_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: str, message: str
) -> None:
    create_lab(tmp_path / "lab")
    tools = {"fulcio", "rekor-server", "timestamp-server", "registry", "distribution", "unshare", "mount", "setpriv"}
    (tmp_path / "bin").mkdir()
    for name in tools - {absent}:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ToolError, match=message):
        start_lab(tmp_path / "lab")
    assert processes(tmp_path / "lab") == set()


def test_the_supervisor_runs_once_and_in_no_other_network(own: Lab) -> None:
    command = [sys.executable, "-m", "dhallmark.lab", "--dir", str(own.directory)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def start(wrapped: list[str]) -> str:
        done = subprocess.run(wrapped, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        return done.stderr

    assert "runs already" in start(isolated(command))
    busy = ["sh", "-c", 'ip link add other0 type veth && ip link set other0 up && exec "$@"', "sh", *command]
    assert "not a network of its own: other0 is up" in start(isolated(busy))
    own.check()


def test_a_path_that_is_too_long_for_the_control_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long"):
        anyio.run(supervise, tmp_path / ("x" * 100))


def test_what_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "lab"
    create_lab(directory)
    lab = start_lab(directory)
    # A stopped process takes no SIGTERM.
    os.kill(lab.state().services["rekor"].pid or 0, signal.SIGSTOP)
    lab.stop_service("rekor")
    assert lab.state().services["rekor"].exit_code == -9
    monkeypatch.setattr("dhallmark.lab.session._STOP_TIMEOUT", 0.3)
    os.kill(lab.pid, signal.SIGSTOP)
    assert stop_lab(directory) is True
    assert eventually(lambda: processes(directory) == set())
    with open_lab(directory) as lab:
        os.kill(lab.pid, signal.SIGSTOP)
    assert eventually(lambda: processes(directory) == set())


def test_a_service_that_cannot_start_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    create_lab(directory)
    LabPaths(directory).key("timestamp").write_text("no key")
    with pytest.raises(ToolError, match=r"timestamp ended with status [12]; its last lines:\n(.|\n)*not valid"):
        start_lab(directory)
    assert eventually(lambda: processes(directory) == set())


def test_a_lab_that_is_not_ready_in_time_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_lab(tmp_path / "lab")
    monkeypatch.setattr("dhallmark.lab.session._START_TIMEOUT", 0.0)
    with pytest.raises(ToolError, match="not ready after 0 s"):
        start_lab(tmp_path / "lab")
    assert processes(tmp_path / "lab") == set()
    with pytest.raises(ToolError, match="not ready after 0 s"), open_lab(tmp_path / "lab"):
        pytest.fail("was ready at once")
    assert processes(tmp_path / "lab") == set()


def test_a_test_that_fails_leaves_no_lab(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_lab(tmp_path / "lab"):
        _ = 1 // 0
    assert processes(tmp_path / "lab") == set()


def test_packages_are_served_without_listings(tmp_path: Path) -> None:
    (tmp_path / "packages" / "v1").mkdir(parents=True)
    (tmp_path / "packages" / "v1" / "package.dhall").write_text("{=}\n")
    with open_lab(tmp_path / "lab", packages=tmp_path / "packages") as lab:
        url = f"{lab.model.packages_url}/v1"
        assert url == "http://packages.dhallmark.test:8411/v1"
        assert lab.run(["curl", "-sf", f"{url}/package.dhall"]).stdout == "{=}\n"
        for path in ("/", "/none.dhall", "/../../lab/lab.json"):
            status = lab.run(["curl", "-s", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", url + path]).stdout
            assert status == "404", path


def test_an_asynchronous_caller_gets_the_same(tmp_path: Path) -> None:
    async def main() -> int:
        async with running_lab(tmp_path / "lab") as lab:
            lab.check()
            return lab.pid

    pid = anyio.run(main)
    assert not Path(f"/proc/{pid}").exists()


def test_no_log_holds_a_token(lab: Lab) -> None:
    """Run the whole file for this to say much: it looks at everything that the session has logged so far."""
    job = lab.github_job()
    answer = lab.run(
        ["curl", "-sf", "-K", "-"],
        stdin=f'url = "{job["ACTIONS_ID_TOKEN_REQUEST_URL"]}&audience=sigstore"\n'
        f'header = "Authorization: bearer {job["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]}"\n',
    )
    assert '"value"' in answer.stdout
    logs = sorted((lab.directory / "logs").iterdir())
    assert len(logs) > len(SERVICES)
    for log in logs:
        content = log.read_text(errors="replace")
        assert not re.search(r"eyJ[A-Za-z0-9_-]{20,}\.eyJ", content), log
        assert job["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] not in content, log
