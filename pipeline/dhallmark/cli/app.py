"""The `dhallmark` command: which commands there are, and how a run of one ends.

Commands are registered by import path and loaded when they run, so that `dhallmark --help` loads none of them. A
command returns a `Result` or raises an `Error`; this module alone prints and decides on the exit code.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile
from typing import Annotated, NamedTuple, NoReturn, TextIO

import cyclopts
from cyclopts import Parameter

from dhallmark.cli.output import Output, OutputFormat, console
from dhallmark.errors import ConfigError, Error, ExitCode, InputError, Location, UnavailableError, UsageError
from dhallmark.version import tool_version


class Command(NamedTuple):
    """One command of the command line."""

    name: str
    """Its words, such as `gitops write`."""
    path: str
    """`module:function` that runs it."""
    group: str
    """The heading that it stands under in the help."""
    summary: str
    """What it does, in one line."""


_GROUPS = _BEGIN, _STEPS, _PROOF, _TOOLS = "Begin", "A release", "Proof", "Around it"

COMMANDS: tuple[Command, ...] = (
    Command("init", "dhallmark.cli.init:init", _BEGIN, "Write a commented dhallmark.yaml, a policy and a first chart."),
    Command("doctor", "dhallmark.cli.doctor:doctor", _BEGIN, "Say which tools are there and what is missing."),
    Command("schema", "dhallmark.cli.schema:schema", _BEGIN, "Print the JSON Schema of a file, for editors."),
    Command("policy check", "dhallmark.cli.policy:check", _BEGIN, "Say what a policy lets in that it may not mean to."),
    Command("policy reference", "dhallmark.cli.policy:reference", _BEGIN, "Print the reference of the policy file."),
    Command("reasons", "dhallmark.cli.reasons:reasons", _BEGIN, "Say what reason codes mean, and what to do."),
    Command("public-key", "dhallmark.cli.public_key:public_key", _BEGIN, "Print the public half of a signing key."),
    Command("plan", "dhallmark.cli.plan:plan", _BEGIN, "Show which charts a release is made of."),
    Command("release", "dhallmark.cli.release:release", _STEPS, "Do all of the following, in order."),
    Command("resolve", "dhallmark.cli.resolve:resolve", _STEPS, "Resolve imports and record their closure."),
    Command("render", "dhallmark.cli.render:render", _STEPS, "Render Dhall to charts."),
    Command("package", "dhallmark.cli.package:package", _STEPS, "Pack charts and OCI artifacts."),
    Command("push", "dhallmark.cli.push:push", _STEPS, "Push the artifacts to the staging repository."),
    Command("attest", "dhallmark.cli.attest:attest", _STEPS, "Write the statements and check the policy on them."),
    Command("sign", "dhallmark.cli.sign:sign", _STEPS, "Sign the statements with one certificate or key."),
    Command("publish", "dhallmark.cli.publish:publish", _STEPS, "Attach, read back, verify, promote; the tag last."),
    Command("gitops write", "dhallmark.cli.gitops:write", _STEPS, "Write the deploy tree and what its consumers need."),
    Command("gitops template", "dhallmark.cli.gitops:template", _STEPS, "Verify an environment, then render it."),
    Command("gitops lint", "dhallmark.cli.lint:lint", _STEPS, "Find what is wrong with a repository's verification."),
    Command("gitops status", "dhallmark.cli.status:status", _STEPS, "Say whether the verification of Git is in force."),
    Command("step", "dhallmark.cli.step:step", _STEPS, "Run a step and record it as an in-toto link."),
    Command("merge", "dhallmark.cli.merge:merge", _STEPS, "Merge the build directories of shards into one."),
    Command("verify", "dhallmark.cli.verify:verify", _PROOF, "Verify what was published."),
    Command("layout init", "dhallmark.cli.layout:init", _PROOF, "Write an in-toto layout for a release."),
    Command("layout sign", "dhallmark.cli.layout:sign", _PROOF, "Sign a layout."),
    Command("layout show", "dhallmark.cli.layout:show", _PROOF, "Show what a layout says."),
    Command("layout verify", "dhallmark.cli.layout:verify", _PROOF, "Apply the layout to a build directory."),
    Command("vsa sign", "dhallmark.cli.vsa:sign", _PROOF, "Sign a verification summary."),
    Command("controls", "dhallmark.cli.controls:controls", _PROOF, "Show that tampered releases are refused."),
    Command("prove", "dhallmark.cli.prove:prove", _PROOF, "Prove manifests with an API server and Flux's own code."),
    Command("evidence sign", "dhallmark.cli.evidence:sign", _PROOF, "Sign the result of a run of controls."),
    Command("evidence attach", "dhallmark.cli.evidence:attach", _PROOF, "Attach that result to the artifact."),
    Command("audit", "dhallmark.cli.audit:audit", _PROOF, "Rebuild what was published, and compare."),
    Command("rebuild sign", "dhallmark.cli.rebuild:sign", _PROOF, "Sign what an audit found."),
    Command("rebuild attach", "dhallmark.cli.rebuild:attach", _PROOF, "Attach that to the artifact."),
    Command("report", "dhallmark.cli.report:report", _PROOF, "Show what a release made and what was said of it."),
    Command("image build", "dhallmark.cli.image:build", _TOOLS, "Build the CI image from its lock."),
    Command("image lock", "dhallmark.cli.image:lock", _TOOLS, "Lock what the CI image is made of."),
    Command("image fetch", "dhallmark.cli.image:fetch", _TOOLS, "Fetch what the CI image is made of."),
    Command("image sign", "dhallmark.cli.image:sign", _TOOLS, "Sign the CI image and its SBOM."),
    Command("image push", "dhallmark.cli.image:push", _TOOLS, "Push the signed CI image, the tag last."),
    Command("lab init", "dhallmark.cli.lab:init", _TOOLS, "Make the lab's keys and trust root, starting nothing."),
    Command("lab up", "dhallmark.cli.lab:up", _TOOLS, "Start a local Sigstore and registries."),
    Command("lab serve", "dhallmark.cli.lab:serve", _TOOLS, "Run the lab in the foreground."),
    Command("lab status", "dhallmark.cli.lab:status", _TOOLS, "Say which of the lab's servers run."),
    Command("lab token", "dhallmark.cli.lab:token", _TOOLS, "Print a token of the lab's issuer."),
    Command("lab exec", "dhallmark.cli.lab:exec_", _TOOLS, "Run a command inside the lab's network."),
    Command("lab down", "dhallmark.cli.lab:down", _TOOLS, "Stop the lab."),
)
_FAMILIES = {
    "policy": (_BEGIN, "The policy file."),
    "gitops": (_STEPS, "The deploy tree, and any GitOps repository."),
    "image": (_TOOLS, "The CI image."),
    "layout": (_PROOF, "In-toto layouts: which steps, by whom, with which files."),
    "vsa": (_PROOF, "Verification summaries."),
    "evidence": (_PROOF, "Results of controls, as signed statements."),
    "rebuild": (_PROOF, "Results of audits, as signed statements."),
    "lab": (_TOOLS, "The local Sigstore and its registries."),
}
# What other packages of the environment would do to our models is none of theirs, and looking for them takes time.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
_GENERATION = 50_000
"""Containers made before the garbage collector looks for cycles."""
_DEBUG_ONLY_HINT = "run it again with --debug, and report the traceback"
_OUTSIDE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def make_app(words: Sequence[str] = ()) -> cyclopts.App:
    """The application with every command registered and none loaded.

    `words` is the command line: a command that it names shows the help of its own docstring, not the line above.
    """
    app = cyclopts.App(
        name="dhallmark",
        help="A declarative supply-chain pipeline for GitOps: from Dhall to signed, reproducible, verified charts.",
        version=tool_version,
        help_format="plaintext",
        result_action="return_value",
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
    )
    groups = {title: cyclopts.Group(title, sort_key=rank) for rank, title in enumerate(_GROUPS, start=1)}
    families: dict[str, cyclopts.App] = {}
    for name, (group, summary) in _FAMILIES.items():
        families[name] = cyclopts.App(name=name, help=summary, group=groups[group])
        families[name].sort_key = next(rank for rank, one in enumerate(COMMANDS) if one.name.startswith(f"{name} "))
        app.command(families[name])
    for rank, command in enumerate(COMMANDS):
        family, _, last = command.name.rpartition(" ")
        target = families[family] if family else app
        target.command(
            command.path,
            name=last,
            help=None if last in words else command.summary,
            sort_key=rank,
            group=None if family else groups[command.group],
        )
    return app


def main() -> NoReturn:
    """Entry point of the `dhallmark` script."""
    # Modules are loaded to stay: to look among them for garbage takes a short command longer than its work.
    gc.set_threshold(_GENERATION)
    # A CI job that is cancelled gets SIGTERM: clean up as for Ctrl-C.
    signal.signal(signal.SIGTERM, _terminate)
    code = run(sys.argv[1:])
    if code == ExitCode.INTERRUPTED:
        # Where the signal came while an `exec` ran, such as one that makes a dataclass, CPython remembers it, and under
        # `python -m` ends by the signal, whatever the code is. The next `exec` makes it forget.
        exec("")  # noqa: S102 - nothing
    # All of it goes with the process: to look for cycles in it first takes a tenth of a short command's time.
    gc.freeze()
    sys.exit(code)


def _terminate(*_: object) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As what a script starts in the background has it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def run(words: Sequence[str], *, stdout: TextIO | None = None, stderr: TextIO | None = None) -> int:
    """Run one command line, print what comes of it, and return the exit code. Raises nothing."""
    own = list(takewhile(lambda word: word != "--", words))
    # Where the command line is wrong nothing gets parsed, and the error is to be printed as asked for all the same.
    output = Output(
        debug="--debug" in own,
        format=OutputFormat.JSON if _asks_for_json(own) else OutputFormat.TEXT,
        stdout=stdout or sys.stdout,
        stderr=stderr or sys.stderr,
    )
    try:
        return _dispatch(words, output)
    except BaseException as error:  # noqa: BLE001 - the one place where every exception becomes an exit code
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) else ExitCode.INTERNAL
        if output.debug:
            import traceback

            traceback.print_exception(error, file=output.stderr)
        errors = [one for leaf in _leaves(error) for one in _with_others(_as_error(leaf))]
        # A defect must not hide behind an error of the user's that was raised beside it.
        errors.sort(key=lambda one: one.exit_code not in (ExitCode.INTERRUPTED, ExitCode.INTERNAL))
        output.errors(errors)
        return errors[0].exit_code


def _dispatch(words: Sequence[str], output: Output) -> ExitCode:
    from dhallmark.cli.result import Result

    app = make_app(words)
    app.meta.group_parameters = cyclopts.Group("Every command", sort_key=0)
    app.meta.suppress_keyboard_interrupt = False

    @app.meta.default
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        output_format: Annotated[OutputFormat, Parameter(name="--output")] = OutputFormat.TEXT,
        progress: Annotated[bool, Parameter(negative="--quiet")] = True,
        debug: Annotated[bool, Parameter(negative="")] = False,
    ) -> object:
        """Parameters
        ----------
        output_format
            How the result and errors are printed.
        progress
            Show on standard error how work gets on.
        debug
            Show the traceback of an error.
        """
        _refuse_unknown(tokens)
        output.format = output_format
        output.progress = progress
        output.debug = debug
        with output.reporting():
            return app(tokens)

    try:
        # Only help is printed by cyclopts, and rich takes as long to load as all of it.
        result = app.meta(list(words), console=console(output.stdout) if _asks_for_help(words) else None)
    except cyclopts.CycloptsError as error:
        raise UsageError(_usage_message(error), hint="see `dhallmark --help`") from error
    if isinstance(result, Result):
        try:
            if not result.silent:
                output.result(result)
        finally:
            result.release()
        return result.exit_code
    return ExitCode.OK


def _refuse_unknown(tokens: Sequence[str]) -> None:
    """Raise UsageError where the first words are no command; cyclopts would load all commands to say so."""
    known = {command.name.split()[0] for command in COMMANDS}
    word = tokens[0] if tokens else ""
    if word in _FAMILIES and len(tokens) > 1 and not tokens[1].startswith("-"):
        known = {command.name for command in COMMANDS if command.name.startswith(f"{word} ")}
        word = f"{word} {tokens[1]}"
    if word and not word.startswith("-") and word not in known:
        import difflib

        near = difflib.get_close_matches(word, sorted(known), n=1)
        hint = f"did you mean `dhallmark {near[0]}`?" if near else "see `dhallmark --help`"
        raise UsageError(f"no command {word!r}", hint=hint)


def _usage_message(error: cyclopts.CycloptsError) -> str:
    error.verbose = False
    return str(error).strip().splitlines()[0]


def _asks_for_help(words: Sequence[str]) -> bool:
    return not words or not {"--help", "-h", "--version"}.isdisjoint(words) or words[-1] in _FAMILIES


def _asks_for_json(words: Sequence[str]) -> bool:
    return "--output=json" in words or ("--output", "json") in pairwise(words)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group (of anyio's task groups), or the one that it is."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _with_others(error: Error) -> list[Error]:
    return [error, *error.others] if isinstance(error, ConfigError) else [error]


class InternalError(Error):
    """Stands for an exception that no one foresaw."""

    exit_code = ExitCode.INTERNAL


class StoppedError(Error):
    """Stands for Ctrl-C."""

    exit_code = ExitCode.INTERRUPTED


def _as_error(error: BaseException) -> Error:
    """Any exception as one of dhallmark's own."""
    if isinstance(error, Error):
        return error
    # CPython up to 3.11 makes a RuntimeError of what `__set_name__` raises, as while a class is made.
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt):
        return StoppedError("stopped; what was begun is left whole or not at all")
    if isinstance(error, OSError) and error.errno in _OUTSIDE_ERRNOS:
        name = f"{error.filename}: " if error.filename else ""
        return UnavailableError(f"{name}{error.strerror}", hint="make room or free what is missing, and run it again")
    of_a_path = isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError | IsADirectoryError)
    if of_a_path and isinstance(error, OSError) and error.filename and error.strerror:
        return InputError(error.strerror, where=Location(file=str(error.filename)))
    return InternalError(f"internal error: {type(error).__name__}: {error}", hint=_DEBUG_ONLY_HINT)


if __name__ == "__main__":
    main()
