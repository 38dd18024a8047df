"""What the linter works on and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from dhallmark.gitops.lint.yamlfile import Mapping


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The verification does not do what the file says, or there is none."""
    WARNING = "warning"
    """It can be got around, or will break."""
    NOTE = "note"
    """Worth knowing; no reason to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A safe change of one scalar: what it is now, and what it becomes."""

    line: int
    column: int
    """Both from 1, of the scalar's first character."""
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    rule: str
    """Id of the rule, a key of `dhallmark.gitops.lint.catalogue.RULES`."""
    file: str
    """Relative to the folder that was linted, with `/`."""
    line: int
    subject: str
    """The object that it is about, such as `OCIRepository flux-system/web`; the file where it is about none."""
    message: str
    proposal: str = ""
    """What to write instead, for this very place; the rule says it in general."""
    severity: Severity | None = None
    """Where it differs from the rule's own."""
    fix: Fix | None = None

    @property
    def fingerprint(self) -> tuple[str, str, str, str]:
        """What a baseline knows it by: lines move, objects and what is wrong with them do not."""
        return self.rule, self.file, self.subject, self.message


@dataclass(frozen=True, slots=True)
class Resource:
    """An object of Kubernetes, or of a tool that follows its form."""

    group: str
    """API group, empty for the core one."""
    version: str
    kind: str
    name: str
    namespace: str
    file: str
    node: Mapping

    @property
    def place(self) -> tuple[str, int]:
        """Where it stands: what it is known by, before and after patches."""
        return self.file, self.node.line

    @classmethod
    def of(cls, node: Mapping, *, file: str) -> Resource | None:
        """The object that `node` is, or None."""
        api, kind = node.text("apiVersion"), node.text("kind")
        if not api or not kind:
            return None
        group, _, version = api.rpartition("/")
        return cls(group, version, kind, node.text("metadata", "name"), node.text("metadata", "namespace"), file, node)

    @property
    def subject(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}".strip()

    def is_a(self, group: str, *kinds: str) -> bool:
        return self.group == group and self.kind in kinds


@dataclass(slots=True)
class ScannedFile:
    """What one file holds that the rules ask about."""

    path: str
    resources: list[Resource] = field(default_factory=list)
    kustomization: Mapping | None = None
    """Where it is the kustomization of its folder."""
    findings: list[Finding] = field(default_factory=list)


FLUX_SOURCE = "source.toolkit.fluxcd.io"
FLUX_KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
FLUX_HELM = "helm.toolkit.fluxcd.io"
FLUX_OPERATOR = "fluxcd.controlplane.io"
KUSTOMIZE = "kustomize.config.k8s.io"
KYVERNO = "kyverno.io"
KYVERNO_POLICIES = "policies.kyverno.io"
ARGO = "argoproj.io"
KSAIL = "ksail.io"
