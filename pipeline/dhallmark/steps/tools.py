"""The programs that the bytes of a release depend on, with their versions: for the provenance, and for who rebuilds."""

from __future__ import annotations

import os
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, version

from dhallmark.config.model import Config
from dhallmark.errors import ToolError
from dhallmark.render.closure import Closure

_TIMEOUT = 30


def tool_versions(closure: Closure, config: Config) -> dict[str, str]:
    """dhallmark and dhall; helm, too, where a chart is templated, since the Flux artifact holds what it renders.

    Raises ToolError where helm is needed and is not there.
    """
    try:
        own = version("dhallmark")
    except PackageNotFoundError:
        own = "unreleased"
    found = {"dhallmark": own, "dhall": closure.dhall}
    if any(application.chart.templated for application in config.applications.values()):
        found["helm"] = _helm()
    return found


def _helm() -> str:
    command = ("helm", "version", "--template", "{{.Version}}")
    with tempfile.TemporaryDirectory(prefix="dhallmark-helm-") as home:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "LANG": "C.UTF-8"}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
        except FileNotFoundError as error:
            raise ToolError(
                "a chart is templated, and helm is not there to be asked for its version",
                command=command,
                hint="install Helm 3, or set chart.templated to false",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"helm did not end in {_TIMEOUT} s", command=command) from error
    said = done.stdout.strip()
    if done.returncode or not said:
        raise ToolError(
            "helm does not say its version", command=command, status=done.returncode, stderr=done.stderr[-2000:]
        )
    return said
