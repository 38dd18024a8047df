"""Who to be at a registry, as `docker login`, `helm registry login` and CI jobs leave it.

Read here and not by oras, whose reader ignores DOCKER_CONFIG, merges files in no fixed order and waits for ever for
a credential helper. A secret that is read stays in memory: it appears in no message, argument or log.

Source: docker/cli, "docker login", credential helpers protocol.
"""

from __future__ import annotations

import base64
import binascii
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.errors import ConfigError, FormatError, Location, ToolError

_HELPER_TIMEOUT: Final = 20
"""Seconds; a helper may ask a key chain, or a cloud."""
_MISSING: Final = "credentials not found in native keychain"
"""What helpers print, with a failure, where they know nothing of a host."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and a secret for one registry."""

    username: str
    password: str = field(repr=False)


def find_credentials(host: str, *, environ: Mapping[str, str] | None = None) -> Credentials | None:
    """The credentials that the user's Docker configuration has for `host`, or None.

    The folder is $DOCKER_CONFIG, else ~/.docker. Order as Docker's: the host's own helper, the default store, then
    what stands in the file. Raises ConfigError for a file that cannot be read, ToolError for a helper that fails.
    """
    environment = os.environ if environ is None else environ
    folder = environment.get("DOCKER_CONFIG") or str(Path("~/.docker").expanduser())
    path = Path(folder) / "config.json"
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=Location(file=str(path))) from error
    try:
        config = strictjson.parse(content, what=str(path))
    except FormatError as error:
        raise ConfigError(error.message, where=Location(file=str(path))) from error
    if not isinstance(config, dict):
        raise ConfigError("must be an object", where=Location(file=str(path)))
    helper = _object(config, "credHelpers", path).get(host) or config.get("credsStore")
    if helper:
        return _ask_helper(str(helper), host)
    entry = _object(config, "auths", path).get(host)
    if not isinstance(entry, dict) or not entry.get("auth"):
        return None
    try:
        decoded = base64.b64decode(str(entry["auth"]), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ConfigError(
            "not base64 of user:password", where=Location(file=str(path), field=f"auths.{host}.auth")
        ) from error
    username, colon, password = decoded.partition(":")
    if not colon:
        raise ConfigError("not base64 of user:password", where=Location(file=str(path), field=f"auths.{host}.auth"))
    return Credentials(username, password.rstrip("\0"))


def _object(config: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError("must be an object", where=Location(file=str(path), field=key))
    return value


def _ask_helper(helper: str, host: str) -> Credentials | None:
    command = (f"docker-credential-{helper}", "get")
    if "/" in helper or "\0" in helper:
        raise ConfigError(f"not the name of a credential helper: {helper!r}")
    try:
        done = subprocess.run(command, input=host.encode(), capture_output=True, timeout=_HELPER_TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise ToolError(
            f"{command[0]} is not there", command=command, hint="install it, or take it out of Docker's config.json"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{command[0]} gave no answer in {_HELPER_TIMEOUT} s", command=command) from error
    if done.returncode:
        if _MISSING in done.stdout.decode(errors="replace"):
            return None
        # Its output is not shown: it may hold a part of a secret.
        raise ToolError(f"{command[0]} failed for {host}", command=command, status=done.returncode)
    try:
        answer = strictjson.parse(done.stdout, what=command[0])
        username, password = answer["Username"], answer["Secret"]
    except (FormatError, KeyError, TypeError) as error:
        raise ToolError(f"{command[0]} gave an answer that cannot be read", command=command) from error
    if username == "<token>":
        raise ToolError(
            f"{command[0]} gave an identity token for {host}, which is not supported",
            command=command,
            hint="log in with a user name and an access token",
        )
    return Credentials(str(username), str(password))
