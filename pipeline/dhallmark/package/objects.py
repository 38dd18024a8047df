"""The objects of a chart as plain manifests, for consumers that know no Helm.

A chart that dhallmark rendered escapes what Helm's template engine would take for its own, so the objects are had
back by undoing that. A chart that is templated on purpose has its objects only after Helm has run: with the chart's
own values, as `helm install` without any would make them.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from typing import Final

from dhallmark.errors import FormatError, ToolError
from dhallmark.package.chart import ChartDirectory
from dhallmark.render.manifest import escape_template

_TEMPLATES: Final = "templates/"
_SOURCE: Final = re.compile(r"^---\n# Source: (.+)\n", re.MULTILINE)
_ESCAPED: Final = escape_template("{{")
"""Every `{{` of an escaped text starts one of these, so replacing them undoes the escape exactly."""
_TIMEOUT: Final = 120
_STDERR_LINES: Final = 20


def plain_objects(chart: ChartDirectory, *, templated: bool, namespace: str | None) -> dict[str, bytes]:
    """The manifests of `chart` by file name, such as `001-namespace-web.yaml`.

    `namespace` is what `.Release.Namespace` stands for in a templated chart. Raises ToolError where such a chart needs
    helm and helm is missing or fails.
    """
    if templated:
        return _by_helm(chart, namespace=namespace)
    return {
        name.removeprefix(_TEMPLATES): path.read_text(encoding="utf-8").replace(_ESCAPED, "{{").encode()
        for name, path in chart.files.items()
        if name.startswith(_TEMPLATES)
    }


def _by_helm(chart: ChartDirectory, *, namespace: str | None) -> dict[str, bytes]:
    directory = chart.files["Chart.yaml"].parent
    command = ("helm", "template", chart.name, str(directory), "--namespace", namespace or "default")
    with tempfile.TemporaryDirectory(prefix="dhallmark-helm-") as home:
        # Helm finds plug-ins, repositories and a kube config by its environment: none of the user's may matter.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "LANG": "C.UTF-8"}
        try:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=_TIMEOUT,
                check=False,
            )
        except FileNotFoundError as error:
            raise ToolError(
                f"the chart {chart.name} is templated, and helm is not there",
                command=command,
                hint="install Helm 3, or set chart.templated to false",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"helm did not end in {_TIMEOUT} s", command=command) from error
    if done.returncode:
        lines = done.stderr.splitlines()[-_STDERR_LINES:]
        reason = next((line for line in lines if line.startswith("Error: ")), f"it ended with {done.returncode}")
        raise ToolError(
            f"helm cannot render the chart {chart.name}: {reason.removeprefix('Error: ')}",
            command=command,
            status=done.returncode,
            stderr="\n".join(lines),
            hint="look at the strings with {{ in the application's objects, and at its values file",
        )
    return _split(done.stdout, chart=chart.name)


def _split(text: str, *, chart: str) -> dict[str, bytes]:
    """Helm's output by template. A template that yields several documents keeps them in one file."""
    head, *parts = _SOURCE.split(text)
    if head.strip():
        raise FormatError(f"helm template {chart}: text before the first document")
    found: dict[str, str] = {}
    for source, body in zip(parts[::2], parts[1::2], strict=True):
        name = source.removeprefix(f"{chart}/{_TEMPLATES}")
        found[name] = f"{found[name]}---\n{body}" if name in found else body
    if not found:
        raise FormatError(f"helm template {chart}: no object is left", hint="look at the conditions in its templates")
    return {name: body.encode() for name, body in found.items()}
