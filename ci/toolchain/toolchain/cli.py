"""The command line: `python3 ci/toolchain <command>`."""

import argparse
import os
import shlex
import signal
from collections.abc import Sequence
from types import FrameType

from toolchain.cache import Cache
from toolchain.console import say
from toolchain.engine import user_engine
from toolchain.errors import ToolchainError
from toolchain.images import Images
from toolchain.whole import ELSEWHERE, GROUPS, NAMES, Toolchain, demo_elsewhere, render_json

INTERRUPTED = 130
"""Exit code after SIGINT, as shells have it."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(
        prog="python3 ci/toolchain", description="Tools, images, a registry and engines for dhallmark.",
    )  # fmt: skip
    commands = top.add_subparsers(dest="command", required=True)

    install = commands.add_parser("install", help="make what is missing")
    parts = install.add_mutually_exclusive_group()
    parts.add_argument("--for", dest="group", choices=tuple(GROUPS), default="test", help="what it is to be used for")
    parts.add_argument("--only", nargs="+", metavar="NAME", help=f"some of: {', '.join(NAMES)}")
    install.add_argument("--mirror", help="Debian archive to use in place of the one in apt's sources")

    engines = commands.add_parser("engine", help="start and stop Dagger engines")
    engine = engines.add_subparsers(dest="action", required=True)
    start = engine.add_parser("start", help="start an engine, with the registry and what it needs")
    start.add_argument("--fresh", action="store_true", help="with an empty cache")
    start.add_argument("--own", action="store_true", help="even where the user has a Dagger of their own")
    start.add_argument("--plain-http", action="append", default=[], metavar="HOST:PORT", help="a registry without TLS")
    stop = engine.add_parser("stop", help="stop an engine and clean up after it")
    stop.add_argument("--all", action="store_true", help="every engine of this cache")
    status = engine.add_parser("status", help="exit with 0 if the engine runs, with 3 if not")
    for action in (start, stop, status):
        action.add_argument("--name", default="default", help="which engine; several can run at once")

    registries = commands.add_parser("registry", help="start and stop the local registry")
    registry = registries.add_subparsers(dest="action", required=True)
    for name in ("start", "stop", "status"):
        registry.add_parser(name)

    env = commands.add_parser("env", help='print shell exports: eval "$(python3 ci/toolchain env)"')
    env.add_argument("--name", default="default", help="engine to point at, if it runs")
    env.add_argument("--output", choices=("shell", "json"), default="shell")

    whole = commands.add_parser("status", help="what is installed, and what runs")
    whole.add_argument("--output", choices=("text", "json"), default="text")

    clean = commands.add_parser("clean", help="delete what the checkout no longer asks for")
    clean.add_argument("--all", action="store_true", help="the whole cache, engine caches and images included")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = parser().parse_args(arguments)
    cache = Cache.from_environment(dict(os.environ))
    chain = Toolchain(cache=cache, images=Images(cache=cache, mirror=getattr(options, "mirror", None)))
    # A polite end must pass through the code that removes half-made results.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return COMMANDS[options.command](chain, options)
    except ToolchainError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _install(chain: Toolchain, options: argparse.Namespace) -> int:
    if options.group == "demo" and not options.only:
        theirs = user_engine(dict(os.environ), ours=chain.cache)
        if theirs is not None:
            say(f"using {theirs}: no engine and no images are made here")
            chain.install(demo_elsewhere(os.environ), programs=ELSEWHERE)
            return 0
    chain.install(options.only or GROUPS[options.group])
    return 0


def _engine(chain: Toolchain, options: argparse.Namespace) -> int:
    if options.action == "start":
        theirs = None if options.own else user_engine(dict(os.environ), ours=chain.cache)
        if theirs is not None:
            say(f"using {theirs}; --own starts an engine of the tool chain all the same")
            return 0
        engine = chain.start_engine(options.name, plain_http=options.plain_http, fresh=options.fresh)
        say(f"engine {options.name} answers at {engine.runner_host}")
        return 0
    if options.action == "stop":
        for name in chain.engine_names() if options.all else [options.name]:
            ran = chain.engine(name).stop(images=chain.images)
            say(f"engine {name} {'stopped' if ran else 'was not running'}")
        return 0
    running = chain.engine(options.name).running()
    print(f"engine {options.name}: {'running' if running else 'stopped'}")
    return 0 if running else 3


def _registry(chain: Toolchain, options: argparse.Namespace) -> int:
    if options.action == "start":
        chain.start_registry()
        say(f"registry answers at {chain.registry.address()}")
        return 0
    if options.action == "stop":
        say(f"registry {'stopped' if chain.registry.stop() else 'was not running'}")
        return 0
    running = chain.registry.running()
    print(f"registry {chain.registry.address()}: {'running' if running else 'stopped'}")
    return 0 if running else 3


def _env(chain: Toolchain, options: argparse.Namespace) -> int:
    variables = chain.variables(engine=options.name)
    if options.output == "json":
        print(render_json(variables))
    else:
        for name, value in variables.items():
            print(f"export {name}={shlex.quote(value)}")
    return 0


def _status(chain: Toolchain, options: argparse.Namespace) -> int:
    status = chain.status()
    if options.output == "json":
        print(render_json(status))
        return 0
    registry = status["registry"]
    rows = [("cache", status["cache"])]
    rows += [(name, "installed" if part["installed"] else "missing") for name, part in status["parts"].items()]
    rows.append(("registry", f"{'running' if registry['running'] else 'stopped'} ({registry['address']})"))
    rows += [
        (f"engine {name}", f"{'running' if engine['running'] else 'stopped'} ({engine['runner_host']})")
        for name, engine in status["engines"].items()
    ]
    width = max(len(name) for name, _ in rows)
    for name, state in rows:
        print(f"{name:{width}}  {state}")
    return 0


def _clean(chain: Toolchain, options: argparse.Namespace) -> int:
    for path in chain.clean(everything=options.all):
        say(f"deleted {path}")
    return 0


COMMANDS = {
    "install": _install,
    "engine": _engine,
    "registry": _registry,
    "env": _env,
    "status": _status,
    "clean": _clean,
}
