"""The user's settings of pip, carried into containers.

Only what says where packages come from; credentials never, since the settings end up in image layers and in the
engine's cache.
"""

import subprocess
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

from toolchain.errors import ToolchainError

_CARRIED = {"index-url": "PIP_INDEX_URL", "extra-index-url": "PIP_EXTRA_INDEX_URL", "trusted-host": "PIP_TRUSTED_HOST",
            "timeout": "PIP_DEFAULT_TIMEOUT", "default-timeout": "PIP_DEFAULT_TIMEOUT"}  # fmt: skip


def parse_pip_config(text: str) -> dict[str, str]:
    """Turn what `pip config list` prints (`section.name='value'`) into variables for a container.

    `:env:` (the environment) wins over `install`, that over `global`, as in pip itself.

    Raises:
        ToolchainError: an index URL has a user or password in it.
    """
    ranked: dict[str, tuple[int, str]] = {}
    for line in text.splitlines():
        left, separator, right = line.partition("=")
        if not separator:
            continue
        section, _, name = left.strip().rpartition(".")
        variable = _CARRIED.get(name)
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section)
        if variable is None or rank is None:
            continue
        value = right.strip().strip("'\"")
        if rank >= ranked.get(variable, (-1, ""))[0]:
            ranked[variable] = (rank, value)
    settings = {variable: value for variable, (_, value) in sorted(ranked.items())}
    for variable, value in settings.items():
        if "INDEX_URL" in variable and any(urlsplit(url).username for url in value.split()):
            raise ToolchainError(
                f"{variable} has a user or password in it, which would end up in an image: use an index without",
            )
    return settings


def pip_environment() -> Mapping[str, str]:
    """Return the variables for pip in a container; empty where this Python has no pip."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    settings = parse_pip_config(done.stdout) if done.returncode == 0 else {}
    return {**settings, "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
