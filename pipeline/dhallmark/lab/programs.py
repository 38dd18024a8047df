"""The servers that are programs: their settings, how each is started, and where it says that it is ready.

Passwords stand in settings files with mode 0600, never in an argument. Programs get a small environment of their
own, so that a proxy or a registry setting of the caller's cannot reach them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dhallmark.errors import ToolError
from dhallmark.lab.model import AUDIENCE, HERE, Issuer, LabModel, LabPaths

_CHECKPOINT_INTERVAL = "200ms"
"""Rekor answers when the next checkpoint is out: its default of 10 s would be the time of every signature."""
_BATCH_AGE = "50ms"

_GITHUB_EXTENSIONS = {
    "github-workflow-trigger": "event_name",
    "github-workflow-sha": "sha",
    "github-workflow-name": "workflow",
    "github-workflow-repository": "repository",
    "github-workflow-ref": "ref",
    "build-signer-uri": "{{ .url }}/{{ .job_workflow_ref }}",
    "build-signer-digest": "job_workflow_sha",
    "runner-environment": "runner_environment",
    "source-repository-uri": "{{ .url }}/{{ .repository }}",
    "source-repository-digest": "sha",
    "source-repository-ref": "ref",
    "source-repository-identifier": "repository_id",
    "source-repository-owner-uri": "{{ .url }}/{{ .repository_owner }}",
    "source-repository-owner-identifier": "repository_owner_id",
    "build-config-uri": "{{ .url }}/{{ .workflow_ref }}",
    "build-config-digest": "workflow_sha",
    "build-trigger": "event_name",
    "run-invocation-uri": "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}",
    "source-repository-visibility-at-signing": "repository_visibility",
}
_GITLAB_EXTENSIONS = {
    "build-signer-uri": "https://{{ .ci_config_ref_uri }}",
    "build-signer-digest": "ci_config_sha",
    "runner-environment": "runner_environment",
    "source-repository-uri": "{{ .url }}/{{ .project_path }}",
    "source-repository-digest": "sha",
    "source-repository-ref": 'refs/{{if eq .ref_type "branch"}}heads/{{ else }}tags/{{end}}{{ .ref }}',
    "source-repository-identifier": "project_id",
    "source-repository-owner-uri": "{{ .url }}/{{ .namespace_path }}",
    "source-repository-owner-identifier": "namespace_id",
    "build-config-uri": "https://{{ .ci_config_ref_uri }}",
    "build-config-digest": "ci_config_sha",
    "build-trigger": "pipeline_source",
    "run-invocation-uri": "{{ .url }}/{{ .project_path }}/-/jobs/{{ .job_id }}",
    "source-repository-visibility-at-signing": "project_visibility",
}
"""Which claim becomes which certificate extension: the public instance's mapping (Fulcio, docs/oidc.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One server that the supervisor starts."""

    name: str
    """Also the name of its log."""
    command: tuple[str, ...]
    ready_url: str
    """Answers 200 once the server takes requests."""
    environment: Mapping[str, str] = field(default_factory=dict)


def programs(lab: LabModel, paths: LabPaths) -> list[Program]:
    """All programs of a lab. Raises ToolError where one is not installed."""
    tools = _tools(("fulcio", "rekor-server", "timestamp-server", "registry", "distribution"))
    local = "127.0.0.1"
    ports = lab.ports
    found = [
        Program(
            name=f"fulcio-{name}",
            command=(tools["fulcio"], "serve", "--config", str(paths.settings(f"fulcio-{name}.json"))),
            ready_url=f"http://{local}:{authority.port}/healthz",
            # The issuers have the names of real hosts. Whatever those names resolve to here, the lab's proxy leads
            # to the lab's issuers, and their TLS is checked against the lab's CA.
            environment={
                "HTTPS_PROXY": f"http://{local}:{ports.proxy}",
                "SSL_CERT_FILE": str(paths.tls_ca),
                "SSL_CERT_DIR": str(paths.tls_ca.parent / "none"),
            },
        )
        for name, authority in lab.authorities.items()
    ]
    return [
        *found,
        Program(
            name="rekor",
            command=(
                tools["rekor-server"],
                "serve",
                f"--hostname={lab.hostname}",
                f"--storage-dir={paths.data('rekor')}",
                f"--signer-filepath={paths.key('rekor')}",
                f"--http-address={lab.listen}",
                f"--http-port={ports.rekor}",
                f"--grpc-port={ports.rekor_grpc}",
                f"--http-metrics-port={ports.rekor_metrics}",
                f"--checkpoint-interval={_CHECKPOINT_INTERVAL}",
                f"--batch-max-age={_BATCH_AGE}",
            ),
            ready_url=f"http://{local}:{ports.rekor}/healthz",
        ),
        Program(
            name="timestamp",
            command=(
                tools["timestamp-server"],
                "serve",
                f"--host={lab.listen}",
                f"--port={ports.timestamp}",
                "--timestamp-signer=file",
                f"--file-signer-key-path={paths.key('timestamp')}",
                f"--certificate-chain-path={paths.certificates('timestamp')}",
                "--disable-ntp-monitoring",
                "--log-type=prod",
            ),
            ready_url=f"http://{local}:{ports.timestamp}/ping",
        ),
        Program(
            name="registry",
            command=(
                tools["registry"],
                "--referrers=true",
                f"--addr={lab.listen}:{ports.registry}",
                f"--dir={paths.data('registry')}",
            ),
            ready_url=f"http://{local}:{ports.registry}/v2/",
        ),
        Program(
            name="registry-fallback",
            command=(tools["distribution"], "serve", str(paths.settings("registry-fallback.yaml"))),
            ready_url=f"http://{local}:{ports.registry_fallback}/v2/",
            # Without this, spans are offered to a collector on port 4318 for as long as the registry lives.
            environment={"OTEL_TRACES_EXPORTER": "none"},
        ),
    ]


def fulcio_settings(lab: LabModel, *, authority: str, password: str) -> dict[str, object]:
    """What `fulcio serve --config` reads; keys are the names of its options."""
    ports, paths = lab.authorities[authority], LabPaths(HERE)
    return {
        "ca": "fileca",
        "fileca-cert": str(paths.certificates(f"fulcio-{authority}")),
        "fileca-key": str(paths.key(f"fulcio-{authority}")),
        "fileca-key-passwd": password,
        "fileca-watch": False,
        "config-path": str(paths.settings("issuers.yaml")),
        "ct-log-url": f"http://127.0.0.1:{lab.ports.ctlog}/{authority}",
        "ct-log-public-key-path": str(paths.certificates(f"ctlog-{authority}")),
        "host": lab.listen,
        "port": str(ports.port),
        "grpc-host": "127.0.0.1",
        "grpc-port": str(ports.grpc_port),
        "metrics-port": str(ports.metrics_port),
        # An abstract socket belongs to the network namespace: each Fulcio of a lab needs its own name.
        "legacy-unix-domain-socket": f"@dhallmark-fulcio-{authority}",
        "log_type": "prod",
    }


def fulcio_issuers(lab: LabModel) -> dict[str, object]:
    """Fulcio's issuer configuration (`config-path`). To be written as YAML: in JSON its keys are spelt otherwise."""
    metadata: dict[str, object] = {}
    for name, issuer in lab.issuers.items():
        if issuer.shape == "github":
            metadata[name] = _ci_provider("https://github.com", _GITHUB_EXTENSIONS, "build-signer-uri")
        elif issuer.shape == "gitlab":
            metadata[name] = _ci_provider(issuer.url, _GITLAB_EXTENSIONS, "build-signer-uri")
    return {
        "oidc-issuers": {issuer.url: _fulcio_issuer(name, issuer) for name, issuer in lab.issuers.items()},
        "ci-issuer-metadata": metadata,
    }


def distribution_settings(lab: LabModel) -> dict[str, object]:
    """The settings of the registry without the referrers API."""
    return {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(LabPaths(HERE).data("registry-fallback"))},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"{lab.listen}:{lab.ports.registry_fallback}"},
    }


def _fulcio_issuer(name: str, issuer: Issuer) -> dict[str, object]:
    entry: dict[str, object] = {"issuer-url": issuer.url, "client-id": AUDIENCE}
    if issuer.shape == "email":
        return entry | {"type": "email"}
    return entry | {"type": "ci-provider", "ci-provider": name}


def _ci_provider(url: str, extensions: Mapping[str, str], subject: str) -> dict[str, object]:
    return {
        "default-template-values": {"url": url},
        "extension-templates": dict(extensions),
        "subject-alternative-name-template": extensions[subject],
    }


def _tools(names: Iterable[str]) -> dict[str, str]:
    found = {name: shutil.which(name) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise ToolError(
            f"not on PATH: {', '.join(missing)} (PATH={os.environ.get('PATH', '')})",
            command=tuple(missing),
            hint='install the tool chain: `python3 ci/toolchain install`, then `eval "$(python3 ci/toolchain env)"`',
        )
    return {name: path for name, path in found.items() if path is not None}
