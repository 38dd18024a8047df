"""Consumers of the deploy tree: Argo CD's plug-in, and the check before a merge.

Both run dhallmark itself. Policy and trust root come from where a change of the tree cannot reach: a ConfigMap that is
mounted into the plug-in, the target branch of the change. Sources: Argo CD's guide of config-management plug-ins;
GitHub's of `pull_request_target` and `merge_group`; GitLab's of merge request pipelines.
"""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any, Final

from dhallmark.config.gitops import Follower
from dhallmark.digest import Digest
from dhallmark.errors import InputError
from dhallmark.gitops.tree import ROOT
from dhallmark.gitops.write.model import Checks
from dhallmark.gitops.write.place import SUMS
from dhallmark.gitops.write.wanted import ObjectFile, OwnFile, Wanted
from dhallmark.gitops.write.yamltext import dump
from dhallmark.statement import SLSA_PROVENANCE_V1

PLUGIN: Final = "dhallmark"
"""Name of the plug-in, which Applications give."""
_MOUNTED: Final = "/etc/dhallmark"
_POLICY: Final = "policy.yaml"
_TRUST: Final = "trusted_root.json"
_MOST_BYTES: Final = 900 * 1024
"""etcd holds objects of up to 1.5 MiB, a ConfigMap of 1 MiB."""
_VERIFICATION: Final = "verification"


def argo_application(checks: Checks, *, folder: str) -> tuple[ObjectFile, ...]:
    """The Application of an environment, rendered by the plug-in. Raises InputError where something is not said."""
    if checks.settings.repository is None:
        raise InputError(
            "Argo CD must be told where the deploy repository is", hint="set gitops.repository in dhallmark.yaml"
        )
    body = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": checks.prefix, "namespace": checks.settings.argo_namespace},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": checks.settings.repository,
                "targetRevision": "HEAD",
                "path": f"{ROOT}/{checks.environment}",
                "plugin": {"name": PLUGIN},
            },
            "destination": {
                "server": "https://kubernetes.default.svc",
                "namespace": checks.namespace or "default",
            },
        },
    }
    owned = (("spec", "source", "path"), ("spec", "source", "plugin"))
    wanted = Wanted(body=body, owned=owned, absent=(("spec", "source", "helm"), ("spec", "source", "kustomize")))
    header = "Rendered by the plug-in, which prints nothing unless the files are what was signed for this environment."
    return (ObjectFile(path=f"{folder}/application.yaml", header=header, objects=(wanted,)),)


def argo_plugin(checks: Checks, *, folder: str) -> tuple[ObjectFile, ...]:
    """The plug-in for Argo CD's repo-server, the same for all environments."""
    image = _image(checks, Follower.ARGO_CD)
    _require_provenance(checks)
    namespace = checks.settings.argo_namespace
    plugin = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ConfigManagementPlugin",
        "metadata": {"name": PLUGIN},
        "spec": {
            # Also for an Application that names no tool: it would be rendered by Helm, unverified.
            "discover": {"fileName": "./attestation.json"},
            "generate": {
                "command": ["dhallmark", "gitops", "template"],
                "args": ["--policy", f"{_MOUNTED}/{_POLICY}", "--trusted-root", f"{_MOUNTED}/{_TRUST}"],
            },
        },
    }
    return (
        ObjectFile(
            path=f"{folder}/plugin.yaml",
            header="The plug-in and what it verifies by. Set by `dhallmark gitops write`.",
            objects=(
                _config_map("dhallmark-plugin", namespace, {"plugin.yaml": dump(plugin)}),
                _policy_map(checks, namespace),
            ),
        ),
        ObjectFile(
            path=f"{folder}/repo-server.yaml",
            header="A patch of Argo CD's repo-server: name it under `patches` of the kustomization that installs it.",
            objects=(_sidecar(checks, namespace, image),),
        ),
    )


def _config_map(name: str, namespace: str, data: Mapping[str, str]) -> Wanted:
    meta = {"name": name, "namespace": namespace}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(data)}
    return Wanted(body=body, owned=(("data",),))


def _policy_map(checks: Checks, namespace: str) -> Wanted:
    contents = _verified_by(checks)
    size = sum(len(content) for content in contents.values())
    if size > _MOST_BYTES:
        raise InputError(f"policy, trust root and what they name are {size} bytes; a ConfigMap holds {_MOST_BYTES}")
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "dhallmark-policy", "namespace": namespace},
    }
    texts = {_key(name): content.decode() for name, content in contents.items() if _is_text(content)}
    binary = {
        _key(name): base64.b64encode(content).decode() for name, content in contents.items() if not _is_text(content)
    }
    body["data"] = texts
    owned = [("data",)]
    if binary:
        body["binaryData"] = binary
        owned.append(("binaryData",))
    return Wanted(body=body, owned=tuple(owned))


def _sidecar(checks: Checks, namespace: str, image: str) -> Wanted:
    items = [{"key": _key(name), "path": name} for name in _verified_by(checks)]
    container = {
        "name": "dhallmark",
        "image": image,
        "command": ["/var/run/argocd/argocd-cmp-server"],
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - the container's
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 999,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "var-files", "mountPath": "/var/run/argocd"},
            {"name": "plugins", "mountPath": "/home/argocd/cmp-server/plugins"},
            {
                "name": "dhallmark-plugin",
                "mountPath": "/home/argocd/cmp-server/config/plugin.yaml",
                "subPath": "plugin.yaml",
            },
            {"name": "dhallmark-policy", "mountPath": _MOUNTED, "readOnly": True},
            {"name": "dhallmark-tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's
        ],
    }
    volumes = [
        {"name": "dhallmark-plugin", "configMap": {"name": "dhallmark-plugin"}},
        {"name": "dhallmark-policy", "configMap": {"name": "dhallmark-policy", "items": items}},
        {"name": "dhallmark-tmp", "emptyDir": {}},
    ]
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "argocd-repo-server", "namespace": namespace},
        "spec": {"template": {"spec": {"containers": [container], "volumes": volumes}}},
    }
    return Wanted(body=body, owned=(("spec", "template", "spec"),))


def merge_check(checks: Checks) -> tuple[OwnFile, ...]:
    """The check of each change of the deploy repository, and what it verifies by; the same for all environments."""
    image = _image(checks, Follower.MERGE_CHECK)
    _require_provenance(checks)
    contents = _verified_by(checks)
    sums = "".join(f"{Digest.of(content).hex}  {name}\n" for name, content in sorted(contents.items()))
    templates = files("dhallmark.gitops.write").joinpath("templates")
    return (
        *(
            OwnFile(
                path=path,
                content=Template(templates.joinpath(name).read_text(encoding="utf-8"))
                .substitute(image=image, folder=_VERIFICATION)
                .encode(),
            )
            for path, name in (
                (".github/workflows/dhallmark-verify.yml", "github.yml"),
                (".gitlab/dhallmark-verify.gitlab-ci.yml", "gitlab.yml"),
            )
        ),
        *(OwnFile(path=f"{_VERIFICATION}/{name}", content=content) for name, content in contents.items()),
        OwnFile(path=f"{_VERIFICATION}/{SUMS}", content=f"# Written by dhallmark gitops write\n{sums}".encode()),
    )


def _verified_by(checks: Checks) -> Mapping[str, bytes]:
    """Policy, trust root and whatever the policy names, by path. Raises InputError."""
    if checks.trust.text is None:
        raise InputError("a trust root is needed to verify by", hint="give --trusted-root")
    contents = {_POLICY: checks.policy_file, _TRUST: checks.trust.text.encode()}
    for name in checks.policy.files:
        if posixpath.normpath(name) in contents:
            raise InputError(f"the policy names {name!r}, which is the policy's or the trust root's own name here")
        contents[name] = (checks.policy.origin.folder / name).read_bytes()
    return contents


def _key(name: str) -> str:
    """A ConfigMap's key for a path."""
    return name.replace("/", "__")


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _image(checks: Checks, consumer: Follower) -> str:
    if checks.settings.image is None:
        raise InputError(
            f"{consumer.value} runs dhallmark in an image, and none is named",
            hint="set gitops.image in dhallmark.yaml, by digest; `dhallmark image push` prints it",
        )
    return checks.settings.image


def _require_provenance(checks: Checks) -> None:
    """Raise InputError for a policy that no deploy tree can fulfil."""
    rules: Sequence[Any] = [rule for rule in checks.policy.statements if rule.predicate_type == SLSA_PROVENANCE_V1]
    if not rules or any(rule.threshold > 1 for rule in rules):
        raise InputError(
            "no deploy tree can fulfil the policy: it has one bundle of provenance for each chart",
            hint=f"require {SLSA_PROVENANCE_V1}, with a threshold of 1, or follow the registry instead",
        )
