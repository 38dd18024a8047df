"""`dhallmark lab …` as people and containers run it."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from dhallmark.cli.app import run
from dhallmark.errors import ExitCode
from dhallmark.lab.model import LabPaths
from dhallmark.lab.namespace import call_inside, entering
from dhallmark.lab.session import stop_lab
from dhallmark.lab.state import is_alive, read_state

PROGRAM = (sys.executable, "-c", "from dhallmark.cli.app import main; main()")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def dhallmark(*words: str | Path) -> tuple[ExitCode, dict[str, object], str]:
    """Exit code, the JSON on standard output or error, standard error."""
    out, err = io.StringIO(), io.StringIO()
    code = run(["--output", "json", *map(str, words)], stdout=out, stderr=err)
    body = json.loads(out.getvalue() or err.getvalue())
    assert isinstance(body, dict)
    return ExitCode(code), body, err.getvalue()


def lab_exec(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "lab", "exec", "--dir", directory, "--", *command],
        env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Where a test puts a lab; stopped at the end, whatever happens."""
    path = tmp_path / "lab"
    yield path
    if (path / "lab.json").exists():
        stop_lab(path)


def test_up_status_exec_down(directory: Path) -> None:
    code, made, _ = dhallmark("lab", "up", "--dir", directory, "--authority", "second")
    assert code == ExitCode.OK
    assert made["registries"] == {"referrers": "localhost:5000", "fallback": "localhost:5001"}
    authorities = made["authorities"]
    assert isinstance(authorities, dict)
    assert list(authorities) == ["main", "second"]
    assert all(Path(files["trustConfig"]).is_file() for files in authorities.values())

    code, status, _ = dhallmark("lab", "status", "--dir", directory)
    assert (code, status["status"], status["died"]) == (ExitCode.OK, "ready", [])

    done = lab_exec(directory, "sh", "-c", "cat /proc/net/dev | wc -l; pwd; curl -sf localhost:5001/v2/; exit 7")
    assert done.stdout.split() == ["3", str(Path.cwd()), "{}"]
    assert done.returncode == 7

    code, error, _ = dhallmark("lab", "up", "--dir", directory)
    assert (code, error["exitCode"]) == (ExitCode.USAGE, 2)
    assert "runs already" in str(error["message"])

    state = read_state(LabPaths(directory))
    assert state is not None
    os.kill(state.services["timestamp"].pid or 0, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (found := dhallmark("lab", "status", "--dir", directory))[0] == ExitCode.OK and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found[0] == ExitCode.UNAVAILABLE
    assert found[1]["died"] == ["timestamp"]

    assert dhallmark("lab", "down", "--dir", directory)[1]["stopped"] is True
    code, status, _ = dhallmark("lab", "status", "--dir", directory)
    assert (code, status["status"], status["services"]) == (ExitCode.UNAVAILABLE, "stopped", {})
    assert dhallmark("lab", "down", "--dir", directory)[1]["stopped"] is False
    assert lab_exec(directory, "true").returncode == ExitCode.USAGE


def test_the_directory_may_be_named_by_the_environment(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dhallmark("lab", "init", "--out", directory)
    monkeypatch.setenv("DHALLMARK_LAB", str(directory))
    assert dhallmark("lab", "token", "--stdout")[0] == ExitCode.OK


def test_a_token_goes_where_it_is_told_and_nowhere_else(directory: Path) -> None:
    assert dhallmark("lab", "init", "--out", directory, "--issuer", "corp=gitlab,https://gitlab.corp.test")[0] == 0
    file = directory.parent / "token"
    code, body, errors = dhallmark(
        "lab", "token", "--dir", directory, "--out", file,
        "--claim", "repository=acme/other", "--claim", "exp:=12", "--claim", "job_workflow_ref:=null",
        "--without", "sub",
    )  # fmt: skip
    assert code == ExitCode.OK
    token = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in json.dumps(body) + errors
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["repository"], claims["exp"], claims["job_workflow_ref"]) == ("acme/other", 12, None)
    assert "sub" not in claims

    _, body, _ = dhallmark("lab", "token", "--dir", directory, "--shape", "gitlab", "--issuer", "corp", "--stdout")
    assert jwt.decode(str(body["token"]), options={"verify_signature": False})["iss"] == "https://gitlab.corp.test"
    out = io.StringIO()
    run(["lab", "token", "--dir", str(directory), "--stdout"], stdout=out)
    assert len(out.getvalue().split()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["token"], "say where the token goes"),
        (["token", "--stdout", "--out", "x"], "say where the token goes"),
        (["token", "--stdout", "--claim", "nonsense"], "not NAME=TEXT"),
        (["token", "--stdout", "--claim", "exp:=soon"], "--claim exp:=soon"),
        (["token", "--stdout", "--issuer", "none"], "no issuer 'none'"),
        (["up", "--authority", "x"], "holds a lab already"),
        (["exec"], "no command"),
        (["serve", "--hostname", "elsewhere"], "made for the host name localhost"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    dhallmark("lab", "init", "--out", directory)
    monkeypatch.setenv("DHALLMARK_LAB", str(directory))
    code, body, _ = dhallmark("lab", *words)
    assert code == ExitCode.USAGE
    assert message in str(body["message"])
    assert not is_alive(LabPaths(directory))


def test_a_bad_issuer_is_a_usage_error(tmp_path: Path) -> None:
    code, body, _ = dhallmark("lab", "init", "--out", tmp_path / "lab", "--issuer", "x=github,http://plain.test")
    assert code == ExitCode.USAGE
    assert body["hint"] == "NAME=SHAPE,https://HOST[/PATH]"


@contextmanager
def container(directory: Path, hosts: Path) -> Iterator[subprocess.Popen[str]]:
    """`lab serve` as a container's main process: a network with an address of its own, and `lab` as its name."""
    hosts.write_text("127.0.0.1 localhost\n10.77.0.1 lab\n")
    script = f'ip link set lo up && ip address add 10.77.0.1/32 dev lo && mount --bind {hosts} /etc/hosts && exec "$@"'
    process = subprocess.Popen(
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
         *PROGRAM, "lab", "serve", "--dir", directory],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            state = read_state(LabPaths(directory))
            if state is not None and state.status == "ready":
                break
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_serve_runs_in_a_container_with_keys_that_were_made_elsewhere(tmp_path: Path) -> None:
    dhallmark("lab", "init", "--out", tmp_path / "made", "--hostname", "lab")
    directory = (tmp_path / "made").rename(tmp_path / "mounted")
    token = dhallmark("lab", "token", "--dir", directory, "--stdout")[1]["token"]
    trust = (directory / "trust" / "main" / "trust_config.json").read_text()
    assert "http://lab:5550" in trust

    def sign() -> str:
        context = SigningContext.from_trust_config(ClientTrustConfig.from_json(trust))
        with context.signer(IdentityToken(str(token))) as signer:
            return signer.sign_artifact(b"content").to_json()

    with container(directory, tmp_path / "hosts") as process:
        # As another container reaches it: by name and address, not by loopback.
        (tmp_path / "bundle").write_text(call_inside(process.pid, sign))
        (tmp_path / "content").write_text("content")
        verify = ["cosign", "verify-blob", f"--bundle={tmp_path / 'bundle'}",
                  f"--trusted-root={directory / 'trust' / 'main' / 'trusted_root.json'}",
                  "--certificate-oidc-issuer=https://token.actions.githubusercontent.com",
                  "--certificate-identity=https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main",
                  str(tmp_path / "content")]  # fmt: skip
        done = subprocess.run(verify, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        registry = ["curl", "-sf", "http://lab:5000/v2/", "http://lab:5001/v2/"]
        inside = entering(process.pid, registry, directory=tmp_path)
        assert subprocess.run(inside, capture_output=True, check=False).returncode == 0

        # Another lab on the same addresses finds its ports taken.
        second = [*PROGRAM, "lab", "serve", "--dir", str(tmp_path / "second"), "--hostname", "lab"]
        busy = entering(process.pid, second, directory=tmp_path)
        done = subprocess.run(busy, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert (done.returncode, "a port of the lab's is taken" in done.stderr) == (ExitCode.UNAVAILABLE, True)
        # There is no network to enter: the container's is the lab's.
        code, body, _ = dhallmark("lab", "exec", "--dir", directory, "--", "true")
        assert code == ExitCode.USAGE
        assert "no network of its own" in str(body["message"])

        process.terminate()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "ready after" in err
        assert "stopped" in out
    state = read_state(LabPaths(directory))
    assert state is not None
    assert state.status == "stopped"


def test_serve_ends_with_the_reason_when_a_service_ends(tmp_path: Path) -> None:
    dhallmark("lab", "init", "--out", tmp_path / "lab", "--hostname", "lab")
    with container(tmp_path / "lab", tmp_path / "hosts") as process:
        state = read_state(LabPaths(tmp_path / "lab"))
        assert state is not None
        os.kill(state.services["rekor"].pid or 0, signal.SIGKILL)
        assert process.wait(60) == ExitCode.UNAVAILABLE
        assert process.stderr is not None
        assert "rekor ended with status -9; its last lines:" in process.stderr.read()
    assert not is_alive(LabPaths(tmp_path / "lab"))


def test_without_the_right_to_make_namespaces_a_user_namespace_is_made(directory: Path) -> None:
    """As for a user who is not root. CAP_SETFCAP: what it takes to be root inside when one is root outside."""
    limited = ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", "--no-new-privs", "--", *PROGRAM, "lab"]

    def lab(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*limited, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False)

    done = lab("up", "--dir", directory)
    assert done.returncode == 0, done.stderr
    state = read_state(LabPaths(directory))
    assert state is not None
    assert Path(f"/proc/{state.pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink()
    done = lab("exec", "--dir", directory, "--", "curl", "-sSf", "https://gitlab.com/.well-known/openid-configuration")
    assert json.loads(done.stdout)["issuer"] == "https://gitlab.com"
    script = "import sys, pathlib; from dhallmark.lab.session import attach_lab; "
    script += "attach_lab(pathlib.Path(sys.argv[1])).call(print, 'called')"
    call = [*limited[: -len(PROGRAM) - 1], sys.executable, "-c", script, str(directory)]
    done = subprocess.run(call, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert "only root can move a thread" in done.stderr
    inside = lab("exec", "--dir", directory, "--", sys.executable, "-c", script, directory)
    assert inside.stdout == "called\n"
    assert lab("down", "--dir", directory).returncode == 0
