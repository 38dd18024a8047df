"""How a run of `dhallmark` ends: what is printed where, and the exit code."""

import importlib.util
import io
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import cyclopts
import pytest

from dhallmark.cli import app as application
from dhallmark.cli.app import COMMANDS, Command, make_app, run
from dhallmark.errors import ExitCode

_SAMPLES = Path(__file__).with_name("sample_commands.py")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the sample commands in place of the real ones, except where a test asks for those."""
    specification = importlib.util.spec_from_file_location("sample_commands", _SAMPLES)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "sample_commands", module)
    specification.loader.exec_module(module)
    names = ("good", "table", "words", "rejected", "fail")
    commands = [Command(name, f"sample_commands:{name}", "Begin", f"Summary of {name}.") for name in names]
    commands += [Command("lab gone", "no_such_module:gone", "Proof", "Summary of a command that cannot be loaded.")]
    monkeypatch.setattr(application, "COMMANDS", tuple(commands))
    monkeypatch.setattr(application, "_FAMILIES", {"lab": ("Proof", "A family.")})


def invoke(*words: str, stderr: io.StringIO | None = None) -> tuple[int, str, str]:
    out, err = io.StringIO(), stderr or io.StringIO()
    code = run(words, stdout=out, stderr=err)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    "words", [("good", "--name", "you"), ("good", "--name=you"), ("--quiet", "good", "--name", "you")]
)
def test_result_is_printed_as_text_without_markup(words: tuple[str, ...]) -> None:
    code, out, _ = invoke(*words)
    assert (code, out) == (ExitCode.OK, "hello [red]you\n")


@pytest.mark.parametrize(
    "words", [("good", "--output", "json"), ("good", "--output=json"), ("--output", "json", "good")]
)
def test_result_is_printed_as_json_and_nothing_else(words: tuple[str, ...]) -> None:
    code, out, err = invoke(*words)
    assert (code, json.loads(out), err) == (ExitCode.OK, {"schema": "test/v1", "name": "world", "number": 1}, "")


def test_digests_in_tables_are_whole_where_the_output_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    _, out, _ = invoke("table")
    assert "a" * 64 in out
    assert "b" * 64 in out


def test_words_after_the_delimiter_reach_the_command_as_they_are() -> None:
    _, out, _ = invoke("words", "--output", "json", "--", "echo", "--output", "text", "--quiet", "-x")
    assert json.loads(out) == {"words": ["echo", "--output", "text", "--quiet", "-x"]}


def test_options_after_the_delimiter_do_not_change_how_errors_are_printed() -> None:
    assert invoke("goood", "--", "--output", "json")[2].startswith("error: no command")


def test_exit_code_of_a_result_is_kept() -> None:
    assert invoke("rejected")[:2] == (ExitCode.REJECTED, "rejected\n")


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("config", 4, "error: f.yaml:3:5 (a.b): bad\n  hint: mend it\n"),
        ("rejected", 1, "rejected(signature.none) the.check: what was seen"),
        ("indeterminate", 3, "indeterminate(registry.unavailable) the.check: what was seen"),
        ("tool", 5, "  command: helm lint\n  exit code: 7\n  | line 1\n  | line 2\n"),
        ("registry", 5, "GET http://r/v2/: 503"),
        ("signing", 6, "error: no token"),
        ("group", 5, "error: first\nerror: second\n"),
        ("defect in a group", 70, "internal error: ValueError: defect\n"),
        ("defect", 70, "internal error: ValueError: some detail"),
        ("recursion", 70, "internal error: RecursionError"),
        ("interrupt", 130, "error: stopped"),
        ("disk", 5, "build/plan.json: No space left on device"),
        ("file", 4, "error: /nonexistent/file: No such file"),
    ],
)
def test_each_kind_of_failure_has_its_exit_code_and_its_words(how: str, code: int, said: str) -> None:
    status, out, err = invoke("fail", "--how", how)
    assert (status, out) == (code, "")
    assert said in err
    assert "Traceback" not in err
    as_json = json.loads(invoke("fail", "--how", how, "--output", "json")[2])
    assert as_json["exitCode"] == code
    assert as_json["schema"] == "dhallmark.dev/error/v1"


def test_errors_as_json_carry_what_was_seen() -> None:
    def seen(how: str) -> dict[str, object]:
        body: dict[str, object] = json.loads(invoke("fail", "--how", how, "--output", "json")[2])
        return body

    assert seen("config")["where"] == {"file": "f.yaml", "line": 3, "column": 5, "field": "a.b"}
    assert seen("tool")["command"] == ["helm", "lint"]
    assert seen("registry")["status"] == 503
    assert seen("rejected")["verdict"]["reason"] == "signature.none"  # type: ignore[index]
    assert [other["message"] for other in seen("group")["others"]] == ["second"]  # type: ignore[attr-defined]


def test_traceback_is_shown_with_debug_only() -> None:
    assert "Traceback" in invoke("fail", "--how", "defect", "--debug")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("goood",), "did you mean `dhallmark good`?"),
        (("lab", "gon"), "did you mean `dhallmark lab gone`?"),
        (("zzzzzz",), "no command 'zzzzzz'"),
        (("good", "--nmae", "x"), "--nmae"),
        (("good", "--number", "x"), "--number"),
        (("fail",), "--how"),
        (("good", "--output", "xml"), "--output"),
        (("good", "stray"), "stray"),
        (("--bogus",), "--bogus"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(words: tuple[str, ...], said: str) -> None:
    code, out, err = invoke(*words)
    assert (code, out) == (ExitCode.USAGE, "")
    assert said in err
    body = json.loads(invoke(*words, "--output=json")[2])
    assert (body["error"], body["exitCode"]) == ("UsageError", 2)


def test_progress_is_plain_lines_where_standard_error_is_no_terminal() -> None:
    _, out, err = invoke("good")
    assert err.startswith("greet (2) …\ngreet: 1 greeting (")
    assert "greet" not in out
    assert "\x1b" not in err


def test_progress_on_a_terminal_ends_with_a_line() -> None:
    _, _, err = invoke("good", stderr=Terminal())
    assert "✓ greet: 1 greeting" in err


@pytest.mark.parametrize("words", [("good", "--quiet"), ("good", "--output", "json")])
def test_no_progress_where_it_would_disturb(words: tuple[str, ...]) -> None:
    assert invoke(*words)[2] == ""


def test_help_lists_commands_without_loading_them() -> None:
    code, out, _ = invoke("--help")
    assert code == ExitCode.OK
    assert "Summary of good." in out
    assert "A family." in out
    code, out, _ = invoke("lab", "--help")
    assert "Summary of a command that cannot be loaded." in out


def test_help_of_a_command_is_its_own_docstring() -> None:
    _, out, _ = invoke("good", "--help")
    assert "The long description of the command." in out
    assert "Who is greeted." in out
    assert "Summary of good." not in out


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        err = io.StringIO()
        assert run(["good", "--quiet"], stdout=gone, stderr=err) == ExitCode.OK
        assert err.getvalue() == ""


def _spawn(*words: str, code: str = "", module: str = "dhallmark", sigint: str = "default") -> subprocess.Popen[str]:
    """Start a command. Whether SIGINT is ignored would otherwise depend on who runs the tests, and how."""
    pipeline = Path(application.__file__).parents[2]
    return subprocess.Popen(
        [
            "env",
            f"--{sigint}-signal=INT",
            sys.executable,
            *(["-c", code] if code else ["-m", module]),
            *words,
        ],
        env={**os.environ, "PYTHONPATH": str(pipeline)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("number", "sigint"),
    # A shell that is no terminal's starts what it puts in the background with SIGINT ignored.
    [(signal.SIGINT, "default"), (signal.SIGTERM, "default"), (signal.SIGTERM, "ignore")],
)
@pytest.mark.parametrize(
    "within",
    [
        "time.sleep(60)",
        "exec('time.sleep(60)')",  # as when a dataclass is made, which CPython remembers
        "type('Made', (), {'field': Slow()})",  # a class, which makes another error of it
    ],
)
def test_a_signal_ends_a_command_with_130(
    number: signal.Signals, sigint: str, within: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"""
import sys, types, time
from dhallmark.cli import app
class Slow:
    def __set_name__(self, *_):
        time.sleep(60)
def wait():
    print("ready", flush=True)
    {within}
sys.modules["waiting"] = module = types.ModuleType("waiting")
module.wait = wait
app.COMMANDS = (app.Command("wait", "waiting:wait", "Begin", "Wait."),)
app._FAMILIES = {{}}
app.main()
"""
    (tmp_path / "stopped.py").write_text(program)
    monkeypatch.chdir(tmp_path)
    with _spawn("wait", module="stopped", sigint=sigint) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=50)
    assert process.returncode == ExitCode.INTERRUPTED
    assert err.startswith("error: stopped")


_YARDSTICK = (
    "import argparse, ast, asyncio, decimal, email.message, fractions, http.client, unittest.mock, xml.dom.minidom"
)
_YARDSTICKS = 2.5
"""How many times as long as that the help may take, however busy the machine is: 1.7 when this was written."""


def _processor_seconds(*words: str, code: str = "") -> tuple[float, str]:
    """What a program takes by itself, and what it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with _spawn(*words, code=code) as process:
        out, _ = process.communicate(timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert process.returncode == ExitCode.OK
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out


def test_help_answers_in_a_quarter_of_a_second_and_loads_no_command() -> None:
    fastest = yardstick = 60.0
    # The best of a few. A machine that does much else is slower at everything: then a yardstick says how much.
    for _ in range(10):
        seconds, out = _processor_seconds("--help")
        assert "release" in out
        fastest = min(fastest, seconds)
        if fastest <= 0.25:
            break
        yardstick = min(yardstick, _processor_seconds(code=_YARDSTICK)[0])
    assert fastest <= 0.25 or fastest <= _YARDSTICKS * yardstick
    with _spawn(code="import sys; from dhallmark.cli.app import run; run(['--help']); print(*sys.modules)") as process:
        loaded = process.communicate(timeout=30)[0].splitlines()[-1].split()
    assert not {"pydantic", "sigstore", "in_toto", "httpx", "cryptography", "yaml"} & set(loaded)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_registered_command_can_be_loaded_and_shows_help(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    words = command.name.split()
    resolved = make_app(words)
    for word in words:
        resolved = resolved[word]
    assert isinstance(resolved, cyclopts.App)
    code, out, err = invoke(*words, "--help")
    assert (code, err) == (ExitCode.OK, "")
    assert f"Usage: dhallmark {command.name}" in out
