"""Dagger engines on this machine: started in namespaces of their own, stopped without a trace.

Several can run at once, by name: each has its own cache, socket, address range and bridge.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from toolchain import cgroups, command, network
from toolchain.cache import Cache, remove_tree, write_atomically
from toolchain.content import Content
from toolchain.daemon import POLL_SECONDS, Daemon, children, start_time
from toolchain.errors import ToolchainError
from toolchain.images import Images, go_tool
from toolchain.layout import CI
from toolchain.network import Network
from toolchain.rootfs import NAMESPACES, PATH, PROXY_VARIABLES

READY_SECONDS = 60
STOP_SECONDS = 20
CNI_POOL = 4
"""Network namespaces kept ready for containers: each costs a bridge port from the start."""
CACHE_SPACE = {"reservedSpace": "10GB", "maxUsedSpace": "20GB", "minFreeSpace": "1GB"}
"""What the engine's cache may take. By default it is emptied while the disk is 80 % full, whoever filled it: then
nothing is ever found in it again."""
SOCKET_PATH_LIMIT = 107
"""Bytes in a Unix socket's path (unix(7))."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def render_config(*, name: str, plain_http: Sequence[str]) -> str:
    """Write the engine's configuration: control group, networks kept ready, cache, registries asked without TLS."""
    lines = ["[worker.oci]", f"  cniPoolSize = {CNI_POOL}", f'  defaultCgroupParent = "{cgroups.parent_of(name)}"']
    lines += [f'  {key} = "{size}"' for key, size in CACHE_SPACE.items()]
    for registry in plain_http:
        # TOML's basic strings take JSON's escapes.
        lines += [f"[registry.{json.dumps(registry)}]", "  http = true"]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine of the cache, running or not."""

    cache: Cache
    name: str = "default"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ToolchainError(f"engine name {self.name!r}: lower-case letters, digits and hyphens, at most 24")
        if len(os.fsencode(self.socket)) > SOCKET_PATH_LIMIT:
            raise ToolchainError(f"{self.socket} is too long for a socket: choose a shorter DHALLMARK_CACHE")

    @property
    def folder(self) -> Path:
        """Run-time folder: socket, log, record."""
        return self.cache.run / f"engine-{self.name}"

    @property
    def state(self) -> Path:
        """What the engine keeps between runs: its cache."""
        return self.cache.state / f"engine-{self.name}"

    @property
    def socket(self) -> Path:
        """The socket that clients connect to."""
        return self.folder / "engine.sock"

    @property
    def runner_host(self) -> str:
        """The value for `_EXPERIMENTAL_DAGGER_RUNNER_HOST`."""
        return f"unix://{self.socket}"

    @property
    def _daemon(self) -> Daemon:
        return Daemon(folder=self.folder, name="engine")

    @property
    def log(self) -> Path:
        """The engine's log."""
        return self._daemon.log

    @property
    def _record(self) -> Path:
        """What stopping has to undo: written before anything is done."""
        return self.folder / "network.json"

    def running(self) -> bool:
        """Tell whether the engine runs."""
        return self._daemon.pid() is not None

    def start(self, *, images: Images, content: Content, plain_http: Sequence[str], fresh: bool) -> None:
        """Start the engine and wait until it answers; one that runs already is left as it is.

        `fresh` throws its cache away first.

        Raises:
            ToolchainError: the user is not root, or the engine did not come up; then nothing of it is left.
        """
        command.require_root("a Dagger engine")
        with self.cache.lock("engines"):
            if self.running():
                if fresh:
                    raise ToolchainError(f"the engine {self.name!r} runs: stop it before a start with an empty cache")
                return
            self._undo(images)
            if fresh and self.state.exists():
                remove_tree(self.state)
            self.folder.mkdir(parents=True, exist_ok=True)
            self.state.mkdir(parents=True, exist_ok=True)
            root = images.place("engine") / "root"
            net = self._take_network(root)
            write_atomically(self.folder / "engine.toml", render_config(name=self.name, plain_http=plain_http))
            for name in ("resolv.conf", "hosts"):
                shutil.copyfile(Path("/etc") / name, self.folder / name)
            env = {name: os.environ[name] for name in PROXY_VARIABLES if name in os.environ}
            env |= {"PATH": PATH, "HOME": "/tmp", "ROOT": str(root), "RUN": str(self.folder), "STATE": str(self.state)}  # noqa: S108 - the engine's own
            env |= {"TOOLS": str(go_tool("dagger").bin(self.cache)), "CONTENT": str(content.blobs), **content.env}
            try:
                self._daemon.start(
                    [*NAMESPACES, "sh", CI / "toolchain" / "engine-root.sh", "--config", "/run/dagger/engine.toml",
                     "--network-name", net.name, "--network-cidr", str(net.cidr)],
                    ready=self._answers, seconds=READY_SECONDS, env=env,
                )  # fmt: skip
            except BaseException:
                self._undo(images)
                raise

    def stop(self, *, images: Images) -> bool:
        """Stop the engine and take everything of it off the machine but its cache; return whether it ran."""
        with self.cache.lock("engines"):
            pid = self._daemon.pid()
            supervisors = [] if pid is None else [(child, start_time(child)) for child in children(pid)]
            ran = self._daemon.stop(seconds=STOP_SECONDS, first=_terminate_supervisor)
            for child, started in supervisors:
                # Killed with its parent, it still takes the kernel a moment to tear its namespaces down.
                while started is not None and start_time(child) == started:
                    time.sleep(POLL_SECONDS)
            if ran or self._record.exists():
                command.require_root("stopping a Dagger engine")
            self._undo(images)
            return ran

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
            return True

    def _take_network(self, root: Path) -> Network:
        """Reserve a network, and record what the machine looked like before."""
        others = [json.loads(path.read_text()) for path in self.cache.run.glob("engine-*/network.json")]
        routes = network.routed_networks(Path("/proc/net/route").read_text())
        slot = network.free_slot(taken=[record["slot"] for record in others], routes=routes)
        if slot is None:
            raise ToolchainError(f"no free address range below {network.RANGE}: stop an engine first")
        # With other engines about, what was there before is what was there before the first of them.
        first = others[0] if others else {
            "chains": network.chains_of(_in_root(root, ["iptables-save"])),
            "forwarding": _FORWARDING.read_text().strip(),
        }  # fmt: skip
        # The root too: by the time the engine stops, the checkout may ask for another one.
        record = {"slot": slot, "chains": first["chains"], "forwarding": first["forwarding"], "root": str(root)}
        write_atomically(self._record, json.dumps(record))
        return Network(slot=slot)

    def _undo(self, images: Images) -> None:
        """Take a stopped engine's network and control groups off the machine, however it ended."""
        if self._record.is_file():
            record = json.loads(self._record.read_text())
            roots = (Path(record["root"]), images.place("engine") / "root")
            root = next((path for path in roots if path.is_dir()), None)
            if root is None:
                raise ToolchainError(f"{roots[0]} is gone, and with it what cleans up: run `install --only engine`")
            network.remove(
                Network(slot=record["slot"]),
                run=partial(_in_root, root),
                chains_before=record["chains"],
            )
            others = [path for path in self.cache.run.glob("engine-*/network.json") if path != self._record]
            if not others and record["forwarding"] == "0":
                _FORWARDING.write_text("0")
        cgroups.remove(self.name, roots=cgroups.hierarchies(Path("/proc/self/mounts").read_text()))
        for path in (self._record, self.socket):
            path.unlink(missing_ok=True)


def _in_root(root: Path, arguments: Sequence[str]) -> str:
    """Run one of the engine root's programs on the host's network; return what it printed."""
    return command.output(["chroot", root, *arguments], env={"PATH": PATH})


def _terminate_supervisor(pid: int) -> None:
    """Ask the first process of the engine's process namespace to end: `unshare` itself does not hand signals on."""
    for child in children(pid):
        os.kill(child, signal.SIGTERM)


def user_engine(environ: dict[str, str], *, ours: Cache) -> str | None:
    """Say which Dagger of the user's own is there to use, or None.

    That is a runner host in the environment which is not one of ours, or a dagger command together with a
    container runtime that answers.
    """
    host = environ.get("_EXPERIMENTAL_DAGGER_RUNNER_HOST", "")
    if host and str(ours.run) not in host:
        return f"the engine at {host}"
    cli = shutil.which("dagger", path=environ.get("PATH"))
    if cli is None or Path(cli).is_relative_to(ours.root):
        return None
    found = (shutil.which(runtime, path=environ.get("PATH")) for runtime in ("docker", "podman", "nerdctl"))
    for runtime in filter(None, found):
        try:
            done = subprocess.run([runtime, "info"], env=environ, capture_output=True, check=False, timeout=10)
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == 0:
            return f"{cli} with {runtime}"
    return None
