"""The programs built from Go modules: which packages make which commands, and how."""

import platform
from dataclasses import dataclass
from pathlib import Path

from toolchain import command
from toolchain.cache import Cache, files_below, key_of
from toolchain.errors import ToolchainError
from toolchain.go import BUILT_WITH, Go
from toolchain.layout import TOOLS

RECIPE = "go-tool 2"
"""Part of every key: a change in how tools are built must rebuild them."""


@dataclass(frozen=True, kw_only=True)
class GoTool:
    """One module below ci/tools and the commands that it yields."""

    name: str
    """The name on the command line."""
    commands: tuple[tuple[str, str], ...]
    """Pairs of command name and Go package."""
    module: str
    """The module whose locked version is the tool's version."""
    stamp: tuple[str, ...] = ()
    """Go variables that receive the version, as release builds of the tool do."""
    tags: tuple[str, ...] = ()
    folder: str = ""
    """Folder below ci/tools; that of the tool's name where it is empty."""
    lock: str = "go.mod"
    """The file that locks the versions: one source can be built with several, each with sums of its own beside it."""
    beside: str = ""
    """Folder below ci/tools that it is built from, too, where its own module names one."""
    demo: bool = False
    """True for what `make demo` runs; the others are for tests alone."""

    @property
    def source(self) -> Path:
        """Folder of the module that locks the tool."""
        return TOOLS / (self.folder or self.name)

    def version(self) -> str:
        """Return the version that go.mod locks."""
        for line in (self.source / self.lock).read_text().splitlines():
            words = line.removeprefix("require ").split()
            if words[:1] == [self.module] and len(words) > 1:
                return words[1]
        raise ToolchainError(f"{self.source}/{self.lock} does not require {self.module}")

    def key(self) -> str:
        """Hash of all that decides the result."""
        commands = [f"{name}={package}" for name, package in self.commands]
        lock = [self.lock] if self.lock != "go.mod" else []
        return key_of(
            label=RECIPE,
            texts=[platform.machine(), str(BUILT_WITH), *commands, *self.stamp, *self.tags, *lock],
            files=[*files_below(self.source), *self._beside()],
        )

    def _beside(self) -> list[tuple[str, Path]]:
        found = files_below(TOOLS / self.beside) if self.beside else []
        return [(f"{self.beside}/{name}", path) for name, path in found]

    def bin(self, cache: Cache) -> Path:
        """Return the folder with the tool's commands, built or not."""
        return cache.place(name=self.name, key=self.key()) / "bin"

    def build(self, *, go: Go, folder: Path, log: Path) -> None:
        """Compile every command into `folder`/bin."""
        # Debug information is left out when it is linked: not to write it spares a sixth of the compiler's time.
        unseen = "-gcflags=all=-dwarf=false"
        flags = ["-s", "-w", *(f"-X {variable}={self.version()}" for variable in self.stamp)]
        target = folder / "bin"
        target.mkdir()
        for name, package in self.commands:
            arguments: list[str | Path] = [go.program, "build", unseen, "-ldflags", " ".join(flags)]
            if self.tags:
                arguments += ["-tags", ",".join(self.tags)]
            if self.lock != "go.mod":
                arguments += ["-modfile", self.lock]
            command.run_online([*arguments, "-o", target / name, package], log=log, cwd=self.source, env=go.env)


DAGGER = "github.com/dagger/dagger"

GO_TOOLS: tuple[GoTool, ...] = (
    GoTool(
        name="registry",
        demo=True,
        module="github.com/google/go-containerregistry",
        commands=(("registry", "."),),
    ),
    GoTool(
        name="crane",
        demo=True,
        module="github.com/google/go-containerregistry",
        commands=(("crane", "github.com/google/go-containerregistry/cmd/crane"),),
        stamp=("github.com/google/go-containerregistry/cmd/crane/cmd.Version",),
    ),
    GoTool(
        name="distribution",
        demo=True,
        module="github.com/distribution/distribution/v3",
        commands=(("distribution", "github.com/distribution/distribution/v3/cmd/registry"),),
        stamp=("github.com/distribution/distribution/v3/version.version",),
    ),
    GoTool(
        name="rekor-server",
        demo=True,
        module="github.com/sigstore/rekor-tiles/v2",
        commands=(("rekor-server", "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix"),),
    ),
    GoTool(
        name="fulcio",
        demo=True,
        module="github.com/sigstore/fulcio",
        commands=(("fulcio", "github.com/sigstore/fulcio"),),
    ),
    GoTool(
        name="timestamp-server",
        demo=True,
        module="github.com/sigstore/timestamp-authority/v2",
        commands=(("timestamp-server", "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server"),),
    ),
    GoTool(
        name="cosign",
        demo=True,
        module="github.com/sigstore/cosign/v3",
        commands=(("cosign", "github.com/sigstore/cosign/v3/cmd/cosign"),),
        stamp=("sigs.k8s.io/release-utils/version.gitVersion",),
    ),
    GoTool(
        name="helm",
        demo=True,
        module="helm.sh/helm/v3",
        commands=(("helm", "helm.sh/helm/v3/cmd/helm"),),
        stamp=("helm.sh/helm/v3/internal/version.version",),
    ),
    # The only one of the two whose `install --dry-run=client` asks no cluster.
    GoTool(
        name="helm4",
        module="helm.sh/helm/v4",
        commands=(("helm4", "helm.sh/helm/v4/cmd/helm"),),
        stamp=("helm.sh/helm/v4/internal/version.version",),
    ),
    # The last of its line: the format before bundles, signatures under tags.
    GoTool(
        name="cosign2",
        module="github.com/sigstore/cosign/v2",
        commands=(("cosign2", "github.com/sigstore/cosign/v2/cmd/cosign"),),
        stamp=("sigs.k8s.io/release-utils/version.gitVersion",),
    ),
    # The verification code of two of Flux's controllers, in one program of ours.
    GoTool(
        name="flux-1.9",
        module="github.com/fluxcd/source-controller",
        commands=(("flux-verify-1.9", "."),),
        folder="flux-verify",
    ),
    GoTool(
        name="flux-1.8",
        module="github.com/fluxcd/source-controller",
        commands=(("flux-verify-1.8", "."),),
        tags=("flux18",),
        folder="flux-verify",
        lock="flux-1.8.mod",
    ),
    # The whole controller, and its reconciler alone: with a stand-in for the one module that no proxy serves.
    GoTool(
        name="source-controller",
        module="github.com/fluxcd/source-controller",
        commands=(("flux-reconcile", "."), ("source-controller", "github.com/fluxcd/source-controller")),
    ),
    GoTool(
        name="source-controller-1.8",
        module="github.com/fluxcd/source-controller",
        commands=(("source-controller-1.8", "github.com/fluxcd/source-controller"),),
        beside="source-controller/artifact",
    ),
    # The API server that manifests are proved against, and the store that it needs: as a module, since Debian's package
    # would start a service on the machine.
    GoTool(
        name="kube-apiserver",
        module="k8s.io/kubernetes",
        commands=(("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"), ("etcd", "go.etcd.io/etcd/server/v3")),
        stamp=("k8s.io/component-base/version.gitVersion",),
    ),
    GoTool(
        name="kyverno",
        module="github.com/kyverno/kyverno",
        commands=(("kyverno", "github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno"),),
    ),
    GoTool(
        name="actionlint",
        module="github.com/rhysd/actionlint",
        commands=(("actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),),
        stamp=("github.com/rhysd/actionlint.version",),
    ),
    GoTool(
        name="dagger",
        demo=True,
        module=DAGGER,
        commands=(
            ("dagger", f"{DAGGER}/cmd/dagger"),
            ("dagger-engine", f"{DAGGER}/cmd/engine"),
            ("dagger-init", f"{DAGGER}/cmd/init"),
            ("dnsname", f"{DAGGER}/cmd/dnsname"),
            ("codegen", f"{DAGGER}/cmd/codegen"),
            ("introspect", f"{DAGGER}/cmd/introspect"),
        ),
        stamp=(f"{DAGGER}/engine.Version", f"{DAGGER}/engine.Tag"),
        tags=("dfexcludepatterns", "dfparents"),
    ),
)
