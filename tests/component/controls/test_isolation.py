"""What a judgement holds out against, and what is left of it: consumers that do their worst, as programs called cosign.

A stand-in is what is needed here: the real one cannot be made to fill a disk.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

import dhallmark
from dhallmark.controls.inside import ASKED
from dhallmark.controls.isolation import Judgement, isolation
from dhallmark.controls.limits import Limits
from dhallmark.reasons import Reason

pytestmark = pytest.mark.component

MIB = 1024 * 1024
SMALL = Limits(seconds=120, memory=300 * MIB, scratch=16 * MIB, tasks=64)
MakeCase = Callable[..., Path]
PretendCosign = Callable[[str], None]


@pytest.fixture
def cosign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PretendCosign:
    """Puts a Python program called cosign first on PATH. It is not there when it is asked for its version."""

    def pretend(program: str) -> None:
        folder = tmp_path / "programs"
        folder.mkdir()
        text = (
            f"import os, signal, socket, sys, time\nif sys.argv[1] == 'version': sys.exit(1)\n{program}\nsys.exit(1)\n"
        )
        (folder / "cosign").write_text(f"#!{Path(sys.executable).resolve()} -ISs\n{text}")
        (folder / "cosign").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return pretend


def judge(case: Path, limits: Limits = SMALL, *, consumer: str = "cosign") -> Judgement:
    async def main() -> Judgement:
        async with isolation([consumer], limits=limits) as place:
            return await place.judge(case, consumer)

    return anyio.run(main)


def words_of(judgement: Judgement) -> str:
    """What the stand-in printed when it was first asked."""
    return str(judgement.answers["before"]["words"])


def left_of(folder: Path) -> list[int]:
    """The processes of this machine that look for programs in `folder`: those of a test's own judgements."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if bytes(folder / "programs") in environment.read_bytes():
                found.append(int(environment.parent.name))
        except OSError:
            continue
    return found


FILL_MEMORY = "held = []\nwhile True: held.append(bytearray(4 << 20))"
FILL_DISK = """
with open(os.environ['HOME'] + '/full', 'wb', buffering=0) as file:
    try:
        while True: file.write(bytes(1 << 16))
    except OSError: time.sleep(1000)
"""
FILL_NAMES = """
try:
    for n in range(10**6): open(f"{os.environ['HOME']}/{n}", 'w').close()
except OSError: time.sleep(1000)
"""
WORST = {
    "hangs": ("time.sleep(1000)", "no answer in 2 s"),
    "hangs, deaf to signals": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: time.sleep(1)",
        "no answer in 2 s",
    ),
    "leaves a process behind": (
        "if os.fork(): time.sleep(1000)\nos.setsid()\nif os.fork(): os._exit(0)\ntime.sleep(1000)",
        "no answer in 2 s",
    ),
    "fills memory": (FILL_MEMORY, "MiB of memory"),
    "fills memory by many": ("for _ in range(6): os.fork()\nheld = bytearray(30 << 20)\ntime.sleep(1000)", "memory"),
    "fills the disk": (FILL_DISK, "it filled the bytes"),
    "fills the disk with names": (FILL_NAMES, "it filled the files"),
    "forks": ("while True:\n    try: os.fork()\n    except OSError: time.sleep(0.1)", "processes and threads"),
}


@pytest.mark.parametrize("worst", WORST)
def test_a_consumer_that_takes_too_much_is_killed_and_nothing_of_it_is_left(
    make_case: MakeCase, cosign: PretendCosign, tmp_path: Path, worst: str
) -> None:
    program, said = WORST[worst]
    cosign(program)
    limits = SMALL.model_copy(update={"seconds": 2.0}) if "no answer" in said else SMALL
    started = time.monotonic()
    judgement = judge(make_case(), limits)
    assert judgement.reason is Reason.CONSUMER_LIMIT, judgement
    assert said in judgement.detail
    assert not set(ASKED) & set(judgement.answers)
    # Well before the thousand seconds of the program, or what the keeper would be given up after.
    assert time.monotonic() - started < limits.seconds + 60
    assert left_of(tmp_path) == []


def test_a_consumer_that_kills_whom_it_can_harms_only_itself(
    make_case: MakeCase, cosign: PretendCosign, tmp_path: Path
) -> None:
    kill = "for pid in (os.getppid(), 1, -1):\n    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass"
    cosign(f"{kill}\ntime.sleep(1000)")
    judgement = judge(make_case())
    assert (judgement.reason, judgement.answers.keys() & set(ASKED)) == (Reason.CONSUMER_UNAVAILABLE, set())
    assert left_of(tmp_path) == []


def test_a_consumer_that_interrupts_the_first_process_is_not_heard(make_case: MakeCase, cosign: PretendCosign) -> None:
    cosign("for n in range(1, 65):\n    try: os.kill(1, n)\n    except OSError: pass\nprint('done', file=sys.stderr)")
    assert "done" in words_of(judge(make_case()))


SEE = """
def can(path):
    try:
        return bool(os.listdir(path)) if os.path.isdir(path) else bool(open(path).read(1))
    except OSError as error:
        return error.strerror
def connect(address):
    try:
        socket.create_connection(address, timeout=2).close()
        return True
    except OSError as error:
        return type(error).__name__
def write(path):
    try:
        open(path + '/x', 'w').close()
        return True
    except OSError as error:
        return error.strerror
"""


def test_a_consumer_finds_nothing_of_the_users(
    make_case: MakeCase, cosign: PretendCosign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab's keys, the home folder, temporary files, other processes, the environment, the network."""
    lab, home = tmp_path / "lab", tmp_path / "home"
    for secret in (lab / "keys" / "fulcio.pem", home / ".docker" / "config.json"):
        secret.parent.mkdir(parents=True)
        secret.write_text("a secret")
        secret.chmod(0o644)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DHALLMARK_LAB", str(lab))
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", "a secret")
    places = [str(lab), str(home), str(tmp_path / "cases"), "/root/.ssh", "/etc/shadow", "/var/lib", "/home"]
    cosign(
        SEE
        + f"import json; places = {places!r}\n"
        + "print(json.dumps({'seen': {place: can(place) for place in places},"
        + " 'pids': sorted(int(name) for name in os.listdir('/proc') if name.isdigit()),"
        + " 'environment': sorted(os.environ), 'users': [os.getuid(), os.getgid(), *os.getgroups()],"
        + " 'network': [connect(('127.0.0.1', 5000)), connect(('127.0.0.1', 22)), connect(('192.0.2.1', 443))],"
        + " 'devices': [name for _, name in socket.if_nameindex()],"
        + " 'written': [place for place in ('/', '/etc', '/usr', '/run', '/case', '/dev') if write(place) is True],"
        + " 'memory of others': can('/proc/1/environ') is True}), file=sys.stderr)"
    )
    seen = json.loads(words_of(judge(make_case())))
    assert set(seen["seen"].values()) <= {"No such file or directory"}, seen["seen"]
    # The first process, the registry, the proxy, the consumer, its program.
    assert len(seen["pids"]) <= 5
    assert max(seen["pids"]) < 100
    assert set(seen["environment"]) <= {"DOCKER_CONFIG", "HOME", "LANG", "LC_CTYPE", "PATH", "TMPDIR", "TUF_ROOT"}
    assert seen["users"][0] not in (0, os.getuid()) or os.geteuid() != 0
    assert seen["users"][2:] == []
    assert seen["network"][0] is True
    assert True not in seen["network"][1:]
    assert seen["written"] == []
    assert not seen["memory of others"]


def test_the_mount_and_the_folder_of_a_run_are_gone_with_it(
    make_case: MakeCase, cosign: PretendCosign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    cosign("sys.exit(1)")
    before = Path("/proc/self/mountinfo").read_text()
    assert judge(make_case()).answers.keys() >= set(ASKED)
    assert Path("/proc/self/mountinfo").read_text() == before
    assert list((tmp_path / "temporary").iterdir()) == []


def test_nothing_goes_on_when_whoever_asked_is_killed(
    make_case: MakeCase, cosign: PretendCosign, tmp_path: Path
) -> None:
    cosign("time.sleep(1000)")
    program = (
        "import anyio, sys\nfrom pathlib import Path\nfrom dhallmark.controls.isolation import isolation\n"
        "async def main():\n    async with isolation(['cosign']) as place:\n"
        "        await place.judge(Path(sys.argv[1]), 'cosign')\nanyio.run(main)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(str(dhallmark.__file__)).parents[1]), "TMPDIR": str(tmp_path)}
    caller = subprocess.Popen([sys.executable, "-c", program, str(make_case())], env=environment)
    try:
        _until(lambda: len(left_of(tmp_path)) >= 6)
    finally:
        caller.send_signal(signal.SIGKILL)
        caller.wait()
    _until(lambda: left_of(tmp_path) == [])


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be without a capability that it would have")
def test_whoever_is_not_root_is_isolated_in_a_user_namespace(make_case: MakeCase, cosign: PretendCosign) -> None:
    """As a process without CAP_SYS_ADMIN: in a user namespace, and not as root there either."""
    cosign("print(os.getresuid(), open('/proc/self/status').read(), file=sys.stderr)")
    program = (
        "import anyio, sys\nfrom pathlib import Path\nfrom dhallmark.controls.isolation import isolation\n"
        "async def main():\n    async with isolation(['cosign']) as place:\n"
        "        judgement = await place.judge(Path(sys.argv[1]), 'cosign')\n"
        "        print(judgement.answers['before']['words'] if judgement.answers else judgement)\nanyio.run(main)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(str(dhallmark.__file__)).parents[1])}
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]
    done = subprocess.run(
        [*without, sys.executable, "-c", program, str(make_case())],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "(65534, 65534, 65534)" in done.stdout, done.stdout + done.stderr
    assert "CapEff:\t0000000000000000" in done.stdout
    assert "NoNewPrivs:\t1" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be without a capability that it would have")
def test_isolation_that_the_kernel_refuses_is_said(make_case: MakeCase) -> None:
    """With no namespace left to be had, as an administrator may set it."""
    program = (
        "import anyio, ctypes, sys\nfrom pathlib import Path\nfrom dhallmark.controls.isolation import isolation\n"
        "async def main():\n    async with isolation(['dhallmark']) as place:\n"
        "        print(await place.judge(Path(sys.argv[1]), 'dhallmark'))\nanyio.run(main)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(str(dhallmark.__file__)).parents[1])}
    # In a user namespace of its own, where it may say how many network namespaces there may be: none.
    refuse = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", refuse, "sh", sys.executable, "-c", program,
         str(make_case())],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "ISOLATION_UNAVAILABLE" in done.stdout, done.stdout + done.stderr
    assert "No space left on device" in done.stdout


def test_a_registry_that_is_missing_is_no_answer(
    make_case: MakeCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = [part for part in os.environ["PATH"].split(os.pathsep) if not (Path(part) / "registry").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(bare))
    judgement = judge(make_case(), consumer="dhallmark")
    assert judgement.reason is Reason.ISOLATION_UNAVAILABLE
    assert "registry" in judgement.detail


def test_a_case_that_cannot_be_read_is_no_answer(make_case: MakeCase) -> None:
    case = make_case()
    shutil.rmtree(case / "mutant" / "artifact")
    judgement = judge(case, consumer="dhallmark")
    assert (judgement.reason, judgement.answers) == (Reason.ISOLATION_UNAVAILABLE, {})
