"""The root file systems and images that the tool chain makes, each a keyed result of the cache.

base    a minimal Debian with the machine's CA bundle
python  base with Python, pip and the runtime of Dagger's Python modules
gosdk   base with Go and Dagger's code generator: the engine compiles Go modules in it
engine  a root file system, unpacked, in which Dagger engines run
dhall   the host's dhall, where its own is too old
"""

import json
import os
import platform
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from toolchain import apt, command, oci, rootfs, tarball
from toolchain.cache import Cache, key_of, remove_tree
from toolchain.console import say, step
from toolchain.dhall import extract_dhall
from toolchain.errors import ToolchainError
from toolchain.go import Go
from toolchain.gotools import GO_TOOLS, GoTool
from toolchain.layout import PACKAGES, SDK_PYTHON
from toolchain.pipconfig import pip_environment

RECIPE = "images 2"
"""Part of every key: a change in how images are made must remake them."""

VENV = "/opt/dagger"
"""Virtual environment of the Python runtime inside the python image."""

# The engine starts dnsmasq with a configuration of its own making, in which it listens on every address: a second
# engine, or any name server of the machine, would be in its way. This one listens on the engine's bridge alone.
_DNSMASQ = """#!/bin/sh
exec /usr/sbin/dnsmasq --bind-dynamic "$@"
"""

# What an engine does with a Go module, at the paths and with the flags that it uses; "$@" is the image's environment.
_COMPILE_SAMPLE = """
cd /tmp/sample
env "$@" codegen generate-module --output . --module-source-path . --module-name python-sdk \\
    --introspection-json-path /tmp/schema.json
env "$@" go build -ldflags "-s -w" -o /tmp/runtime .
"""


def go_tool(name: str) -> GoTool:
    """Return a tool by name."""
    for tool in GO_TOOLS:
        if tool.name == name:
            return tool
    raise ToolchainError(f"there is no tool {name!r}")


@dataclass(frozen=True, kw_only=True)
class Images:
    """Makes images; every method returns the folder of a complete result."""

    cache: Cache
    mirror: str | None = None
    """Archive that replaces the one in apt's sources."""

    @cached_property
    def ca_bundle(self) -> Path | None:
        """The CA bundle that goes into every image."""
        return rootfs.host_ca_bundle()

    def key(self, name: str) -> str:
        """Hash of all that decides what is in the image `name`."""
        texts = [RECIPE, rootfs.SUITE, platform.machine()]
        files = [("ca", self.ca_bundle)] if self.ca_bundle is not None else []
        if name == "base":
            return key_of(label="base", texts=texts, files=files)
        lists = [name, "python-sdk"] if name == "python" else [name]
        files += [(f"{item}.txt", PACKAGES / f"{item}.txt") for item in lists]
        if name == "gosdk":
            texts.append(go_tool("dagger").key())
        if name == "engine":
            texts.append(_DNSMASQ)
        return key_of(label=name, texts=[*texts, self.key("base")], files=files)

    def place(self, name: str) -> Path:
        """Return the folder of an image, made or not."""
        return self.cache.place(name=name, key=self.key(name))

    def tag(self, name: str) -> str:
        """Return `name:suite-key`, by which the local registry knows an image."""
        return f"{name}:{rootfs.SUITE}-{self.key(name)}"

    def log(self, name: str) -> Path:
        """Return the log of making `name`."""
        return self.cache.root / "logs" / f"{name}.log"

    def _ensure(self, name: str, build: Callable[[Path], None]) -> Path:
        def announced(folder: Path) -> None:
            command.require_root(f"making the {name} file system")
            with step(f"Debian {rootfs.SUITE}: {name}"):
                build(folder)

        return self.cache.ensure(
            name=name,
            key=self.key(name),
            build=announced,
            waiting=lambda: say(f"  … waiting for another run that makes {name}"),
        )

    def base(self) -> Path:
        """Make the base layer and image."""

        def build(folder: Path) -> None:
            sources = apt.machine_sources()
            mirrors = apt.mirrors(sources, chosen=self.mirror, codename=apt.machine_codename())
            rootfs.make_base(folder, mirrors=mirrors, ca_bundle=self.ca_bundle, log=self.log("base"))
            release = rootfs.Release.load(folder / "release.json")
            config = oci.ImageConfig(env={"PATH": rootfs.PATH}, command=("bash",), created=release.created)
            digest = oci.write_image(folder / "image", [folder / "layer.tar"], config)
            (folder / "image.json").write_text(json.dumps({"digest": digest}))

        return self._ensure("base", build)

    def python(self) -> Path:
        """Make the image in which Python modules run."""

        def extend(root: Path, release: rootfs.Release) -> None:
            for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
                # The image is one program's alone: pip may install into it, and Dagger's own runtime does.
                marker.unlink()
            shutil.copyfile(PACKAGES / "python-sdk.txt", root / "tmp/lock.txt")
            settings = [f"{name}={value}" for name, value in pip_environment().items()]
            install = f"{VENV}/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/lock.txt"
            script = f'python3 -m venv {VENV}; exec env "$@" {install}'
            rootfs.enter(root, ["sh", "-ec", script, "pip", *settings], log=self.log("python"), epoch=release.epoch)

        return self._derive("python", extend, env={"PATH": rootfs.PATH})

    def gosdk(self, go: Go) -> Path:
        """Make the image in which the engine compiles Go modules."""
        tools = go_tool("dagger").bin(self.cache)
        settings = ("GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB")
        env = {
            "PATH": f"/go/bin:/usr/local/go/bin:{rootfs.PATH}",
            "GOPATH": "/go",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
            **{name: value for name in settings if (value := go.variable(name))},
        }

        def extend(root: Path, release: rootfs.Release) -> None:
            goroot = Path(go.variable("GOROOT"))
            ignored = shutil.ignore_patterns("test", "api", "doc", "misc", "testdata", "*_test.go")
            shutil.copytree(goroot, root / "usr/local/go", ignore=ignored, symlinks=True)
            for path in (root / "usr/local/go").rglob("*"):
                if not path.is_symlink():
                    os.chown(path, 0, 0)
                    path.chmod(path.stat().st_mode | stat.S_IWUSR)
            shutil.copy2(tools / "codegen", root / "usr/local/bin/codegen")
            # Engines fill their Go caches from the image's. Compiling the Python SDK once here, as an engine would,
            # spares every engine with an empty cache half a minute.
            sample = root / "tmp/sample"
            shutil.copytree(SDK_PYTHON / "runtime", sample)
            (sample / "settings.json").write_text("{}")
            schema = command.output([tools / "introspect", "introspect", "--version", go_tool("dagger").version()])
            (root / "tmp/schema.json").write_text(schema)
            variables = [f"{name}={value}" for name, value in env.items()]
            rootfs.enter(
                root, ["sh", "-ec", _COMPILE_SAMPLE, "sample", *variables], log=self.log("gosdk"), epoch=release.epoch,
            )  # fmt: skip

        return self._derive("gosdk", extend, env=env)

    def _derive(self, name: str, extend: Callable[[Path, rootfs.Release], None], *, env: Mapping[str, str]) -> Path:
        """Make an image of the base and, as a layer of its own, the packages of its list and what `extend` adds."""
        base = self.base()

        def build(folder: Path) -> None:
            root = folder / "root"
            release = rootfs.unpack(base, root)
            before = tarball.index(root)
            rootfs.install(root, apt.read_list(PACKAGES / f"{name}.txt"), release=release, log=self.log(name))
            extend(root, release)
            rootfs.clean(root, epoch=release.epoch)
            tarball.write_layer(root, folder / "layer.tar", epoch=release.epoch, below=before)
            config = oci.ImageConfig(env=env, command=("bash",), created=release.created)
            digest = oci.write_image(folder / "image", [base / "layer.tar", folder / "layer.tar"], config)
            (folder / "image.json").write_text(json.dumps({"digest": digest}))
            remove_tree(root)

        return self._ensure(name, build)

    def engine(self) -> Path:
        """Make the root file system of Dagger engines; unlike the images it stays unpacked."""
        base = self.base()

        def build(folder: Path) -> None:
            root = folder / "root"
            release = rootfs.unpack(base, root)
            rootfs.install(root, apt.read_list(PACKAGES / "engine.txt"), release=release, log=self.log("engine"))
            rootfs.clean(root, epoch=release.epoch)
            # Certificates in this folder the engine would copy into every container it runs; its own trust has them.
            for certificate in (root / rootfs.LOCAL_CERTIFICATES).iterdir():
                certificate.unlink()
            # At run time the root is read-only: every mount point must be there.
            (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
            (root / "usr/local/bin/runc").symlink_to("/usr/sbin/runc")
            (root / "usr/local/bin/dagger-init").symlink_to("/opt/dagger/bin/dagger-init")
            (root / "usr/local/sbin/dnsmasq").write_text(_DNSMASQ)
            (root / "usr/local/sbin/dnsmasq").chmod(0o755)
            (root / "opt/cni/bin").mkdir(parents=True)
            for plugin in (root / "usr/lib/cni").iterdir():
                (root / "opt/cni/bin" / plugin.name).symlink_to(f"/usr/lib/cni/{plugin.name}")
            (root / "opt/cni/bin/dnsname").symlink_to("/opt/dagger/bin/dnsname")
            for name in ("opt/dagger/bin", "opt/dagger/run", "usr/local/share/dagger/content", "var/lib/dagger",
                         "var/lib/cni"):  # fmt: skip
                (root / name).mkdir(parents=True, exist_ok=True)
            for name in ("etc/resolv.conf", "etc/dnsmasq-resolv.conf", "etc/hosts"):
                (root / name).touch()

        return self._ensure("engine", build)

    def dhall(self) -> Path:
        """Take dhall and its libraries out of the suite, with a wrapper that runs them on any glibc."""
        base = self.base()

        def build(folder: Path) -> None:
            root = folder / "root"
            release = rootfs.unpack(base, root)
            rootfs.install(root, apt.read_list(PACKAGES / "dhall.txt"), release=release, log=self.log("dhall"))
            extract_dhall(root, folder, final=self.place("dhall"), log=self.log("dhall"))
            remove_tree(root)

        return self._ensure("dhall", build)
