"""The local registry that holds the base images: on loopback, on disk, for this machine only."""

import json
import os
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from toolchain import command
from toolchain.cache import Cache, write_atomically
from toolchain.daemon import Daemon
from toolchain.images import Images, go_tool

FIRST_PORT = 5000
LAST_PORT = 5099
READY_SECONDS = 20
STOP_SECONDS = 5

_CONFIG = """version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The registry of one cache; its port is chosen once and kept, since image references name it."""

    cache: Cache

    @property
    def _daemon(self) -> Daemon:
        return Daemon(folder=self.cache.run / "registry", name="registry")

    @property
    def _settings(self) -> Path:
        return self.cache.state / "registry.json"

    def address(self) -> str:
        """Return `127.0.0.1:port`, choosing the first free port the first time."""
        if self._settings.is_file():
            return str(json.loads(self._settings.read_text())["address"])
        with self.cache.lock("registry-port"):
            if not self._settings.is_file():
                address = f"127.0.0.1:{free_port()}"
                write_atomically(self._settings, json.dumps({"address": address}))
        return str(json.loads(self._settings.read_text())["address"])

    def running(self) -> bool:
        """Tell whether this cache's registry answers."""
        return self._daemon.pid() is not None and answers(self.address())

    def start(self) -> str:
        """Start the registry unless it runs; return its address."""
        with self.cache.lock("registry"):
            address = self.address()
            if self.running():
                return address
            config = self._daemon.folder / "config.yml"
            write_atomically(config, _CONFIG.format(folder=self.cache.state / "registry", address=address))
            program = go_tool("distribution").bin(self.cache) / "distribution"
            env = {"PATH": os.environ.get("PATH", ""), "OTEL_TRACES_EXPORTER": "none"}
            self._daemon.start(
                [program, "serve", config], ready=lambda: answers(address), seconds=READY_SECONDS, env=env,
            )  # fmt: skip
            return address

    def stop(self) -> bool:
        """Stop the registry; what it holds stays on disk. Return whether it ran."""
        with self.cache.lock("registry"):
            return self._daemon.stop(seconds=STOP_SECONDS)

    def reference(self, images: Images, name: str) -> str:
        """Return the reference of an image, by tag and digest."""
        recorded = json.loads((images.place(name) / "image.json").read_text())
        return f"{self.address()}/{images.tag(name)}@{recorded['digest']}"

    def push(self, images: Images, name: str) -> str:
        """Put an image that is made into the running registry, unless it is there; return its reference."""
        reference = self.reference(images, name)
        tag, _, digest = reference.partition("@")
        repository = tag.rpartition(":")[0].partition("/")[2]
        if not answers(self.address(), f"/v2/{repository}/manifests/{digest}"):
            crane = go_tool("crane").bin(self.cache) / "crane"
            command.run([crane, "push", images.place(name) / "image", tag], log=images.log("push"))
        return reference


def free_port() -> int:
    """Return the first port of the range on which nothing listens."""
    for port in range(FIRST_PORT, LAST_PORT):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return LAST_PORT


def answers(address: str, path: str = "/v2/") -> bool:
    """Tell whether a registry answers a path with success; the environment's proxies are not asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    accept = "application/vnd.oci.image.manifest.v1+json"
    request = urllib.request.Request(f"http://{address}{path}", method="HEAD", headers={"Accept": accept})
    try:
        with opener.open(request, timeout=2) as response:
            return bool(response.status == 200)  # noqa: PLR2004 - HTTP's OK
    except (urllib.error.URLError, OSError):
        return False
